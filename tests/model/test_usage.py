"""The days of a report, its comparison by kind and day, and its copies."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.states import Kind
from mps_aigc_async.model.usage import BILLING_ZONE, Days, LedgerUsage, ServiceUsage, UsageReport, known_sum

from .test_copies import copies

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC).timestamp()  # 10:00 in UTC+8
TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        (date(2026, 11, 1), None, date(2026, 11, 1), TODAY),
        (date(2026, 11, 1), date(2026, 11, 1), date(2026, 11, 1), date(2026, 11, 1)),
        (date(2026, 11, 1), date(2030, 1, 1), date(2026, 11, 1), TODAY),
        (TODAY, None, TODAY, TODAY),
        # 16:00 UTC is midnight in UTC+8.
        (datetime(2026, 11, 1, 15, 59, tzinfo=UTC), TODAY, date(2026, 11, 1), TODAY),
        (datetime(2026, 11, 1, 16, 0, tzinfo=UTC), TODAY, date(2026, 11, 2), TODAY),
        (date(2026, 11, 1), datetime(2026, 11, 3, 16, 0, tzinfo=UTC), date(2026, 11, 1), date(2026, 11, 3)),
        (date(2026, 11, 1), datetime(2026, 11, 3, 16, 1, tzinfo=UTC), date(2026, 11, 1), date(2026, 11, 4)),
    ],
)
def test_a_span_is_the_days_that_it_touches(since: date, until: date | None, first: date, last: date) -> None:
    days = Days.between(since, until, NOW)
    assert days == Days(first, last)
    assert (days.start, days.end) == (
        datetime(first.year, first.month, first.day, tzinfo=BILLING_ZONE),
        datetime(last.year, last.month, last.day, tzinfo=BILLING_ZONE) + timedelta(days=1),
    )


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        (datetime(2026, 11, 1), None, "`since` is a datetime without a time zone"),  # noqa: DTZ001 — the refused value
        (date(2026, 11, 1), datetime(2026, 11, 2), "`until` is a datetime without a time zone"),  # noqa: DTZ001
        (date(2026, 11, 2), date(2026, 11, 1), "must be before `until`"),
        (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), "must be before `until`"),
        (datetime(2026, 11, 2, 9, tzinfo=UTC), datetime(2026, 11, 2, 8, tzinfo=UTC), "must be before `until`"),
        (date(2026, 11, 28), None, "is in the future"),
        (date(2026, 11, 28), date(2026, 12, 1), "is in the future"),
        (date(2025, 11, 27), None, "more than 365 days ago, .* begin on 2025-11-28 or later"),
        (date.min, None, "more than 365 days ago"),
        (TODAY, date.max, "at the end of the calendar"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), None, "at the end of the calendar"),
        ("2026-11-01", None, "takes a date or a datetime, not str"),
        (NOW, None, "takes a date or a datetime, not float"),
    ],
)
def test_a_span_that_means_no_days_is_refused(since: date, until: date | None, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        Days.between(since, until, NOW)


def test_the_first_day_that_is_reported_is_accepted() -> None:
    assert Days.between(date(2025, 11, 28), None, NOW).first == date(2025, 11, 28)


@given(st.integers(0, 400), st.integers(1, 100))
def test_the_portions_are_the_days_in_order(length: int, most: int) -> None:
    days = Days(TODAY, TODAY + timedelta(days=length))
    portions = list(days.portions(most))
    assert all(0 <= (portion.last - portion.first).days < most for portion in portions)
    listed = [part.first + timedelta(days=n) for part in portions for n in range((part.last - part.first).days + 1)]
    assert listed == [TODAY + timedelta(days=n) for n in range(length + 1)]
    assert all(day in days for day in listed)


def of_service(kind: Kind | None, day: date | None, tasks: int | None, amount: float | None) -> ServiceUsage:
    return ServiceUsage(type=f"AIGC{kind}", kind=kind, day=day, tasks=tasks, amount=amount)


def report(*lines: ServiceUsage) -> UsageReport:
    by_ledger = LedgerUsage(kind=Kind.VIDEO, model="Kling 3.0", day=TODAY, tasks=3, amount=10, without_length=1)
    days = Days(TODAY, TODAY)
    return UsageReport(
        since=days.start,
        until=days.end,
        service_kinds=(Kind.IMAGE, Kind.VIDEO),
        service=lines,
        specifications=(),
        ledger=(by_ledger,),
        unknown_jobs=0,
        ledger_is_durable=True,
    )


def test_the_figures_stand_side_by_side_by_kind_and_by_day() -> None:
    yesterday = TODAY - timedelta(days=1)
    made = report(
        of_service(Kind.IMAGE, yesterday, 2, 5), of_service(Kind.VIDEO, TODAY, 4, 20), of_service(None, TODAY, 1, 1)
    )
    image, video, audio = made.totals
    assert (image.service_tasks, image.service_amount, image.ledger_tasks, image.ledger_amount) == (2, 5, 0, 0)
    assert (video.service_tasks, video.service_amount, video.ledger_tasks, video.ledger_amount) == (4, 20, 3, 10)
    assert video.without_length == 1
    assert (audio.service_tasks, audio.service_amount, audio.ledger_tasks) == (None, None, 0)  # not reported is not 0
    assert [(line.day, line.kind) for line in made.daily] == [(yesterday, Kind.IMAGE), (TODAY, Kind.VIDEO)]


def test_a_number_that_cannot_be_read_makes_the_total_unknown() -> None:
    (image, *_) = report(of_service(Kind.IMAGE, TODAY, 2, 5), of_service(Kind.IMAGE, None, None, 1)).totals
    assert (image.service_tasks, image.service_amount) == (None, 6)
    assert known_sum([]) == 0


def test_a_report_can_be_pickled_and_copied() -> None:
    made = report(of_service(Kind.IMAGE, TODAY, 2, 5))
    assert all(copy == made for copy in copies(made))
