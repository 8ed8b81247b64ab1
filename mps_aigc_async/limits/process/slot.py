"""A handle of one slot of this process."""

import asyncio
from enum import Enum, auto
from typing import Protocol

from ...model.errors import ServiceError, Throttled, TooManyTasks
from ..protocol import SendTime
from ..refusals import is_of_one_model


class Holder(Enum):
    """The holder of a slot."""

    CREATE = auto()
    TASK = auto()
    """A task that runs or may run: the poller or the alarm gives the slot back."""
    NOBODY = auto()
    """The slot has been given back."""


class Keeper(Protocol):
    """The counting side of the handles (`slots.ProcessSlots`)."""

    def is_too_small(self, model: str) -> bool: ...

    def name(self, slot: "ProcessSlot", task_id: str, scope: str) -> None: ...

    def hold(self, slot: "ProcessSlot", seconds: float, name: str | None) -> None: ...

    def reclaim(self, slot: "ProcessSlot") -> bool: ...

    def give_back(self, slot: "ProcessSlot") -> None: ...

    def judge(self, model: str, send_time: SendTime, refusal: Throttled) -> ServiceError: ...

    def note_refusal(self, model: str | None, wait_s: float) -> None: ...

    def note_task_refusal(self, slot: "ProcessSlot") -> None: ...


class ProcessSlot:
    """A handle of one slot (`protocol.Slot`). Its `Keeper` does all the counting."""

    __slots__ = ("_slots", "holder", "home", "label", "model", "scope", "ticket")

    def __init__(self, slots: Keeper, ticket: int, model: str) -> None:
        self._slots = slots
        self.model = model
        self.ticket = ticket
        self.holder = Holder.CREATE
        self.label: str | None = None
        """The name by which `find` finds it."""
        self.scope: str | None = None
        """The scope of the TaskId that is its label; None if the label is none."""
        self.home: asyncio.AbstractEventLoop | None = None
        """The loop that polls the task in it."""

    @property
    def transferred(self) -> bool:
        return self.holder is not Holder.CREATE

    @property
    def is_too_many(self) -> bool:
        return self._slots.is_too_small(self.model)

    async def mark(self, name: str, seconds: float) -> None:
        """Do nothing: the slot ends with this process."""

    def name(self, task_id: str, scope: str = "") -> None:
        self._slots.name(self, task_id, scope)

    def hold_for(self, seconds: float, name: str | None = None) -> None:
        self._slots.hold(self, seconds, name)

    def reclaim(self) -> bool:
        return self._slots.reclaim(self)

    def release(self) -> None:
        self._slots.give_back(self)

    def judge(self, send_time: SendTime, refusal: Throttled) -> ServiceError:
        return self._slots.judge(self.model, send_time, refusal)

    def note_refusal(self, refusal: TooManyTasks) -> None:
        model = self.model if is_of_one_model(refusal) else None
        self._slots.note_refusal(model, refusal.retry_after_s or 0.0)

    def note_task_refusal(self) -> None:
        self._slots.note_task_refusal(self)
