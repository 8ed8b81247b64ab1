"""A bounded number of places for downloads; a slow download gives up its place if others wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

LEAST_BYTES_S: Final = 16 * 1024
"""Bytes per second below which a download gives up its place: 16 such downloads use 2 Mbit/s, and at this speed a
picture of 2 MB takes two minutes."""
WINDOW_S: Final = 10.0
"""Seconds over which the speed is measured: longer than a storage's usual pauses, and the longest wait for a place."""


class Places:
    """At most `capacity` holders at once; others wait in order of arrival."""

    def __init__(self, capacity: int) -> None:
        self._free = asyncio.Semaphore(capacity)
        self.waiting = 0
        self.holders = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place inside the block; wait for it first."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.holders += 1
        try:
            yield
        finally:
            self.holders -= 1
            self._free.release()


class TooSlow(Exception):
    """The download was too slow, and others waited."""


class LeastSpeed:
    """Ends a slow attempt at a result while other downloads wait for a place.

    A result that cannot be resumed gets a longer window after each such end, so that it is complete some day too."""

    def __init__(self, places: Places, window_s: float = WINDOW_S) -> None:
        self._places = places
        self._window_s = window_s
        self._bytes = 0
        self._ends = 0.0

    def begin(self) -> None:
        """Begin a window: count from zero bytes."""
        self._bytes, self._ends = 0, asyncio.get_running_loop().time() + self._window_s

    def count(self, size: int) -> None:
        """Count received bytes."""
        self._bytes += size

    def widen(self) -> None:
        """Double the window."""
        self._window_s *= 2

    @asynccontextmanager
    async def network(self) -> AsyncIterator[None]:
        """Bound the network waits inside the block, and only those. Raises TooSlow."""
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
        raise TooSlow

    def _wait_for_end(self, slow: asyncio.Timeout) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._ends, self._at_end, slow)

    def _at_end(self, slow: asyncio.Timeout) -> None:
        if self._bytes < LEAST_BYTES_S * self._window_s and self._places.waiting:
            slow.reschedule(asyncio.get_running_loop().time())
        else:
            self.begin()
            self._wait_for_end(slow)
