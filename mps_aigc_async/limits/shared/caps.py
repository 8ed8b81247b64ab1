"""The caps on tasks that several processes share: one process's refusal holds all.

The store keeps each cap's state with a version. A lesson (a refusal, an accepted create, the time) counts here at once.
Then the state is written, if the store still has the version that the lesson was added to. If another member was
faster, the lesson is added to that member's state, and written again. So no lesson is lost, and none counts twice.

The counts of slots and tasks are not stored: they come from the rows of the slots.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from ..caps import FIRST_PROBE_S, Cap, CapState
from ..protocol import PROBE_S, SlotFigures
from .slot_statements import ALL, StoredCap

Teach = Callable[[Cap], object]


@dataclass(frozen=True, slots=True)
class CapChange:
    """A cap's state to write."""

    model: str
    version: int
    """The version of the state before."""
    state: CapState
    lessons: int
    """The number of lessons in it that the store does not have."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A change of a cap, with the number of tasks that ran at the time."""

    teach: Teach
    running: int

    def add_to(self, cap: Cap) -> None:
        now, cap.tasks.now = cap.tasks.now, self.running
        self.teach(cap)
        cap.tasks.now = now


class SharedCaps:
    """The cap of a kind and those of its models, as one member sees them. Times are the store's."""

    def __init__(self, capacity: int) -> None:
        self.kind: Final = Cap(capacity)
        self.models: Final[dict[str, Cap]] = {}
        self._stored: dict[str, StoredCap] = {}
        self._lessons: dict[str, list[_Lesson]] = {}
        """The lessons that the store does not have yet, by model."""

    # --- for the slots ------------------------------------------------------------------------------------------------

    def of(self, model: str) -> Cap:
        """The cap of a model."""
        if model == ALL:
            return self.kind
        if model not in self.models:
            self.models[model] = self._new(model)
        return self.models[model]

    def both(self, model: str) -> tuple[Cap, Cap]:
        """The caps on a model's tasks: the kind's and the model's own."""
        return self.kind, self.of(model)

    def has_room(self, model: str) -> bool:
        return all(cap.has_room for cap in self.both(model))

    def room_of_another(self, model: str, capacity: int) -> bool:
        """Whether a member with another capacity has room for one task more."""
        return all(
            cap.paused_until == -inf and cap.slots.now < min(capacity, _learned(cap)) for cap in self.both(model)
        )

    def has_room_behind(self, model: str, ahead: int, ahead_of_model: int) -> bool:
        """Whether there is room for one task more, behind as many others of any model and of this one."""
        room = [min(cap.capacity, _learned(cap)) - cap.slots.now for cap in self.both(model)]
        return self.has_room(model) and room[0] > ahead and room[1] > ahead_of_model

    def resize(self, capacity: int) -> None:
        for cap in (self.kind, *self.models.values()):
            cap.capacity = capacity

    def count(self, taken: Mapping[str, int], running: Mapping[str, int]) -> None:
        """Set the numbers of slots and of tasks, by model."""
        self.kind.slots.set(sum(taken.values()))
        self.kind.tasks.set(sum(running.values()))
        for model in {*self.models, *taken}:
            cap = self.of(model)
            cap.slots.set(taken.get(model, 0))
            cap.tasks.set(running.get(model, 0))

    def forget(self, is_needed: Callable[[str], bool]) -> None:
        """Drop the caps of models that are gone: a new cap would know as much."""
        for model in [model for model, cap in self.models.items() if cap.is_idle and not is_needed(model)]:
            if model not in self._lessons:
                del self.models[model]

    def figures(self, waiting: int) -> SlotFigures:
        """The slots at this moment, for any thread."""
        kind, models = self.kind, self.models.copy()  # the copy is one step
        limit, learned = kind.effective_limit, {name: cap.learned_cap for name, cap in models.items()}
        return SlotFigures(
            taken=kind.slots.now,
            running=kind.running,
            waiting=waiting,
            most_taken=kind.slots.most,
            capacity=kind.capacity,
            effective_limit=limit,
            confirmed_capacity=max(1, min(limit, kind.tasks.most)),
            learned_cap=limit if limit < kind.capacity else None,
            learned_model_caps={name: cap for name, cap in learned.items() if cap is not None and cap < kind.capacity},
        )

    # --- lessons ------------------------------------------------------------------------------------------------------

    def learn(self, model: str, teach: Teach) -> None:
        """Change a cap, here at once and then in the store."""
        cap = self.of(model)
        lesson = _Lesson(teach, cap.running)
        lesson.add_to(cap)
        if cap.state != self._stored_state(model) or model in self._lessons:
            self._lessons.setdefault(model, []).append(lesson)

    def note_room(self, model: str) -> bool:
        """Learn that one more task of a model runs. Return whether there may be more room than before."""
        before = [cap.learned_cap for cap in self.both(model)]
        for name in (ALL, model):
            self.learn(name, Cap.note_room)
        return before != [None, None]

    def advance(self, now: float) -> None:
        """Carry out the changes that are due by now, the store's time."""
        for model, cap in [(ALL, self.kind), *self.models.items()]:
            if cap.next_change <= now:
                self.learn(model, lambda cap: cap.advance(now))

    @property
    def next_change(self) -> float:
        return min(cap.next_change for cap in (self.kind, *self.models.values()))

    # --- the store ----------------------------------------------------------------------------------------------------

    def changes(self) -> list[CapChange]:
        """The states to write."""
        versions = {model: stored.version for model, stored in self._stored.items()}
        return [
            CapChange(model, versions.get(model, 0), self.of(model).state, len(lessons))
            for model, lessons in self._lessons.items()
        ]

    @property
    def has_changes(self) -> bool:
        return bool(self._lessons)

    def note_written(self, change: CapChange) -> None:
        """Note that the store has a state."""
        del self._lessons[change.model][: change.lessons]
        if not self._lessons[change.model]:
            del self._lessons[change.model]

    def absorb(self, stored: Mapping[str, StoredCap], capacity: int) -> None:
        """Take over the states of the store, and add the lessons that it does not have. `capacity` is the largest one
        of all members."""
        changed = {model for model in {*stored, *self._stored} if stored.get(model) != self._stored.get(model)}
        self._stored = dict(stored)
        for model in changed | {*self._lessons}:
            cap = self.of(model)
            cap.state = self._stored_state(model)
            for lesson in self._lessons.get(model, ()):
                lesson.add_to(cap)
            if model in self._lessons and cap.state == self._stored_state(model):
                del self._lessons[model]
        for cap in (self.kind, *self.models.values()):
            cap.others_capacity = capacity

    def _new(self, model: str) -> Cap:
        cap = Cap(self.kind.capacity, FIRST_PROBE_S)
        cap.others_capacity = self.kind.others_capacity
        if model in self._stored:
            cap.state = self._stored[model].state
        return cap

    def _stored_state(self, model: str) -> CapState:
        if model in self._stored:
            return self._stored[model].state
        return _NEW_KIND if model == ALL else _NEW_MODEL


def _learned(cap: Cap) -> float:
    return inf if cap.learned_cap is None else cap.learned_cap


_NEW_KIND: Final = Cap(1, PROBE_S).state
_NEW_MODEL: Final = Cap(1, FIRST_PROBE_S).state
