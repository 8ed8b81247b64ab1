"""Questions about use, and the parts of their answers that MPS and VOD have in common.

Sources: DescribeUsageData of MPS, DescribeAigcUsageData and DescribeAigcQuotas of VOD (official SDK 3.1.194, 2026-10).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, Generic, TypeVar

from ..model.states import Kind
from ..model.usage import BILLING_ZONE, Days, ServiceUsage, known_sum, whole_sum
from . import answers

LONGEST_DAYS: Final = 90
"""Most days of one question ("查询时间跨度不超过90天", both actions)."""

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """A reading action with its parameters, and the function that reads its `Response`."""

    action: str
    params: Mapping[str, object]
    read: Callable[[Mapping[str, object]], T_co]


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """The lines of one or more answers, as in `UsageReport`."""

    totals: tuple[ServiceUsage, ...] = ()
    specifications: tuple[ServiceUsage, ...] = ()

    def with_answer(self, other: "UsageAnswer") -> "UsageAnswer":
        return UsageAnswer(merge((*self.totals, *other.totals)), merge((*self.specifications, *other.specifications)))


def span_params(days: Days, now: float) -> dict[str, object]:
    """StartTime and EndTime of these days.

    The documents call EndTime a date that is included, and their examples end at 23:59:59. A moment to come is never
    sent, because no document allows one.
    """
    end = min(days.end - timedelta(seconds=1), datetime.fromtimestamp(now, BILLING_ZONE))
    return {"StartTime": days.start.isoformat(), "EndTime": max(end, days.start).isoformat(timespec="seconds")}


def lines_of(items: object, line: ServiceUsage, days: Days) -> Iterator[ServiceUsage]:
    """The TaskStatDataItems in a list as copies of `line`, without those of other days: VOD's own example has an item
    of the day before. An item whose time cannot be read is kept."""
    for item in answers.entries(items):
        if isinstance(item, dict):
            day = _day(item.get("Time"))
            if day is None or day in days:
                yield replace(line, day=day, tasks=whole(item.get("Count")), amount=number(item.get("Usage")))


def merge(lines: Iterable[ServiceUsage]) -> tuple[ServiceUsage, ...]:
    """Lines of the sums by type, specification and day, in this order; lines without use are left out.

    Answers repeat a day: VOD's items may be of 5 minutes, and an answer may have a part for each region.
    """
    groups: dict[tuple[str, str, date | None], list[ServiceUsage]] = {}
    for line in lines:
        groups.setdefault((line.type, line.specification, line.day), []).append(line)
    sums = (
        replace(
            group[0],
            tasks=whole_sum(line.tasks for line in group),
            amount=known_sum(line.amount for line in group),
        )
        for group in groups.values()
    )
    lines_with_use = (line for line in sums if (line.tasks, line.amount) != (0, 0))
    return tuple(sorted(lines_with_use, key=lambda line: (line.type, line.specification, line.day or date.min)))


def without_specification(lines: Iterable[ServiceUsage]) -> tuple[ServiceUsage, ...]:
    """The sums of all specifications."""
    return merge(replace(line, specification="") for line in lines)


def type_line(word: str, kinds: Mapping[str, Kind], specification: str = "") -> ServiceUsage:
    """A line without figures for a type by the service's word."""
    kind = {name.lower(): kind for name, kind in kinds.items()}.get(word.lower())
    return ServiceUsage(type=word, kind=kind, specification=specification, day=None, tasks=None, amount=None)


def number(value: object) -> float | None:
    """A number, or a number as text; None for anything else.

    >>> number(5), number("2.5"), number(None), number(True), number("NaN")
    (5, 2.5, None, None, None)
    """
    try:
        amount = float(answers.as_text(value))
    except ValueError:
        return None
    if not math.isfinite(amount):
        return None
    return int(amount) if amount.is_integer() else amount


def whole(value: object) -> int | None:
    """A whole number, as `number` reads it."""
    amount = number(value)
    return None if amount is None or amount % 1 else int(amount)


def _day(value: object) -> date | None:
    """The day of UTC+8 of an ISO time or date; a time without a zone is one of UTC+8."""
    try:
        at = datetime.fromisoformat(answers.as_text(value))
        return (at if at.tzinfo is None else at.astimezone(BILLING_ZONE)).date()
    except (ValueError, OverflowError):
        return None
