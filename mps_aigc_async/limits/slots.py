"""Slots: how many tasks may run at the service at once, per account and kind.

A slot is taken before the create and given back when the task ENDS at the service, whoever still waits for it:

    who holds it                                        who gives it back
    a create, from `acquire` on                         its taker, when it has failed or was left
    a task, from `name` or `adopt` on                   the poller, when the task has ended or is given up
    a task nobody asks about, from `hold_for` on        a timer, unless it is adopted or named first

A slot is found again by the TaskId of what runs in it, or by the name of the create that is in doubt.

The service may take fewer tasks than our capacity, of a kind or of a single model (`caps`). A create goes when there is
room for both its kind and its model: one that waits for its model's room alone lets those of other models pass.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from ..concurrency.callbacks import ignore
from .caps import FIRST_PROBE_S, Cap


class Slot:
    """One of the tasks that may run. Giving it back twice does nothing."""

    __slots__ = ("_held", "_slots", "_timer", "known_as", "model", "ticket", "transferred")

    def __init__(self, slots: "Slots", ticket: int, model: str) -> None:
        self._slots = slots
        self.model = model
        """The model whose task is to run in it."""
        self._held = True
        self._timer: asyncio.TimerHandle | None = None
        self.ticket = ticket
        """Its taker's place in the queue."""
        self.transferred = False
        """Whether somebody else than its taker gives it back."""
        self.known_as: str | None = None

    @property
    def is_too_many(self) -> bool:
        """Whether more slots are out than there is room for by now: one whose create is not sent yet is to be given
        back."""
        return any(cap.is_too_small for cap in self._slots.caps(self.model))

    @property
    def cap(self) -> Cap:
        """How many tasks of its model may run."""
        return self._slots.cap(self.model)

    def refused(self, *, of_one_model: bool, wait_s: float = 0.0) -> None:
        """The service had no room for the create in it: none of its model's, or none of any."""
        self._slots.refused(self.model if of_one_model else None, wait_s)

    def name(self, task_id: str) -> None:
        """Hand it on to a task that runs in it. `Slots.adopt` finds it again by the TaskId."""
        other = self._slots.named.get(task_id)
        if other is not None and other is not self:  # attached to before its job had it: one task runs in one slot
            self.release()
            return
        self._transfer()
        self._stop_timer()
        self._call(task_id)
        for cap in self._slots.caps(self.model):
            cap.found_room()

    def hold_for(self, seconds: float, name: str | None = None) -> None:
        """Hand it on to a timer: a task may be running that nobody asks about."""
        self._transfer()
        self._stop_timer()
        if name is not None:
            self._call(name)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.release)

    def reclaim(self) -> bool:
        """Hold it again for a create that was in doubt; False if the timer has given it back meanwhile."""
        self._stop_timer()
        if self._held and self.transferred:
            self.transferred = False
            for cap in self._slots.caps(self.model):
                cap.leave()
        return self._held

    def refused_within(self) -> None:
        """The service accepted its task and then ended it for want of room. Call it before `release`: nothing runs in
        it, so that the room which the service has is that of the others."""
        self.reclaim()
        self._slots.refused_within(self.model)

    def _call(self, name: str) -> None:
        if self.known_as is not None:
            self._slots.named.pop(self.known_as, None)
        self.known_as = name
        self._slots.named[name] = self

    def _transfer(self) -> None:
        if not self.transferred:
            self.transferred = True
            for cap in self._slots.caps(self.model):
                cap.enter()

    def adopted(self) -> "Slot":
        """Its task is asked about again: the timer no longer decides."""
        self._stop_timer()
        return self

    def release(self) -> None:
        self._stop_timer()
        if self._held:
            self._held = False
            self._slots.returned(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request for a slot."""

    ticket: int
    slot: asyncio.Future[Slot]
    held_up: Callable[[], None]


class _Queue:
    """Who waits for the same, in the order of the tickets.

    A heap of tickets beside a map, and not of the waiters: thousands that are cancelled at once (a client that closes)
    leave it in a moment each, however many wait.
    """

    def __init__(self) -> None:
        self._waiters: dict[int, _Waiter] = {}
        self._tickets: list[int] = []
        """A heap: the first one waits; further ones may have left."""

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[_Waiter]:
        return iter(tuple(self._waiters.values()))

    @property
    def first_ticket(self) -> int:
        return self._tickets[0]

    def add(self, waiter: _Waiter) -> None:
        self._waiters[waiter.ticket] = waiter
        heapq.heappush(self._tickets, waiter.ticket)

    def pop(self) -> _Waiter:
        waiter = self._waiters[self.first_ticket]
        self.leave(waiter)
        return waiter

    def leave(self, waiter: _Waiter) -> None:
        """Take a waiter out; one that is out already stays so."""
        self._waiters.pop(waiter.ticket, None)
        if len(self._tickets) > 2 * len(self._waiters):
            self._tickets = sorted(self._waiters)
        while self._tickets and self._tickets[0] not in self._waiters:
            heapq.heappop(self._tickets)


class Slots:
    """The slots of one kind: first come, first served, among those for whose model there is room.

    One synchronous step (`_give_next`) decides who goes next, so that no cancellation finds it half done: after it
    no waiter is left for whom there is room.
    """

    def __init__(self, capacity: int) -> None:
        self._kind = Cap(capacity, self._give_next)
        self._capacity_of: Callable[[str], int] | None = None
        self._models: dict[str, Cap] = {}
        """The caps of the models of which something runs, waits or is known."""
        self.named: dict[str, Slot] = {}
        self._tickets = count()
        self._queues: dict[str, _Queue] = {}
        """The waiters, by model; no queue is empty."""

    def __repr__(self) -> str:
        return f"<Slots {self.taken}/{self.effective_limit}, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.copy().values()))  # copied at once: any thread may ask

    @property
    def capacity(self) -> int:
        return self._kind.capacity

    @property
    def taken(self) -> int:
        """Slots that are out."""
        return self._kind.taken

    @property
    def running(self) -> int:
        """Slots in which a task runs, or may run."""
        return self._kind.running

    @property
    def most_taken(self) -> int:
        return self._kind.most_taken

    @property
    def most_running(self) -> int:
        return self._kind.most_running

    @property
    def learned_cap(self) -> int | None:
        """The service's own cap on all models' tasks, where its refusals have told one below the capacity."""
        return self._kind.learned_cap

    @property
    def learned_model_caps(self) -> dict[str, int]:
        """The same of single models, for those of which it was refused."""
        return {
            model: learned for model, cap in self._models.copy().items() if (learned := cap.learned_cap) is not None
        }

    @property
    def effective_limit(self) -> int:
        """How many may be out: the capacity, or what the service has been found to take."""
        return self._kind.effective_limit

    @property
    def confirmed_capacity(self) -> int:
        """How many the service is known to take at once: what it has taken, or has been found not to take more than."""
        return max(1, min(self.effective_limit, self.most_running))

    def cap(self, model: str) -> Cap:
        """How many of a model's tasks may run."""
        if model not in self._models:
            self._models[model] = Cap(self._capacity(model), self._give_next, FIRST_PROBE_S)
        return self._models[model]

    def caps(self, model: str) -> tuple[Cap, Cap]:
        """The caps on a model's tasks: the kind's and the model's own."""
        return self._kind, self.cap(model)

    async def acquire(
        self, again: Slot | None = None, *, model: str = "", held_up: Callable[[], None] = ignore
    ) -> Slot:
        """Wait for a free slot; for one given back for want of room (`again`), with the place in the queue that it
        had.

        `held_up` is called if the wait may be one for the model's room alone: others may pass then.
        """
        ticket = next(self._tickets) if again is None else again.ticket
        if self._has_room(model):  # then nobody waits for the same
            return self._take(ticket, model)
        waiter = _Waiter(ticket, asyncio.get_running_loop().create_future(), held_up)
        self._queues.setdefault(model, _Queue()).add(waiter)
        if self.cap(model).learned_cap is not None:
            held_up()
        try:
            return await waiter.slot
        except asyncio.CancelledError:
            if waiter.slot.cancelled():
                self._leave(model, waiter)
            else:  # handed over and cancelled in the same turn of the loop: pass it on
                waiter.slot.result().release()
            raise

    def adopt(self, task_id: str, model: str = "") -> Slot:
        """The slot of a task that runs already (resumed, attached): at once, over the capacity if need be."""
        known = self.named.get(task_id)
        if known is not None:
            return known.adopted()
        slot = self._take(next(self._tickets), model)
        slot.name(task_id)
        return slot

    def hold_for(self, name: str, seconds: float, model: str = "") -> None:
        """One slot is taken for this long, over the capacity if need be: an earlier process's create in doubt. Once,
        however many clients find it."""
        if name not in self.named:
            self._take(next(self._tickets), model).hold_for(seconds, name)

    def resize(self, capacity: int, of_model: Callable[[str], int] | None = None) -> None:
        """Have this capacity from now on; `of_model` tells a model's own, if that is another."""
        self._kind.capacity = capacity
        self._capacity_of = of_model
        for model, cap in self._models.items():
            cap.capacity = self._capacity(model)
        self._give_next()

    def _capacity(self, model: str) -> int:
        return self.capacity if self._capacity_of is None else self._capacity_of(model)

    def refused(self, model: str | None = None, wait_s: float = 0.0) -> None:
        """The service had no room for one task more than what runs here: of this model, or of any (None). It asked not
        to be asked again for `wait_s`."""
        if model is None:
            self._kind.refused(wait_s)
            return
        self.cap(model).refused(wait_s)
        self._hold_up(model)

    def refused_within(self, model: str) -> None:
        """The service accepted a task of this model and then ended it for want of room."""
        self.cap(model).refused_within()
        self._hold_up(model)

    def hold_up(self, concerns: Callable[[str], bool]) -> None:
        """Tell those who wait for the room of a model that this concerns that others may pass."""
        for model in filter(concerns, tuple(self._queues)):
            self._hold_up(model)

    def _hold_up(self, model: str) -> None:
        for waiter in self._queues.get(model, ()):
            waiter.held_up()

    def returned(self, slot: Slot) -> None:
        """A slot's own `release` calls this, once."""
        if slot.known_as is not None and self.named.get(slot.known_as) is slot:
            del self.named[slot.known_as]
        for cap in self.caps(slot.model):
            cap.give_back()
            if slot.transferred:
                cap.leave()
        self._give_next()
        self._forget(slot.model)

    def _has_room(self, model: str) -> bool:
        return all(cap.has_room for cap in self.caps(model))

    def _take(self, ticket: int, model: str) -> Slot:
        for cap in self.caps(model):
            cap.take()
        return Slot(self, ticket, model)

    def _give_next(self) -> None:
        while (model := self._next_model()) is not None:
            waiter = self._queues[model].pop()
            if not self._queues[model]:
                del self._queues[model]
            if not waiter.slot.cancelled():
                waiter.slot.set_result(self._take(waiter.ticket, model))

    def _next_model(self) -> str | None:
        """The model of the first in the queues for whom there is room."""
        if not self._kind.has_room:
            return None
        with_room = (model for model in self._queues if self.cap(model).has_room)
        return min(with_room, key=lambda model: self._queues[model].first_ticket, default=None)

    def _leave(self, model: str, waiter: _Waiter) -> None:
        queue = self._queues.get(model)
        if queue is not None:  # a slot freed in the same turn may have taken it out already
            queue.leave(waiter)
            if not queue:
                del self._queues[model]
        self._forget(model)

    def _forget(self, model: str) -> None:
        """Models come and go; what is known of one that is idle would be known of a new one."""
        if model not in self._queues and self.cap(model).is_idle:
            del self._models[model]
