"""A queue of waiters in groups: among the groups that have room, the waiter with the lowest ticket goes first.

The waiters may be in several loops, each in a thread of its own. The queue's owner then has a lock, and holds it in
every call; a waiter's future and callbacks are touched in the waiter's own loop. A loop that stands still (between two
calls of `run_until_complete`) cannot use anything: its waiters are passed over, and are back in their places as soon as
it runs again.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Generic, TypeVar

from .loops import call_in, running_loop

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Waiter(Generic[T]):
    """A place in the queue."""

    ticket: int
    group: str
    turn: asyncio.Future[T]
    on_hold_up: Callable[[], None]
    """Called if only the group's own room is missing, so that waiters of other groups may pass."""
    on_its_way: list[T] = field(default_factory=list)
    """The thing that was taken for a waiter in another loop, until that loop has it."""
    has_left: bool = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.turn.get_loop()


class TurnQueue(Generic[T]):
    """Waiters in groups, each served in its turn with something that is taken for it.

    A single synchronous step (`serve`) decides who goes next, so no cancellation can interrupt it halfway. After the
    step, every group that still has waiters is without room. The waiting itself is the caller's:

        waiter = queue.join(ticket, group, on_hold_up)
        try:
            return await waiter.turn
        except BaseException:
            queue.withdraw(waiter)
            raise
    """

    def __init__(
        self,
        is_full: Callable[[], bool],
        has_room: Callable[[str], bool],
        take: Callable[[int, str], T],
        give_back: Callable[[T], None],
        guard: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Serve a group while `has_room` says so. `is_full` says that no group has room; it is asked first, because
        there may be many groups. `take` (ticket, group) makes the thing to hand over, and `give_back` returns one whose
        waiter was cancelled in the same turn of the loop. `guard` is the owner's lock, if waiters are in several
        loops."""
        self._is_full = is_full
        self._has_room = has_room
        self._take = take
        self._give_back = give_back
        self._guard = guard
        self._tickets = count()
        self._lines: dict[str, _Line[T]] = {}
        """The waiters, by group; no line is empty."""

    def __len__(self) -> int:
        return sum(map(len, self._lines.copy().values()))  # the copy is one step: any thread may ask

    def __contains__(self, group: str) -> bool:
        return group in self._lines

    def first_group(self, has_room: Callable[[str], bool]) -> str | None:
        """The group of the first waiter for whom there is room; None without one."""
        with_room = filter(has_room, self._lines)
        return min(with_room, key=lambda group: self._lines[group].first_ticket, default=None)

    def next_ticket(self) -> int:
        return next(self._tickets)

    def join(self, ticket: int, group: str, on_hold_up: Callable[[], None]) -> Waiter[T]:
        """Enter the queue."""
        waiter = Waiter[T](ticket, group, asyncio.get_running_loop().create_future(), on_hold_up)
        self._lines.setdefault(group, _Line()).add(waiter)
        return waiter

    def withdraw(self, waiter: Waiter[T]) -> None:
        """Take a waiter that waits no more out of the queue."""
        if waiter.on_its_way:
            self._give_back(waiter.on_its_way.pop())
        elif waiter.turn.done() and not waiter.turn.cancelled():
            self._give_back(waiter.turn.result())  # cancelled in the same turn of the loop: the next waiter gets it
        else:
            self._leave(waiter)
            waiter.has_left = True

    def serve(self) -> None:
        """Hand over to waiters, as long as a group with waiters has room. Call it whenever there may be more room."""
        while (group := self._next_group()) is not None:
            waiter = self._lines[group].pop()
            self._drop_if_empty(group)
            if waiter.turn.cancelled():
                continue
            if waiter.loop is running_loop() or waiter.loop.is_running():
                self._hand_over(waiter, self._take(waiter.ticket, group))
            else:  # the waiters of a closed loop are dropped by this
                call_in(waiter.loop, partial(self._rejoin, waiter))

    def _hand_over(self, waiter: Waiter[T], thing: T) -> None:
        if waiter.loop is running_loop():
            waiter.turn.set_result(thing)
            return
        waiter.on_its_way.append(thing)
        if not call_in(waiter.loop, lambda: _deliver(waiter)):
            self._give_back(waiter.on_its_way.pop())

    def _rejoin(self, waiter: Waiter[T]) -> None:
        """Enter the queue again: the waiter's loop stood still when it was its turn."""
        with self._guard():
            if not (waiter.has_left or waiter.turn.done()):
                self._lines.setdefault(waiter.group, _Line()).add(waiter)
                self.serve()

    def hold_up(self, is_concerned: Callable[[str], bool]) -> None:
        """Call `on_hold_up` of the waiters in the groups that are concerned, each soon and in its own loop: nobody's
        callback runs under the owner's lock."""
        for group in filter(is_concerned, tuple(self._lines)):
            for waiter in self._lines.get(group, ()):
                call_in(waiter.loop, waiter.on_hold_up)

    def _next_group(self) -> str | None:
        """The group of the first waiter for whom there is room."""
        return None if self._is_full() else self.first_group(self._has_room)

    def _leave(self, waiter: Waiter[T]) -> None:
        line = self._lines.get(waiter.group)
        if line is not None:  # `serve` may have taken the waiter out in the same turn of the loop
            line.leave(waiter)
            self._drop_if_empty(waiter.group)

    def _drop_if_empty(self, group: str) -> None:
        if not self._lines[group]:
            del self._lines[group]


def _deliver(waiter: Waiter[T]) -> None:
    """Resolve a waiter's future in its own loop. `withdraw` gives the thing back if the waiter is cancelled."""
    if waiter.on_its_way and not waiter.turn.done():
        waiter.turn.set_result(waiter.on_its_way.pop())


class _Line(Generic[T]):
    """The waiters of one group, by their tickets.

    A map of the waiters beside a heap of their tickets: when thousands are cancelled at once (a client closes), each
    leaves without a search through the others.
    """

    def __init__(self) -> None:
        self._waiters: dict[int, Waiter[T]] = {}
        self._tickets: list[int] = []
        """A heap. The first ticket has a waiter; the waiters of others may have left."""

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter[T]]:
        return iter(tuple(self._waiters.values()))

    @property
    def first_ticket(self) -> int:
        return self._tickets[0]

    def add(self, waiter: Waiter[T]) -> None:
        self._waiters[waiter.ticket] = waiter
        heapq.heappush(self._tickets, waiter.ticket)

    def pop(self) -> Waiter[T]:
        waiter = self._waiters[self.first_ticket]
        self.leave(waiter)
        return waiter

    def leave(self, waiter: Waiter[T]) -> None:
        """Take a waiter out. Nothing happens if the waiter is out already."""
        self._waiters.pop(waiter.ticket, None)
        if len(self._tickets) > 2 * len(self._waiters):
            self._tickets = sorted(self._waiters)
        while self._tickets and self._tickets[0] not in self._waiters:
            heapq.heappop(self._tickets)
