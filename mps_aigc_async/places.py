"""Places for downloads at once, and when a slow one makes room for those that wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

LEAST_BYTES_S: Final = 16 * 1024
"""Bytes a second below which a download makes room: at 16 places a line of 2 Mbit/s, and a picture of 2 MB takes two
minutes."""
WINDOW_S: Final = 10.0
"""Seconds over which the speed is taken: a storage's usual pauses are shorter, and nobody waits longer."""


class Places:
    """So many may hold a place at once; the others wait in their order."""

    def __init__(self, capacity: int) -> None:
        self._free = asyncio.Semaphore(capacity)
        self.waiting = 0
        self.taken = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._free.release()


class MadeRoom(Exception):
    """The download was too slow while others waited."""


class LeastSpeed:
    """How long one result may be slow while others wait. Where nothing that came can be kept, longer with each time:
    a result that always begins again ends some day as well."""

    def __init__(self, places: Places, window_s: float = WINDOW_S) -> None:
        self._places = places
        self._window_s = window_s
        self._bytes = 0
        self._ends = 0.0

    def begin(self) -> None:
        """Begin an attempt."""
        self._bytes, self._ends = 0, asyncio.get_running_loop().time() + self._window_s

    def came(self, size: int) -> None:
        """Count what has come."""
        self._bytes += size

    def widen(self) -> None:
        """Be patient for twice as long from now on."""
        self._window_s *= 2

    @asynccontextmanager
    async def network(self) -> AsyncIterator[None]:
        """Around what waits for the network, and for nothing else. Raises MadeRoom."""
        slow = asyncio.timeout(None)
        self._wait_for_end(slow)
        try:
            async with slow:
                yield
        except TimeoutError:
            if not slow.expired():
                raise
        else:
            return
        finally:
            self._timer.cancel()
        raise MadeRoom

    def _wait_for_end(self, slow: asyncio.Timeout) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._ends, self._at_end, slow)

    def _at_end(self, slow: asyncio.Timeout) -> None:
        if self._bytes < LEAST_BYTES_S * self._window_s and self._places.waiting:
            slow.reschedule(asyncio.get_running_loop().time())
        else:
            self.begin()
            self._wait_for_end(slow)
