"""The limits of one account, counted in this process: calls per second by action, running tasks by kind.

All clients of an account share them, in all loops and threads. A web app that makes a client for each request must not
double its rate, and a client that is opened right after another was closed must not forget the sends and the running
tasks of the closed one. A forked child begins anew.

    the account's                           each loop's
    the streams of send times, by region    the paces that hand them out, by region
    the slots, by kind                      the budget of retries
                                            the tempo, which learns when tasks end

Times of the limits are of the loops' clock. asyncio's loops have one clock, the system's monotonic one. A loop with a
clock of its own (virtual time) has limits of its own, too.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, Final
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter

from ...concurrency.loops import own_clock
from ...model.states import Kind
from ...policy.tempo import Adaptive
from ..settings import LimitsKey, Rates
from .pace import ProcessPace
from .paces import Paces
from .slots import ProcessSlots
from .streams import Streams

RETRY_BUDGET: Final = (20, 10.0)
"""Retries of one account and loop: 20 at once, then 2 per second. Retries must not make an outage worse."""

KEPT_S: Final = 600.0
"""Seconds for which the limits of an account without an open client are kept: longer than any window of a rate and any
pause that a service asks for. Limits with a slot that is out, or with a learned cap, are kept for good."""

FEW: Final = 100
"""Accounts that are kept without a look at their ages."""


class _LoopPart:
    """The part of an account's limits that one loop has: its waiters, its retries, and the tempo, which learns when
    tasks end."""

    def __init__(self) -> None:
        self.retries = AsyncLimiter(*RETRY_BUDGET)
        self.tempo = Adaptive()
        self.regions: dict[str, Paces] = {}
        self.clients = 0
        """The open ones."""


class _Account:
    """The limits of an account in all regions and loops."""

    def __init__(self, kinds: Mapping[Kind, int]) -> None:
        self.slots = {kind: ProcessSlots(capacity) for kind, capacity in kinds.items()}
        self._regions: dict[str, Streams] = {}
        self._parts: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPart] = WeakKeyDictionary()
        self._left_at = monotonic()
        self._lock = Lock()

    def streams(self, region: str) -> Streams:
        with self._lock:
            return self._regions.setdefault(region, Streams())

    def enter(self) -> _LoopPart:
        """Count a client of the running loop, until the loop is closed or the client leaves; return the loop's part."""
        with self._lock:
            _drop_closed(self._parts)
            part = self._parts.setdefault(asyncio.get_running_loop(), _LoopPart())
            part.clients += 1
            self._left_at = monotonic()
            return part

    def leave(self, part: _LoopPart) -> None:
        with self._lock:
            part.clients -= 1
            self._left_at = monotonic()

    def is_over(self) -> bool:
        """Whether a new account's limits would allow as much."""
        if monotonic() <= self._left_at + KEPT_S:
            return False
        with self._lock:
            _drop_closed(self._parts)
            is_open = any(part.clients for part in self._parts.values())
        return not is_open and all(slots.is_unused() for slots in self.slots.values())

    def renew_locks(self) -> None:
        for slots in self.slots.values():
            slots.renew_lock()


class Accounts:
    """The accounts whose limits are counted together, by their keys."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_key: dict[LimitsKey, _Account] = {}
        self._most = FEW
        """The accounts among which those that are over are looked for: twice as many as were left the last time."""

    def enter(self, key: LimitsKey, capacities: Mapping[Kind, int]) -> tuple[_Account, _LoopPart]:
        """Count a client of an account; return the account and the part of the running loop.

        Running tasks are counted without the region: no document says that the service counts them by region.
        """
        anywhere = LimitsKey(key.backend, key.endpoint, key.account)
        with self._lock:
            if anywhere not in self._by_key:
                if len(self._by_key) >= self._most:
                    self._drop_old()
                self._by_key[anywhere] = _Account(capacities)
            account = self._by_key[anywhere]
            return account, account.enter()

    def _drop_old(self) -> None:
        for key in [key for key, account in self._by_key.items() if account.is_over()]:
            del self._by_key[key]
        self._most = max(FEW, 2 * len(self._by_key))

    def forget(self) -> None:
        with self._lock:
            self._by_key.clear()

    def renew_locks(self) -> None:
        """Begin with new locks of the slots in a forked child: the creates of the parent that wait for a slot are
        collected here, and leave the queue."""
        for account in self._by_key.values():
            account.renew_locks()


class AccountLimits:
    """A client's part in the limits of its account (`protocol.Limits`): the paces of its region, and the slots and
    retries that all regions share."""

    def __init__(
        self, rates: Rates, capacities: Mapping[Kind, int], *, key: LimitsKey, accounts: Accounts | None = None
    ) -> None:
        """Open the limits of `key` among `accounts`: by default among the process's.

        Clients that disagree about a rate or its jitter keep to the more careful one while they are open. Capacities,
        which a user tunes, are those of the newest client.
        """
        account, part = (accounts or process_accounts()).enter(key, capacities)
        streams = account.streams(key.region)
        self.slots = account.slots
        self.retries = part.retries
        self.tempo = part.tempo
        self._ends: list[Callable[[], None]] = [partial(account.leave, part), streams.join(rates)]
        self._paces = part.regions.setdefault(key.region, Paces(streams))
        for kind, capacity in capacities.items():
            self._ends.append(self.slots[kind].join())
            self.slots[kind].resize(capacity)

    @property
    def paces(self) -> dict[str, ProcessPace]:
        return self._paces.by_action.copy()

    def pace(self, action: str) -> ProcessPace:
        return self._paces.pace(action)

    @property
    def members_count(self) -> int:
        return 1

    async def take_retry(self) -> None:
        await self.retries.acquire()

    def leave(self) -> None:
        """Close the client's part: its rates no longer count, but its sends do."""
        while self._ends:
            self._ends.pop()()


_process = Accounts()
_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Accounts] = WeakKeyDictionary()


def process_accounts() -> Accounts:
    """The accounts of all loops whose time is the system's; a loop with a clock of its own has its own accounts."""
    return _process if own_clock(asyncio.get_running_loop()) is None else loop_accounts()


def loop_accounts() -> Accounts:
    """The accounts of the running loop alone."""
    loop = asyncio.get_running_loop()
    if loop not in _loops:
        _drop_closed(_loops)
    return _loops.setdefault(loop, Accounts())


def forget() -> None:
    """Forget the sends, slots and learned caps of all accounts in this process, in every loop.

    Clients that are opened later begin anew; open clients keep the limits that they share. For tests alone: the service
    does not forget.
    """
    _process.forget()
    _loops.clear()


def _drop_closed(by_loop: MutableMapping[asyncio.AbstractEventLoop, Any]) -> None:
    """Drop the values of closed loops: a value may refer to its loop, and would keep it for ever."""
    for loop in [loop for loop in by_loop if loop.is_closed()]:
        by_loop.pop(loop, None)


def _begin_anew() -> None:
    """Begin anew in a forked child: another thread of the parent may have held a lock, and the sends of the parent are
    none of the child's."""
    global _process  # noqa: PLW0603 — its lock may be held for ever
    for accounts in (_process, *_loops.values()):
        accounts.renew_locks()
    _process = Accounts()
    _loops.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
