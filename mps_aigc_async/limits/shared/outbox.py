"""Changes of slots on their way to the store.

The calls that change a slot are synchronous, and the store answers later. A change waits here until a transaction has
written it; after one that failed, the next writes it again, so each change may be written twice. Of a slot the latest
change alone counts. A mark has a caller who waits for it, because nothing may be sent before.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..protocol import SlotLost
from .slot_statements import SlotRow, SlotStatements
from .store import Row, Step


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    steps: tuple[Step, ...]
    makes_room: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    step: Step
    is_done: asyncio.Future[bool]


class Outbox:
    """The changes of one member's slots that the store does not have yet."""

    def __init__(self, statements: SlotStatements, on_news: Callable[[], None]) -> None:
        self._statements = statements
        self._on_news = on_news
        self._changes: dict[str, _Change] = {}
        self._marks: list[_Mark] = []

    def __len__(self) -> int:
        return len(self._changes) + len(self._marks)

    def __contains__(self, slot_id: str) -> bool:
        return slot_id in self._changes

    def put(self, row: SlotRow) -> None:
        """Write a slot in which a task may run."""
        self._add(row.id, _Change(tuple(self._statements.put(row)), makes_room=False))

    def free(self, slot_id: str, task: str | None = None) -> None:
        """Drop a slot."""
        self._add(slot_id, _Change((self._statements.free(slot_id, task),), makes_room=True))

    def free_task(self, task: str) -> None:
        """Drop the slot of a task that is another member's."""
        self.free(f"of {task}", task)

    def _add(self, slot_id: str, change: _Change) -> None:
        self._changes.pop(slot_id, None)
        self._changes[slot_id] = change
        self._on_news()

    async def mark(self, slot_id: str, name: str, seconds: float) -> bool:
        """Mark a slot whose create is about to be sent. Return whether the slot is still there. Raises SlotLost if the
        store cannot be asked."""
        step = self._statements.mark(slot_id, name, seconds)
        mark = _Mark(step, asyncio.get_running_loop().create_future())
        self._marks.append(mark)
        self._on_news()
        try:
            return await mark.is_done
        finally:
            if mark in self._marks:  # the caller was cancelled
                self._marks.remove(mark)

    def fail_marks(self, reason: str) -> None:
        """Tell who waits for a mark that the store cannot be asked."""
        for mark in self._marks:
            if not mark.is_done.done():
                mark.is_done.set_exception(SlotLost(reason))
        self._marks.clear()

    def batch(self) -> "Batch":
        """The changes so far, for one transaction."""
        return Batch(self._changes, self._marks)


class Batch:
    """Changes for one transaction."""

    def __init__(self, changes: dict[str, _Change], marks: list[_Mark]) -> None:
        self._all = changes
        self._changes, self._marks = dict(changes), list(marks)
        self.makes_room = any(change.makes_room for change in changes.values())

    @property
    def changes(self) -> list[Step]:
        return [step for change in self._changes.values() for step in change.steps]

    @property
    def marks(self) -> list[Step]:
        return [mark.step for mark in self._marks]

    def note_written(self, marks: list[list[Row]]) -> None:
        """Note that the transaction is committed, with the rows that its marks returned."""
        for slot_id, change in self._changes.items():
            if self._all.get(slot_id) is change:
                del self._all[slot_id]
        for mark, rows in zip(self._marks, marks, strict=True):
            if not mark.is_done.done():
                mark.is_done.set_result(bool(rows))
