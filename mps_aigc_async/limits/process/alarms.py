"""The alarms of a thing that the loops of a process share: one in each loop that uses the thing, since any may end.

The thing's owner has a lock, and holds it in every call.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf

from ...concurrency.loops import call_in, running_loop


class Alarms:
    """Rings when time brings the next change, in the loop of each open client and in each loop that set an alarm."""

    def __init__(
        self,
        guard: Callable[[], AbstractContextManager[object]],
        next_change: Callable[[], float],
        ring: Callable[[], None],
    ) -> None:
        """`next_change` tells the time of the next change on the loops' clock, infinite if none is to come. `ring` is
        called then, under the owner's lock (`guard`)."""
        self._guard = guard
        self._next_change = next_change
        self._ring = ring
        self._users: Counter[asyncio.AbstractEventLoop] = Counter()
        """The open clients, by their loops."""
        self._timers: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle] = {}

    @property
    def loops(self) -> int:
        """The number of loops with an open client."""
        return len(self._users)

    def join(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count a client of the running loop."""
        self._users[loop] += 1
        self._set_here(loop)

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count a client no more. Any thread may call this, without the lock."""
        with self._guard():
            if self._users[loop] > 1:
                self._users[loop] -= 1
            else:
                self._users.pop(loop, None)
                self._drop(loop)

    def forget_closed(self) -> set[asyncio.AbstractEventLoop]:
        """Forget the loops that were closed without their clients, and return them."""
        loops = {loop for loop in (*self._users, *self._timers) if loop.is_closed()}
        for loop in loops:
            self._users.pop(loop, None)
            self._timers.pop(loop, None)
        return loops

    def set(self) -> None:
        """Let the alarms of all loops ring at the next change."""
        here = running_loop()
        if here is not None:
            self._set_here(here)
        for loop in [loop for loop in self._users if loop is not here]:
            call_in(loop, self._set_for_user)

    def _set_for_user(self) -> None:
        with self._guard():
            loop = asyncio.get_running_loop()
            if loop in self._users:  # else the last client of this loop has left meanwhile
                self._set_here(loop)

    def _set_here(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self._next_change()
        self._drop(loop)
        if at < inf:
            self._timers[loop] = loop.call_at(at, self._ring_here)

    def _drop(self, loop: asyncio.AbstractEventLoop) -> None:
        if (timer := self._timers.pop(loop, None)) is not None:
            timer.cancel()

    def _ring_here(self) -> None:
        with self._guard():
            self._ring()
            self._set_here(asyncio.get_running_loop())
