"""The line of tasks at a service that processes a limited number of an account's tasks at a time."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

from .tasks import ServiceTask


class Line:
    """A line ordered by priority, the highest first, then by arrival.

    `begin(task_id, at)` begins a task when its turn comes, and returns the task. The line does not move by itself: call
    `move` before reading the tasks.
    """

    __slots__ = ("_begin", "_busy", "_ends", "_numbers", "_places", "_waiting")

    def __init__(self, places: int, begin: Callable[[str, float], ServiceTask]) -> None:
        if places < 1:
            raise ValueError(f"a service processes at least 1 task at a time; None means no line: {places}")
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
        """Take the tasks that have ended by `now` out, in order, and begin the next tasks at these moments."""
        while self._ends and self._ends[0][0] <= now:
            at, task_id = heappop(self._ends)
            self._busy.remove(task_id)
            self._fill(at)

    def set_end(self, task: ServiceTask, now: float) -> None:
        """Record the end of a task that waited for frames. The end may already free a place; a task that still waits
        in line leaves it."""
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
