"""A member's own slots, and their numbers by model: kept with each change, because a client may have thousands."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .slot import SharedSlot


@dataclass(frozen=True, slots=True)
class _Counted:
    """The numbers that a slot is in."""

    model: str
    is_running: bool


@dataclass(slots=True)
class OwnSlots:
    """The slots that are out, by the ids of their rows."""

    taken: Counter[str] = field(default_factory=Counter)
    """The slots by model."""
    running: Counter[str] = field(default_factory=Counter)
    """The slots by model in which a task runs or may run."""
    unwritten: set[str] = field(default_factory=set)
    """Adopted slots that are not written yet. Others may have rows of the same tasks, and none counts twice."""
    _all: dict[str, SharedSlot] = field(default_factory=dict)
    _counted: dict[str, _Counted] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[SharedSlot]:
        return iter(self._all.values())

    def __contains__(self, slot_id: str) -> bool:
        return slot_id in self._all

    def add(self, slot: SharedSlot) -> None:
        """Add a slot. It is in no number before `count`."""
        self._all[slot.id] = slot

    def count(self, slot: SharedSlot) -> None:
        """Count a slot as it is now, if it is written."""
        if slot.id in self.unwritten:
            return
        self._uncount(slot.id)
        counted = self._counted[slot.id] = _Counted(slot.model, slot.transferred)
        self.taken[counted.model] += 1
        self.running[counted.model] += counted.is_running

    def count_written(self, is_written: Callable[[str], bool]) -> None:
        """Count the adopted slots that are written by now."""
        for slot_id in [slot_id for slot_id in self.unwritten if is_written(slot_id)]:
            self.unwritten.remove(slot_id)
            if slot_id in self._all:
                self.count(self._all[slot_id])

    def remove(self, slot: SharedSlot) -> None:
        del self._all[slot.id]
        self._uncount(slot.id)

    def _uncount(self, slot_id: str) -> None:
        if (counted := self._counted.pop(slot_id, None)) is not None:
            self.taken[counted.model] -= 1
            self.running[counted.model] -= counted.is_running
            if not self.taken[counted.model]:
                del self.taken[counted.model], self.running[counted.model]
