"""The batch over time, as geometry: a bar for each task in the lanes of its kind, and under them the creates a second.

A lane is a slot: a task is drawn in the topmost one that is free, so the number of lanes is how many ran at once, and
a gap in one is a slot that stood empty. Times in which nothing happened (a batch continued the next day) are cut out.
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
LEFT: Final = 92.0
"""Of the picture, for the names of the lanes."""
CUT: Final = 22.0
"""How wide a time is drawn in which nothing happened."""
LANES_HEIGHT: Final = 220.0
"""Of one kind's lanes, if there are many; with few they are THICKEST each."""
THICKEST: Final = 16.0
LOWEST: Final = 30.0
"""Of one kind's lanes, if there are few: their names need two lines."""
PACE_HEIGHT: Final = 46.0
TICKS: Final = 9
"""At most, about."""
BINS: Final = 240
LEGEND: Final = {
    "create": "created",
    "queue": "in the queue",
    "run": "runs",
    "late": "ended in here, then noticed",
    "save": "saved",
    "failed": "failed in here",
    "unknown": "unknown",
}
_ROUND: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
"""Seconds between ticks, to choose from."""


@dataclass(frozen=True, slots=True)
class Span:
    """One task's life as far as it is known (Unix seconds)."""

    kind: Kind
    shot: int
    """The number of its request."""
    label: str
    state: JobState
    sent: float
    accepted: float | None
    running: float | None
    unfinished: float
    """Until when it is known, or taken, not to have ended."""
    noticed: float | None
    saved: float | None

    @property
    def end(self) -> float:
        """When its slot was free again, or until when it is drawn."""
        return self.unfinished if self.noticed is None else self.noticed

    def busy(self) -> Iterator[tuple[float, float]]:
        """The times in which something is known to have happened: all but the wait of who was not there to look."""
        yield self.sent, self.unfinished
        if self.noticed is not None:
            yield self.noticed, max(self.noticed, self.saved or 0.0)


def span_of(job: JobRecord, shot: int, now: float) -> Span | None:
    """None for a job of which nothing was sent. One that may still run is drawn until now, or until its deadline."""
    sent = job.sent_at or job.intent_at
    if sent is None or job.state is JobState.PLANNED:
        return None
    known = max(sent, job.submitted_at or 0.0, job.unfinished_at or 0.0)
    return Span(
        kind=job.kind,
        shot=shot,
        label=job.job_id,
        state=job.state,
        sent=sent,
        accepted=job.submitted_at,
        running=job.running_at,
        unfinished=max(known, min(now, job.slot_until or now)) if job.state is JobState.SUBMITTED else known,
        noticed=job.ended_at,
        saved=job.saved_at,
    )


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A task: its whole place, to point at."""

    box: Box
    span: Span


@dataclass(frozen=True, slots=True)
class Lanes:
    kind: Kind
    y: float
    height: float
    count: int
    """How many ran at once, at most."""
    parts: Mapping[str, str]
    """SVG paths by the parts of a task's life, as LEGEND names them."""
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Pace:
    """Creates of one kind a second."""

    kind: Kind
    y: float
    path: str
    most: float
    limit: float
    """The documented limit."""
    limit_y: float | None
    """Where it is drawn; None where it is out of the picture."""


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Picture:
    height: float
    lanes: Sequence[Lanes]
    paces: Sequence[Pace]
    ticks: Sequence[Tick]
    cuts: Sequence[Box]
    bin_s: float
    """Each bar of the pace is the average over this many seconds."""

    @property
    def legend(self) -> Sequence[tuple[str, str]]:
        """The parts that are in it, with their names for people."""
        return [(part, name) for part, name in LEGEND.items() if any(part in lanes.parts for lanes in self.lanes)]


class Axis:
    """Time to x. Monotonous; a time in which nothing happened is CUT wide however long it was."""

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
        """Where a time is; one before the first or after the last is at that end."""
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
        found = []
        for piece, (first, last) in enumerate(self.pieces):
            number = -int(-(first - begin) // step) if piece else 0
            while begin + number * step <= last:
                found.append(Tick(self.at(begin + number * step), _elapsed(number * step)))
                number += 1
        return found

    def cuts(self, height: float) -> list[Box]:
        return [Box(self.at(before[1]), 0.0, self._cut, height) for before, _ in pairwise(self.pieces)]


def _pieces(busy: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The busy times, joined wherever the time between them is not long in comparison."""
    merged: list[tuple[float, float]] = []
    for begin, end in busy:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    long = max(60.0, sum(end - begin for begin, end in merged) / 2)
    joined = merged[:1]
    for begin, end in merged[1:]:
        if begin - joined[-1][1] < long:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    return joined


def _elapsed(length: float) -> str:
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def draw(spans: Sequence[Span], limits: Mapping[Kind, float]) -> Picture | None:
    """The picture of these tasks; `limits` are the documented creates a second. None if there are no tasks."""
    if not spans:
        return None
    axis = Axis(interval for span in spans for interval in span.busy())
    bin_s = max(1.0, axis.active / BINS)
    lanes: list[Lanes] = []
    paces: list[Pace] = []
    y = 8.0
    for kind in Kind:
        if mine := sorted((span for span in spans if span.kind is kind), key=lambda span: span.sent):
            lanes.append(_lanes(kind, mine, axis, y))
            y += lanes[-1].height + 14
    for kind in [lane.kind for lane in lanes]:
        sent = [span.sent for span in spans if span.kind is kind]
        paces.append(_pace(kind, sent, axis, bin_s, y, limits[kind]))
        y += PACE_HEIGHT + 10
    return Picture(y + 18, lanes, paces, axis.ticks(), axis.cuts(y), bin_s)


def _lanes(kind: Kind, spans: Sequence[Span], axis: Axis, y: float) -> Lanes:
    placed, count = _place(spans)
    thick = min(THICKEST, LANES_HEIGHT / count)
    paths: dict[str, list[str]] = {}
    bars = []
    for span, lane in zip(spans, placed, strict=True):
        top, height = y + lane * thick, thick * 0.8
        for part, begin, end in _parts(span):
            left, right = axis.at(begin), axis.at(end)
            low, tall = (top + height * 0.75, height * 0.25) if part == "save" else (top, height)
            paths.setdefault(part, []).append(_box(Box(left, low, max(right - left, 0.6), tall)))
        left = axis.at(span.sent)
        bars.append(Bar(Box(left, top, max(axis.at(span.end) - left, 2.0), height), span))
    parts = {part: "".join(boxes) for part, boxes in paths.items()}
    return Lanes(kind, y, max(LOWEST, thick * count), count, parts, bars)


def _place(spans: Sequence[Span]) -> tuple[list[int], int]:
    """Each task's lane (the topmost one that is free when it begins), and how many lanes there are."""
    free: list[int] = []
    taken: list[tuple[float, int]] = []
    placed: list[int] = []
    count = 0
    for span in spans:
        while taken and taken[0][0] <= span.sent:
            heappush(free, heappop(taken)[1])
        if free:
            lane = heappop(free)
        else:
            lane, count = count, count + 1
        placed.append(lane)
        heappush(taken, (span.end, lane))
    return placed, count


def _parts(span: Span) -> Iterator[tuple[str, float, float]]:
    """What a task's time went into: name, begin, end."""
    if span.state is JobState.UNKNOWN:
        yield "unknown", span.sent, span.end
        return
    accepted = span.accepted if span.accepted is not None else span.end
    yield "create", span.sent, accepted
    if span.running is not None:
        yield "queue", accepted, span.running
    yield "run", accepted if span.running is None else span.running, span.unfinished
    if span.noticed is not None:
        yield "failed" if span.state is JobState.FAILED else "late", span.unfinished, span.noticed
        if span.saved is not None:
            yield "save", span.noticed, span.saved


def _pace(kind: Kind, sent: Sequence[float], axis: Axis, bin_s: float, y: float, limit: float) -> Pace:
    begin = min(sent)
    counts = Counter(int((at - begin) / bin_s) for at in sent)
    rates = {number: count / bin_s for number, count in counts.items()}
    most = max(rates.values())
    # The limit is in the picture where it explains it; a batch far below it would be a flat line.
    top = max(most, limit) if most > limit / 3 else most
    boxes = []
    for number, rate in sorted(rates.items()):
        left, right = axis.at(begin + number * bin_s), axis.at(begin + (number + 1) * bin_s)
        height = PACE_HEIGHT * rate / top
        boxes.append(_box(Box(left, y + PACE_HEIGHT - height, max(right - left - 0.5, 0.6), height)))
    limit_y = y + PACE_HEIGHT * (1 - limit / top) if top >= limit else None
    return Pace(kind, y, "".join(boxes), most, limit, limit_y)


def _box(box: Box) -> str:
    """A rectangle as a path: thousands of them are then one element."""
    return f"M{box.x:.1f} {box.y:.1f}h{box.width:.1f}v{box.height:.1f}h-{box.width:.1f}z"
