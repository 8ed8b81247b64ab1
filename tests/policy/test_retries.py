"""What follows from an ending, and the waits between sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.errors import (
    AccountError,
    AigcError,
    CreateOutcomeUnknown,
    ServiceError,
    Throttled,
    TooManyTasks,
    TransportError,
)
from mps_aigc_async.model.states import Ending
from mps_aigc_async.policy.retries import CONSEQUENCES, RetryPolicy, clock_is_off, may_repeat

NEVER_DELIVERED = TransportError("refused", ending=Ending.NEVER_DELIVERED)
THROTTLED = Throttled("RequestLimitExceeded", "", ending=Ending.REFUSED_FOR_NOW)
BUSY = TooManyTasks("LimitExceeded.CreateTask", "", ending=Ending.REFUSED_FOR_NOW)


def test_every_ending_has_its_row() -> None:
    assert set(CONSEQUENCES) == set(Ending)


@pytest.mark.parametrize(
    ("ending", "read_again", "create_again", "stops_creating"),
    [
        (Ending.NEVER_DELIVERED, True, True, False),
        (Ending.UNREACHABLE, False, False, True),
        (Ending.REFUSED_FOR_NOW, True, True, False),
        (Ending.REFUSED, False, False, False),
        (Ending.ACCOUNT_REFUSED, False, False, True),
        (Ending.UNKNOWN, True, False, False),
    ],
)
def test_what_follows_from_each_ending(
    ending: Ending, read_again: bool, create_again: bool, stops_creating: bool
) -> None:
    """DESIGN, "The create, five ways it can end", written out once more."""
    error = ServiceError("Some.Code", "", ending=ending)
    assert may_repeat(error, reads=True) is read_again
    assert may_repeat(error, reads=False) is create_again
    assert CONSEQUENCES[ending].stops_creating is stops_creating


def test_a_create_of_unknown_outcome_is_not_sent_again() -> None:
    assert not may_repeat(CreateOutcomeUnknown("?"), reads=False)
    assert not may_repeat(TransportError("reset", ending=Ending.UNKNOWN), reads=False)


def test_an_error_without_an_exchange_is_final() -> None:
    assert not may_repeat(AigcError("no"), reads=True)
    assert not may_repeat(AigcError("no"), reads=False)


@pytest.mark.parametrize(
    ("code", "off"),
    [
        ("AuthFailure.SignatureExpire", True),
        ("AuthFailure.SignatureFailure", False),
        ("AuthFailure", False),
        ("", False),
    ],
)
def test_only_an_expired_signature_tells_of_the_clock(code: str, off: bool) -> None:
    assert clock_is_off(AccountError(code, "", ending=Ending.ACCOUNT_REFUSED)) is off


def test_an_error_that_is_not_the_services_tells_nothing_of_the_clock() -> None:
    assert not clock_is_off(TransportError("AuthFailure.SignatureExpire", ending=Ending.UNKNOWN))


# --- delays -----------------------------------------------------------------------------------------------------------

numbers = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 10),
    seconds=st.floats(0, 1000),
    base_s=st.floats(0, 10),
    cap_s=st.floats(0, 100),
    busy_seconds=st.floats(0, 10_000),
)


@given(
    policy=policies,
    error=st.sampled_from([NEVER_DELIVERED, THROTTLED, BUSY]),
    attempt=st.integers(1, 10_000),
    elapsed=st.floats(0, 100_000),
    uniform=numbers,
)
def test_a_delay_is_within_its_bounds_and_given_only_within_the_policys(
    policy: RetryPolicy, error: AigcError, attempt: int, elapsed: float, uniform: float
) -> None:
    delay = policy.delay(error, attempt, elapsed, lambda: uniform)
    if error is BUSY:
        assert (delay is None) == (elapsed >= policy.busy_seconds)
    else:
        assert (delay is None) == (elapsed >= policy.seconds or attempt >= policy.attempts)
    bound = 2 * policy.base_s if error is THROTTLED else policy.cap_s
    assert delay is None or 0 <= delay <= bound


def test_delays_grow_by_doubling_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=100, seconds=1000.0)
    bounds = [policy.delay(NEVER_DELIVERED, attempt, 0.0, lambda: 1.0) for attempt in range(1, 9)]
    assert bounds == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]
    assert policy.delay(NEVER_DELIVERED, 3, 0.0, lambda: 0.25) == 1.0


def test_a_refusal_for_the_rate_waits_little_however_often() -> None:
    policy = RetryPolicy()
    assert [policy.delay(THROTTLED, attempt, 0.0, lambda: 1.0) for attempt in (1, 5)] == [1.0, 1.0]


def test_three_sends_refused_for_the_rate_take_more_than_a_window() -> None:
    assert 2 * (RetryPolicy().delay(THROTTLED, 1, 0.0, lambda: 0.0) or 0.0) >= 1.0


def test_the_defaults_give_up_after_six_sends_or_two_minutes() -> None:
    policy = RetryPolicy()
    assert policy.delay(NEVER_DELIVERED, 5, 119.9, lambda: 0.0) == 0.0
    assert policy.delay(NEVER_DELIVERED, 6, 0.0, lambda: 0.0) is None
    assert policy.delay(NEVER_DELIVERED, 1, 120.0, lambda: 0.0) is None


def test_too_many_tasks_waits_for_half_an_hour_however_often() -> None:
    policy = RetryPolicy()
    assert policy.delay(BUSY, 1000, 1799.9, lambda: 0.5) == 10.0
    assert policy.delay(BUSY, 1, 1800.0, lambda: 0.5) is None
