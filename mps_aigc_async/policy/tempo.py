"""When to ask about a task: every so often, or when it is likely to have ended.

A tempo is a clock: polls come every `interval_s` on it. The fixed one is ours. The adaptive one runs fast at the ages
at which tasks of the cohort have been seen to end, slowly at others, and as the fixed one beyond them all, so that
about as many polls tell of the end sooner. How fast: for a task of age t with hazard h(t), the chance to end now given
that it has not, the best density of checks goes with the square root of h(t) (optimal inspection: Barlow, Hunter and
Proschan 1963; Keller 1974). Its speed is scaled to 1 on average over a task's life, so that it spends the polls that
the fixed one would.

The hazard comes from the latest ends of the cohort, smoothed on a logarithmic scale. It is trusted by degrees: nothing
is known of the first task, which the fixed clock serves. The square root is what makes it safe to learn: an age at
which one of a hundred tasks has ended is asked at a tenth as often as one at which they all do, and not at a hundredth.
"""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import exp, log, sqrt
from statistics import fmean, quantiles, stdev
from typing import Final, Protocol

KEPT: Final = 200
"""Ends of a cohort that are remembered: enough for a smooth hazard, and few enough to follow a service that changes."""

TRUSTED_AFTER: Final = 50
"""Ends until the learned clock is followed as far as it ever is."""

LEAST_SPEED: Final = 0.02
"""The part that the fixed clock keeps for good: no age goes without polls."""

STRAY: Final = 1e-3
"""The chance that a task ends at an age of which the seen ones tell nothing; its hazard falls with the age."""

MOST_COHORTS: Final = 256
"""Sorts that are remembered, some 5 kB each; of more, those whose tasks ended last: any name can be asked for."""

FEWEST: Final = 5
"""Ends that make a smooth hazard at all."""

_GOLDEN: Final = (sqrt(5) - 1) / 2
"""Steps of it, modulo 1, fall evenly, however many there are (Weyl's sequence of the golden ratio)."""
_STEPS: Final = 4
"""Bins a bandwidth."""
_LEAST_BANDWIDTH: Final = 0.01
"""One hundredth of the age: polls tell no end more exactly than that for long."""
_WEIGHTS: Final = [exp(-((step / _STEPS) ** 2) / 2) for step in range(-4 * _STEPS, 4 * _STEPS + 1)]
_KERNEL: Final = [weight / sum(_WEIGHTS) for weight in _WEIGHTS]
"""A normal curve out to four bandwidths."""


class Tempo(Protocol):
    """Says when a task is asked about next. A cohort is what tasks have in common that last about as long."""

    def next_age(self, cohort: Hashable, age: float, interval_s: float) -> float:
        """The age at which to ask, of a task that had not ended at `age` (seconds since it was accepted)."""
        ...

    def ended(self, cohort: Hashable, after: float, by: float) -> None:
        """A task had not ended at the age `after`, and had `by`."""
        ...


class Fixed:
    """Every interval, whatever the age; the poller stretches it where the action's rate gives no more."""

    def next_age(self, cohort: Hashable, age: float, interval_s: float) -> float:  # noqa: ARG002 — Tempo's
        return age + interval_s

    def ended(self, cohort: Hashable, after: float, by: float) -> None:
        """Nothing is to be learned."""


class Adaptive:
    """When it pays, by what has been seen of the task's cohort.

    >>> tempo = Adaptive()
    >>> for age in range(200, 260):
    ...     tempo.ended("video", after=age, by=age + 1)
    >>> round(tempo.next_age("video", age=0.0, interval_s=5.0))
    69
    """

    def __init__(self) -> None:
        self._cohorts: OrderedDict[Hashable, _Cohort] = OrderedDict()

    def next_age(self, cohort: Hashable, age: float, interval_s: float) -> float:
        known = self._cohorts.get(cohort)
        return age + interval_s if known is None else known.clock.later(age, interval_s)

    def ended(self, cohort: Hashable, after: float, by: float) -> None:
        if not 0.0 <= after < by:
            return
        self._cohorts.setdefault(cohort, _Cohort()).ended(after, by)
        self._cohorts.move_to_end(cohort)
        if len(self._cohorts) > MOST_COHORTS:
            self._cohorts.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Clock:
    """What a cohort's clock shows by a task's age: straight between knots, and on at its last speed after them."""

    ages: Sequence[float] = (0.0, 1.0)
    readings: Sequence[float] = (0.0, 1.0)

    def later(self, age: float, interval_s: float) -> float:
        """The age at which the clock shows `interval_s` more than at `age`."""
        return _at(self.readings, self.ages, _at(self.ages, self.readings, age) + interval_s)


def _at(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Linear between the points, and on along the last two."""
    right = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    left = right - 1
    return ys[left] + (ys[right] - ys[left]) * (x - xs[left]) / (xs[right] - xs[left])


@dataclass(slots=True)
class _Cohort:
    """What has been seen of one cohort of tasks."""

    clock: Clock = field(default_factory=Clock)
    _ends: "deque[float]" = field(default_factory=lambda: deque(maxlen=KEPT))
    _since: int = 0
    """Ends since the clock was made."""
    _place: float = 0.5
    """Where between its two polls the latest end was taken to be."""

    def ended(self, after: float, by: float) -> None:
        # It ended anywhere between: many are spread evenly there, and not heaped up in the middle.
        self._place = (self._place + _GOLDEN) % 1.0
        self._ends.append(after + self._place * (by - after))
        self._since += 1
        # Made anew with every tenth end of those that it stands on: the cost of a task does not grow with them.
        if len(self._ends) >= FEWEST and self._since * 10 >= len(self._ends):
            self.clock, self._since = learned(self._ends), 0


def learned(ends: Sequence[float]) -> Clock:
    """The clock for tasks that ended at these ages (seconds): the best, as far as there are enough to trust it."""
    edges, chances = _smoothed(ends)
    survivors = accumulate(chances[:-1], lambda left, chance: left - chance, initial=1.0)
    speeds = [
        sqrt((chance / (end - begin) + STRAY / (3 * end)) / (max(0.0, left - chance / 2) + STRAY))
        for (begin, end), chance, left in zip(pairwise(edges), chances, survivors, strict=True)
    ]
    shown = _shown(edges, speeds)
    # 1 on average over the lives seen, so that the polls stay as many: the smoothed lives may be longer.
    scale = fmean(ends) / fmean(_at(edges, shown, end) for end in ends)
    followed = min(1.0, len(ends) / TRUSTED_AFTER) * (1 - LEAST_SPEED)
    speeds = [1 - followed + followed * scale * speed for speed in speeds]
    # Of one that outlives all that were seen they tell nothing: on as by the fixed clock.
    ages = [*edges, edges[-1] + 1.0]
    return Clock(ages, _shown(ages, [*speeds, 1.0]))


def _smoothed(ends: Sequence[float]) -> tuple[list[float], list[float]]:
    """The chance to end between each two of the ages returned, which begin at 0. Bins of equal ratio."""
    logs = sorted(log(max(end, 1e-3)) for end in ends)
    lower, _, upper = quantiles(logs, n=4)
    # Silverman's rule: a width that a few strays do not spoil.
    bandwidth = max(_LEAST_BANDWIDTH, 0.9 * min(stdev(logs), (upper - lower) / 1.34) * len(logs) ** -0.2)
    width, reach = bandwidth / _STEPS, len(_KERNEL) // 2
    chances = [0.0] * (int((logs[-1] - logs[0]) / width) + len(_KERNEL))
    for end in logs:
        at = int((end - logs[0]) / width)
        for step, weight in enumerate(_KERNEL):
            chances[at + step] += weight / len(logs)
    edges = [exp(logs[0] + (number - reach) * width) for number in range(len(chances) + 1)]
    return [0.0, *edges], [0.0, *chances]


def _shown(edges: Sequence[float], speeds: Sequence[float]) -> list[float]:
    steps = ((end - begin) * speed for (begin, end), speed in zip(pairwise(edges), speeds, strict=True))
    return list(accumulate(steps, initial=0.0))
