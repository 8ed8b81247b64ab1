"""Slots: how many tasks may run at the service at once, per account and kind.

A slot is taken before the create and given back when the task ENDS at the service, whoever still waits for it:

    who holds it                                        who gives it back
    a create, from `acquire` on                         its taker, when it has failed or was left
    a task, from `name` or `adopt` on                   the poller, when the task has ended or is given up
    a task nobody asks about, from `keep_for` on        a timer, unless the task is adopted first
"""

import asyncio
from collections import deque
from contextlib import suppress


class Slot:
    """One of the tasks that may run. Giving it back twice does nothing."""

    __slots__ = ("_held", "_slots", "_timer", "handed_on", "task_id")

    def __init__(self, slots: "Slots") -> None:
        self._slots = slots
        self._held = True
        self._timer: asyncio.TimerHandle | None = None
        self.handed_on = False
        """Whether somebody else than its taker gives it back."""
        self.task_id: str | None = None

    def name(self, task_id: str) -> None:
        """Hand it on to a task that runs in it. `Slots.adopt` finds it again by the TaskId."""
        self.handed_on = True
        self.task_id = task_id
        self._slots.named[task_id] = self

    def keep_for(self, seconds: float) -> None:
        """Hand it on to a timer: a task may be running that nobody asks about."""
        self.handed_on = True
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.release)

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

    Who goes next is decided in one synchronous step (`_hand_over`), so that no cancellation finds it half done.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.running = 0
        self.most_running = 0
        self.named: dict[str, Slot] = {}
        self._waiters: deque[asyncio.Future[Slot]] = deque()

    def __repr__(self) -> str:
        return f"<Slots {self.running}/{self.capacity}, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    async def acquire(self) -> Slot:
        """Wait for a free slot."""
        if not self._waiters and self.running < self.capacity:
            return self._take()
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # a slot freed in the same turn has taken it out already
                    self._waiters.remove(waiter)
            else:  # handed over and cancelled in the same turn of the loop: pass it on
                waiter.result().release()
            raise

    def adopt(self, task_id: str) -> Slot:
        """The slot of a task that runs already (resumed, attached): at once, over the capacity if need be."""
        known = self.named.get(task_id)
        if known is not None:
            return known.adopted()
        slot = self._take()
        slot.name(task_id)
        return slot

    def occupy_for(self, seconds: float) -> None:
        """One slot is taken for this long, over the capacity if need be: an earlier process's create in doubt."""
        self._take().keep_for(seconds)

    def resize(self, capacity: int) -> None:
        self.capacity = capacity
        self._hand_over()

    def returned(self, slot: Slot) -> None:
        """A slot's own `release` calls this, once."""
        if slot.task_id is not None:
            self.named.pop(slot.task_id, None)
        self.running -= 1
        self._hand_over()

    def _take(self) -> Slot:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        return Slot(self)

    def _hand_over(self) -> None:
        while self._waiters and self.running < self.capacity:
            waiter = self._waiters.popleft()
            if not waiter.cancelled():
                waiter.set_result(self._take())
