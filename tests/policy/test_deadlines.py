"""When a task is given up, by what its polls have told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import TaskState
from mps_aigc_async.policy.deadlines import QUEUE_S, Deadline, Patience

PATIENCE = Patience.of(1800.0)


@pytest.mark.parametrize(
    ("running_s", "off_peak", "expected"),
    [
        (1800.0, False, Patience(1800.0, QUEUE_S)),
        (5.0, False, Patience(5.0, QUEUE_S)),
        (1e6, False, Patience(1e6, 1e6)),
        (1800.0, True, Patience(48 * 3600.0, 48 * 3600.0)),
        (1e6, True, Patience(1e6, 1e6)),
    ],
)
def test_the_larger_of_two_settings_counts(running_s: float, off_peak: bool, expected: Patience) -> None:
    assert Patience.of(running_s, off_peak=off_peak) == expected


@pytest.mark.parametrize(
    ("queue_s", "off_peak", "expected"),
    [(600.0, False, 600.0), (1e6, False, 1e6), (600.0, True, 48 * 3600.0), (None, False, QUEUE_S)],
)
def test_the_queues_own_setting_counts_for_the_queue_alone(
    queue_s: float | None, off_peak: bool, expected: float
) -> None:
    assert Patience.of(1800.0, queue_s, off_peak=off_peak).queued_s == expected
    assert Patience.of(1800.0, queue_s).running_s == 1800.0


def test_a_task_that_waits_has_the_queues_deadline() -> None:
    deadline = Deadline(PATIENCE, now=100.0)
    assert deadline.at == 100.0 + QUEUE_S
    deadline.update(TaskState.WAITING, 5000.0)
    assert deadline.at == 100.0 + QUEUE_S
    assert "queued" in repr(deadline)


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.DONE])
def test_the_runs_deadline_counts_from_the_first_poll_that_found_it_running(state: TaskState) -> None:
    deadline = Deadline(PATIENCE, now=100.0)
    deadline.update(state, 200.0)
    for later in (TaskState.RUNNING, TaskState.WAITING, TaskState.DONE):
        deadline.update(later, 900.0)
        assert deadline.at == 200.0 + 1800.0
    assert "running" in repr(deadline)


def test_a_task_that_starts_late_still_gets_its_running_time() -> None:
    deadline = Deadline(PATIENCE, now=0.0)
    deadline.update(TaskState.RUNNING, QUEUE_S - 1)
    assert deadline.at == QUEUE_S - 1 + 1800.0


@given(
    running_s=st.floats(1, 1e6),
    polls=st.lists(st.tuples(st.sampled_from(TaskState), st.floats(0, 1e6)), max_size=8),
    now=st.floats(0, 2e6),
)
def test_a_slot_is_held_for_a_run_or_to_the_runs_deadline(
    running_s: float, polls: list[tuple[TaskState, float]], now: float
) -> None:
    patience = Patience.of(running_s)
    deadline = Deadline(patience, now=0.0)
    for state, at in sorted(polls, key=lambda poll: poll[1]):
        deadline.update(state, at)
    if deadline.seen_running:
        assert deadline.slot_hold_s(now) == max(0.0, deadline.at - now)
    else:  # it may start at any moment, also after it was given up
        assert deadline.slot_hold_s(now) == running_s
