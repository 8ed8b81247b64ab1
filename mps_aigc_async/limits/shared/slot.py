"""A handle of one slot that several processes share."""

from secrets import token_hex
from typing import Protocol

from ...model.errors import ServiceError, Throttled, TooManyTasks
from ...sharing.member import Member
from ..judging import judge
from ..process.slot import Holder
from ..protocol import STRANDED_S, SendTime
from .caps import SharedCaps
from .slot_statements import SlotRow, Stage


class Keeper(Protocol):
    """The counting side of the handles (`shared_slots.SharedSlots`)."""

    @property
    def caps(self) -> SharedCaps: ...

    @property
    def member(self) -> Member: ...

    def is_too_small(self, model: str) -> bool: ...

    async def mark(self, slot: "SharedSlot", name: str, seconds: float) -> None: ...

    def name(self, slot: "SharedSlot", task_id: str, scope: str) -> None: ...

    def hold(self, slot: "SharedSlot", seconds: float, name: str | None) -> None: ...

    def reclaim(self, slot: "SharedSlot") -> bool: ...

    def give_back(self, slot: "SharedSlot") -> None: ...

    def note_refusal(self, model: str, refusal: TooManyTasks) -> None: ...

    def note_task_refusal(self, slot: "SharedSlot") -> None: ...


class SharedSlot:
    """A handle of one slot (`protocol.Slot`). Its `Keeper` does all the counting."""

    __slots__ = (
        "_slots", "create", "holder", "id", "is_lost", "is_marked", "label", "model", "scope", "seconds", "task",
        "ticket", "until",
    )  # fmt: skip

    def __init__(self, slots: Keeper, model: str) -> None:
        self._slots = slots
        self.id = f"{slots.member.id}.{token_hex(8)}"
        """The row's id tells who took the slot, also once others have noted that the member is gone."""
        self.model = model
        self.ticket = 0
        self.holder = Holder.CREATE
        self.label: str | None = None
        """The name by which `find` finds it."""
        self.create: str | None = None
        """The name of its unknown create."""
        self.task: str | None = None
        self.scope = ""
        self.seconds = STRANDED_S
        """Seconds for which others keep the slot after this member is gone."""
        self.until: float | None = None
        """The wall time at which others give the slot back after this member is gone, if it is held."""
        self.is_marked = False
        """Whether a create was sent, or is about to be."""
        self.is_lost = False
        """Whether others dropped the slot: they took this member for gone."""

    @property
    def transferred(self) -> bool:
        return self.holder is not Holder.CREATE

    @property
    def may_have_task(self) -> bool:
        return self.transferred or self.is_marked

    @property
    def row(self) -> SlotRow:
        """The slot as the store shall have it."""
        stage = Stage.MARKED if self.task is None else Stage.NAMED
        return SlotRow(self.id, self.model, stage, self.create, self.task, self.scope, self.seconds, self.until)

    @property
    def is_too_many(self) -> bool:
        return self.is_lost or self._slots.is_too_small(self.model)

    def transfer(self) -> None:
        """Note that a task runs or may run in the slot."""
        self.holder, self.is_marked = Holder.TASK, True

    async def mark(self, name: str, seconds: float) -> None:
        await self._slots.mark(self, name, seconds)

    def name(self, task_id: str, scope: str = "") -> None:
        self._slots.name(self, task_id, scope)

    def hold_for(self, seconds: float, name: str | None = None) -> None:
        self._slots.hold(self, seconds, name)

    def reclaim(self) -> bool:
        return self._slots.reclaim(self)

    def release(self) -> None:
        self._slots.give_back(self)

    def judge(self, send_time: SendTime, refusal: Throttled) -> ServiceError:
        return judge(self._slots.caps.of(self.model), send_time, refusal)

    def note_refusal(self, refusal: TooManyTasks) -> None:
        self._slots.note_refusal(self.model, refusal)

    def note_task_refusal(self) -> None:
        self._slots.note_task_refusal(self)
