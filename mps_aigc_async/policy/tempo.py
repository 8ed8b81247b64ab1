"""The tempo of polls: when to poll a task, at a fixed interval or when the task has probably ended.

A tempo is a clock: polls come every `interval_s` on it. The fixed clock shows true time. The adaptive clock runs fast
at the ages at which tasks of the cohort have ended, slowly at other ages, and like the fixed clock beyond them all. So
about as many polls find the end sooner. The speed: let h(t) be the hazard of a task of age t, its chance to end now if
it has not ended before. The best density of checks is proportional to the square root of h(t) (optimal inspection:
Barlow, Hunter and Proschan 1963; Keller 1974). The speed is scaled to 1 on average over a task's life, so that the
adaptive clock needs as many polls as the fixed one.

The hazard comes from the latest ends of the cohort, smoothed on a logarithmic scale. Trust in it grows with the number
of ends: the first task is polled by the fixed clock. The square root makes learning safe: an age at which 1 of 100
tasks has ended is polled a tenth as often as an age at which all end, not a hundredth as often.
"""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import exp, log, sqrt
from statistics import fmean, quantiles, stdev
from typing import Final, Protocol

MOST_ENDS: Final = 200
"""Latest ends of a cohort in memory: enough for a smooth hazard, and few enough to follow a service that changes."""

TRUSTED_AFTER: Final = 50
"""Ends after which the trust in the learned clock grows no more."""

LEAST_SPEED: Final = 0.02
"""The share that the fixed clock always keeps, so that no age goes without polls."""

STRAY: Final = 1e-3
"""The chance that a task ends at an age far from the recorded ends; its hazard falls with the age."""

MOST_COHORTS: Final = 256
"""Cohorts in memory, some 5 kB each: the cohorts with the latest ends. A bound, because requests may name any model."""

FEWEST: Final = 5
"""Fewest ends for a smooth hazard."""

_GOLDEN: Final = (sqrt(5) - 1) / 2
"""The golden ratio's step. Any number of steps, modulo 1, is spread evenly (Weyl's sequence)."""
_STEPS: Final = 4
"""Bins a bandwidth."""
_LEAST_BANDWIDTH: Final = 0.01
"""A hundredth of the age: polls seldom locate an end more exactly."""
_WEIGHTS: Final = [exp(-((step / _STEPS) ** 2) / 2) for step in range(-4 * _STEPS, 4 * _STEPS + 1)]
_KERNEL: Final = [weight / sum(_WEIGHTS) for weight in _WEIGHTS]
"""A normal curve out to four bandwidths."""


class Tempo(Protocol):
    """Decides when a task is polled next. A cohort is the key of tasks that last about as long."""

    def next_age(self, cohort: Hashable, age: float, interval_s: float) -> float:
        """The age of the next poll for a task that had not ended at `age` (seconds since it was accepted)."""
        ...

    def record_end(self, cohort: Hashable, after: float, by: float) -> None:
        """Learn that a task ended between the ages `after` and `by`, in seconds."""
        ...


class Fixed:
    """A poll every interval at any age. The poller stretches the interval if the action's rate is too low."""

    def next_age(self, cohort: Hashable, age: float, interval_s: float) -> float:  # noqa: ARG002 — Tempo's
        return age + interval_s

    def record_end(self, cohort: Hashable, after: float, by: float) -> None:
        """Do nothing: the interval is fixed."""


class Adaptive:
    """Polls when an end is likely, by the recorded ends of the task's cohort.

    >>> tempo = Adaptive()
    >>> for age in range(200, 260):
    ...     tempo.record_end("video", after=age, by=age + 1)
    >>> round(tempo.next_age("video", age=0.0, interval_s=5.0))
    69
    """

    def __init__(self) -> None:
        self._cohorts: OrderedDict[Hashable, _Cohort] = OrderedDict()

    def next_age(self, cohort: Hashable, age: float, interval_s: float) -> float:
        history = self._cohorts.get(cohort)
        return age + interval_s if history is None else history.clock.later(age, interval_s)

    def record_end(self, cohort: Hashable, after: float, by: float) -> None:
        if not 0.0 <= after < by:
            return
        self._cohorts.setdefault(cohort, _Cohort()).record_end(after, by)
        self._cohorts.move_to_end(cohort)
        if len(self._cohorts) > MOST_COHORTS:
            self._cohorts.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Clock:
    """The readings of a cohort's clock by a task's age: linear between knots, and at the last speed after them."""

    ages: Sequence[float] = (0.0, 1.0)
    readings: Sequence[float] = (0.0, 1.0)

    def later(self, age: float, interval_s: float) -> float:
        """The age at which the clock shows `interval_s` more than at `age`."""
        return _at(self.readings, self.ages, _at(self.ages, self.readings, age) + interval_s)


def _at(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value at x: linear between the points, and beyond them along the nearest two."""
    right = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    left = right - 1
    return ys[left] + (ys[right] - ys[left]) * (x - xs[left]) / (xs[right] - xs[left])


@dataclass(slots=True)
class _Cohort:
    """The recorded ends of a cohort, and the clock learned from them."""

    clock: Clock = field(default_factory=Clock)
    _ends: "deque[float]" = field(default_factory=lambda: deque(maxlen=MOST_ENDS))
    _since: int = 0
    """Ends since the clock was computed."""
    _place: float = 0.5
    """The assumed place of the latest end between its two polls, from 0 to 1."""

    def record_end(self, after: float, by: float) -> None:
        # The task ended anywhere between the polls. So assumed ends are spread evenly there, not heaped in the middle.
        self._place = (self._place + _GOLDEN) % 1.0
        self._ends.append(after + self._place * (by - after))
        self._since += 1
        # The clock is computed again after a tenth as many new ends, so that the cost of a task does not grow.
        if len(self._ends) >= FEWEST and self._since * 10 >= len(self._ends):
            self.clock, self._since = learn_clock(self._ends), 0


def learn_clock(ends: Sequence[float]) -> Clock:
    """The clock for tasks that ended at these ages (seconds): a mix of the best clock and the fixed one, by trust."""
    edges, chances = _smoothed(ends)
    survivors = accumulate(chances[:-1], lambda left, chance: left - chance, initial=1.0)
    speeds = [
        sqrt((chance / (end - begin) + STRAY / (3 * end)) / (max(0.0, left - chance / 2) + STRAY))
        for (begin, end), chance, left in zip(pairwise(edges), chances, survivors, strict=True)
    ]
    readings = _readings(edges, speeds)
    # Scale the speed to 1 on average over the recorded lives, which the smoothed lives may exceed: as many polls.
    scale = fmean(ends) / fmean(_at(edges, readings, end) for end in ends)
    trust = min(1.0, len(ends) / TRUSTED_AFTER) * (1 - LEAST_SPEED)
    speeds = [1 - trust + trust * scale * speed for speed in speeds]
    # Nothing is known of a task that outlives all recorded ones: the clock goes on like the fixed one.
    ages = [*edges, edges[-1] + 1.0]
    return Clock(ages, _readings(ages, [*speeds, 1.0]))


def _smoothed(ends: Sequence[float]) -> tuple[list[float], list[float]]:
    """Ages from 0 on, and the chance to end between each two of them. The bins have equal ratios."""
    logs = sorted(log(max(end, 1e-3)) for end in ends)
    lower, _, upper = quantiles(logs, n=4)
    # Silverman's rule: a few strays do not spoil the width.
    bandwidth = max(_LEAST_BANDWIDTH, 0.9 * min(stdev(logs), (upper - lower) / 1.34) * len(logs) ** -0.2)
    width, reach = bandwidth / _STEPS, len(_KERNEL) // 2
    chances = [0.0] * (int((logs[-1] - logs[0]) / width) + len(_KERNEL))
    for end in logs:
        at = int((end - logs[0]) / width)
        for step, weight in enumerate(_KERNEL):
            chances[at + step] += weight / len(logs)
    edges = [exp(logs[0] + (number - reach) * width) for number in range(len(chances) + 1)]
    return [0.0, *edges], [0.0, *chances]


def _readings(edges: Sequence[float], speeds: Sequence[float]) -> list[float]:
    steps = ((end - begin) * speed for (begin, end), speed in zip(pairwise(edges), speeds, strict=True))
    return list(accumulate(steps, initial=0.0))
