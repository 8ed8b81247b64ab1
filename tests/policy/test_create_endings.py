"""The consequence of an attempt to create a task: a table, and rules that hold for every attempt."""

from itertools import product

import pytest

from mps_aigc_async.model.error_records import from_record, to_record
from mps_aigc_async.model.errors import (
    AccountError,
    AigcError,
    CreateOutcomeUnknown,
    NoTaskId,
    TransportError,
)
from mps_aigc_async.model.states import MOVES, Ending, JobState
from mps_aigc_async.policy.create_endings import (
    Attempt,
    Decision,
    Earlier,
    SlotUse,
    UnknownCause,
    decide,
    ending_of,
    was_answered,
)
from mps_aigc_async.policy.retries import CONSEQUENCES

PLANNED, SUBMITTED, FAILED, UNKNOWN = JobState.PLANNED, JobState.SUBMITTED, JobState.FAILED, JobState.UNKNOWN
FREE, HELD, NAMED = SlotUse.FREE, SlotUse.HELD, SlotUse.NAMED

EVERY = [
    Attempt(ending, was_answered, earlier, honours_session, is_users_session, lists_tasks, has_caller)
    for ending, was_answered, earlier, honours_session, is_users_session, lists_tasks, has_caller in product(
        (None, *Ending), (False, True), Earlier, (False, True), (False, True), (False, True), (False, True)
    )
]


@pytest.mark.parametrize(
    ("ending", "earlier", "state", "slot", "cause"),
    [
        (None, Earlier.NONE, SUBMITTED, NAMED, None),
        (None, Earlier.UNKNOWN, SUBMITTED, NAMED, None),
        (Ending.ACCEPTED_BEFORE, Earlier.NONE, UNKNOWN, HELD, UnknownCause.ACCEPTED),
        (Ending.ACCEPTED_BEFORE, Earlier.REPLACED, UNKNOWN, HELD, UnknownCause.ACCEPTED),
        (Ending.ACCEPTED_BEFORE, Earlier.UNKNOWN, UNKNOWN, HELD, UnknownCause.ACCEPTED),
        (Ending.NEVER_DELIVERED, Earlier.NONE, PLANNED, FREE, None),
        (Ending.NEVER_DELIVERED, Earlier.REPLACED, PLANNED, FREE, None),
        (Ending.NEVER_DELIVERED, Earlier.UNKNOWN, UNKNOWN, HELD, None),
        (Ending.UNREACHABLE, Earlier.NONE, PLANNED, FREE, None),
        (Ending.UNREACHABLE, Earlier.UNKNOWN, UNKNOWN, HELD, None),
        (Ending.REFUSED_FOR_NOW, Earlier.NONE, PLANNED, FREE, None),
        (Ending.REFUSED_FOR_NOW, Earlier.UNKNOWN, UNKNOWN, HELD, None),
        (Ending.ACCOUNT_REFUSED, Earlier.NONE, PLANNED, FREE, None),
        (Ending.ACCOUNT_REFUSED, Earlier.UNKNOWN, UNKNOWN, HELD, None),
        (Ending.REFUSED, Earlier.NONE, FAILED, FREE, None),
        (Ending.REFUSED, Earlier.REPLACED, FAILED, FREE, None),
        (Ending.REFUSED, Earlier.UNKNOWN, UNKNOWN, HELD, UnknownCause.REPEAT_REFUSED),
        (Ending.UNKNOWN, Earlier.NONE, UNKNOWN, HELD, UnknownCause.UNANSWERED),
        (Ending.UNKNOWN, Earlier.REPLACED, UNKNOWN, HELD, UnknownCause.UNANSWERED),
        (Ending.UNKNOWN, Earlier.UNKNOWN, UNKNOWN, HELD, UnknownCause.UNANSWERED),
    ],
)
def test_each_ending_has_its_state_slot_and_cause(
    ending: Ending | None, earlier: Earlier, state: JobState, slot: SlotUse, cause: UnknownCause | None
) -> None:
    decision = decide(Attempt(ending, earlier=earlier))
    assert (decision.state, decision.slot, decision.cause) == (state, slot, cause)


@pytest.mark.parametrize(
    ("ending", "honours_session", "may_repeat"),
    [
        (Ending.NEVER_DELIVERED, False, True),
        (Ending.REFUSED_FOR_NOW, False, True),
        (Ending.UNREACHABLE, True, False),
        (Ending.ACCOUNT_REFUSED, True, False),
        (Ending.REFUSED, True, False),
        (Ending.ACCEPTED_BEFORE, True, False),
        (Ending.UNKNOWN, False, False),
        (Ending.UNKNOWN, True, True),
    ],
)
@pytest.mark.parametrize("earlier", Earlier)
def test_a_create_is_sent_again_only_where_no_second_task_can_come_of_it(
    earlier: Earlier, ending: Ending, honours_session: bool, may_repeat: bool
) -> None:
    assert decide(Attempt(ending, earlier=earlier, honours_session=honours_session)).may_repeat is may_repeat


@pytest.mark.parametrize("honours_session", [False, True])
def test_an_answer_without_a_task_id_is_not_sent_again(honours_session: bool) -> None:
    decision = decide(Attempt(Ending.UNKNOWN, was_answered=True, honours_session=honours_session))
    assert (decision.cause, decision.may_repeat) == (UnknownCause.ANSWERED, False)


def test_a_session_that_was_sent_before_and_is_refused_proves_that_the_service_refuses_sessions() -> None:
    proofs = {earlier: decide(Attempt(Ending.ACCEPTED_BEFORE, earlier=earlier)).proves_session for earlier in Earlier}
    assert proofs == {Earlier.NONE: False, Earlier.REPLACED: True, Earlier.UNKNOWN: True}


@pytest.mark.parametrize("earlier", Earlier)
def test_the_refusal_of_a_users_session_says_nothing_about_the_job(earlier: Earlier) -> None:
    attempt = Attempt(Ending.ACCEPTED_BEFORE, earlier=earlier, honours_session=True, is_users_session=True)
    decision = decide(attempt)
    assert (decision.state, decision.slot, decision.cause) == (UNKNOWN, HELD, UnknownCause.SESSION_TAKEN)
    assert not decision.may_repeat
    assert not decision.proves_session
    error = UnknownCause.SESSION_TAKEN.error("taken", "")
    assert (error.accepted, error.repeatable) == (False, False)


@pytest.mark.parametrize(
    ("attempt", "is_news"),
    [
        (Attempt(Ending.UNKNOWN), True),
        (Attempt(Ending.UNKNOWN, honours_session=True), False),
        (Attempt(Ending.UNKNOWN, lists_tasks=True), False),
        (Attempt(Ending.UNKNOWN, honours_session=True, lists_tasks=True, has_caller=False), True),
        (Attempt(Ending.UNKNOWN, was_answered=True, honours_session=True), True),
        (Attempt(Ending.UNKNOWN, was_answered=True, honours_session=True, lists_tasks=True), False),
        (Attempt(Ending.ACCEPTED_BEFORE, honours_session=True), True),
        (Attempt(Ending.ACCEPTED_BEFORE, lists_tasks=True), False),
        (Attempt(Ending.REFUSED, earlier=Earlier.UNKNOWN, honours_session=True), False),
    ],
)
def test_an_unknown_create_is_announced_once_nothing_more_is_tried(attempt: Attempt, is_news: bool) -> None:
    assert decide(attempt).is_news is is_news


# --- for every attempt ------------------------------------------------------------------------------------------------


def decisions() -> list[tuple[Attempt, Decision]]:
    return [(attempt, decide(attempt)) for attempt in EVERY]


def test_each_decision_is_a_move_that_the_table_of_states_has() -> None:
    assert {decision.state for _, decision in decisions()} <= MOVES[JobState.INTENT]


def test_an_unknown_job_stays_unknown_until_its_task_is_there() -> None:
    later = {decision.state for attempt, decision in decisions() if attempt.earlier is Earlier.UNKNOWN}
    assert later == {JobState.SUBMITTED, JobState.UNKNOWN}


def test_a_slot_is_held_for_exactly_the_unknown_jobs() -> None:
    for _, decision in decisions():
        assert (decision.slot is HELD) == (decision.state is UNKNOWN)
        assert (decision.slot is NAMED) == (decision.state is SUBMITTED)


def test_only_a_refusal_of_this_job_fails_it() -> None:
    assert {attempt.ending for attempt, decision in decisions() if decision.state is FAILED} == {Ending.REFUSED}


def test_an_ending_that_stops_all_creates_plans_the_job_again() -> None:
    for attempt, decision in decisions():
        if attempt.ending is not None and CONSEQUENCES[attempt.ending].stops_creating:
            assert decision.state in (PLANNED, UNKNOWN)
            assert not decision.may_repeat


def test_without_a_caller_every_unknown_create_is_announced() -> None:
    for attempt, decision in decisions():
        if decision.cause is not None and not attempt.has_caller:
            assert decision.is_news


# --- from errors, and to errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "ending", "answered"),
    [
        (TransportError("reset", ending=Ending.UNKNOWN), Ending.UNKNOWN, False),
        (NoTaskId("200 and no id", ending=Ending.UNKNOWN), Ending.UNKNOWN, True),
        (AccountError("AuthFailure.SignatureExpire", "", ending=Ending.REFUSED), Ending.ACCOUNT_REFUSED, False),
        (AigcError("a fault of ours"), Ending.REFUSED, False),
    ],
)
def test_an_error_tells_how_its_attempt_ended(error: AigcError, ending: Ending, answered: bool) -> None:
    assert (ending_of(error), was_answered(error)) == (ending, answered)


UNANSWERED = "the create was sent, and no reply told whether it was accepted"


@pytest.mark.parametrize(
    ("cause", "message", "accepted", "repeatable", "ending"),
    [
        (UnknownCause.UNANSWERED, f"{UNANSWERED} (no answer); then this", False, True, Ending.UNKNOWN),
        (
            UnknownCause.REPEAT_REFUSED,
            f"{UNANSWERED} (sent again and refused: no answer); then this",
            False,
            True,
            Ending.UNKNOWN,
        ),
        (
            UnknownCause.ANSWERED,
            "the create was answered, but its TaskId is not known (no answer); it is not sent again: look for its task "
            "in the console",
            False,
            False,
            Ending.UNKNOWN,
        ),
        (
            UnknownCause.ACCEPTED,
            "the service has accepted the create, but its TaskId is not known (no answer): look for its task in the "
            "console",
            True,
            False,
            Ending.ACCEPTED_BEFORE,
        ),
    ],
)
def test_an_unknown_create_has_the_same_error_after_the_ledger(
    cause: UnknownCause, message: str, accepted: bool, repeatable: bool, ending: Ending
) -> None:
    error = cause.error("no answer", "then this")
    again = from_record(to_record(error), job_id="a/image", task_id=None)
    for one in (error, again):
        assert isinstance(one, CreateOutcomeUnknown)
        assert one.message == message
        assert (one.accepted, one.repeatable, one.ending) == (accepted, repeatable, ending)
