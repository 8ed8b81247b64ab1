"""Slots: never more than the capacity, first come first served, and not one lost to a cancellation."""

import asyncio
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits import PROBE_S, SlotFigures
from mps_aigc_async.limits.caps import FIRST_PROBE_S, HEARD_S, LATE_PROBE_S
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.model.errors import TooManyTasks
from mps_aigc_async.model.states import Ending
from mps_aigc_async.testing import run


def counts(slots: ProcessSlots) -> tuple[int, int]:
    """The slots that are out, and those in which a task runs."""
    figures = slots.figures()
    return figures.taken, figures.running


def test_never_more_than_the_capacity_and_in_order() -> None:
    async def main() -> list[int]:
        slots, order = ProcessSlots(2), list[int]()

        async def work(number: int) -> None:
            slot = await slots.acquire()
            order.append(number)
            assert slots.figures().taken <= 2
            await asyncio.sleep(1)
            slot.release()

        await asyncio.gather(*(work(number) for number in range(7)))
        assert (slots.figures().taken, slots.figures().waiting, slots.figures().most_taken) == (0, 0, 2)
        return order

    assert run(main()) == list(range(7))


@given(cancel_at=st.lists(st.floats(0, 6), min_size=12, max_size=12))
def test_cancelling_at_any_moment_leaks_no_slot(cancel_at: list[float]) -> None:
    async def main() -> None:
        slots = ProcessSlots(3)

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
        assert (slots.figures().taken, slots.figures().waiting) == (0, 0)
        assert slots.figures().most_taken <= 3

    run(main())


def test_a_waiter_cancelled_in_the_turn_of_its_hand_over_passes_the_slot_on() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        first = await slots.acquire()
        second, third = asyncio.create_task(slots.acquire()), asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        first.release()  # handed to `second`, which has not run yet
        second.cancel()
        await asyncio.wait({second})
        (await third).release()
        assert slots.figures().taken == 0

    run(main())


def test_a_waiter_cancelled_just_before_a_slot_is_free_takes_none() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        first = await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        first.release()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (slots.figures().taken, slots.figures().waiting) == (0, 0)

    run(main())


def test_an_adopted_slot_is_no_longer_the_timers() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        slot = slots.adopt("task-1")
        slot.hold_for(30)
        assert slots.adopt("task-1") is slot
        await asyncio.sleep(100)
        assert slots.figures().taken == 1
        slot.release()
        assert slots.figures().taken == 0

    run(main())


def test_a_task_that_runs_in_a_slot_already_takes_no_second_one() -> None:
    async def main() -> None:
        slots = ProcessSlots(2)
        own = slots.adopt("task")
        (await slots.acquire()).name("task")
        assert slots.adopt("task") is own
        assert counts(slots) == (1, 1)
        own.release()
        assert (*counts(slots), slots._by_name) == (0, 0, {})

    run(main())


def test_giving_back_twice_counts_once() -> None:
    async def main() -> None:
        slots = ProcessSlots(2)
        slot, other = await slots.acquire(), await slots.acquire()
        slot.release()
        slot.release()
        assert slots.figures().taken == 1
        other.release()

    run(main())


def test_a_running_task_is_adopted_over_the_capacity_and_only_once() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        own = await slots.acquire()
        own.name("task-1")
        assert slots.adopt("task-1") is own
        other = slots.adopt("task-2")
        assert slots.figures().taken == 2
        waiting = asyncio.create_task(slots.acquire())
        other.release()
        await asyncio.sleep(0)
        assert not waiting.done()  # a task still runs, and the capacity is 1
        own.release()
        (await waiting).release()
        assert slots.adopt("task-1") is not own

    run(main())


def test_a_slot_held_for_a_while_comes_back_by_itself() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        slot = await slots.acquire()
        slot.hold_for(180)
        assert slot.transferred
        loop = asyncio.get_running_loop()
        before = loop.time()
        (await slots.acquire()).release()
        assert loop.time() - before == pytest.approx(180, abs=0.01)

    run(main())


def test_in_a_slot_reclaimed_for_an_unknown_create_nothing_counts_as_running() -> None:
    async def main() -> None:
        slots = ProcessSlots(3)
        slot = await slots.acquire(model="A")
        slot.hold_for(180, "unknown")
        assert (*counts(slots), slots.cap("A").running) == (1, 1, 1)
        for _ in range(2):
            assert slot.reclaim()
            assert (*counts(slots), slots.cap("A").running, slot.transferred) == (
                1,
                0,
                0,
                False,
            )
        slots.note_refusal("A")
        assert slots.cap("A").learned_cap == 0  # nothing runs, so the service has no room at all
        await asyncio.sleep(200)
        assert slots.figures().taken == 1  # its timer was stopped
        slot.name("task-1")
        assert (slots.figures().running, slots.cap("A").running) == (1, 1)
        slot.release()
        assert (*counts(slots), slots.cap("A").running, slots._by_name) == (0, 0, 0, {})

    run(main())


def test_a_slot_that_its_timer_gave_back_is_not_reclaimed() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        slot = await slots.acquire()
        slot.hold_for(180)
        await asyncio.sleep(181)
        assert not slot.reclaim()
        assert counts(slots) == (0, 0)

    run(main())


def test_a_slot_held_again_has_one_timer_and_one_name_and_counts_once() -> None:
    async def main() -> None:
        slots = ProcessSlots(2)
        slot = await slots.acquire()
        slot.hold_for(10, "first")
        slot.hold_for(60, "second")
        assert (slots.figures().running, slots._by_name) == (1, {"second": slot})
        await asyncio.sleep(30)
        assert slots.figures().taken == 1  # the first timer was stopped
        slot.name("task-1")
        await asyncio.sleep(60)
        assert (*counts(slots), slots._by_name) == (1, 1, {"task-1": slot})
        slot.release()
        assert (*counts(slots), slots._by_name) == (0, 0, {})

    run(main())


def test_a_slot_released_before_its_timer_ends_comes_back_once() -> None:
    async def main() -> None:
        slots = ProcessSlots(2)
        slot, other = await slots.acquire(), await slots.acquire()
        slot.hold_for(30)
        slot.release()
        again = await slots.acquire()
        await asyncio.sleep(60)
        assert slots.figures().taken == 2
        other.release()
        again.release()

    run(main())


def test_an_earlier_processs_unknown_create_takes_one_slot_however_many_find_it() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        slots.take_for(100, "job", model="A")
        slots.take_for(500, "job", model="A")
        slots.take_for(100, "other")
        assert (*counts(slots), slots.cap("A").slots.now) == (2, 2, 1)
        await asyncio.sleep(101)
        assert (*counts(slots), slots._by_name) == (0, 0, {})

    run(main())


def test_a_task_refused_for_want_of_room_no_longer_counts_as_running() -> None:
    async def main() -> None:
        slots = ProcessSlots(5)
        first, second = await slots.acquire(model="A"), await slots.acquire(model="A")
        first.name("task-1")
        second.name("task-2")
        second.note_task_refusal()
        assert (*counts(slots), slots.cap("A").learned_cap) == (2, 1, 1)
        second.release()
        assert counts(slots) == (1, 1)

    run(main())


def test_a_slot_that_its_timer_gave_back_is_neither_named_nor_held_again() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        slot = await slots.acquire()
        slot.hold_for(180)
        await asyncio.sleep(181)
        slot.name("task-1")
        slot.hold_for(180, "unknown")
        assert (*counts(slots), slots.find("task-1"), slots.find("unknown")) == (0, 0, None, None)
        assert slots.adopt("task-1") is not slot
        assert counts(slots) == (1, 1)

    run(main())


def test_the_figures_are_a_snapshot() -> None:
    async def main() -> None:
        slots = ProcessSlots(5)
        before = slots.figures()
        (await slots.acquire(model="A")).name("task-1")
        await slots.acquire(model="B")
        slots.note_refusal("A")
        assert before == SlotFigures(0, 0, 0, 0, 5, 5, 1, None, {})
        assert slots.figures() == SlotFigures(
            taken=2,
            running=1,
            waiting=0,
            most_taken=2,
            capacity=5,
            effective_limit=5,
            confirmed_capacity=1,
            learned_cap=None,
            learned_model_caps={"A": 1},
        )

    run(main())


def test_the_running_tasks_are_told_without_the_other_figures() -> None:
    async def main() -> None:
        slots = ProcessSlots(5)
        (await slots.acquire(model="A")).name("task-1")
        await slots.acquire(model="B")
        assert slots.running == slots.figures().running == 1

    run(main())


def test_more_capacity_is_used_at_once() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        await slots.acquire()
        waiting = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        slots.resize(3)
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, False]
        waiting[2].cancel()
        await asyncio.wait({waiting[2]})

    run(main())


def test_a_refusal_tells_the_services_own_cap() -> None:
    async def main() -> None:
        slots = ProcessSlots(10)
        running = [await slots.acquire() for _ in range(3)]
        for number, slot in enumerate(running):
            slot.name(f"task-{number}")
        refusal_slot, not_sent = await slots.acquire(), await slots.acquire()
        slots.note_refusal()
        refusal_slot.release()
        assert (slots.figures().learned_cap, slots.figures().effective_limit) == (3, 3)
        assert not_sent.is_too_many  # its create would be refused as well
        not_sent.release()
        assert not running[0].is_too_many
        waiting = [asyncio.create_task(slots.acquire(slot.ticket)) for slot in (not_sent, refusal_slot)]
        newcomer = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        running[0].release()
        await asyncio.sleep(0)
        assert waiting[1].done()  # the lower ticket goes first again
        running[1].release()
        await asyncio.sleep(0)
        assert (waiting[0].done(), newcomer.done()) == (True, False)
        running[2].release()
        await newcomer

    run(main())


def test_without_room_a_probe_goes_now_and_then() -> None:
    async def main() -> None:
        slots, loop = ProcessSlots(4), asyncio.get_running_loop()
        slots.note_refusal()  # other processes have filled the service
        assert slots.figures().effective_limit == 0
        began = loop.time()
        (await slots.acquire()).release()
        assert loop.time() - began == pytest.approx(PROBE_S, abs=0.01)
        probe = await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
        probe.name("task-1")  # accepted: there may be room for one more
        assert loop.time() - began < PROBE_S + 1
        (await waiting).release()
        slots.note_refusal()
        assert slots.figures().learned_cap == 1

    run(main())


def test_a_models_probes_come_less_and_less_often_until_one_finds_room() -> None:
    async def main() -> None:
        slots, loop = ProcessSlots(9), asyncio.get_running_loop()
        (await slots.acquire(model="A")).name("task-1")

        async def wait_after_refusal() -> float:
            slots.note_refusal("A")
            began = loop.time()
            (await slots.acquire(model="A")).release()
            return round(loop.time() - began, 2)

        assert [await wait_after_refusal() for _ in range(7)] == [1.25, 2.5, 5, 10, 20, 20, 20]
        slots.note_refusal("A")
        (await slots.acquire(model="A")).name("task-2")
        assert await wait_after_refusal() == 1.25

    run(main())


def test_where_tasks_are_refused_after_their_create_an_accepted_create_proves_no_room() -> None:
    async def main() -> None:
        slots, tasks = ProcessSlots(9), count(1)

        async def create() -> None:
            slot = await slots.acquire(model="h3")
            slot.name(f"task-{next(tasks)}")

        for _ in range(3):
            await create()
        slots.cap("h3").note_task_refusal(asyncio.get_running_loop().time())
        slots._alarms.set()
        began = asyncio.get_running_loop().time()
        waiting = [asyncio.create_task(create()) for _ in range(6)]
        await asyncio.sleep(LATE_PROBE_S - 1)
        assert (slots.figures().taken, slots.cap("h3").learned_cap) == (3, 3)
        await asyncio.sleep(2)
        # A probe has gone and was accepted, which proves no room for another.
        assert (slots.figures().taken, slots.cap("h3").learned_cap) == (4, 4)
        await asyncio.sleep(HEARD_S - 2)
        assert slots.figures().taken == 4
        await asyncio.sleep(2)
        assert slots.figures().taken == 5  # the probe before has found room
        slots._by_name["task-5"].note_task_refusal()
        slots._by_name["task-5"].release()
        await asyncio.sleep(LATE_PROBE_S - 2)
        assert slots.figures().taken == 4
        await asyncio.gather(*waiting)
        assert asyncio.get_running_loop().time() - began < 2 * LATE_PROBE_S + 6 * HEARD_S

    run(main())


def test_a_learned_cap_rises_with_each_accepted_create() -> None:
    async def main() -> None:
        slots = ProcessSlots(3)
        one, two, three = [await slots.acquire() for _ in range(3)]
        one.name("task-1")
        slots.note_refusal()  # before the answers to two creates that were sent earlier
        two.name("task-2")
        assert slots.figures().learned_cap == 2
        three.name("task-3")
        assert slots.figures().learned_cap is None  # not below the capacity
        for slot in (one, two, three):
            slot.release()
        assert counts(slots) == (0, 0)

    run(main())


@given(
    cap=st.integers(0, 4),
    capacity=st.integers(1, 6),
    strangers=st.floats(0, 300),
    jobs=st.integers(1, 20),
)
def test_at_any_cap_of_the_service_every_job_gets_its_turn_and_refusals_are_few(
    cap: int, capacity: int, strangers: float, jobs: int
) -> None:
    """Each task runs for a minute. Strangers fill the service to `cap` for a while, and then leave."""

    async def main() -> None:
        slots, loop, at_service, refusals = ProcessSlots(capacity), asyncio.get_running_loop(), 0, 0
        gone_at = loop.time() + strangers

        async def job(number: int) -> None:
            nonlocal at_service, refusals
            slot = await slots.acquire()
            while True:
                await asyncio.sleep(0.05)  # the create is on its way
                if slot.is_too_many:
                    slot.release()
                elif at_service < (cap if loop.time() < gone_at else 6):
                    break
                else:
                    refusals += 1
                    slots.note_refusal()
                    slot.release()
                slot = await slots.acquire(slot.ticket)
            at_service += 1
            slot.name(f"task-{number}")
            await asyncio.sleep(60)
            at_service -= 1
            slot.release()

        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(jobs):
                group.create_task(job(number))
        took = loop.time() - began
        assert (*counts(slots), slots.figures().waiting) == (0, 0, 0)
        assert refusals <= capacity + took / PROBE_S + 1
        assert took <= strangers + PROBE_S + 60 * (jobs / min(capacity, 6) + 2) + 10

    run(main())


def test_the_confirmed_capacity_follows_accepted_creates_and_refusals() -> None:
    async def main() -> None:
        slots = ProcessSlots(5)
        assert slots.figures().confirmed_capacity == 1
        running = [await slots.acquire() for _ in range(4)]
        for number, slot in enumerate(running[:3]):
            slot.name(f"task-{number}")
        assert slots.figures().confirmed_capacity == 3
        running[0].release()
        slots.note_refusal()
        assert (slots.figures().effective_limit, slots.figures().confirmed_capacity) == (2, 2)

    run(main())


def test_a_model_has_the_capacity_of_its_kind() -> None:
    async def main() -> None:
        slots = ProcessSlots(4)
        (await slots.acquire(model="A")).name("task-1")
        slots.resize(7)
        assert (slots.figures().capacity, slots.cap("A").capacity, slots.cap("B").capacity) == (7, 7, 7)

    run(main())


# --- models with caps of their own ------------------------------------------------------------------------------------


def test_a_create_that_waits_for_its_models_room_lets_other_models_pass() -> None:
    async def main() -> None:
        slots = ProcessSlots(10)
        (running := await slots.acquire(model="A")).name("task-1")
        slots.note_refusal("A")
        assert (slots.figures().learned_model_caps, slots.figures().learned_cap) == ({"A": 1}, None)
        waiting = [asyncio.create_task(slots.acquire(model="A")) for _ in range(2)]
        await asyncio.sleep(0)
        other = await slots.acquire(model="B")
        assert not any(task.done() for task in waiting)
        assert not other.is_too_many
        running.release()
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False]  # the lower ticket goes first
        (await waiting[0]).release()
        (await waiting[1]).release()
        other.release()
        assert (slots.figures().taken, slots.figures().waiting) == (0, 0)

    run(main())


def test_with_room_for_all_models_the_lowest_ticket_goes_first() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        (one := await slots.acquire(model="A")).name("task-1")
        slots.note_refusal("A")
        early, late = (asyncio.create_task(slots.acquire(model=model)) for model in "AB")
        await asyncio.sleep(0)
        one.release()
        await asyncio.sleep(0)
        assert (early.done(), late.done()) == (True, False)
        (await early).release()
        (await late).release()

    run(main())


def test_a_prepared_create_is_one_too_many_once_its_models_cap_is_learned() -> None:
    async def main() -> None:
        slots = ProcessSlots(10)
        (await slots.acquire(model="A")).name("task-1")
        refusal_slot, ready, other = [await slots.acquire(model=model) for model in "AAB"]
        refusal_slot.note_refusal(TooManyTasks("RequestLimitExceeded", "", ending=Ending.REFUSED_FOR_NOW))
        assert (ready.is_too_many, other.is_too_many) == (True, False)

    run(main())


def test_a_create_that_waits_for_its_models_room_alone_is_held_up() -> None:
    async def main() -> None:
        slots, calls = ProcessSlots(2), list[str]()
        (await slots.acquire(model="A")).name("task-1")
        (await slots.acquire(model="A")).name("task-2")
        tasks = [
            asyncio.create_task(slots.acquire(model="A", on_hold_up=lambda: calls.append("before"))),
            asyncio.create_task(slots.acquire(model="B", on_hold_up=lambda: calls.append("other"))),
        ]
        await asyncio.sleep(0)
        assert calls == []
        slots.cap("A").tasks.remove()  # the service takes one
        slots.note_refusal("A")
        await asyncio.sleep(0)
        assert calls == ["before"]
        tasks.append(asyncio.create_task(slots.acquire(model="A", on_hold_up=lambda: calls.append("after"))))
        await asyncio.sleep(0)
        assert calls == ["before", "after"]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert slots.figures().waiting == 0

    run(main())


def test_a_models_cap_is_forgotten_as_more_of_its_creates_are_accepted() -> None:
    async def main() -> None:
        slots, loop = ProcessSlots(3), asyncio.get_running_loop()
        (await slots.acquire(model="A")).name("task-1")
        slots.note_refusal("A")
        began = loop.time()
        for number in (2, 3):
            (await slots.acquire(model="A")).name(f"task-{number}")
        assert loop.time() - began == pytest.approx(FIRST_PROBE_S, abs=0.01)
        assert slots.figures().learned_model_caps == {}

    run(main())


def test_a_models_creates_wait_as_long_as_the_service_asks() -> None:
    """Retry-After beside a refusal for concurrency: the pause counts even if a task of the model ends before."""

    async def main() -> None:
        slots, loop = ProcessSlots(10), asyncio.get_running_loop()
        (running := await slots.acquire(model="A")).name("task-1")
        began = loop.time()
        slots.note_refusal("A", wait_s=7.0)
        running.release()
        await slots.acquire(model="B")
        assert loop.time() - began < 0.1
        await slots.acquire(model="A")
        assert loop.time() - began == pytest.approx(7.0, abs=0.01)

    run(main())


def test_the_cap_of_a_model_that_is_gone_is_dropped() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        for number in range(50):
            (await slots.acquire(model=f"model {number}")).release()
        waiter = asyncio.create_task(slots.acquire(model="waits"))
        slot = await slots.acquire(model="runs") if not waiter.done() else await waiter
        slot.release()
        (await waiter).release()
        assert slots._models == {}

    run(main())


@given(
    jobs=st.lists(st.tuples(st.sampled_from("ABC"), st.floats(0.1, 3), st.floats(0, 20)), max_size=25),
    refusals=st.lists(st.tuples(st.sampled_from(["A", "B", None]), st.floats(0, 10)), max_size=6),
    capacity=st.integers(1, 4),
)
def test_with_models_no_slot_is_lost_and_no_waiter_is_left_beside_room(
    jobs: list[tuple[str, float, float]], refusals: list[tuple[str | None, float]], capacity: int
) -> None:
    """Random cancellations: 0.1 to 3 s of work each, some cancelled on the way."""

    async def main() -> None:
        slots, loop = ProcessSlots(capacity), asyncio.get_running_loop()

        async def work(model: str, seconds: float) -> None:
            slot = await slots.acquire(model=model)
            try:
                await asyncio.sleep(seconds)
            finally:
                slot.release()
            assert not any(slots._has_room(model) for model in slots._queue._lines)

        tasks = [asyncio.create_task(work(model, seconds)) for model, seconds, _ in jobs]
        for task, (_, _, cancel_at) in zip(tasks, jobs, strict=True):
            loop.call_later(cancel_at, task.cancel)
        for model, at in refusals:
            loop.call_later(at, slots.note_refusal, model)
        if tasks:
            done, _ = await asyncio.wait(tasks)
            assert all(task.cancelled() or task.exception() is None for task in done)
        assert (*counts(slots), slots.figures().waiting, slots._queue._lines) == (
            0,
            0,
            0,
            {},
        )

    run(main())
