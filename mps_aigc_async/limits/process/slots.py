"""The slots of one kind in this process: the number of tasks that may run at the service at once, per account.

A slot is taken before the create and given back when the task ENDS at the service, even if its caller has left:

    holder                                              who gives it back
    a create, from `acquire` on                         the create, when it has failed or was left
    a task, from `name` or `adopt` on                   the poller, when the task has ended or is given up
    a task that nobody polls, from `hold_for` on        the alarm, unless it is adopted or named first

A slot is found again by the TaskId of its task, or by the name of its unknown create. While creates wait, an open
client polls the tasks that nobody polls (`strays`), so that their slots are given back when the tasks end.

All loops and threads of the process share the slots: a lock guards each call. The loops' clocks agree (`account`), so a
time of one is a time of the others. Time brings changes (the end of a hold, a probe, the end of a pause), for which
each loop has an alarm (`alarms`).

The service may take fewer tasks than our capacity, of a kind or of a single model (`caps`). A create is sent when both
its kind and its model have room. A create that waits for its model's room alone lets creates of other models pass.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial, wraps
from math import inf
from typing import Concatenate, ParamSpec, TypeVar

from ...concurrency.callbacks import ignore
from ...concurrency.loops import now, running_loop
from ...concurrency.turns import TurnQueue
from ...model.errors import ServiceError, Throttled
from ..caps import FIRST_PROBE_S, Cap
from ..judging import judge
from ..protocol import STRANDED_S, SendTime, SlotFigures, Stray
from ..strays import REASK_S, Strays, Taker
from .alarms import Alarms
from .slot import Holder, ProcessSlot

P = ParamSpec("P")
T = TypeVar("T")


def _locked(method: Callable[Concatenate["ProcessSlots", P], T]) -> Callable[Concatenate["ProcessSlots", P], T]:
    """Hold the slots' lock during the call."""

    @wraps(method)
    def call(slots: "ProcessSlots", /, *args: P.args, **options: P.kwargs) -> T:
        with slots._lock:  # noqa: SLF001 — of our own class
            return method(slots, *args, **options)

    return call


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
        self._look_at = -inf
        """When the waiting creates look for strays again; -inf: as soon as a create waits."""
        self._alarms = Alarms(self._guard, self._next_change, self._advance)
        self._strays = Strays(self._guard, self._stray_slot, self._look_soon)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<ProcessSlots {self._kind.slots.now}/{self._kind.effective_limit}, {len(self._queue)} waiting>"

    # --- taking and finding -------------------------------------------------------------------------------------------

    async def acquire(
        self, ticket: int | None = None, *, model: str = "", on_hold_up: Callable[[], None] = ignore
    ) -> ProcessSlot:
        with self._lock:
            self._advance()
            ticket = self._queue.next_ticket() if ticket is None else ticket
            if self._has_room(model):  # then no create of the model waits
                return self._take(ticket, model)
            waiter = self._queue.join(ticket, model, on_hold_up)
            is_held_up = self.cap(model).learned_cap is not None
            if self._look_at == -inf:  # no look since the latest change
                self._look()
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
    def adopt(
        self,
        task_id: str,
        model: str = "",
        scope: str = "",
        *,
        name: str = "",  # noqa: ARG002 — the slots of a process that is gone are gone with it
        seconds: float = STRANDED_S,  # noqa: ARG002 — likewise
    ) -> ProcessSlot:
        slot = self._by_name.get(task_id)
        if slot is not None:
            self._end_hold(slot)  # the task is polled again
            slot.scope, slot.home = scope, running_loop()
            return slot
        slot = self._take(self._queue.next_ticket(), model)
        self.name(slot, task_id, scope)
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
    def name(self, slot: ProcessSlot, task_id: str, scope: str) -> None:
        if slot.holder is Holder.NOBODY:  # `adopt` takes another one for the task
            return
        other = self._by_name.get(task_id)
        if other is not None and other is not slot:  # the task was attached to before: it has a slot of its own
            self.give_back(slot)
            return
        self._transfer(slot)
        self._end_hold(slot)
        self._label(slot, task_id)
        slot.scope, slot.home = scope, running_loop()
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
        self._look_soon()

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
        self._alarms.set()
        self._queue.serve()
        if model is not None:
            self._queue.hold_up(lambda group: group == model)

    @_locked
    def note_task_refusal(self, slot: ProcessSlot) -> None:
        # Nothing runs in the slot by now: the room that the service has is that of the other slots.
        self.reclaim(slot)
        self.cap(slot.model).note_task_refusal(now())
        self._alarms.set()
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
        slot.label, slot.scope = name, None
        self._by_name[name] = slot

    # --- time ---------------------------------------------------------------------------------------------------------

    def _end_hold(self, slot: ProcessSlot) -> None:
        self._held_until.pop(slot, None)

    @_locked
    def join(self) -> Callable[[], None]:
        """Count a client of the running loop, whose alarm rings from now on. Return the function that ends this, for
        any thread."""
        loop = asyncio.get_running_loop()
        self._hold_stranded()
        self._alarms.join(loop)
        return partial(self._alarms.leave, loop)

    def _next_change(self) -> float:
        changes = [cap.next_change for cap in (self._kind, *self._models.values())]
        return min((*changes, *self._held_until.values(), inf if self._look_at == -inf else self._look_at))

    def _advance(self) -> None:
        """Carry out the changes that are due by now."""
        time = now()
        if self._next_change() > time:
            return
        for cap in (self._kind, *self._models.values()):
            cap.advance(time)
        for slot in [slot for slot, until in self._held_until.items() if until <= time]:
            self.give_back(slot)
        self._queue.serve()
        for model in tuple(self._models):
            self._forget(model)
        if -inf < self._look_at <= time:
            self._look_at = -inf
            if len(self._queue):
                self._look()

    # --- strays -------------------------------------------------------------------------------------------------------

    @_locked
    def on_stray(self, take: Callable[[Stray], None], scope: str = "") -> Callable[[], None]:
        taker = Taker(asyncio.get_running_loop(), scope, take)
        self._strays.join(taker)
        self._look_soon()
        return partial(self._strays.leave, taker)

    def _look_soon(self) -> None:
        """Look for strays in a moment if a create waits, or else when one does. Thousands of slots that are left at
        once thus share a look."""
        self._look_at = now() if len(self._queue) else -inf
        self._alarms.set()

    def _look(self) -> None:
        """Give the strays to clients. Look again after a while if some are left, or if another loop may leave some."""
        self._hold_stranded()
        strays = {slot.label: slot.scope for slot in self._held_until if slot.label and slot.scope is not None}
        self._strays.give(strays)
        if strays or self._alarms.loops > 1:
            self._look_at = now() + REASK_S
            self._alarms.set()

    def _hold_stranded(self) -> None:
        """Hold the slots of the tasks that nobody polls because their loop was closed without its client."""
        loops = self._alarms.forget_closed()
        if not loops:
            return
        for slot in self._by_name.values():
            if slot.home in loops and slot not in self._held_until:
                self._held_until[slot] = now() + STRANDED_S

    def _stray_slot(self, task_id: str) -> ProcessSlot | None:
        slot = self._by_name.get(task_id)
        return slot if slot in self._held_until else None

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
        self._advance()
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
