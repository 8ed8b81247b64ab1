"""The cause of RequestLimitExceeded, the rate or concurrency: the signs, one by one."""

from dataclasses import replace
from typing import Any

import pytest

from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.limits.refusals import (
    APART_S,
    PROOF,
    Evidence,
    as_concurrency,
    is_of_concurrency,
    is_of_one_model,
    streak_with,
)
from mps_aigc_async.model.errors import ServiceError, Throttled, TooManyTasks

REFUSAL = Throttled("RequestLimitExceeded", "too fast", request_id="r-1")
SATURATED = Evidence(had_room=False, running=5, has_cap=False, refusals=1, windows=0.0)
"""The first refusal of a stream that uses all of its rate: the cause seems to be the rate."""


@pytest.mark.parametrize(
    ("changes", "of_concurrency"),
    [
        ({}, False),
        ({"refusals": 30, "windows": 0.9}, False),  # a burst of another process filled one window
        ({"refusals": PROOF - 1, "windows": 5.0}, False),
        ({"refusals": PROOF, "windows": 1.0}, True),
        ({"has_cap": True}, True),
        ({"had_room": True}, True),
        ({"had_room": True, "running": 0}, False),  # no task of ours to wait for: another process may use the rate
        ({"had_room": True, "running": 0, "refusals": PROOF, "windows": 1.0}, True),
    ],
)
def test_the_signs_of_concurrency(changes: dict[str, Any], of_concurrency: bool) -> None:
    assert is_of_concurrency(REFUSAL, replace(SATURATED, **changes)) is of_concurrency


def test_a_time_that_the_service_names_speaks_for_the_rate_until_it_persists() -> None:
    refusal = Throttled("RequestLimitExceeded", "", retry_after_s=7.0)
    room = replace(SATURATED, had_room=True)
    assert not is_of_concurrency(refusal, room)
    assert is_of_concurrency(refusal, replace(room, refusals=PROOF, windows=1.0))


@pytest.mark.parametrize(
    ("code", "of_one_model"),
    [
        ("LimitExceeded.CreateTask", False),
        ("LimitExceeded", False),
        ("RequestLimitExceeded", True),
        ("RequestLimitExceeded.Concurrency", True),
        ("ResourceInsufficient", True),
        ("HTTP 429", True),
    ],
)
def test_only_a_documented_cap_is_the_accounts(code: str, of_one_model: bool) -> None:
    assert is_of_one_model(ServiceError(code, "")) is of_one_model


def test_a_refusal_of_concurrency_keeps_the_services_words() -> None:
    busy = as_concurrency(Throttled("RequestLimitExceeded", "too fast", request_id="r-1", retry_after_s=3.0))
    assert (type(busy), busy.code, busy.message, busy.request_id) == (
        TooManyTasks, "RequestLimitExceeded", "too fast", "r-1",
    )  # fmt: skip
    assert (busy.ending, busy.retry_after_s) == (REFUSAL.ending, 3.0)


def test_refusals_are_in_a_row_unless_they_are_far_apart() -> None:
    first = streak_with(None, 10.0, ignore)
    second = streak_with(first, 11.5, ignore)
    assert (second.refusals, second.began, second.latest) == (2, 10.0, 11.5)
    assert streak_with(second, 11.5 + APART_S + 1, ignore).refusals == 1


def test_refusals_noted_out_of_order_are_apart_by_the_latest_of_them() -> None:
    late = streak_with(streak_with(None, 50.0, ignore), 20.0, ignore)
    assert (late.refusals, late.latest) == (2, 50.0)
    assert streak_with(late, 50.0 + APART_S, ignore).refusals == 3


def test_a_streak_undoes_its_first_refusal_and_the_later_ones() -> None:
    undo_calls = list[str]()
    first = streak_with(None, 10.0, lambda: undo_calls.append("first"))
    streak_with(first, 11.0, lambda: undo_calls.append("second")).undo()
    assert undo_calls == ["first"]
    streak_with(first, 10.0 + APART_S + 1, lambda: undo_calls.append("new")).undo()
    assert undo_calls == ["first", "new"]
