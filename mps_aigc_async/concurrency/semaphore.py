"""A semaphore with a limit for all its holders and a limit for each group of them. Both may change at any time."""

from collections import Counter
from collections.abc import Callable

from .callbacks import ignore
from .turns import TurnQueue


class Permit:
    """A place in a semaphore. A second `release` does nothing."""

    __slots__ = ("_give_back", "group")

    def __init__(self, group: str, give_back: Callable[["Permit"], None]) -> None:
        self.group = group
        self._give_back: Callable[[Permit], None] | None = give_back

    def release(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(self)


class GroupSemaphore:
    """First come, first served, among the groups that have room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._limit_of: Callable[[str], int] | None = None
        self._taken = 0
        """The number of permits that are out."""
        self._holders = Counter[str]()
        """The same by group; none is 0."""
        self._queue = TurnQueue[Permit](self._is_full, self._has_room, self._take, Permit.release)

    def __repr__(self) -> str:
        return f"<GroupSemaphore {self._taken}/{self._limit}, {len(self._queue)} waiting>"

    async def acquire(
        self, group: str, on_hold_up: Callable[[], None] = ignore, on_wait: Callable[[], None] = ignore
    ) -> Permit:
        """Wait for a permit, and call `on_wait` before. Meanwhile each `hold_up` that concerns the group calls
        `on_hold_up`."""
        ticket = self._queue.next_ticket()
        if self._has_room(group):  # then nobody in the group waits
            return self._take(ticket, group)
        waiter = self._queue.join(ticket, group, on_hold_up)
        on_wait()
        try:
            return await waiter.turn
        except BaseException:
            self._queue.withdraw(waiter)
            raise

    def take(self, group: str) -> Permit:
        """Take a permit at once, beyond the limits if need be."""
        return self._take(self._queue.next_ticket(), group)

    def resize(self, limit: int, limit_of: Callable[[str], int] | None = None) -> None:
        """Set the limit for all holders, and for each group, if groups have limits of their own."""
        self._limit = limit
        self._limit_of = limit_of
        self._queue.serve()

    def hold_up(self, is_concerned: Callable[[str], bool]) -> None:
        """Call `on_hold_up` of the waiters in the groups that are concerned."""
        self._queue.hold_up(is_concerned)

    def _is_full(self) -> bool:
        return self._taken >= self._limit

    def _has_room(self, group: str) -> bool:
        own_limit = self._limit if self._limit_of is None else self._limit_of(group)
        return not self._is_full() and self._holders[group] < own_limit

    def _take(self, _: int, group: str) -> Permit:
        self._taken += 1
        self._holders[group] += 1
        return Permit(group, self._return)

    def _return(self, permit: Permit) -> None:
        self._taken -= 1
        self._holders[permit.group] -= 1
        if not self._holders[permit.group]:
            del self._holders[permit.group]
        self._queue.serve()
