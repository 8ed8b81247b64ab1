"""The present credentials, and their refresh before they expire.

No timer runs. A call that finds the present credentials close to their expiry starts the refresh and signs with them.
Only one refresh runs at a time. The refresh belongs to the key ring, so a cancelled caller does not stop it.

Expiry is judged by the service's time (`clock`). If the service's time or the expiry is unknown, the service's refusal
has the same effect: a call that is refused for its keys was certainly not accepted, so it is sent again with fresh
keys.
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
"""Refresh keys this many seconds before they expire: time for several tries. The service forgives a clock error of the
same length ("Signature v3"), and the official SDK renews a CVM role's keys as early. Keys with less than twice this
time left are refreshed after half of that time: otherwise every call would refresh them."""

EARLY_S: Final = 5.0
"""Stop signing with keys this many seconds before they expire, or a tenth of their remaining life if that is less. A
signed request waits up to 0.25 s for its send time, then travels; the service judges it when it arrives."""

UNKNOWN_END_S: Final = 240.0
"""Seconds between two refreshes of keys without an expiry. The value is below 300 s, the time that a CVM role's keys
have left when the official SDK renews them. Such keys never expire by this client's clock: the service judges."""

REFRESH_S: Final = 60.0
"""Seconds after which a refresh has failed: the official SDK's limit for one request (HttpProfile, 3.1.194)."""

AGAIN_S: Final = 2.0
AGAIN_MOST_S: Final = 60.0
"""Seconds until a failed refresh is retried: doubled with each failure, up to AGAIN_MOST_S."""

REFUSED_AGAIN_S: Final = 60.0
"""Fewest seconds between two refreshes of refused keys. A second refusal within this time counts as a refusal of the
account."""

MASKED: Final = 8
"""Latest credentials that are masked in texts from outside. A call lasts a minute, and keys live for at least one."""

CODE: Final = "ClientError.CredentialRefresh"
"""The code of the error for expired keys. The service has no such code, so its form is that of the official SDK."""


class KeyRing:
    """Hands out the present credentials: fixed credentials for good, those of a source until they expire."""

    def __init__(self, credentials: Credentials | CredentialSource, wall: Callable[[], float]) -> None:
        self._source: CredentialSource | None = None
        self._present: Credentials | None = None
        self._latest: tuple[Credentials, ...] = ()
        self.mask = Mask(())
        """Hides the present credentials and the latest former ones in texts from outside. A call under way was signed
        with some of them, and its answer may quote them."""
        if isinstance(credentials, Credentials):
            self._use(credentials)  # for good, even after their expiry: the service judges
        else:
            self._source = credentials
        self._wall = wall
        self._owner = TaskOwner()
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_at = -inf
        """When to refresh the present keys (Unix seconds), if they have an expiry."""
        self._ask_again_at = inf
        """When to refresh keys without an expiry (the loop's clock, so that no correction of the time lengthens the
        wait)."""
        self._ends_at = inf
        """When to stop signing with the present keys (Unix seconds)."""
        self._is_refused = False
        """Whether the service has refused the present keys: they then count as expired."""
        self._refused_again_at = -inf
        self._doubted_again_at = -inf
        self._fault = ""
        """The reason why the latest refresh failed."""
        self._failures = 0
        """Failed refreshes in a row."""
        self._again_at = -inf

    def __repr__(self) -> str:
        return f"<KeyRing: {self._state()}>"

    async def current(self) -> Credentials:
        """The credentials to sign with now. Waits for a refresh only if the present credentials have expired.

        Raises AccountError if that refresh fails.
        """
        if self._is_due():
            refreshing = self._refresh()
            if refreshing is not None and not self._is_live():
                await asyncio.wait({refreshing})  # cancelling the caller here does not cancel the refresh
        if self._present is None or not self._is_live():
            fault = self._fault or "the refresh was cancelled"
            raise AccountError(
                CODE,
                f"{self._state('expired')}, and the refresh failed: {fault}; nothing is sent until one succeeds",
                ending=Ending.ACCOUNT_REFUSED,
            )
        return self._present

    async def renewed(self) -> Credentials:
        """The credentials to sign for others with, who use the signature later: waits for a refresh that is due.

        Raises AccountError as `current` does."""
        if self._is_due() and (refreshing := self._refresh()) is not None:
            await asyncio.wait({refreshing})
        return await self.current()

    def report_refusal(self, credentials: Credentials) -> bool:
        """Take note that the service refused these credentials. Return whether to send again with other ones, which
        are there or will be fetched; False if the refusal counts."""
        if self._source is None:
            return False
        if self._is_refused or credentials != self._present:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._refused_again_at:
            return False
        self._is_refused, self._refused_again_at = True, now + REFUSED_AGAIN_S
        return True

    def doubt(self) -> None:
        """Fetch other keys soon, though the present ones go on: storage has refused a signature, maybe for its keys,
        and maybe for want of a right. At most once in REFUSED_AGAIN_S."""
        now = asyncio.get_running_loop().time()
        if self._source is not None and now >= self._doubted_again_at:
            self._doubted_again_at, self._ask_again_at = now + REFUSED_AGAIN_S, now
            self._refresh()

    async def close(self) -> None:
        """Cancel a refresh that is under way."""
        await self._owner.close()

    def _is_live(self) -> bool:
        if self._source is None:
            return True
        return self._present is not None and not self._is_refused and self._wall() < self._ends_at

    def _is_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        due = self._is_refused or self._wall() >= self._refresh_at or now >= self._ask_again_at
        return self._source is not None and due

    def _state(self, verb: str = "expire") -> str:
        """The state of the credentials in words. Needs no clock, since `repr` may be called without a loop."""
        if self._present is None:
            return "there are no credentials yet"
        if self._is_refused:
            return "the service refused the credentials"
        if self._present.expires_at is None:
            return "the credentials have no known expiry"
        ends = self._present.expires_at.isoformat(timespec="seconds")
        return f"the credentials {verb} at {ends}"

    def _refresh(self) -> asyncio.Task[None] | None:
        """The refresh under way, or a new one; None during the wait after a failure."""
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
        except Exception as error:  # noqa: BLE001 — a user's code may raise any exception
            # Only the class of a foreign exception is told, and the exception is not chained: its text may hold keys.
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
            return f"it gave keys that expired at {fresh.expires_at.isoformat()} (is this machine's clock right?)"
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
        self._is_refused = False
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
            "the credentials could not be refreshed (%s); %s; retried in %.0f s at the earliest",
            fault,
            self._state("expire" if self._is_live() else "expired"),
            delay_s,
        )
