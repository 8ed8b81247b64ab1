"""The table of moves."""

from mps_aigc_async.model.states import MOVES, JobState


def reachable(start: JobState) -> set[JobState]:
    states, new = set[JobState](), {start}
    while new:
        states |= new
        new = {after for before in new for after in MOVES[before]} - states
    return states


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(JobState)


def test_every_state_can_be_reached_from_planned() -> None:
    assert reachable(JobState.PLANNED) == set(JobState)


def test_what_is_paid_for_or_may_be_is_never_sent_again_by_itself() -> None:
    """Only the user's word leads out of *failed*; out of *unknown* also a create of the same session; out of
    *submitted* also a task that has ended, made nothing and is not billed (`task_ends.is_planned_again`)."""
    for state in (JobState.DONE, JobState.SAVED):
        assert not MOVES[state] & {JobState.PLANNED, JobState.INTENT}
    assert MOVES[JobState.SUBMITTED] == {JobState.DONE, JobState.FAILED, JobState.PLANNED}
    assert MOVES[JobState.FAILED] == {JobState.PLANNED, JobState.SUBMITTED}


def test_nothing_is_submitted_but_by_its_intent() -> None:
    # Or by the user's decision: this task belongs to the create that was never answered.
    by = [state for state, moves in MOVES.items() if JobState.SUBMITTED in moves]
    assert by == [JobState.INTENT, JobState.FAILED, JobState.UNKNOWN]
    assert [state for state, moves in MOVES.items() if JobState.UNKNOWN in moves] == [JobState.INTENT]


def test_what_was_saved_stays_saved() -> None:
    assert reachable(JobState.SAVED) == {JobState.SAVED}
