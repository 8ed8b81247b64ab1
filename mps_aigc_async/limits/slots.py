"""The slots of one kind in this process: the number of tasks that may run at the service at once, per account.

A slot is taken before the create and given back when the task ENDS at the service, even if its caller has left:

    holder                                              who gives it back
    a create, from `acquire` on                         the create, when it has failed or was left
    a task, from `name` or `adopt` on                   the poller, when the task has ended or is given up
    a task that nobody polls, from `hold_for` on        the alarm, unless it is adopted or named first

A slot is found again by the TaskId of its task, or by the name of its unknown create.

All loops and threads of the process share the slots: a lock guards each call. The loops' clocks agree (`account`), so a
time of one is a time of the others. Time brings changes (the end of a hold, a probe, the end of a pause): each loop
that uses the slots has an alarm for the next one, since any loop may end.

The service may take fewer tasks than our capacity, of a kind or of a single model (`caps`). A create is sent when both
its kind and its model have room. A create that waits for its model's room alone lets creates of other models pass.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum, auto
from functools import partial, wraps
from math import inf
from typing import Concatenate, Final, ParamSpec, TypeVar

from ..concurrency.callbacks import ignore
from ..concurrency.loops import call_in, now, running_loop
from ..concurrency.turns import TurnQueue
from ..model.errors import ServiceError, Throttled, TooManyTasks
from .caps import FIRST_PROBE_S, Cap
from .judging import judge
from .protocol import SendTime, SlotFigures
from .refusals import is_of_one_model

P = ParamSpec("P")
T = TypeVar("T")

STRANDED_S: Final = 3600.0
"""Seconds for which a task keeps its slot after its loop was closed without its client, whose deadlines nobody knows
any more: longer than the longest of the default ones."""


def _locked(method: Callable[Concatenate["ProcessSlots", P], T]) -> Callable[Concatenate["ProcessSlots", P], T]:
    """Hold the slots' lock during the call."""

    @wraps(method)
    def call(slots: "ProcessSlots", /, *args: P.args, **options: P.kwargs) -> T:
        with slots._lock:  # noqa: SLF001 — of our own class
            return method(slots, *args, **options)

    return call


class Holder(Enum):
    """The holder of a slot."""

    CREATE = auto()
    TASK = auto()
    """A task that runs or may run: the poller or the alarm gives the slot back."""
    NOBODY = auto()
    """The slot has been given back."""


class ProcessSlot:
    """A handle of one slot (`protocol.Slot`). Its `ProcessSlots` does all the counting."""

    __slots__ = ("_slots", "holder", "home", "label", "model", "ticket")

    def __init__(self, slots: "ProcessSlots", ticket: int, model: str) -> None:
        self._slots = slots
        self.model = model
        self.ticket = ticket
        self.holder = Holder.CREATE
        self.label: str | None = None
        """The name by which `find` finds it."""
        self.home: asyncio.AbstractEventLoop | None = None
        """The loop that polls the task in it."""

    @property
    def transferred(self) -> bool:
        return self.holder is not Holder.CREATE

    @property
    def is_too_many(self) -> bool:
        return self._slots.is_too_small(self.model)

    def name(self, task_id: str) -> None:
        self._slots.name(self, task_id)

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


class ProcessSlots:
    """The slots of one kind (`protocol.Slots`), for all clients of an account."""

    def __init__(self, capacity: int) -> None:
        self._queue = TurnQueue[ProcessSlot](
            self._is_full, self._has_room, self._take, self.give_back, guard=self._guard
        )
        """The creates that wait, by model."""
        self._kind = Cap(capacity)
        self._models: dict[str, Cap] = {}
        """The caps of the models whose tasks run or wait, and of those with a learned cap."""
        self._by_name: dict[str, ProcessSlot] = {}
        self._held_until: dict[ProcessSlot, float] = {}
        """The slots of tasks that nobody polls, and when each is given back (the loops' clock)."""
        self._users: Counter[asyncio.AbstractEventLoop] = Counter()
        """The open clients, by their loops."""
        self._alarms: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle] = {}
        """Each rings in its loop when a held slot is due, or a cap changes with the time."""
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<ProcessSlots {self._kind.slots.now}/{self._kind.effective_limit}, {len(self._queue)} waiting>"

    # --- taking and finding -------------------------------------------------------------------------------------------

    async def acquire(
        self, ticket: int | None = None, *, model: str = "", on_hold_up: Callable[[], None] = ignore
    ) -> ProcessSlot:
        with self._lock:
            self._advance(now())
            ticket = self._queue.next_ticket() if ticket is None else ticket
            if self._has_room(model):  # then no create of the model waits
                return self._take(ticket, model)
            waiter = self._queue.join(ticket, model, on_hold_up)
            is_held_up = self.cap(model).learned_cap is not None
        try:
            if is_held_up:
                on_hold_up()
            return await waiter.turn
        except BaseException:
            with self._lock:
                self._queue.withdraw(waiter)
                self._forget(model)
            raise

    @_locked
    def adopt(self, task_id: str, model: str = "") -> ProcessSlot:
        slot = self._by_name.get(task_id)
        if slot is not None:
            self._end_hold(slot)  # the task is polled again
            slot.home = running_loop()
            return slot
        slot = self._take(self._queue.next_ticket(), model)
        self.name(slot, task_id)
        return slot

    @_locked
    def take_for(self, seconds: float, name: str, model: str = "") -> None:
        if name not in self._by_name:
            self.hold(self._take(self._queue.next_ticket(), model), seconds, name)

    @_locked
    def find(self, name: str) -> ProcessSlot | None:
        return self._by_name.get(name)

    # --- for the handles ----------------------------------------------------------------------------------------------

    @_locked
    def name(self, slot: ProcessSlot, task_id: str) -> None:
        if slot.holder is Holder.NOBODY:  # `adopt` takes another one for the task
            return
        other = self._by_name.get(task_id)
        if other is not None and other is not slot:  # the task was attached to before: it has a slot of its own
            self.give_back(slot)
            return
        self._transfer(slot)
        self._end_hold(slot)
        self._label(slot, task_id)
        slot.home = running_loop()
        may_have_more = [cap.note_room() for cap in self._caps(slot.model)]
        if any(may_have_more):
            self._queue.serve()

    @_locked
    def hold(self, slot: ProcessSlot, seconds: float, name: str | None) -> None:
        if slot.holder is Holder.NOBODY:
            return
        self._transfer(slot)
        if name is not None:
            self._label(slot, name)
        self._held_until[slot] = now() + seconds
        self._set_alarms()

    @_locked
    def reclaim(self, slot: ProcessSlot) -> bool:
        self._end_hold(slot)
        if slot.holder is Holder.TASK:
            slot.holder = Holder.CREATE
            for cap in self._caps(slot.model):
                cap.tasks.remove()
        return slot.holder is Holder.CREATE

    @_locked
    def give_back(self, slot: ProcessSlot) -> None:
        self._end_hold(slot)
        holder, slot.holder = slot.holder, Holder.NOBODY
        if holder is Holder.NOBODY:
            return
        if slot.label is not None and self._by_name.get(slot.label) is slot:
            del self._by_name[slot.label]
        for cap in self._caps(slot.model):
            cap.slots.remove()
            if holder is Holder.TASK:
                cap.tasks.remove()
        self._queue.serve()
        self._forget(slot.model)

    @_locked
    def is_too_small(self, model: str) -> bool:
        """Whether a create of this model that is not sent yet would be refused."""
        return any(cap.is_too_small for cap in self._caps(model))

    @_locked
    def judge(self, model: str, send_time: SendTime, refusal: Throttled) -> ServiceError:
        return judge(self.cap(model), send_time, refusal)

    @_locked
    def note_refusal(self, model: str | None = None, wait_s: float = 0.0) -> None:
        """Learn that the service had no room for one more task of this model, or of any model (None), than now run
        here. The service has asked for a pause of `wait_s`."""
        cap = self._kind if model is None else self.cap(model)
        cap.note_refusal(now(), wait_s)
        self._set_alarms()
        self._queue.serve()
        if model is not None:
            self._queue.hold_up(lambda group: group == model)

    @_locked
    def note_task_refusal(self, slot: ProcessSlot) -> None:
        # Nothing runs in the slot by now: the room that the service has is that of the other slots.
        self.reclaim(slot)
        self.cap(slot.model).note_task_refusal(now())
        self._set_alarms()
        self._queue.serve()
        self._queue.hold_up(lambda group: group == slot.model)

    def _transfer(self, slot: ProcessSlot) -> None:
        if slot.holder is Holder.CREATE:
            slot.holder = Holder.TASK
            for cap in self._caps(slot.model):
                cap.tasks.add()

    def _label(self, slot: ProcessSlot, name: str) -> None:
        if slot.label is not None:
            self._by_name.pop(slot.label, None)
        slot.label = name
        self._by_name[name] = slot

    # --- time ---------------------------------------------------------------------------------------------------------

    def _end_hold(self, slot: ProcessSlot) -> None:
        self._held_until.pop(slot, None)

    @_locked
    def join(self) -> Callable[[], None]:
        """Count a client of the running loop, whose alarm rings from now on. Return the function that ends this, for
        any thread."""
        loop = asyncio.get_running_loop()
        self._drop_closed_loops()
        self._users[loop] += 1
        self._set_alarm()
        return partial(self._leave, loop)

    @_locked
    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._users[loop] > 1:
            self._users[loop] -= 1
        else:
            self._users.pop(loop, None)
            self._drop_alarm(loop)

    def _drop_closed_loops(self) -> None:
        """Forget the loops that were closed without their clients. Nobody polls the tasks in their slots."""
        closed = {loop for loop in (*self._users, *self._alarms) if loop.is_closed()}
        for loop in closed:
            self._users.pop(loop, None)
            self._alarms.pop(loop, None)
        for slot in [slot for slot in self._by_name.values() if slot.home in closed and slot not in self._held_until]:
            self.hold(slot, STRANDED_S, None)

    def _set_alarms(self) -> None:
        """Let the alarms of all loops ring at the next change that the time brings."""
        here = running_loop()
        if here is not None:
            self._set_alarm()
        for loop in [loop for loop in self._users if loop is not here]:
            call_in(loop, self._set_alarm_of_user)

    @_locked
    def _set_alarm_of_user(self) -> None:
        if asyncio.get_running_loop() in self._users:  # else the last client of this loop has left meanwhile
            self._set_alarm()

    def _set_alarm(self) -> None:
        loop, at = asyncio.get_running_loop(), self._next_change
        self._drop_alarm(loop)
        if at < inf:
            self._alarms[loop] = loop.call_at(at, self._ring)

    def _drop_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if (alarm := self._alarms.pop(loop, None)) is not None:
            alarm.cancel()

    @property
    def _next_change(self) -> float:
        changes = [cap.next_change for cap in (self._kind, *self._models.values())]
        return min((*changes, *self._held_until.values()))

    @_locked
    def _ring(self) -> None:
        self._advance(now())
        self._set_alarm()

    def _advance(self, now: float) -> None:
        """Carry out what the time has brought."""
        if self._next_change > now:
            return
        for cap in (self._kind, *self._models.values()):
            cap.advance(now)
        for slot in [slot for slot, until in self._held_until.items() if until <= now]:
            self.give_back(slot)
        self._queue.serve()
        for model in tuple(self._models):
            self._forget(model)

    # --- room ---------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        return self._kind.running

    @_locked
    def figures(self) -> SlotFigures:
        kind, models = self._kind, self._models.copy()  # the copy is one step: any thread may ask
        return SlotFigures(
            taken=kind.slots.now,
            running=kind.running,
            waiting=len(self._queue),
            most_taken=kind.slots.most,
            capacity=kind.capacity,
            effective_limit=kind.effective_limit,
            confirmed_capacity=max(1, min(kind.effective_limit, kind.tasks.most)),
            learned_cap=kind.learned_cap,
            learned_model_caps={name: limit for name, cap in models.items() if (limit := cap.learned_cap) is not None},
        )

    @_locked
    def is_unused(self) -> bool:
        """Whether no slot is out and nothing is learned."""
        self._advance(now())
        return not self._kind.slots.now and self._kind.is_idle and not self._models

    @_locked
    def resize(self, capacity: int) -> None:
        """Set the capacity."""
        for cap in (self._kind, *self._models.values()):
            cap.capacity = capacity
        self._queue.serve()

    def cap(self, model: str) -> Cap:
        """The cap on a model's tasks."""
        if model not in self._models:
            self._models[model] = Cap(self._kind.capacity, FIRST_PROBE_S)
        return self._models[model]

    def _caps(self, model: str) -> tuple[Cap, Cap]:
        """The caps on a model's tasks: the kind's and the model's own."""
        return self._kind, self.cap(model)

    def _is_full(self) -> bool:
        return not self._kind.has_room

    def _has_room(self, model: str) -> bool:
        return all(cap.has_room for cap in self._caps(model))

    def renew_lock(self) -> None:
        """Begin with a new lock in a forked child: a thread that the child does not have may hold the old one."""
        self._lock = threading.RLock()

    def _guard(self) -> AbstractContextManager[object]:
        return self._lock

    def _take(self, ticket: int, model: str) -> ProcessSlot:
        for cap in self._caps(model):
            cap.slots.add()
        return ProcessSlot(self, ticket, model)

    def _forget(self, model: str) -> None:
        """Drop the cap of a model that is gone: models come and go, and a new cap would know as much."""
        if model not in self._queue and self.cap(model).is_idle:
            del self._models[model]
