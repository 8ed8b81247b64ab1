"""Slots: how many tasks may run at the service at once, per account and kind.

A slot is taken before the create and given back when the task ENDS at the service, whoever still waits for it:

    who holds it                                        who gives it back
    a create, from `acquire` on                         its taker, when it has failed or was left
    a task, from `name` or `adopt` on                   the poller, when the task has ended or is given up
    a task nobody asks about, from `keep_for` on        a timer, unless it is adopted or named first

A slot is found again by the TaskId of what runs in it, or by the name of the create that is in doubt.

The service has a cap of its own, which it does not publish (LimitExceeded.CreateTask). What ran here when it refused
one more is that cap as far as we can know, and from then on it is the one in force. A create goes when one of ours has
ended, and otherwise, since others may share the account, one more is tried every `PROBE_S`.
"""

import asyncio
import heapq
from contextlib import suppress
from itertools import count
from typing import Final

PROBE_S: Final = 20.0
"""Seconds without a place after which one create more is tried: a task runs for minutes, and a refusal is free."""

LATE_PROBE_S: Final = 300.0
"""The same where the service accepts every create and refuses inside the task (`refused_within`): each try costs a task
and its job's patience. As long as a usual video runs (guide of 2026-05-29)."""

HEARD_S: Final = 60.0
"""Seconds after which a task that such a try has made is taken to have found room: some polls after its create."""


class Slot:
    """One of the tasks that may run. Giving it back twice does nothing."""

    __slots__ = ("_held", "_slots", "_timer", "handed_on", "known_as", "ticket")

    def __init__(self, slots: "Slots", ticket: int) -> None:
        self._slots = slots
        self._held = True
        self._timer: asyncio.TimerHandle | None = None
        self.ticket = ticket
        """Its taker's place in the queue."""
        self.handed_on = False
        """Whether somebody else than its taker gives it back."""
        self.known_as: str | None = None

    @property
    def is_too_many(self) -> bool:
        """Whether more slots are out than there is room for by now: one whose create is not sent yet is to be given
        back."""
        return self._slots.running > self._slots.in_force

    def name(self, task_id: str) -> None:
        """Hand it on to a task that runs in it. `Slots.adopt` finds it again by the TaskId."""
        other = self._slots.named.get(task_id)
        if other is not None and other is not self:  # attached to before its job had it: one task runs in one slot
            self.release()
            return
        self._hand_on()
        self._stop_timer()
        self._call(task_id)
        self._slots.found_room()

    def keep_for(self, seconds: float, name: str | None = None) -> None:
        """Hand it on to a timer: a task may be running that nobody asks about."""
        self._hand_on()
        self._stop_timer()
        if name is not None:
            self._call(name)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.release)

    def take_back(self) -> bool:
        """Hold it again for a create that was in doubt; False if the timer has given it back meanwhile."""
        self._stop_timer()
        if self._held and self.handed_on:
            self.handed_on = False
            self._slots.occupied -= 1
        return self._held

    def refused_within(self) -> None:
        """The service accepted its task and then ended it for want of room. Call it before `release`: nothing runs in
        it, so that the room which the service has is that of the others."""
        self.take_back()
        self._slots.refused_within()

    def _call(self, name: str) -> None:
        if self.known_as is not None:
            self._slots.named.pop(self.known_as, None)
        self.known_as = name
        self._slots.named[name] = self

    def _hand_on(self) -> None:
        if not self.handed_on:
            self.handed_on = True
            self._slots.occupied += 1
            self._slots.most_occupied = max(self._slots.most_occupied, self._slots.occupied)

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


class Slots:
    """The slots of one kind: first come, first served.

    Who goes next is decided in one synchronous step (`_give_next`), so that no cancellation finds it half done: after
    it either nobody waits or there is no room.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.learnt: int | None = None
        """The service's own cap, where its refusals have told one below the capacity."""
        self.running = 0
        """Slots that are out."""
        self.occupied = 0
        """Those of them in which a task runs, or may run."""
        self.most_running = 0
        self.most_occupied = 0
        self.named: dict[str, Slot] = {}
        self._tickets = count()
        self._waiters: list[tuple[int, asyncio.Future[Slot]]] = []
        self._probing = False
        self._probe_timer: asyncio.TimerHandle | None = None
        self._refuses_within = False

    def __repr__(self) -> str:
        return f"<Slots {self.running}/{self.in_force}, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    @property
    def in_force(self) -> int:
        """How many may be out: the capacity, or what the service has been found to take."""
        return self.capacity if self.learnt is None else min(self.capacity, self.learnt)

    @property
    def proven(self) -> int:
        """How many the service is known to take at once: what it has taken, or has been found not to take more than."""
        return max(1, min(self.in_force, self.most_occupied))

    async def acquire(self, again: Slot | None = None) -> Slot:
        """Wait for a free slot; for one given back for want of room (`again`), with the place in the queue that it
        had."""
        ticket = next(self._tickets) if again is None else again.ticket
        if self.running < self.in_force:  # then nobody waits
            return self._take(ticket)
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (ticket, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # a slot freed in the same turn has taken it out already
                    self._waiters.remove((ticket, waiter))
                    heapq.heapify(self._waiters)
            else:  # handed over and cancelled in the same turn of the loop: pass it on
                waiter.result().release()
            raise

    def adopt(self, task_id: str) -> Slot:
        """The slot of a task that runs already (resumed, attached): at once, over the capacity if need be."""
        known = self.named.get(task_id)
        if known is not None:
            return known.adopted()
        slot = self._take(next(self._tickets))
        slot.name(task_id)
        return slot

    def keep_for(self, name: str, seconds: float) -> None:
        """One slot is taken for this long, over the capacity if need be: an earlier process's create in doubt. Once,
        however many clients find it."""
        if name not in self.named:
            self._take(next(self._tickets)).keep_for(seconds, name)

    def resize(self, capacity: int) -> None:
        self.capacity = capacity
        self._give_next()

    def refused(self) -> None:
        """The service had no room for one task more than what runs here."""
        self._probing = False
        self._learn(self.occupied)
        self._probe_in(LATE_PROBE_S if self._refuses_within and self.occupied else PROBE_S)

    def refused_within(self) -> None:
        """The service accepted a task and then ended it for want of room beside what runs here: from now on a create
        that is accepted proves no room, so that only one more is tried at a time."""
        self._refuses_within = True
        self.refused()

    def _probe_in(self, seconds: float) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        self._probe_timer = asyncio.get_running_loop().call_later(seconds, self._probe)

    def _probe(self) -> None:
        """Let one more be tried, and further ones as long as they are accepted: `refused` ends it."""
        self._probe_timer = None
        self._probing = not self._refuses_within
        self._learn((self.learnt or 0) + 1)
        if self._refuses_within and self.learnt is not None:
            self._probe_in(HEARD_S)

    def found_room(self) -> None:
        """A task more runs than before: the service takes as many, at the least."""
        if self.learnt is not None:
            self._learn(max(self.learnt, self.occupied + self._probing))

    def _learn(self, cap: int) -> None:
        self.learnt = cap if cap < self.capacity else None
        self._give_next()

    def returned(self, slot: Slot) -> None:
        """A slot's own `release` calls this, once."""
        if slot.known_as is not None and self.named.get(slot.known_as) is slot:
            del self.named[slot.known_as]
        self.running -= 1
        self.occupied -= slot.handed_on
        self._give_next()

    def _take(self, ticket: int) -> Slot:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        return Slot(self, ticket)

    def _give_next(self) -> None:
        while self._waiters and self.running < self.in_force:
            ticket, waiter = heapq.heappop(self._waiters)
            if not waiter.cancelled():
                waiter.set_result(self._take(ticket))
