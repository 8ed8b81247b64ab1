"""A cap: learned from refusals, probed now and then, and forgotten as the service takes more."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.limits import PROBE_S
from mps_aigc_async.limits.caps import FIRST_PROBE_S, HEARD_S, LATE_PROBE_S, Cap, Count
from mps_aigc_async.limits.refusals import Streak


class Clocked(Cap):
    """A cap at a time of its own, which `after` moves on."""

    now = 1000.0

    def refuse(self, wait_s: float = 0.0) -> None:
        self.note_refusal(self.now, wait_s)

    def refuse_task(self) -> None:
        self.note_task_refusal(self.now)

    def after(self, seconds: float) -> bool:
        """Return whether there may be more room after so many seconds."""
        self.now += seconds
        return self.advance(self.now)


def running(tasks: int, capacity: int = 10, first_s: float = PROBE_S) -> Clocked:
    cap = Clocked(capacity, first_s)
    for _ in range(tasks):
        take(cap)
    return cap


def take(cap: Cap) -> None:
    """Count a slot for a create that was accepted."""
    cap.slots.add()
    cap.tasks.add()
    cap.note_room()


def end(cap: Cap) -> None:
    """Count out a task that has ended."""
    cap.tasks.remove()
    cap.slots.remove()


def refuse_for_the_rate(cap: Cap) -> None:
    cap.streak = Streak(0.0, 0.0, 1, ignore)


def test_a_count_remembers_its_highest_number() -> None:
    count = Count()
    count.add()
    count.add()
    count.remove()
    count.remove()
    count.add()
    assert (count.now, count.most) == (1, 2)


def test_a_refusal_leaves_room_for_as_many_as_run_and_no_more() -> None:
    cap = running(3)
    assert (cap.effective_limit, cap.has_room, cap.is_too_small) == (10, True, False)
    cap.slots.add()  # the create that is refused
    cap.refuse()
    assert (cap.learned_cap, cap.effective_limit, cap.has_room, cap.is_too_small) == (3, 3, False, True)
    cap.slots.remove()
    assert (cap.has_room, cap.is_too_small) == (False, False)
    end(cap)
    assert cap.has_room


@pytest.mark.parametrize("tasks", [9, 10, 11])
def test_a_cap_is_learned_below_the_capacity_only(tasks: int) -> None:
    cap = running(tasks)
    cap.refuse()
    assert cap.learned_cap == (9 if tasks == 9 else None)
    assert cap.effective_limit == min(tasks, 10)
    cap.capacity = 4
    assert cap.effective_limit == 4


def test_the_highest_numbers_of_slots_and_tasks_are_remembered() -> None:
    cap = running(0)
    assert (cap.slots.most, cap.tasks.most) == (0, 0)
    cap = running(3)
    cap.slots.add()
    end(cap)
    end(cap)
    take(cap)
    assert (cap.slots.now, cap.running, cap.slots.most, cap.tasks.most) == (3, 2, 4, 3)


def test_a_learned_cap_is_probed_after_a_while_and_forgotten_as_the_service_takes_more() -> None:
    cap = running(3, capacity=6)
    cap.refuse()
    cap.after(PROBE_S - 0.01)
    assert cap.learned_cap == 3
    cap.after(0.02)
    assert cap.learned_cap == 4
    cap.after(100 * PROBE_S)
    assert cap.learned_cap == 4  # a single probe, until its answer has come
    take(cap)
    assert cap.learned_cap == 5  # accepted: the next may go at once
    take(cap)
    assert cap.learned_cap is None
    cap.refuse()
    assert cap.learned_cap == 5


def test_after_a_refused_probe_the_cap_is_the_number_of_tasks_and_the_next_probe_comes_in_time() -> None:
    cap = running(3)
    cap.refuse()
    for _ in range(3):
        cap.after(PROBE_S + 0.01)
        assert cap.learned_cap == 4
        cap.refuse()
        assert cap.learned_cap == 3


def test_a_refusal_puts_off_the_next_probe() -> None:
    cap = running(3)
    cap.refuse()
    cap.after(PROBE_S - 1)
    cap.refuse()
    cap.after(PROBE_S - 1)
    assert cap.learned_cap == 3
    cap.after(1.01)
    assert cap.learned_cap == 4


@given(st.lists(st.booleans(), max_size=12))
def test_probes_of_a_model_come_at_doubling_intervals_and_soon_again_after_one_that_found_room(
    finds_room: list[bool],
) -> None:
    cap, expected_s = running(1, 1000, first_s=FIRST_PROBE_S), FIRST_PROBE_S
    cap.refuse()
    for room in finds_room:
        before, began = cap.learned_cap, cap.now
        cap.after(expected_s - 0.01)
        assert cap.learned_cap == before
        cap.after(0.02)
        assert cap.learned_cap == (before or 0) + 1
        if room:
            take(cap)
        cap.refuse()  # the next create
        expected_s = FIRST_PROBE_S if room else min(PROBE_S, 2 * expected_s)
        assert cap.now - began < PROBE_S + 1


@given(
    st.lists(
        st.one_of(
            st.floats(0, 400),
            st.sampled_from(["refuse", "refuse with a pause", "refuse a task", "take", "end"]),
        ),
        max_size=30,
    )
)
def test_the_time_changes_a_cap_only_when_it_says_so(steps: list[float | str]) -> None:
    cap = running(3, first_s=FIRST_PROBE_S)
    for step in steps:
        match step:
            case "refuse":
                cap.refuse()
            case "refuse with a pause":
                cap.refuse(wait_s=7.0)
            case "refuse a task":
                cap.refuse_task()
            case "take":
                take(cap)
            case "end" if cap.running:
                end(cap)
            case float():
                before, due = (cap.effective_limit, cap.is_too_small), cap.next_change
                assert cap.after(step) == (due <= cap.now)
                if due > cap.now:
                    assert (cap.effective_limit, cap.is_too_small, cap.next_change) == (*before, due)
                assert cap.next_change > cap.now


def test_a_refusal_outside_a_probe_leaves_the_intervals_unchanged() -> None:
    cap = running(3, first_s=FIRST_PROBE_S)
    for _ in range(5):  # creates that were under way together
        cap.refuse()
    cap.after(FIRST_PROBE_S + 0.01)
    assert cap.learned_cap == 4


def test_nothing_goes_in_a_pause_that_the_service_asks_for_and_its_end_is_a_change() -> None:
    cap = running(3, first_s=FIRST_PROBE_S)
    cap.refuse(wait_s=30.0)
    end(cap)
    assert (cap.slots.now, cap.effective_limit, cap.has_room, cap.is_too_small) == (2, 3, False, True)
    cap.after(10.0)
    cap.refuse(wait_s=30.0)  # the latest refusal counts
    assert (cap.after(29.99), cap.learned_cap, cap.has_room) == (False, 2, False)
    assert cap.after(0.02)
    assert (cap.learned_cap, cap.has_room, cap.is_too_small) == (3, True, False)  # time for a probe, too


def test_where_tasks_are_refused_a_probe_is_late_and_the_next_waits_until_its_task_has_run_a_while() -> None:
    cap = running(3, first_s=FIRST_PROBE_S)
    cap.refuse_task()
    cap.after(LATE_PROBE_S - 0.01)
    assert cap.learned_cap == 3
    cap.after(0.02)
    assert cap.learned_cap == 4
    take(cap)
    assert cap.learned_cap == 4
    cap.after(HEARD_S - 0.02)
    assert cap.learned_cap == 4
    cap.after(0.02)
    assert cap.learned_cap == 5


def test_where_tasks_are_refused_and_none_runs_a_probe_is_soon() -> None:
    """No task of ours runs whose end could make room, so only a probe can find some."""

    cap = running(0, first_s=FIRST_PROBE_S)
    cap.refuse_task()
    assert cap.effective_limit == 0
    cap.after(FIRST_PROBE_S + 0.01)
    assert cap.effective_limit == 1


@pytest.mark.parametrize(
    "learn",
    [
        lambda cap: cap.slots.add(),
        Clocked.refuse,
        Clocked.refuse_task,
        refuse_for_the_rate,
        lambda cap: cap.refuse(wait_s=1.0),
    ],
    ids=["a slot is out", "refused", "refused within", "a streak", "asked to wait"],
)
def test_a_cap_that_has_learned_something_is_not_idle(learn: Callable[[Cap], object]) -> None:
    cap = running(0)
    assert cap.is_idle
    learn(cap)
    assert not cap.is_idle


@pytest.mark.parametrize("within", [False, True])
def test_a_probe_due_once_the_whole_capacity_is_in_use_lowers_nothing(within: bool) -> None:
    cap = running(2, capacity=3)
    if within:
        cap.refuse_task()
    else:
        cap.refuse()
    take(cap)  # its answer was under way
    cap.after(LATE_PROBE_S - 1 if within else 0)
    assert (cap.learned_cap, cap.effective_limit) == (None, 3)
    cap.after(2 * PROBE_S)
    assert (cap.learned_cap, cap.effective_limit) == (None, 3)


def test_a_cap_that_waits_for_the_end_of_a_pause_is_not_idle() -> None:
    cap = running(2, capacity=2)
    cap.refuse(wait_s=3.0)
    end(cap)
    end(cap)
    assert (cap.learned_cap, cap.slots.now, cap.is_idle) == (None, 0, False)
    cap.after(3.01)
    assert not cap.is_idle  # a probe is still to come
    cap.after(PROBE_S)
    assert (cap.learned_cap, cap.is_idle) == (None, True)


def test_a_refusal_of_a_task_is_remembered() -> None:
    cap = running(2, capacity=2)
    cap.refuse_task()
    end(cap)
    end(cap)
    cap.after(2 * LATE_PROBE_S)
    assert (cap.learned_cap, cap.is_idle) == (None, False)


def test_an_accepted_create_ends_the_streak_of_refusals_and_raises_no_cap_that_is_not_learned() -> None:
    cap = running(2)
    refuse_for_the_rate(cap)
    take(cap)
    assert (cap.is_idle, cap.streak, cap.learned_cap) == (False, None, None)
    refuse_for_the_rate(cap)
    cap.refuse()
    assert cap.streak is None
