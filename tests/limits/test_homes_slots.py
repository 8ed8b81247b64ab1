"""One suite for the slots of all homes: the process's, the host's (SQLite) and PostgreSQL's.

Each test has two clients or more: in the process's home they share the slots of the process, and in the other homes
each is a process of its own. Tests that need hours run in virtual time, which PostgreSQL's home does not have.
"""

import asyncio
import threading
from pathlib import Path

import pytest

from mps_aigc_async.limits import PROBE_S, SlotFigures, SlotLost
from mps_aigc_async.limits.caps import FIRST_PROBE_S
from mps_aigc_async.limits.protocol import Stray
from mps_aigc_async.limits.shared.slots import SharedSlots
from mps_aigc_async.limits.shared.store_work import LOST_S
from mps_aigc_async.limits.shared.turns import TICKET_S
from mps_aigc_async.model.errors import ClientClosed, TooManyTasks
from mps_aigc_async.model.states import Ending

from .slot_homes import AnySlots, Client, Home, flush, settle, turns


@pytest.fixture(params=["process", "host", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return _home(request, tmp_path)


@pytest.fixture(params=["host", "postgres"])
def shared_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return _home(request, tmp_path)


@pytest.fixture(params=["process", "host"])
def timed_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """The homes that virtual time has."""
    return _home(request, tmp_path)


@pytest.fixture
def host(tmp_path: Path) -> Home:
    return Home("host", tmp_path)


def _home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    name: str = request.param
    place: Path | str = request.getfixturevalue("database") if name == "postgres" else tmp_path
    return Home(name, place)


def refusal(code: str = "RequestLimitExceeded", wait_s: float | None = None) -> TooManyTasks:
    error = TooManyTasks(code, "", ending=Ending.REFUSED_FOR_NOW)
    error.retry_after_s = wait_s
    return error


def counts(slots: AnySlots) -> tuple[int, int, int]:
    figures = slots.figures()
    return figures.taken, figures.running, figures.waiting


async def both(home: Home, capacity: int) -> tuple[AnySlots, AnySlots]:
    return await home.slots(capacity), await home.slots(capacity)


# --- taking and giving back -------------------------------------------------------------------------------------------


def test_the_capacity_is_common_and_each_clients_waiters_go_in_order(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 2)
        order = list[tuple[str, int]]()

        async def work(name: str, slots: AnySlots, number: int) -> None:
            slot = await slots.acquire()
            order.append((name, number))
            if isinstance(slots, SharedSlots):
                assert await home.count() <= 2
            await turns()
            slot.release()

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(work("one", one, number))
                group.create_task(work("two", two, number))
        await settle(one, two)
        assert counts(one) == counts(two) == (0, 0, 0)
        for client in ("one", "two"):
            assert [number for name, number in order if name == client] == list(range(6))

    home.run(main)


def test_a_slot_that_one_client_gives_back_wakes_the_others_waiter(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        slot = await one.acquire()
        waiting = asyncio.create_task(two.acquire())
        await settle(one, two)
        assert (waiting.done(), counts(two)) == (False, (1, 0, 1))
        slot.release()
        (await waiting).release()

    home.run(main)


def test_who_gives_a_slot_back_does_not_take_it_again_before_the_other_has_had_a_turn(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        turns_taken = list[str]()

        async def work(name: str, slots: AnySlots) -> None:
            slot = await slots.acquire()
            turns_taken.append(name)
            slot.release()

        first = await one.acquire()
        works = [asyncio.create_task(work("one", one)), asyncio.create_task(work("two", two))]
        await settle(one, two)
        works += [asyncio.create_task(work(name, slots)) for name, slots in [("one", one), ("two", two)] * 3]
        await settle(one, two)
        first.release()
        await asyncio.gather(*works)
        assert turns_taken in (["one", "two"] * 4, ["two", "one"] * 4)

    home.run(main)


def test_giving_back_twice_counts_once(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 2)
        slot, other = await one.acquire(), await two.acquire()
        slot.release()
        slot.release()
        await settle(one, two)
        assert counts(one)[0] == counts(two)[0] == 1
        other.release()

    home.run(main)


def test_a_cancelled_waiter_takes_no_slot_and_holds_nobody_up(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        slot = await one.acquire()
        early, late = asyncio.create_task(one.acquire()), asyncio.create_task(two.acquire())
        await settle(one, two)
        early.cancel()
        await asyncio.wait({early})
        slot.release()
        (await late).release()
        await settle(one, two)
        assert counts(one) == counts(two) == (0, 0, 0)

    home.run(main)


def test_a_waiter_cancelled_at_any_step_leaks_no_slot(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        for steps in range(12):
            waiting = asyncio.create_task(one.acquire())
            await turns(steps)
            waiting.cancel()
            await asyncio.wait({waiting})
            if not waiting.cancelled():
                waiting.result().release()
        (await two.acquire()).release()
        await settle(one, two)
        assert counts(one) == counts(two) == (0, 0, 0)

    home.run(main)


def test_a_create_keeps_its_place_among_its_clients_waiters(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        other = await two.acquire()
        first = asyncio.create_task(one.acquire())
        await settle(one, two)
        other.release()
        slot = await first
        newcomer = asyncio.create_task(one.acquire())
        await settle(one, two)
        again = asyncio.create_task(one.acquire(slot.ticket))
        await settle(one, two)
        slot.release()
        slot = await again
        await settle(one, two)
        assert not newcomer.done()
        slot.release()
        (await newcomer).release()

    home.run(main)


def test_the_lower_capacity_of_one_client_does_not_hold_up_another(shared_home: Home) -> None:
    async def main() -> None:
        small, large = await shared_home.slots(1), await shared_home.slots(3)
        slot = await small.acquire()
        waiting = asyncio.create_task(small.acquire())
        await settle(small, large)
        more = [await large.acquire() for _ in range(2)]
        await settle(small, large)
        assert (counts(large)[0], waiting.done()) == (3, False)
        for one in (slot, *more):
            one.release()
        (await waiting).release()

    shared_home.run(main)


def test_more_capacity_is_used_at_once(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        await two.acquire()
        waiting = [asyncio.create_task(one.acquire()) for _ in range(3)]
        await settle(one, two)
        assert not any(task.done() for task in waiting)
        one.resize(3)
        await asyncio.gather(*waiting[:2])
        await settle(one)
        assert [task.done() for task in waiting] == [True, True, False]
        waiting[2].cancel()

    home.run(main)


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_task_that_two_clients_poll_has_one_slot(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 2)
        slot = await one.acquire()
        await slot.mark("job 1", 180)
        slot.name("task")
        await settle(one, two)
        other = two.adopt("task")
        await settle(one, two)
        if isinstance(one, SharedSlots):
            assert await home.count() == 1
        assert one.find("task") is slot
        other.release()
        slot.release()
        await settle(one, two)
        assert counts(one) == counts(two) == (0, 0, 0)
        assert one.find("task") is None

    home.run(main)


def test_a_running_task_is_adopted_over_the_capacity_and_counted_by_all(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        slot = await one.acquire()
        other = two.adopt("task-2")
        assert two.adopt("task-2") is other
        await settle(one, two)
        assert counts(one) == counts(two) == (2, 1, 0)
        assert slot.is_too_many
        waiting = asyncio.create_task(two.acquire())
        slot.release()
        await settle(one, two)
        assert not waiting.done()
        other.release()
        (await waiting).release()

    home.run(main)


def test_a_task_that_runs_in_a_slot_already_takes_no_second_one(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 2)
        own = one.adopt("task")
        (await one.acquire()).name("task")
        await settle(one, two)
        assert (one.find("task") is own, counts(one), counts(two)) == (True, (1, 1, 0), (1, 1, 0))
        own.release()
        await settle(one, two)
        assert counts(two) == (0, 0, 0)

    home.run(main)


def test_a_held_slot_is_found_by_its_name_and_reclaimed(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 3)
        slot = await one.acquire(model="A")
        await slot.mark("job 1", 180)
        slot.hold_for(180, "job 1")
        assert (one.find("job 1"), slot.transferred, counts(one)) == (slot, True, (1, 1, 0))
        assert slot.reclaim()
        assert (slot.transferred, counts(one)) == (False, (1, 0, 0))
        await slot.mark("job 1", 180)
        slot.name("task")
        assert (one.find("job 1"), one.find("task")) == (None, slot)
        slot.release()
        await settle(one, two)
        assert counts(two) == (0, 0, 0)

    home.run(main)


def test_an_unknown_create_takes_one_slot_however_many_find_it(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 1)
        one.take_for(100, "job", model="A")
        one.take_for(500, "job", model="A")
        two.take_for(100, "job", model="A")
        one.take_for(100, "other")
        await settle(one, two)
        if isinstance(one, SharedSlots):
            assert await home.count() == 2
        assert one.find("other") is not None

    home.run(main)


def test_a_held_slot_comes_back_by_itself(timed_home: Home) -> None:
    async def main() -> None:
        one, two = await both(timed_home, 1)
        slot = await one.acquire()
        slot.hold_for(180)
        loop = asyncio.get_running_loop()
        before = loop.time()
        (await two.acquire()).release()
        assert loop.time() - before == pytest.approx(180, abs=0.3)
        assert not slot.reclaim()
        slot.name("task-1")
        slot.hold_for(180, "unknown")
        await settle(one, two)
        assert (counts(one), one.find("task-1"), one.find("unknown")) == ((0, 0, 0), None, None)

    timed_home.run(main)


# --- the service's own caps -------------------------------------------------------------------------------------------


def test_one_clients_refusal_holds_all(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 9)
        (await one.acquire(model="A")).name("task-1")
        await settle(one, two)
        refused = await two.acquire(model="A")
        prepared = await one.acquire(model="A")
        refused.note_refusal(refusal())
        refused.release()
        await settle(one, two)
        assert one.figures().learned_model_caps == two.figures().learned_model_caps == {"A": 1}
        assert prepared.is_too_many
        prepared.release()
        waiting = asyncio.create_task(one.acquire(model="A"))
        (await one.acquire(model="B")).release()  # other models pass
        assert not waiting.done()
        waiting.cancel()

    home.run(main)


def test_a_refusal_of_all_models_holds_all_models(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 9)
        (running := await one.acquire(model="A")).name("task-1")
        await settle(one, two)
        refused = await two.acquire(model="B")
        refused.note_refusal(refusal("LimitExceeded.CreateTask"))
        refused.release()
        await settle(one, two)
        assert (one.figures().effective_limit, two.figures().learned_cap) == (1, 1)
        waiting = asyncio.create_task(one.acquire(model="C"))
        await settle(one, two)
        assert not waiting.done()
        running.release()
        (await waiting).release()

    home.run(main)


def test_accepted_creates_of_any_client_raise_the_cap(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 3)
        (await one.acquire(model="A")).name("task-1")
        late, later = await one.acquire(model="A"), await two.acquire(model="A")
        await settle(one, two)
        late.note_refusal(refusal())
        await settle(one, two)
        later.name("task-2")
        await settle(one, two)
        assert one.figures().learned_model_caps == two.figures().learned_model_caps == {"A": 2}

    home.run(main)


def test_a_cap_above_ones_own_capacity_is_not_forgotten(shared_home: Home) -> None:
    async def main() -> None:
        large, small = await shared_home.slots(9), await shared_home.slots(2)
        tasks = [await large.acquire(model="A") for _ in range(4)]
        for number, slot in enumerate(tasks[:3]):
            slot.name(f"task-{number}")
        await settle(large, small)
        tasks[3].note_refusal(refusal())
        tasks[3].release()
        for slot in tasks[:3]:
            slot.release()
        await settle(large, small)
        assert (large.figures().learned_model_caps, small.figures().learned_model_caps) == ({"A": 3}, {})
        (await small.acquire(model="A")).name("task-9")
        await settle(large, small)
        assert large.figures().learned_model_caps == {"A": 3}

    shared_home.run(main)


def test_a_probe_goes_now_and_then_from_one_client(timed_home: Home) -> None:
    async def main() -> None:
        one, two = await both(timed_home, 4)
        refused = await one.acquire()
        refused.note_refusal(refusal("LimitExceeded.CreateTask"))  # strangers have filled the service
        refused.release()
        await settle(one, two)
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = [asyncio.create_task(slots.acquire()) for slots in (one, two)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        assert loop.time() - began == pytest.approx(PROBE_S, abs=0.3)
        done.pop().result().name("task-1")  # accepted: one more may go
        await asyncio.wait(waiting)
        assert loop.time() - began < PROBE_S + 1

    timed_home.run(main)


def test_a_models_first_probe_goes_soon(home: Home) -> None:
    """In real time on PostgreSQL: the times of caps are on the server's clock."""

    async def main() -> None:
        one, two = await both(home, 4)
        refused = await one.acquire(model="A")
        began = asyncio.get_running_loop().time()
        refused.note_refusal(refusal())
        refused.release()
        await settle(one, two)
        await two.acquire(model="A")
        assert FIRST_PROBE_S - 0.05 <= asyncio.get_running_loop().time() - began < FIRST_PROBE_S + 1

    home.run(main)


def test_a_pause_that_the_service_asks_for_holds_all(timed_home: Home) -> None:
    async def main() -> None:
        one, two = await both(timed_home, 9)
        (running := await one.acquire(model="A")).name("task-1")
        running.note_refusal(refusal(wait_s=7.0))
        await settle(one, two)
        began = asyncio.get_running_loop().time()
        running.release()
        (await two.acquire(model="B")).release()
        assert asyncio.get_running_loop().time() - began < 0.5
        (await two.acquire(model="A")).release()
        assert asyncio.get_running_loop().time() - began == pytest.approx(7, abs=0.3)

    timed_home.run(main)


def test_a_task_refused_for_want_of_room_lowers_the_cap_of_all(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 5)
        first, second = await one.acquire(model="A"), await two.acquire(model="A")
        first.name("task-1")
        second.name("task-2")
        await settle(one, two)
        second.note_task_refusal()
        second.release()
        await settle(one, two)
        assert one.figures().learned_model_caps == {"A": 1}
        assert counts(one) == counts(two) == (1, 1, 0)

    home.run(main)


def test_a_create_that_waits_for_its_models_room_alone_is_told(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 9)
        (await one.acquire(model="A")).name("task-1")
        refused = await one.acquire(model="A")
        await settle(one, two)
        refused.note_refusal(refusal())
        refused.release()
        await settle(one, two)
        told = asyncio.Event()
        waiting = asyncio.create_task(two.acquire(model="A", on_hold_up=told.set))
        await told.wait()
        assert not waiting.done()
        waiting.cancel()

    home.run(main)


def test_the_figures_are_a_snapshot_that_any_thread_may_ask_for(home: Home) -> None:
    async def main() -> None:
        one, two = await both(home, 5)
        before = one.figures()
        (await one.acquire(model="A")).name("task-1")
        refused = await two.acquire(model="B")
        refused.note_refusal(refusal())
        await settle(one, two)
        assert before == SlotFigures(0, 0, 0, 0, 5, 5, 1, None, {})
        figures = list[SlotFigures]()
        thread = threading.Thread(target=lambda: figures.append(one.figures()))
        thread.start()
        thread.join()
        assert figures == [SlotFigures(2, 1, 0, 2, 5, 5, 1, None, {"B": 0})]
        assert one.running == 1

    home.run(main)


# --- members that are gone --------------------------------------------------------------------------------------------


async def _pair(shared_home: Home, capacity: int = 1) -> tuple[Client, SharedSlots]:
    """A client that will be killed, and the slots of another one."""
    return await shared_home.client(capacity), (await shared_home.client(capacity)).slots


def test_an_unmarked_slot_goes_with_its_member(shared_home: Home) -> None:
    async def main() -> None:
        mortal, slots = await _pair(shared_home)
        await mortal.slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await settle(slots)
        assert not waiting.done()
        await mortal.kill()
        (await waiting).release()

    shared_home.run(main)


def test_a_marked_slot_stays_for_as_long_as_its_create_may_run(host: Home) -> None:
    async def main() -> None:
        mortal, slots = await _pair(host)
        await (await mortal.slots.acquire()).mark("job 1", 180)
        await mortal.kill()
        began = asyncio.get_running_loop().time()
        (await slots.acquire()).release()
        assert asyncio.get_running_loop().time() - began == pytest.approx(180, abs=0.5)

    host.run(main)


@pytest.mark.parametrize("task", ["task-1", ""], ids=["by its TaskId", "by its create's name"])
def test_the_slot_of_a_killed_member_is_taken_over_and_not_counted_twice(shared_home: Home, task: str) -> None:
    async def main() -> None:
        mortal, slots = await _pair(shared_home)
        slot = await mortal.slots.acquire()
        await slot.mark("job 1", 180)
        if task:
            slot.name(task)
            await flush(mortal.slots)
        await mortal.kill()
        adopted = slots.adopt("task-1", name="job 1", seconds=60)
        waiting = asyncio.create_task(slots.acquire())
        await settle(slots)
        assert (await shared_home.count(), counts(slots), waiting.done()) == (1, (1, 1, 1), False)
        assert slots.figures().most_taken == 1, "not for a moment either"
        adopted.release()
        (await waiting).release()

    shared_home.run(main)


def test_the_next_process_takes_over_the_slot_of_an_unknown_create(shared_home: Home) -> None:
    async def main() -> None:
        mortal, slots = await _pair(shared_home)
        await (await mortal.slots.acquire()).mark("job 1", 180)
        await mortal.kill()
        slots.take_for(100, "job 1")
        await settle(slots)
        assert (await shared_home.count(), counts(slots)) == (1, (1, 1, 0))
        found = slots.find("job 1")
        assert found is not None
        found.release()
        (await slots.acquire()).release()

    shared_home.run(main)


def test_a_named_slot_stays_until_its_tasks_deadline(host: Home) -> None:
    async def main() -> None:
        mortal, slots = await _pair(host)
        mortal.slots.adopt("task-1", seconds=300)
        await flush(mortal.slots)
        await asyncio.sleep(20_000)  # of a living member, for however long
        await settle(slots)
        assert counts(slots)[0] == 1
        await mortal.kill()
        began = asyncio.get_running_loop().time()
        (await slots.acquire()).release()
        assert asyncio.get_running_loop().time() - began == pytest.approx(300, abs=0.5)

    host.run(main)


def test_the_tasks_of_a_closed_client_keep_their_slots_until_a_waiting_one_has_seen_their_ends(
    shared_home: Home,
) -> None:
    async def main() -> None:
        closing, slots = await _pair(shared_home, capacity=2)
        strays = asyncio.Queue[Stray]()
        leave = slots.on_stray(strays.put_nowait, "7")
        closing.slots.adopt("task-1", scope="7").hold_for(100)
        closing.slots.adopt("task-2", scope="8")
        await settle(closing.slots, slots)
        waiting = asyncio.create_task(slots.acquire())
        await settle(slots)
        assert strays.empty()  # their client is open
        await closing.close()
        stray = await strays.get()
        assert (stray.task_id, stray.is_open, strays.qsize()) == ("task-1", True, 0)  # not that of another scope
        assert counts(slots) == (2, 2, 1)
        stray.end()
        assert not stray.is_open
        (await waiting).release()
        await settle(slots)
        assert counts(slots) == (1, 1, 0)
        leave()

    shared_home.run(main)


def test_a_stray_goes_to_another_client_if_the_first_one_leaves(shared_home: Home) -> None:
    async def main() -> None:
        closing, slots = await _pair(shared_home, capacity=1)
        first, second = asyncio.Queue[Stray](), asyncio.Queue[Stray]()
        leave_first, leave_second = slots.on_stray(first.put_nowait), slots.on_stray(second.put_nowait)
        closing.slots.adopt("task-1")
        await settle(closing.slots, slots)
        await closing.close()
        waiting = asyncio.create_task(slots.acquire())
        stray = await first.get()
        leave_first()
        other = await second.get()
        assert (stray.is_open, other.task_id, other.is_open) == (False, "task-1", True)
        other.end()
        (await waiting).release()
        leave_second()

    shared_home.run(main)


def test_a_killed_members_ticket_holds_nobody_up(shared_home: Home) -> None:
    async def main() -> None:
        mortal, slots = await _pair(shared_home)
        slot = await slots.acquire()
        early = asyncio.create_task(mortal.slots.acquire())
        await settle(mortal.slots, slots)
        early.cancel()
        late = asyncio.create_task(slots.acquire())
        await settle(slots)
        await mortal.kill()
        slot.release()
        (await late).release()

    shared_home.run(main)


def test_a_process_that_stands_still_is_passed_over(host: Home) -> None:
    async def main() -> None:
        sleeper, slots = await _pair(host)
        slot = await slots.acquire()
        early = asyncio.create_task(sleeper.slots.acquire())
        await settle(sleeper.slots, slots)
        late = asyncio.create_task(slots.acquire())
        await settle(slots)
        sleeper.database.is_lost = True  # it is the lowest ticket, and does not look
        slot.release()
        began = asyncio.get_running_loop().time()
        slot = await late
        assert asyncio.get_running_loop().time() - began == pytest.approx(TICKET_S, abs=0.1)
        sleeper.database.is_lost = False
        slot.release()
        (await early).release()

    host.run(main)


def test_a_member_that_was_taken_for_gone_sends_nothing_in_a_slot_that_was_dropped(shared_home: Home) -> None:
    async def main() -> None:
        sleeper, slots = await _pair(shared_home)
        slot = await sleeper.slots.acquire()
        running = sleeper.slots.adopt("task-1", seconds=60)
        await flush(sleeper.slots)
        gone = "UPDATE mps_aigc_members SET gone_at = 0.0 WHERE id = %(id)s"
        await sleeper.database.run((gone, {"id": sleeper.members.member.id}))
        await slots.refresh()
        await flush(slots)
        await turns()
        await sleeper.members.beat()
        with pytest.raises(SlotLost):
            await slot.mark("job 1", 180)
        assert slot.is_too_many
        slot.release()
        await settle(sleeper.slots, slots)
        assert counts(sleeper.slots) == counts(slots) == (1, 1, 0)
        running.release()
        await settle(sleeper.slots, slots)
        assert await shared_home.count() == 0

    shared_home.run(main)


# --- a store that is lost ---------------------------------------------------------------------------------------------


def test_without_its_store_nobody_takes_a_slot_and_the_outbox_goes_on_later(host: Home) -> None:
    async def main() -> None:
        client, other = await _pair(host, capacity=2)
        slots = client.slots
        slot, second = await slots.acquire(), await slots.acquire()
        client.database.is_lost = True
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(3 * LOST_S)
        with pytest.raises(SlotLost):
            await slot.mark("job 1", 180)
        second.name("task-2")
        slot.release()
        assert (counts(slots), waiting.done()) == ((1, 1, 1), False)
        await other.refresh()
        assert counts(other) == (2, 0, 0)
        client.database.is_lost = False
        await waiting
        await settle(slots, other)
        assert counts(other) == (2, 1, 0)

    host.run(main)


def test_a_mark_that_waits_for_a_store_that_is_lost_fails(host: Home) -> None:
    async def main() -> None:
        client, _ = await _pair(host)
        slot = await client.slots.acquire()
        client.database.is_lost = True
        with pytest.raises(SlotLost):
            await slot.mark("job 1", 180)

    host.run(main)


def test_a_take_whose_answer_is_lost_leaks_no_slot(host: Home) -> None:
    async def main() -> None:
        client, other = await _pair(host)
        client.database.loses_answers = True
        waiting = asyncio.create_task(client.slots.acquire())
        await asyncio.sleep(LOST_S / 2)
        assert (await host.count(), waiting.done()) == (1, False)
        client.database.is_lost = client.database.loses_answers = False
        (await waiting).release()
        await settle(client.slots, other)
        assert await host.count() == 0

    host.run(main)


def test_a_store_that_lost_its_rows_is_repaired(shared_home: Home) -> None:
    async def main() -> None:
        client, other = await _pair(shared_home, capacity=3)
        client.slots.adopt("task-1")
        unmarked, marked = await client.slots.acquire(), await client.slots.acquire()
        await marked.mark("job 1", 180)
        await client.database.run(("DELETE FROM mps_aigc_slots", {}))
        await settle(client.slots, other)
        assert (await shared_home.count(), unmarked.is_too_many, marked.is_too_many) == (2, True, False)
        assert counts(other) == (2, 2, 0)

    shared_home.run(main)


def test_a_row_that_nobody_has_is_dropped(shared_home: Home) -> None:
    async def main() -> None:
        client, other = await _pair(shared_home)
        slot = await client.slots.acquire()
        slot.release()
        await flush(client.slots)
        row = "INSERT INTO mps_aigc_slots VALUES ('x', 'account image', '', %(id)s, 0, NULL, NULL, '', 0, NULL)"
        await client.database.run((row, {"id": client.members.member.id}))
        await settle(client.slots, other)
        assert await shared_home.count() == 0

    shared_home.run(main)


def test_changes_that_cannot_be_written_at_the_end_are_told(host: Home, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        client, _ = await _pair(host)
        slot = await client.slots.acquire()
        client.database.is_lost = True
        slot.release()
        await client.slots.leave()
        with pytest.raises(ClientClosed):
            await client.slots.acquire()

    host.run(main)
    assert "1 image slots changed, and the limit store was not told: the store is away" in caplog.text


def test_a_client_that_waits_writes_nothing(host: Home) -> None:
    """A wait that wrote would be a change for all who wait, and their looks would be changes for it."""

    async def main() -> None:
        one, two = await host.client(1), await host.client(1)
        await one.slots.acquire()
        waiting = asyncio.create_task(two.slots.acquire())
        await settle(one.slots, two.slots)
        file = host.place / "slots.sqlite" if isinstance(host.place, Path) else Path()
        before = file.stat().st_mtime_ns
        asked = two.database.transactions
        await asyncio.sleep(60)
        assert (file.stat().st_mtime_ns, waiting.done()) == (before, False)
        assert 200 < two.database.transactions - asked < 300
        waiting.cancel()

    host.run(main)
