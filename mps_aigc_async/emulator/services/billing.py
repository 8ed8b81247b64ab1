"""The bill of an emulator's tasks: images and seconds of the tasks that succeeded, by the time of their end.

Sources: DescribeUsageData of MPS, DescribeAigcUsageData and DescribeAigcQuotas of VOD (official SDKs 3.1.194). No
document says which moment of a task counts; the emulator chose its end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from ..tasks.fields import Json, integer_of, text_of
from ..tasks.orders import ImageOrder, Kind, missing, within
from ..tasks.refusal import Refused
from ..tasks.tasks import Origin, ServiceTask

_ZONE: Final = timezone(timedelta(hours=8))
"""The zone of the days ("2018-12-01T00:00:00+08:00", TaskStatDataItem.Time)."""

DAY_S: Final = 86_400.0
FIVE_MINUTES_S: Final = 300.0

LONGEST_S: Final = 90 * DAY_S
"""Longest span of a query ("查询时间跨度不超过90天")."""

OLDEST_S: Final = 365 * DAY_S
"""How far back a query may reach ("可以查询最近365天内的…统计数据")."""

MOST_QUOTAS: Final = 100
"""Most quotas of a page ("取值范围：[1, 100]")."""


@dataclass(frozen=True, slots=True)
class Span:
    """A query's span in Unix seconds; both ends are included."""

    start: float
    end: float


def span_of(fields: Mapping[str, Json], now: float, code: str) -> Span:
    """The span of a query. `code` is the service's code for a wrong time, before `.StartTime` or `.EndTime`.
    Raises Refused."""
    span = Span(_time(fields, "StartTime", code), _time(fields, "EndTime", code))
    if span.end < span.start:
        raise Refused(f"{code}.EndTime", "EndTime must not be before StartTime.")
    if span.end - span.start > LONGEST_S:
        raise Refused(f"{code}.EndTime", "A query may span at most 90 days.")
    if span.start < now - OLDEST_S:
        raise Refused(f"{code}.StartTime", "The last 365 days can be queried.")
    return span


def _time(fields: Mapping[str, Json], name: str, code: str) -> float:
    text = text_of(fields, name)
    if not text:
        raise missing(name)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{code}.{name}", f"{name} must be an ISO time.") from error
    if time.tzinfo is None:
        raise Refused(f"{code}.{name}", f"{name} must be an ISO time with a zone.")
    return time.timestamp()


def billed_tasks(tasks: Iterable[ServiceTask], origin: Origin, kind: Kind, now: float) -> Sequence[ServiceTask]:
    """The tasks that are billed: those that ended with results."""
    return [task for task in tasks if (task.origin, task.kind) == (origin, kind) and task.status(now) == "DONE"]


def by_specification(tasks: Iterable[ServiceTask]) -> Mapping[str, Sequence[ServiceTask]]:
    """The tasks by model, without the resolution that VOD's specifications have; `unknown` is VOD's own word."""
    groups: dict[str, list[ServiceTask]] = {}
    for task in tasks:
        groups.setdefault(task.order.label.replace(" ", "") or "unknown", []).append(task)
    return groups


def by_day(tasks: Iterable[ServiceTask], span: Span) -> Sequence[Json]:
    """TaskStatDataItems of the days that a span touches."""
    return _items(tasks, _midnight(span.start), span.end, DAY_S)


def by_day_or_minutes(tasks: Iterable[ServiceTask], span: Span) -> Sequence[Json]:
    """VOD's TaskStatDataItems: of 5 minutes up to a day, otherwise of days. An answer in days begins a day early, as in
    the document's example (a query from 2025-11-18 has an item of 2025-11-17)."""
    if span.end - span.start > DAY_S:
        return _items(tasks, _midnight(span.start) - DAY_S, span.end, DAY_S)
    return _items(tasks, span.start - span.start % FIVE_MINUTES_S, span.end, FIVE_MINUTES_S)


def _items(tasks: Iterable[ServiceTask], start: float, end: float, step_s: float) -> Sequence[Json]:
    counts: list[tuple[int, int]] = [(0, 0)] * (int((end - start) // step_s) + 1)
    for task in tasks:
        place = int((task.ends_at - start) // step_s)
        if 0 <= place < len(counts):
            count, amount = counts[place]
            counts[place] = (count + 1, amount + _amount(task))
    return [
        {"Time": _iso(start + place * step_s), "Count": count, "Usage": amount}
        for place, (count, amount) in enumerate(counts)
    ]


def quotas(fields: Mapping[str, Json], limits: Mapping[str, int], tasks: Sequence[ServiceTask]) -> Mapping[str, Json]:
    """DescribeAigcQuotas: the quota of one QuotaType, if the settings have one, and its use by these tasks."""
    word = text_of(fields, "QuotaType")
    if not word:
        raise missing("QuotaType")
    size = int(within("Limit", integer_of(fields, "Limit", 10), MOST_QUOTAS))
    first = int(within("Offset", integer_of(fields, "Offset", 0), most=1_000_000, least=0))
    all_quotas: list[Json] = []
    if word in limits:
        used = sum(map(_amount, tasks))
        all_quotas.append({"QuotaType": word, "ApiToken": "", "QuotaLimit": limits[word], "Usage": used})
    return {"QuotaSet": all_quotas[first : first + size], "TotalCount": len(all_quotas)}


def _amount(task: ServiceTask) -> int:
    """Images, or seconds of video or audio."""
    return task.order.count if isinstance(task.order, ImageOrder) else task.order.seconds


def _midnight(at: float) -> float:
    return datetime.fromtimestamp(at, _ZONE).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, _ZONE).isoformat(timespec="seconds")
