"""How many tasks of one service and kind have not ended."""

from heapq import heappop, heappush
from math import inf


class Running:
    """Ends are seconds; infinite, where it is not known yet (frames are being fetched), is counted apart."""

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

    def end_known(self, ends_at: float) -> None:
        """A task that was started without an end has one now."""
        self._open_ended -= 1
        heappush(self._ends, ends_at)
