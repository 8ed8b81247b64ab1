"""The number of tasks of one service and kind that have not ended."""

from heapq import heappop, heappush
from math import inf


class Running:
    """Ends are seconds. Tasks without a known end (their frames are being fetched) have an infinite end and are counted
    apart."""

    __slots__ = ("_ends", "_open_ended")

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._open_ended = 0

    def __repr__(self) -> str:
        return f"Running(open_ended={self._open_ended})"

    def count(self, now: float) -> int:
        while self._ends and self._ends[0] <= now:
            heappop(self._ends)
        return len(self._ends) + self._open_ended

    def start(self, ends_at: float) -> None:
        if ends_at == inf:
            self._open_ended += 1
        else:
            heappush(self._ends, ends_at)

    def set_end(self, ends_at: float) -> None:
        """Record the end of a task that started without one."""
        self._open_ended -= 1
        heappush(self._ends, ends_at)
