"""The limits of one account, counted in this process: calls per second by action, running tasks by kind.

All clients of an account share them, in whatever loop and thread they are open. A web app that makes a client for each
request must not double its rate, and a client that is opened right after another was closed must not forget the sends
of the closed one. A forked child begins anew: the host's store is for processes that share an account.

Times of the limits are of the loops' clock. asyncio's loops have one clock, the system's monotonic one. A loop with a
clock of its own (virtual time) has limits of its own, too.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter

from ..model.states import Kind
from ..policy.tempo import Adaptive
from .pace import ProcessPace
from .paces import Paces
from .settings import LimitsKey, Rates
from .slots import ProcessSlots
from .streams import Streams

RETRY_BUDGET: Final = (20, 10.0)
"""Retries of one account and loop: 20 at once, then 2 per second. Retries must not make an outage worse."""

KEPT_S: Final = 600.0
"""Seconds for which the limits of an account without an open client are kept: longer than any window of a rate and any
pause that a service asks for. Limits with a slot that is out, or with a learned cap, are kept for good."""


class _LoopPart:
    """The part of an account's limits that one loop has: its waiters, its retries, and the tempo, which learns when
    tasks end."""

    def __init__(self) -> None:
        self.retries = AsyncLimiter(*RETRY_BUDGET)
        self.tempo = Adaptive()
        self.regions: dict[str, Paces] = {}


class _Account:
    """The limits of an account in all regions and loops."""

    def __init__(self, kinds: Mapping[Kind, int]) -> None:
        self.slots = {kind: ProcessSlots(capacity) for kind, capacity in kinds.items()}
        self._regions: dict[str, Streams] = {}
        self._parts: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPart] = WeakKeyDictionary()
        self._clients = 0
        self._left_at = monotonic()

    def part(self) -> _LoopPart:
        """The part of the running loop."""
        return self._parts.setdefault(asyncio.get_running_loop(), _LoopPart())

    def streams(self, region: str) -> Streams:
        return self._regions.setdefault(region, Streams())

    def enter(self) -> None:
        self._clients += 1

    def leave(self) -> None:
        self._clients -= 1
        self._left_at = monotonic()

    @property
    def is_over(self) -> bool:
        """Whether a new account's limits would allow as much."""
        is_unused = not self._clients and monotonic() > self._left_at + KEPT_S
        return is_unused and all(slots.is_unused for slots in self.slots.values())


class AccountLimits:
    """A client's part in the limits of its account (`protocol.Limits`): the paces of its region, and the slots and
    retries that all regions share."""

    def __init__(self, rates: Rates, capacities: Mapping[Kind, int], *, key: LimitsKey | None = None) -> None:
        """Open limits of its own, or those of `key` in this process.

        Clients that disagree about a rate or its jitter keep to the more careful one while they are open. Capacities,
        which a user tunes, are those of the newest client.
        """
        region = "" if key is None else key.region
        with _lock:
            account = _Account(capacities) if key is None else _account(key, capacities)
            account.enter()
            streams, part = account.streams(region), account.part()
        self.slots = account.slots
        self.retries = part.retries
        self.tempo = part.tempo
        self._paces = part.regions.setdefault(region, Paces(streams))
        self._ends: list[Callable[[], None]] = [account.leave, streams.join(rates)]
        for kind, capacity in capacities.items():
            self._ends.append(self.slots[kind].join())
            self.slots[kind].resize(capacity)

    @property
    def paces(self) -> dict[str, ProcessPace]:
        return self._paces.by_action.copy()

    def pace(self, action: str) -> ProcessPace:
        return self._paces.pace(action)

    async def take_retry(self) -> None:
        await self.retries.acquire()

    def leave(self) -> None:
        """Close the client's part: its rates no longer count, but its sends do."""
        while self._ends:
            self._ends.pop()()


_lock = Lock()
_of_system_clock: dict[LimitsKey, _Account] = {}
_of_own_clock: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[LimitsKey, _Account]] = WeakKeyDictionary()


def forget() -> None:
    """Forget the sends, slots and learned caps of all accounts in this process, in every loop.

    Clients that are opened later begin anew; open clients keep the limits that they share. For tests alone: the service
    does not forget.
    """
    with _lock:
        _of_system_clock.clear()
        _of_own_clock.clear()


def _account(key: LimitsKey, capacities: Mapping[Kind, int]) -> _Account:
    """The account of `key` by the running loop's clock. Running tasks are counted without the region, because no
    document says that the service counts them by region."""
    loop = asyncio.get_running_loop()
    accounts = _of_system_clock if _has_system_clock(loop) else _of_own_clock.setdefault(loop, {})
    anywhere = LimitsKey(key.backend, key.endpoint, key.account)
    if anywhere not in accounts:
        for other in [other for other, account in accounts.items() if account.is_over]:
            del accounts[other]
        accounts[anywhere] = _Account(capacities)
    return accounts[anywhere]


def _has_system_clock(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop's time is the system's monotonic one: asyncio's own loops, and uvloop's."""
    kind = type(loop)
    return getattr(kind, "time", None) is asyncio.BaseEventLoop.time or kind.__module__.partition(".")[0] == "uvloop"


def _begin_anew() -> None:
    """Drop everything in a forked child: another thread of the parent may have held a lock, and its sends are none of
    the child's."""
    global _lock  # noqa: PLW0603 — the inherited lock may be held for ever
    _lock = Lock()
    _of_system_clock.clear()
    _of_own_clock.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
