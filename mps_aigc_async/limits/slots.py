"""Slots: how many tasks may run at the service at once, per account and kind.

A slot is taken before the create and given back when the task ENDS at the service, whoever still waits for it.
"""

import asyncio
from collections import deque


class Slot:
    """One of the tasks that may run. Giving it back twice does nothing."""

    __slots__ = ("_held", "_slots", "kept", "task_id")

    def __init__(self, slots: "Slots") -> None:
        self._slots = slots
        self._held = True
        self.kept = False
        """Whether somebody else than its taker gives it back: the poller, or a timer."""
        self.task_id: str | None = None

    def name(self, task_id: str) -> None:
        """Keep it for a task that runs in it. `Slots.adopt` finds it again by the TaskId."""
        self.kept = True
        self.task_id = task_id
        self._slots.named[task_id] = self

    def keep_for(self, seconds: float) -> None:
        """Keep it for a task that may be running and cannot be asked about."""
        self.kept = True
        asyncio.get_running_loop().call_later(seconds, self.release)

    def release(self) -> None:
        if self._held:
            self._held = False
            self._slots.returned(self)


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
                self._waiters.remove(waiter)
            else:  # handed over and cancelled in the same turn of the loop: pass it on
                waiter.result().release()
            raise

    def adopt(self, task_id: str) -> Slot:
        """The slot of a task that runs already (resumed, attached): at once, over the capacity if need be."""
        known = self.named.get(task_id)
        if known is not None:
            return known
        slot = self._take()
        slot.name(task_id)
        return slot

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
