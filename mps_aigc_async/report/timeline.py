"""The batch over time, as geometry: a bar for each task in the lanes of its kind, and under them the creates a second.

A lane is a slot. A task is drawn in the topmost free lane, so the number of lanes is the number of tasks that ran at
once, and a gap in a lane is an empty slot. Idle times are cut out (a batch resumed the next day).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

from ..ledger import JobRecord
from ..model.states import JobState, Kind

WIDTH: Final = 1200.0
"""Width of the picture; all lengths here are in the units of its viewBox."""
LEFT: Final = 92.0
"""Width of the names at the left of the lanes."""
CUT: Final = 22.0
"""Width of an idle time."""
LANES_HEIGHT: Final = 220.0
"""Greatest height of all lanes of a kind; few lanes are THICKEST each."""
THICKEST: Final = 16.0
"""Greatest height of a lane."""
LOWEST: Final = 30.0
"""Least height of all lanes of a kind: their names need two lines."""
PACE_HEIGHT: Final = 46.0
TICKS: Final = 9
"""About the greatest number of ticks."""
BINS: Final = 240
"""Most bars of a create rate."""
LEGEND: Final = {
    "create": "created",
    "queue": "in the queue",
    "run": "runs",
    "late": "ended in this time, then noticed",
    "save": "saved",
    "failed": "failed in this time",
    "unknown": "unknown",
}
_ROUND: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
"""The choice of seconds between two ticks."""


@dataclass(frozen=True, slots=True)
class Span:
    """The known part of a task's life (Unix seconds)."""

    kind: Kind
    shot: int
    """The number of its request."""
    label: str
    state: JobState
    sent_at: float
    accepted_at: float | None
    running_at: float | None
    unfinished_at: float
    """The time up to which the task had not ended, or is drawn as running."""
    noticed_at: float | None
    """When a poll noticed the end."""
    saved_at: float | None

    @property
    def end(self) -> float:
        """When the slot was free again, or the time up to which the task is drawn."""
        return self.unfinished_at if self.noticed_at is None else self.noticed_at

    def busy(self) -> Iterator[tuple[float, float]]:
        """The times in which the client or the task was active. A time without a client, before it noticed the end, is
        left out."""
        yield self.sent_at, self.unfinished_at
        if self.noticed_at is not None:
            yield self.noticed_at, max(self.noticed_at, self.saved_at or 0.0)


def span_of(job: JobRecord, shot: int, now: float) -> Span | None:
    """The span of a job; None if no create was sent. A task that may still run is drawn until now, or until its
    deadline."""
    sent_at = job.sent_at or job.intent_at
    if sent_at is None or job.state is JobState.PLANNED:
        return None
    latest = max(sent_at, job.submitted_at or 0.0, job.unfinished_at or 0.0)
    return Span(
        kind=job.kind,
        shot=shot,
        label=job.job_id,
        state=job.state,
        sent_at=sent_at,
        accepted_at=job.submitted_at,
        running_at=job.running_at,
        unfinished_at=max(latest, min(now, job.slot_until or now)) if job.state is JobState.SUBMITTED else latest,
        noticed_at=job.ended_at,
        saved_at=job.saved_at,
    )


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """The box of a task, for the pointer."""

    box: Box
    span: Span


@dataclass(frozen=True, slots=True)
class Lanes:
    kind: Kind
    y: float
    height: float
    count: int
    """The number of lanes: the most tasks that ran at once."""
    parts: Mapping[str, str]
    """SVG paths by the parts of a task's life, the keys of LEGEND."""
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class CreateRate:
    """The creates of one kind per second."""

    kind: Kind
    y: float
    path: str
    most: float
    limit: float
    """The documented limit."""
    limit_y: float | None
    """The height of the limit's line; None if the line is outside the picture."""


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Picture:
    height: float
    lanes: Sequence[Lanes]
    create_rates: Sequence[CreateRate]
    ticks: Sequence[Tick]
    cuts: Sequence[Box]
    bin_s: float
    """Seconds of each bar of a create rate: the bar is their average."""

    @property
    def legend(self) -> Sequence[tuple[str, str]]:
        """The parts in the picture, with their names for people."""
        return [(part, name) for part, name in LEGEND.items() if any(part in lanes.parts for lanes in self.lanes)]


class Axis:
    """The axis of time: time to x, monotonous. An idle time of any length is CUT wide."""

    def __init__(self, busy: Iterable[tuple[float, float]]) -> None:
        self.pieces = _pieces(sorted(busy))
        self.active = sum(end - begin for begin, end in self.pieces)
        self._cut = min(CUT, (WIDTH - LEFT) / 2 / len(self.pieces))
        room = WIDTH - LEFT - self._cut * (len(self.pieces) - 1)
        self._scale = room / max(self.active, 1e-3)
        times, places, x = [], [], LEFT
        for begin, end in self.pieces:
            times += [begin, end]
            places += [x, x := x + (end - begin) * self._scale]
            x += self._cut
        self._times, self._places = times, places

    def at(self, time: float) -> float:
        """The x of a time. A time outside the axis is put at its nearer end."""
        index = bisect_right(self._times, time)
        if index == 0:
            return self._places[0]
        if index == len(self._times):
            return self._places[-1]
        before, after = self._times[index - 1], self._times[index]
        share = (time - before) / (after - before) if after > before else 0.0
        return self._places[index - 1] + share * (self._places[index] - self._places[index - 1])

    def ticks(self) -> list[Tick]:
        step = next((step for step in _ROUND if step * TICKS >= self.active), _ROUND[-1])
        begin = self.pieces[0][0]
        ticks = []
        for piece, (first, last) in enumerate(self.pieces):
            number = -int(-(first - begin) // step) if piece else 0
            while begin + number * step <= last:
                ticks.append(Tick(self.at(begin + number * step), _elapsed(number * step)))
                number += 1
        return ticks

    def cuts(self, height: float) -> list[Box]:
        return [Box(self.at(before[1]), 0.0, self._cut, height) for before, _ in pairwise(self.pieces)]


def _pieces(busy: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The busy times. Two of them are joined unless the idle time between them is comparatively long."""
    stretches: list[tuple[float, float]] = []
    for begin, end in busy:
        if stretches and begin <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], max(stretches[-1][1], end)
        else:
            stretches.append((begin, end))
    long = max(60.0, sum(end - begin for begin, end in stretches) / 2)
    pieces = stretches[:1]
    for begin, end in stretches[1:]:
        if begin - pieces[-1][1] < long:
            pieces[-1] = pieces[-1][0], end
        else:
            pieces.append((begin, end))
    return pieces


def _elapsed(length: float) -> str:
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def draw(spans: Sequence[Span], limits: Mapping[Kind, float]) -> Picture | None:
    """Draw the tasks; None without tasks. `limits` are the documented creates a second."""
    if not spans:
        return None
    axis = Axis(interval for span in spans for interval in span.busy())
    bin_s = max(1.0, axis.active / BINS)
    lanes: list[Lanes] = []
    create_rates: list[CreateRate] = []
    y = 8.0
    for kind in Kind:
        if of_kind := sorted((span for span in spans if span.kind is kind), key=lambda span: span.sent_at):
            lanes.append(_lanes(kind, of_kind, axis, y))
            y += lanes[-1].height + 14
    for kind in [lane.kind for lane in lanes]:
        send_times = [span.sent_at for span in spans if span.kind is kind]
        create_rates.append(_create_rate(kind, send_times, axis, bin_s, y, limits[kind]))
        y += PACE_HEIGHT + 10
    return Picture(y + 18, lanes, create_rates, axis.ticks(), axis.cuts(y), bin_s)


def _lanes(kind: Kind, spans: Sequence[Span], axis: Axis, y: float) -> Lanes:
    lane_numbers, count = _place(spans)
    thick = min(THICKEST, LANES_HEIGHT / count)
    paths: dict[str, list[str]] = {}
    bars = []
    for span, lane in zip(spans, lane_numbers, strict=True):
        top, height = y + lane * thick, thick * 0.8
        for part, begin, end in _parts(span):
            left, right = axis.at(begin), axis.at(end)
            low, tall = (top + height * 0.75, height * 0.25) if part == "save" else (top, height)
            paths.setdefault(part, []).append(_box(Box(left, low, max(right - left, 0.6), tall)))
        left = axis.at(span.sent_at)
        bars.append(Bar(Box(left, top, max(axis.at(span.end) - left, 2.0), height), span))
    parts = {part: "".join(boxes) for part, boxes in paths.items()}
    return Lanes(kind, y, max(LOWEST, thick * count), count, parts, bars)


def _place(spans: Sequence[Span]) -> tuple[list[int], int]:
    """Each task's lane (the topmost free lane at its begin), and the number of lanes."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    """The end of each running task, and its lane."""
    lanes: list[int] = []
    count = 0
    for span in spans:
        while busy and busy[0][0] <= span.sent_at:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, count = count, count + 1
        lanes.append(lane)
        heappush(busy, (span.end, lane))
    return lanes, count


def _parts(span: Span) -> Iterator[tuple[str, float, float]]:
    """The parts of a task's life: name, begin, end."""
    if span.state is JobState.UNKNOWN:
        yield "unknown", span.sent_at, span.end
        return
    accepted_at = span.accepted_at if span.accepted_at is not None else span.end
    yield "create", span.sent_at, accepted_at
    if span.running_at is not None:
        yield "queue", accepted_at, span.running_at
    yield "run", accepted_at if span.running_at is None else span.running_at, span.unfinished_at
    if span.noticed_at is not None:
        yield "failed" if span.state is JobState.FAILED else "late", span.unfinished_at, span.noticed_at
        if span.saved_at is not None:
            yield "save", span.noticed_at, span.saved_at


def _create_rate(
    kind: Kind, send_times: Sequence[float], axis: Axis, bin_s: float, y: float, limit: float
) -> CreateRate:
    begin = min(send_times)
    counts = Counter(int((at - begin) / bin_s) for at in send_times)
    rates = {number: count / bin_s for number, count in counts.items()}
    most = max(rates.values())
    # The limit is drawn only near the rates that it explains: a batch far below the limit would be a flat line.
    top = max(most, limit) if most > limit / 3 else most
    boxes = []
    for number, rate in sorted(rates.items()):
        left, right = axis.at(begin + number * bin_s), axis.at(begin + (number + 1) * bin_s)
        height = PACE_HEIGHT * rate / top
        boxes.append(_box(Box(left, y + PACE_HEIGHT - height, max(right - left - 0.5, 0.6), height)))
    limit_y = y + PACE_HEIGHT * (1 - limit / top) if top >= limit else None
    return CreateRate(kind, y, "".join(boxes), most, limit, limit_y)


def _box(box: Box) -> str:
    """A rectangle as a piece of a path, so that thousands of rectangles are a single element."""
    return f"M{box.x:.1f} {box.y:.1f}h{box.width:.1f}v{box.height:.1f}h-{box.width:.1f}z"
