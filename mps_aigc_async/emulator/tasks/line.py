"""The line before a service that processes only so many tasks of an account at a time."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

from .tasks import ServiceTask


class Line:
    """The highest priority first, then the first to come. `begin(task_id, at)` tells that a task's turn has come and
    returns it. Nothing happens by itself: whoever looks at the tasks lets the line move on to `now` first.
    """

    __slots__ = ("_begin", "_busy", "_ends", "_numbers", "_places", "_waiting")

    def __init__(self, places: int, begin: Callable[[str, float], ServiceTask]) -> None:
        if places < 1:
            raise ValueError(f"a service processes at least 1 task at a time, or None for no line: {places}")
        self._places = places
        self._begin = begin
        self._numbers = count()
        self._waiting: list[tuple[int, int, str]] = []
        self._busy: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    def __repr__(self) -> str:
        return f"Line(places={self._places}, busy={len(self._busy)}, waiting={len(self._waiting)})"

    def join(self, task_id: str, priority: int, now: float) -> None:
        heappush(self._waiting, (-priority, next(self._numbers), task_id))
        self._fill(now)

    def move(self, now: float) -> None:
        """Ends what has ended by `now`, in order, and lets the next ones begin at these moments."""
        while self._ends and self._ends[0][0] <= now:
            at, task_id = heappop(self._ends)
            self._busy.remove(task_id)
            self._fill(at)

    def end_known(self, task: ServiceTask, now: float) -> None:
        """A task's end, which waited for frames, is known: a place may be free by now, or a wait in vain."""
        if task.task_id in self._busy:
            heappush(self._ends, (task.ends_at, task.task_id))
        else:
            self._waiting = sorted(place for place in self._waiting if place[2] != task.task_id)
        self.move(now)

    def _fill(self, at: float) -> None:
        while self._waiting and len(self._busy) < self._places:
            task = self._begin(heappop(self._waiting)[2], at)
            self._busy.add(task.task_id)
            if task.ends_at < inf:
                heappush(self._ends, (task.ends_at, task.task_id))
