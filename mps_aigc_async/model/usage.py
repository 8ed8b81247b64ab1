"""Usage: the service's count for its bill beside the ledger's count of results, and the days that both cover."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Final

from .errors import InvalidRequest
from .states import Kind

BILLING_ZONE: Final = timezone(timedelta(hours=8), "UTC+8")
"""The zone of the services' days: "2018-12-01T00:00:00+08:00" begins one (TaskStatDataItem.Time of both services, SDK
3.1.194, 2026-10)."""

OLDEST: Final = timedelta(days=365)
"""Both services report the last 365 days only (DescribeUsageData of MPS, DescribeAigcUsageData of VOD, 2026-10)."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of UTC+8, from the first to the last."""

    first: date
    last: date

    @classmethod
    def between(cls, since: date, until: date | None, now: float) -> "Days":
        """The days that a span touches; `now` is Unix seconds. Raises InvalidRequest for a span without a day that the
        services report.

        A date is a whole day of UTC+8. A datetime is a moment, and the span ends before the moment `until`.
        """
        present = datetime.fromtimestamp(now, BILLING_ZONE)
        try:
            start = _moment("since", since)
            end = present if until is None else _moment("until", until)
            if until is not None and not isinstance(until, datetime):
                end += _DAY
        except OverflowError:
            raise InvalidRequest("usage: `since` or `until` is at the end of the calendar: give a nearer day") from None
        if start >= present:
            raise InvalidRequest(f"usage: `since` ({since}) is in the future: there is nothing to count yet")
        if start >= end:
            raise InvalidRequest(f"usage: `since` ({since}) must be before `until` ({until})")
        days = cls(start.date(), (min(end, present) - datetime.resolution).date())
        if days.start < present - OLDEST:
            raise InvalidRequest(
                f"usage: `since` ({since}) is more than {OLDEST.days} days ago, and the service reports no earlier "
                f"days: begin on {(present - OLDEST + _DAY).date()} or later"
            )
        return days

    @property
    def start(self) -> datetime:
        """The beginning of the first day."""
        return _midnight(self.first)

    @property
    def end(self) -> datetime:
        """The end of the last day, which is the beginning of the next one."""
        return _midnight(self.last) + _DAY

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    def portions(self, most: int) -> Iterator["Days"]:
        """The same days in spans of at most `most` days, the earliest first.

        >>> [(str(part.first), str(part.last)) for part in Days(date(2026, 1, 1), date(2026, 1, 5)).portions(3)]
        [('2026-01-01', '2026-01-03'), ('2026-01-04', '2026-01-05')]
        """
        first = self.first
        while first <= self.last:
            last = min(self.last, first + timedelta(days=most - 1))
            yield Days(first, last)
            first = last + _DAY


def _moment(name: str, value: date) -> datetime:
    """The beginning of a day, or a datetime in UTC+8."""
    if not isinstance(value, date):
        raise InvalidRequest(f"usage: `{name}` takes a date or a datetime, not {type(value).__name__}")
    if not isinstance(value, datetime):
        return _midnight(value)
    if value.utcoffset() is None:
        raise InvalidRequest(
            f"usage: `{name}` is a datetime without a time zone: give it one (`tzinfo=timezone.utc`), or give a date, "
            "which is a day of UTC+8"
        )
    return value.astimezone(BILLING_ZONE)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BILLING_ZONE)


def billing_day(at: float) -> date:
    """The day of UTC+8 of a moment (Unix seconds)."""
    return datetime.fromtimestamp(at, BILLING_ZONE).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUsage:
    """The service's count of one type of task on one day."""

    type: str
    """The service's word: `AIGCImage`, `AIGCVideo` (MPS), `Image`, `Video` (VOD), or a new one."""
    kind: Kind | None
    """None for a type that this package does not make."""
    specification: str = ""
    """The service's word for the model and the resolution, such as `Kling3.0_720P`; empty for all of them together."""
    day: date | None
    """A day of UTC+8; None if the answer's time cannot be read."""
    tasks: int | None
    """None if the answer's number cannot be read."""
    amount: float | None
    """Images, or seconds of video; None if the answer's number cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerUsage:
    """The ledger's count of one model's results on one day."""

    kind: Kind
    model: str
    """Name and version as requested; empty for the service's own default."""
    day: date
    """The day of UTC+8 on which the tasks ended: by the service's clock if it reports the time (VOD), else when the
    client learned of the end."""
    tasks: int
    """Jobs that are *done* or *saved*."""
    amount: float
    """Images, or seconds of video or audio.

    A video's seconds are those that the service reports (VOD), else the request's `duration`."""
    without_length: int = 0
    """Tasks without a known length, which are in `tasks` and not in `amount`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageComparison:
    """The figures of one kind side by side, of a day or of the whole span."""

    kind: Kind
    day: date | None = None
    """None for the whole span."""
    service_tasks: int | None
    """None if the service does not report this kind (MPS: audio), or if a number cannot be read."""
    service_amount: float | None
    """Images or seconds by the service's count; None as for `service_tasks`."""
    ledger_tasks: int
    """Tasks by the ledger."""
    ledger_amount: float
    """Images or seconds by the ledger."""
    without_length: int
    """The ledger's tasks without a known length, which `ledger_amount` lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """The service's count for its bill, beside the ledger's count of results, in whole days of UTC+8.

    The service counts the whole account (VOD: the application), also tasks of other programs. No document says how late
    its data are, and by which moment it puts a task into a day: compare days that are over.
    """

    since: datetime
    """The beginning of the first day."""
    until: datetime
    """The end of the last day, in the future if that day is today."""
    service_kinds: tuple[Kind, ...]
    """The kinds that the service reports."""
    service: tuple[ServiceUsage, ...]
    """By type and day; days without use are left out."""
    specifications: tuple[ServiceUsage, ...]
    """By type, specification and day. For MPS their sum may differ from `service`: both are the service's figures."""
    ledger: tuple[LedgerUsage, ...]
    """By kind, model and day."""
    unknown_jobs: int
    """The ledger's jobs with an unknown outcome, of any day: the service may have made and billed their tasks."""
    ledger_is_durable: bool
    """Whether the ledger is a file. A ledger in memory began when the client was opened, and has forgotten all but the
    latest 10,000 ended jobs."""

    @property
    def totals(self) -> tuple[UsageComparison, ...]:
        """The whole span, by kind."""
        return tuple(self._compare(kind, None) for kind in Kind)

    @property
    def daily(self) -> tuple[UsageComparison, ...]:
        """By day and kind, for the days and kinds with use."""
        lines: tuple[ServiceUsage | LedgerUsage, ...] = (*self.service, *self.ledger)
        with_use = {(line.day, line.kind) for line in lines}
        days = sorted({day for day, _ in with_use if day is not None})
        return tuple(self._compare(kind, day) for day in days for kind in Kind if (day, kind) in with_use)

    def _compare(self, kind: Kind, day: date | None) -> UsageComparison:
        """The figures of a day; for None, of all days."""
        theirs = [line for line in self.service if line.kind is kind and day in (None, line.day)]
        ours = [line for line in self.ledger if line.kind is kind and day in (None, line.day)]
        is_reported = kind in self.service_kinds
        return UsageComparison(
            kind=kind,
            day=day,
            service_tasks=whole_sum(line.tasks for line in theirs) if is_reported else None,
            service_amount=known_sum(line.amount for line in theirs) if is_reported else None,
            ledger_tasks=sum(line.tasks for line in ours),
            ledger_amount=sum(line.amount for line in ours),
            without_length=sum(line.without_length for line in ours),
        )


def known_sum(numbers: Iterable[float | None]) -> float | None:
    """The sum, or None if a number is missing: a part would look like the whole."""
    total: float = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def whole_sum(numbers: Iterable[int | None]) -> int | None:
    """The sum of whole numbers, as `known_sum`."""
    total = known_sum(numbers)
    return None if total is None else int(total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A limit on the account's AIGC use (VOD), which the user has set there: beyond it VOD refuses creates."""

    type: str
    """`Image` or `Video`."""
    kind: Kind | None
    limit: int | None
    """Images, or seconds of video; None if the answer's number cannot be read."""
    usage: int | None
    """Images, or seconds of video, since the quota was created. VOD's count comes late, so that use can pass the
    limit."""
