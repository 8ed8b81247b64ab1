"""The parts that both services' usage data have in common: spans, numbers, days, sums."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.states import Kind
from mps_aigc_async.model.usage import Days, ServiceUsage, known_sum
from mps_aigc_async.wire.usage import lines_of, merge, number, span_params, type_line, whole, without_specification

DAYS = Days(date(2026, 11, 1), date(2026, 11, 2))
LATER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


def test_a_span_ends_with_its_last_second() -> None:
    assert span_params(DAYS, LATER) == {
        "StartTime": "2026-11-01T00:00:00+08:00",
        "EndTime": "2026-11-02T23:59:59+08:00",
    }


def test_a_span_ends_now_if_its_last_day_is_not_over() -> None:
    noon = datetime(2026, 11, 2, 4, 0, 0, 700_000, tzinfo=UTC).timestamp()
    assert span_params(DAYS, noon)["EndTime"] == "2026-11-02T12:00:00+08:00"
    assert span_params(DAYS, 0.0)["EndTime"] == "2026-11-01T00:00:00+08:00"  # a clock that was set back


def days_of(*times: object) -> list[date | None]:
    items = [{"Time": time, "Count": 1, "Usage": 1} for time in times]
    return [line.day for line in lines_of(items, type_line("AIGCImage", {}), DAYS)]


def test_a_time_is_a_day_of_utc_8_and_other_days_are_left_out() -> None:
    assert days_of("2026-11-01T00:00:00+08:00", "2026-10-31T16:00:00Z", "2026-11-02", "2026-11-02T23:55:00") == [
        date(2026, 11, 1),
        date(2026, 11, 1),
        date(2026, 11, 2),
        date(2026, 11, 2),
    ]
    assert days_of("2026-10-31T00:00:00+08:00", "2026-11-03T00:00:00+08:00", "2026-11-02T16:00:00Z") == []


@pytest.mark.parametrize("time", [None, "", "yesterday", 17, [], {}, "0001-01-01T00:00:00+14:00", 10**400])
def test_an_item_without_a_readable_time_is_kept(time: object) -> None:
    assert days_of(time) == [None]


@pytest.mark.parametrize(
    ("value", "amount", "count"),
    [
        (5, 5, 5),
        ("5", 5, 5),
        (" 2.5 ", 2.5, None),
        (2.0, 2, 2),
        (0, 0, 0),
        (None, None, None),
        (True, None, None),
        ("many", None, None),
        ("inf", None, None),
        (float("nan"), None, None),
        ({}, None, None),
        (10**400, None, None),
    ],
)
def test_a_number_in_any_form(value: object, amount: float | None, count: int | None) -> None:
    assert (number(value), whole(value)) == (amount, count)


def test_a_type_is_recognised_in_any_case_and_an_unknown_one_is_kept() -> None:
    kinds = {"AIGCImage": Kind.IMAGE}
    assert type_line("AigcImage", kinds).kind is Kind.IMAGE
    assert (type_line("AIGCPoem", kinds).kind, type_line("AIGCPoem", kinds).type) == (None, "AIGCPoem")


LINES = st.lists(
    st.builds(
        ServiceUsage,
        type=st.sampled_from(["AIGCImage", "AIGCVideo"]),
        kind=st.none(),
        specification=st.sampled_from(["", "Kling3.0_720P", "Veo"]),
        day=st.sampled_from([None, date(2026, 11, 1), date(2026, 11, 2)]),
        tasks=st.integers(0, 100),
        amount=st.integers(0, 100),
    )
)


def sums(lines: Iterable[ServiceUsage]) -> tuple[float | None, float | None]:
    lines = list(lines)
    return known_sum(line.tasks for line in lines), known_sum(line.amount for line in lines)


@given(LINES)
def test_merging_loses_nothing_and_leaves_one_line_of_each(lines: list[ServiceUsage]) -> None:
    once = merge(lines)
    assert sums(once) == sums(lines)
    assert len({(line.type, line.specification, line.day) for line in once}) == len(once)
    assert merge(once) == once
    assert sums(without_specification(lines)) == sums(lines)
