"""Retry-After, as services and gateways write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.wire.dialect import HttpAnswer
from mps_aigc_async.wire.retry_after import MOST_RETRY_AFTER_S, retry_after_s

NOON = "Thu, 01 Jan 2026 12:00:00 GMT"
UNIX_NOON = 1_767_268_800.0


def answer(header: str, date: str = "") -> HttpAnswer:
    return HttpAnswer(503, {"retry-after": header} | ({"date": date} if date else {}), b"")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), (" 7 ", 7.0), ("1.5", 1.5), (".5", 0.5), ("2.", 2.0),
        ("1000000000", MOST_RETRY_AFTER_S), ("9" * 5000, MOST_RETRY_AFTER_S),
        ("", None), ("-1", None), ("+1", None), ("1e9", None), ("nan", None), ("inf", None), ("NaN", None),
        ("Infinity", None), ("soon", None), ("²", None), ("٣", None), ("7, 7", None), ("7 s", None), ("0x10", None),
        ("1_000", None),
    ],
)  # fmt: skip
def test_seconds_are_read_and_bounded_and_anything_else_is_not(header: str, seconds: float | None) -> None:
    assert retry_after_s(answer(header, NOON), UNIX_NOON) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 2027 23:59:59 GMT", MOST_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
    ],
)
def test_a_date_counts_from_the_answers_own(header: str, seconds: float | None) -> None:
    """Our clock is a day off."""
    assert retry_after_s(answer(header, NOON), UNIX_NOON - 86_400) == seconds


def test_without_an_answers_date_ours_counts_if_there_is_one() -> None:
    header = "Thu, 01 Jan 2026 12:00:30 GMT"
    assert retry_after_s(answer(header), UNIX_NOON) == 30.0
    assert retry_after_s(answer(header)) is None
    cached = HttpAnswer(503, {"retry-after": header, "date": "Thu, 01 Jan 2026 11:00:00 GMT", "age": "3600"}, b"")
    assert retry_after_s(cached, UNIX_NOON) == 30.0


def test_most_answers_have_none() -> None:
    assert retry_after_s(HttpAnswer(200, {"date": NOON}, b""), UNIX_NOON) is None


@given(st.text())
def test_no_header_raises_or_stops_anything_for_long(header: str) -> None:
    seconds = retry_after_s(answer(header, NOON), UNIX_NOON)
    assert seconds is None or 0 <= seconds <= MOST_RETRY_AFTER_S
