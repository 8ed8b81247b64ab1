"""The queue: the lowest ticket among the groups with room goes first, and no cancellation loses a turn."""

import asyncio

import pytest

from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.concurrency.turns import TurnQueue, Waiter
from mps_aigc_async.testing import run


class Room:
    """Room for a number of holders, and for at most one in each group."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.holders: list[str] = []
        self.questions = 0
        """Times that a group was asked about."""
        self.queue = TurnQueue[str](self._is_full, self._has_room, self._take, self.give_back)

    def _is_full(self) -> bool:
        return len(self.holders) >= self.places

    def _has_room(self, group: str) -> bool:
        self.questions += 1
        return not self._is_full() and group not in self.holders

    def _take(self, _: int, group: str) -> str:
        self.holders.append(group)
        return group

    def give_back(self, group: str) -> None:
        self.holders.remove(group)
        self.queue.serve()

    def enter(self, group: str, ticket: int | None = None) -> asyncio.Task[str]:
        ticket = self.queue.next_ticket() if ticket is None else ticket
        return asyncio.create_task(self._wait(self.queue.join(ticket, group, ignore)))

    async def _wait(self, waiter: Waiter[str]) -> str:
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self.queue.withdraw(waiter)
            raise


def test_the_lowest_ticket_of_the_groups_with_room_goes_first() -> None:
    async def main() -> None:
        room = Room(0)
        first, second, third = room.enter("A"), room.enter("A"), room.enter("B")
        assert (len(room.queue), "A" in room.queue, "C" in room.queue) == (3, True, False)
        room.places = 2
        room.queue.serve()
        await asyncio.sleep(0)
        assert [task.done() for task in (first, second, third)] == [True, False, True]
        room.give_back("B")
        await asyncio.sleep(0)
        assert not second.done()  # its group has a holder
        room.give_back("A")
        assert await second == "A"
        assert (len(room.queue), "A" in room.queue) == (0, False)

    run(main())


def test_a_turn_costs_no_more_than_one_look_at_each_group() -> None:
    async def main() -> None:
        room = Room(0)
        waiting = [room.enter(f"group {number}") for number in range(50)]
        room.queue.serve()
        assert room.questions == 0  # there is no room for any group
        room.places = 1
        room.queue.serve()
        assert room.questions == 50
        await waiting[0]
        room.give_back("group 0")
        assert room.questions == 50 + 49
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    run(main())


def test_an_old_ticket_goes_before_younger_ones() -> None:
    async def main() -> None:
        room = Room(0)
        old = room.queue.next_ticket()
        young, again = room.enter("A"), room.enter("B", old)
        room.places = 1
        room.queue.serve()
        await asyncio.sleep(0)
        assert (young.done(), again.done()) == (False, True)
        room.give_back("B")
        await young

    run(main())


@pytest.mark.parametrize("is_served", [False, True])
def test_a_cancelled_waiter_leaves_its_turn_to_the_next(is_served: bool) -> None:
    async def main() -> None:
        room = Room(0)
        first, second = room.enter("A"), room.enter("B")
        await asyncio.sleep(0)
        room.places = 1
        if is_served:
            room.queue.serve()
        first.cancel()
        await asyncio.wait({first})
        room.queue.serve()
        assert await second == "B"
        assert room.holders == ["B"]

    run(main())


def test_a_cancelled_waiter_that_is_served_before_it_has_left_takes_nothing() -> None:
    async def main() -> None:
        room = Room(0)
        waiting = room.enter("A")
        await asyncio.sleep(0)
        waiting.cancel()
        room.places = 1
        room.queue.serve()
        await asyncio.wait({waiting})
        assert (room.holders, len(room.queue)) == ([], 0)

    run(main())


def test_the_waiters_of_concerned_groups_are_told_of_a_hold_up() -> None:
    async def main() -> None:
        room, calls = Room(0), list[str]()
        for group in "ABA":
            room.queue.join(room.queue.next_ticket(), group, lambda group=group: calls.append(group))  # type: ignore[misc]
        room.queue.hold_up(lambda group: group == "A")
        await asyncio.sleep(0)
        assert calls == ["A", "A"]

    run(main())


def test_thousands_that_are_cancelled_at_once_leave_without_a_search_each() -> None:
    """A client that closes: counted in comparisons of tickets, because a search among 20,000 took 5 ms for each."""
    comparisons = 0

    class Ticket(int):
        def __lt__(self, other: int) -> bool:
            nonlocal comparisons
            comparisons += 1
            return super().__lt__(other)

        def __eq__(self, other: object) -> bool:
            nonlocal comparisons
            comparisons += 1
            return super().__eq__(other)

        __hash__ = int.__hash__

    async def main() -> None:
        room, number = Room(0), 2000
        waiting = [room.enter("A", Ticket(ticket)) for ticket in range(number)]
        await asyncio.sleep(0)
        for task in (*waiting[::2], *reversed(waiting[1::2])):
            task.cancel()
        await asyncio.wait(waiting)
        assert len(room.queue) == 0
        assert room.queue._lines == {}

    run(main())
    assert comparisons < 2000 * 50
