"""Slots: never more than the capacity, first come first served, and not one lost to a cancellation."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits import Slots
from mps_aigc_async.testing import run


def test_never_more_than_the_capacity_and_in_order() -> None:
    async def main() -> list[int]:
        slots, order = Slots(2), list[int]()

        async def work(number: int) -> None:
            slot = await slots.acquire()
            order.append(number)
            assert slots.running <= 2
            await asyncio.sleep(1)
            slot.release()

        await asyncio.gather(*(work(number) for number in range(7)))
        assert (slots.running, slots.waiting, slots.most_running) == (0, 0, 2)
        return order

    assert run(main()) == list(range(7))


@given(cancel_at=st.lists(st.floats(0, 6), min_size=12, max_size=12))
def test_cancelling_at_any_moment_leaks_no_slot(cancel_at: list[float]) -> None:
    async def main() -> None:
        slots = Slots(3)

        async def work() -> None:
            slot = await slots.acquire()
            try:
                await asyncio.sleep(1)
            finally:
                slot.release()

        tasks = [asyncio.create_task(work()) for _ in cancel_at]
        loop = asyncio.get_running_loop()
        for task, moment in zip(tasks, cancel_at, strict=True):
            loop.call_later(moment, task.cancel)
        await asyncio.wait(tasks)
        assert (slots.running, slots.waiting) == (0, 0)
        assert slots.most_running <= 3

    run(main())


def test_cancelled_in_the_very_turn_of_its_hand_over_it_passes_the_slot_on() -> None:
    async def main() -> None:
        slots = Slots(1)
        first = await slots.acquire()
        second, third = asyncio.create_task(slots.acquire()), asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        first.release()  # handed to `second`, which has not run yet
        second.cancel()
        await asyncio.wait({second})
        (await third).release()
        assert slots.running == 0

    run(main())


def test_cancelled_and_freed_in_one_turn_it_is_a_cancellation_like_any_other() -> None:
    async def main() -> None:
        slots = Slots(1)
        first = await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        first.release()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (slots.running, slots.waiting) == (0, 0)

    run(main())


def test_an_adopted_slot_is_no_longer_the_timers() -> None:
    async def main() -> None:
        slots = Slots(1)
        slot = slots.adopt("task-1")
        slot.keep_for(30)
        assert slots.adopt("task-1") is slot
        await asyncio.sleep(100)
        assert slots.running == 1
        slot.release()
        assert slots.running == 0

    run(main())


def test_giving_back_twice_counts_once() -> None:
    async def main() -> None:
        slots = Slots(2)
        slot, other = await slots.acquire(), await slots.acquire()
        slot.release()
        slot.release()
        assert slots.running == 1
        other.release()

    run(main())


def test_a_running_task_is_adopted_over_the_capacity_and_only_once() -> None:
    async def main() -> None:
        slots = Slots(1)
        own = await slots.acquire()
        own.name("task-1")
        assert slots.adopt("task-1") is own
        resumed = slots.adopt("task-2")
        assert slots.running == 2
        waiting = asyncio.create_task(slots.acquire())
        resumed.release()
        await asyncio.sleep(0)
        assert not waiting.done()  # one still runs, and one is the capacity
        own.release()
        (await waiting).release()
        assert slots.adopt("task-1") is not own

    run(main())


def test_kept_for_a_while_it_comes_back_by_itself() -> None:
    async def main() -> None:
        slots = Slots(1)
        slot = await slots.acquire()
        slot.keep_for(180)
        assert slot.handed_on
        loop = asyncio.get_running_loop()
        before = loop.time()
        (await slots.acquire()).release()
        assert loop.time() - before == pytest.approx(180, abs=0.01)

    run(main())


def test_more_capacity_is_used_at_once() -> None:
    async def main() -> None:
        slots = Slots(1)
        await slots.acquire()
        waiting = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        slots.resize(3)
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, False]
        waiting[2].cancel()
        await asyncio.wait({waiting[2]})

    run(main())
