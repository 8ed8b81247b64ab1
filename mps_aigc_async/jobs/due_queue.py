"""The polls that are due, the earliest first."""

import asyncio
import heapq
from itertools import count

from .watch import Watch


class DueQueue:
    """Watches, ordered by the time of their next poll."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watch]] = []
        self._order = count()
        self._earlier = asyncio.Event()

    def add(self, watch: Watch, delay_s: float) -> None:
        due = asyncio.get_running_loop().time() + delay_s
        if not self._heap or due < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (due, next(self._order), watch))

    async def due(self) -> None:
        """Wait until the earliest poll is due. A poll that is added meanwhile and is due earlier counts too."""
        loop = asyncio.get_running_loop()
        while not self._heap or self._heap[0][0] > loop.time():
            self._earlier.clear()
            try:
                async with asyncio.timeout_at(self._heap[0][0] if self._heap else None):
                    await self._earlier.wait()
            except TimeoutError:
                return

    def pop(self) -> Watch:
        return heapq.heappop(self._heap)[2]
