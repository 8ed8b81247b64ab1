"""Strays among slots that several processes share: named rows of members that are closed or gone.

`strays` gives them to the clients of this loop. A stray's row is not taken over: it keeps its time to live, and stays a
stray for the members that come later. So that not every member polls every stray, only the member whose create is the
next to get a slot looks for strays. Two may poll one for a while, where that create has got its slot meanwhile; the
first to see the task's end drops the row, and the other one finds no row to drop.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from ..protocol import Stray
from ..strays import Strays, Taker
from .slot_statements import SlotStatements
from .store import Row, Step

APART_S: Final = 2.0
"""Seconds between two looks: as often as members look at each other."""


@dataclass(frozen=True, slots=True)
class StraySlot:
    """The row of a stray."""

    task_id: str
    free: Callable[[str], None]

    def release(self) -> None:
        """Drop the row."""
        self.free(self.task_id)


class SharedStrays:
    """The strays of one key, as one loop sees them."""

    def __init__(self, statements: SlotStatements, free: Callable[[str], None], wake: Callable[[], None]) -> None:
        """`free` drops a task's row, and `wake` lets the owner look soon."""
        self._statements = statements
        self._free = free
        self._wake = wake
        self._strays = Strays(nullcontext, self._slot_of, self._look_soon)
        self._tasks: dict[str, str] = {}
        """The scopes of the strays of the latest look, by TaskId."""
        self._look_at = -inf

    def on_stray(self, take: Callable[[Stray], None], scope: str) -> Callable[[], None]:
        taker = Taker(asyncio.get_running_loop(), scope, take)
        self._strays.join(taker)
        self._look_soon()
        return partial(self._strays.leave, taker)

    def is_due(self, now: float) -> bool:
        """Whether to look for strays, if a create waits."""
        return now >= self._look_at

    def look(self) -> Step:
        return self._statements.strays()

    def note(self, answer: list[list[Row]], now: float) -> None:
        """Give the strays of a look to the clients."""
        [rows] = answer
        self._look_at = now + APART_S
        self._tasks = {str(task): str(scope) for task, scope in rows}
        self._strays.give(self._tasks)

    def _slot_of(self, task_id: str) -> StraySlot | None:
        return StraySlot(task_id, self._drop) if task_id in self._tasks else None

    def _drop(self, task_id: str) -> None:
        del self._tasks[task_id]
        self._free(task_id)

    def _look_soon(self) -> None:
        self._look_at = -inf
        self._wake()
