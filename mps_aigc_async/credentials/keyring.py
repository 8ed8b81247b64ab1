"""The credentials to sign with at this moment, and their refresh before they end.

Nothing runs on a timer: a call that finds the present ones near their end starts the refresh, and goes on with them.
There is one refresh at a time, and it belongs to the key ring: whichever caller is cancelled, it goes on.

Ends are judged by the service's time (`clock`). Where that is not known yet, or an end is not told, the service's
refusal does the same work: what it refuses for its keys was certainly not accepted, and is sent again with fresh ones.
"""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Final

from ..concurrency.owner import TaskOwner
from ..model.errors import AccountError, AigcError
from ..model.states import Ending
from .credentials import Credentials, CredentialSource
from .masking import Mask

_log: Final = logging.getLogger("mps_aigc_async")

MARGIN_S: Final = 300.0
"""Seconds before their end from which on keys are refreshed: time for several tries. It is also the clock's error that
the service forgives ("Signature v3"), and when the official SDK renews a CVM role's keys. Of keys that live less than
twice as long, half of what is left: else they would be refreshed all the time."""

EARLY_S: Final = 5.0
"""Seconds before their end from which on keys sign nothing more (a tenth of what is left, where that is less): what is
signed waits up to a quarter of a second for its send time, then travels, and is judged when it arrives."""

UNKNOWN_END_S: Final = 240.0
"""Keys whose source tells no end are asked for again this often: less than the 300 s that a CVM role's keys of the
official SDK have left when it renews them. They never end by our clock: the service judges."""

REFRESH_S: Final = 60.0
"""A refresh that takes longer has failed: as long as the official SDK gives one request (HttpProfile, 3.1.194)."""

AGAIN_S: Final = 2.0
AGAIN_MOST_S: Final = 60.0
"""Seconds until a refresh that failed is tried again: doubled with each failure, up to this."""

REFUSED_AGAIN_S: Final = 60.0
"""Keys that the service refuses are refreshed at most this often: refused again, it is the account that is refused."""

MASKED: Final = 8
"""Latest credentials that are masked in texts from outside. A call lasts a minute, and keys live for at least one."""

CODE: Final = "ClientError.CredentialRefresh"
"""Of the error raised for keys that have ended: not the service's, so of the form of the official SDK's own."""


class KeyRing:
    """Hands out the present credentials: fixed ones as they are, those of a source while they live."""

    def __init__(self, given: Credentials | CredentialSource, wall: Callable[[], float]) -> None:
        self._source: CredentialSource | None = None
        self._present: Credentials | None = None
        self._latest: tuple[Credentials, ...] = ()
        self.mask = Mask(())
        """Hides the present credentials and the latest former ones in texts from outside: a call that is under way was
        signed with some of them, and its answer may quote them."""
        if isinstance(given, Credentials):
            self._use(given)  # for good, whatever their end: the service judges
        else:
            self._source = given
        self._wall = wall
        self._owner = TaskOwner()
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_at = -inf
        """When to refresh the present keys (Unix seconds), if they have an expiry."""
        self._ask_again_at = inf
        """The same for keys without an expiry, on the loop's clock, so that no correction of the time lengthens the
        wait."""
        self._ends_at = inf
        """From when on they sign nothing more (Unix seconds)."""
        self._refused = False
        """Whether the service has refused the present ones: they count as ended then."""
        self._refused_again_at = -inf
        self._fault = ""
        """Why the latest refresh failed."""
        self._failures = 0
        """Refreshes failed in a row."""
        self._again_at = -inf

    def __repr__(self) -> str:
        return f"<KeyRing: {self._state()}>"

    async def current(self) -> Credentials:
        """The credentials to sign with now. Waits for a refresh only if the present ones have ended.

        Raises AccountError if they have, and could not be refreshed.
        """
        if self._is_due():
            refreshing = self._refresh()
            if refreshing is not None and not self._is_live():
                await asyncio.wait({refreshing})  # a caller that is cancelled here leaves the refresh alone
        if self._present is None or not self._is_live():
            fault = self._fault or "the refresh was ended"
            raise AccountError(
                CODE,
                f"{self._state('ended')}, and the refresh failed: {fault}; nothing is sent until one succeeds",
                ending=Ending.ACCOUNT_REFUSED,
            )
        return self._present

    def refused(self, credentials: Credentials) -> bool:
        """The service refused these. Whether other ones are there, or will be tried for: then it is no refusal yet."""
        if self._source is None:
            return False
        if self._refused or credentials != self._present:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._refused_again_at:
            return False
        self._refused, self._refused_again_at = True, now + REFUSED_AGAIN_S
        return True

    async def close(self) -> None:
        """End a refresh that is under way."""
        await self._owner.close()

    def _is_live(self) -> bool:
        if self._source is None:
            return True
        return self._present is not None and not self._refused and self._wall() < self._ends_at

    def _is_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        due = self._refused or self._wall() >= self._refresh_at or now >= self._ask_again_at
        return self._source is not None and due

    def _state(self, verb: str = "end") -> str:
        """Without a look at the clock: a repr may be asked for where there is none."""
        if self._present is None:
            return "there are no credentials yet"
        if self._refused:
            return "the service refused the credentials"
        if self._present.expires_at is None:
            return "the credentials have no known end"
        ends = self._present.expires_at.isoformat(timespec="seconds")
        return f"the credentials {verb} at {ends}"

    def _refresh(self) -> asyncio.Task[None] | None:
        """The refresh under way, or a new one; None while the last one's failure is waited off."""
        if self._refreshing is not None and not self._refreshing.done():
            return self._refreshing
        if asyncio.get_running_loop().time() < self._again_at or self._source is None:
            return None
        self._refreshing = self._owner.start(self._refresh_from(self._source), "refresh of the credentials")
        return self._refreshing

    async def _refresh_from(self, source: CredentialSource) -> None:
        fresh: object = None
        deadline = asyncio.timeout(REFRESH_S)
        try:
            async with deadline:
                fresh = await source()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            fault = "CancelledError"
        except Exception as error:  # noqa: BLE001 — whatever a user's code raises
            # Named, not shown, nor chained: the text of a stranger's exception may hold what it got.
            fault = self.mask.text(error.message) if isinstance(error, AigcError) else type(error).__name__
            if deadline.expired():
                fault = f"it took more than {REFRESH_S:g} s"
        else:
            fault = self._unusable(fresh)
        if isinstance(fresh, Credentials) and not fault:
            self._keep(fresh)
        else:
            self._failed(fault)

    def _unusable(self, fresh: object) -> str:
        if not isinstance(fresh, Credentials):
            return f"it gave a {type(fresh).__name__}, not Credentials"
        if not fresh.secret_id or not fresh.secret_key:
            return "it gave no keys"
        if fresh.expires_at is not None and fresh.expires_at.timestamp() <= self._wall():
            return f"it gave keys that ended at {fresh.expires_at.isoformat()} (is this machine's clock right?)"
        return ""

    def _keep(self, fresh: Credentials) -> None:
        now = self._wall()
        if fresh.expires_at is None:
            self._refresh_at, self._ends_at = inf, inf
            self._ask_again_at = asyncio.get_running_loop().time() + UNKNOWN_END_S
        else:
            self._ask_again_at = inf
            ends = fresh.expires_at.timestamp()
            self._refresh_at = ends - min(MARGIN_S, (ends - now) / 2)
            self._ends_at = ends - min(EARLY_S, (ends - now) / 10)
        self._refused = False
        self._use(fresh)
        self._fault, self._failures, self._again_at = "", 0, -inf

    def _use(self, credentials: Credentials) -> None:
        if credentials != self._present:
            others = tuple(former for former in self._latest if former != credentials)
            self._latest = (credentials, *others)[:MASKED]
            self.mask = Mask(secret for latest in self._latest for secret in latest.secrets)
        self._present = credentials

    def _failed(self, fault: str) -> None:
        delay_s = min(AGAIN_MOST_S, AGAIN_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._fault, self._again_at = fault, asyncio.get_running_loop().time() + delay_s
        _log.warning(
            "the credentials could not be refreshed (%s); %s; tried again in %.0f s at the earliest",
            fault,
            self._state("end" if self._is_live() else "ended"),
            delay_s,
        )
