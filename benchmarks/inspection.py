"""The best that polling can do: when to ask about a task whose duration's distribution is known.

Asking costs a poll, and not asking costs delay. For a price of a poll (seconds of delay that one more is worth) the
best moments follow from the last one backwards, by dynamic programming over a grid of ages; prices are tried until the
number of polls is the one given (Barlow, Hunter and Proschan 1963 treat the continuous case).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

GRID: Final = 1200
"""Ages at which one may ask: under half a second apart, for images and videos."""
TAIL: Final = 3.7
"""Standard deviations of the logarithm to either side that the grid covers: of ten thousand tasks, one lies beyond
either end."""

Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Durations:
    """Log-normal durations of tasks, in seconds."""

    median: float
    sigma: float
    """Of their logarithm."""

    def at(self, deviations: float) -> float:
        return self.median * exp(self.sigma * deviations)

    def grid(self) -> tuple[Array, Array]:
        """Ages, from 0 to where the last task has ended, and the chance to end between each two."""
        from_tail = np.linspace(self.at(-TAIL), self.at(TAIL), GRID)
        normal = NormalDist()
        by = np.array([normal.cdf(float(x)) for x in np.log(from_tail / self.median) / self.sigma])
        by[0], by[-1] = 0.0, 1.0
        return np.concatenate([[0.0], from_tail]), np.diff(np.concatenate([[0.0], by]))


@dataclass(frozen=True)
class Found:
    """The mean results of a plan of polls."""

    polls: float
    delay_s: float


def best(durations: Durations, polls: float) -> Found:
    """The least mean delay with this mean number of polls."""
    ages, chances = durations.grid()
    dear, cheap = (
        50.0,
        1e-5,
    )  # so many seconds for a poll that there are next to none, and so few that there is one a step
    few, many = _for_price(ages, chances, dear), _for_price(ages, chances, cheap)
    for _ in range(18):  # halved so often, the range of prices is down to a factor of 1.00006
        price = sqrt(dear * cheap)
        plan = _for_price(ages, chances, price)
        if plan.polls > polls:
            cheap, many = price, plan
        else:
            dear, few = price, plan
    if many.polls == few.polls:
        return few
    share = (polls - few.polls) / (many.polls - few.polls)  # of tasks, with the one plan; of the others, the other
    return Found(polls, few.delay_s + share * (many.delay_s - few.delay_s))


def _for_price(ages: Array, chances: Array, price: float) -> Found:
    """The best plan where a poll costs as much as `price` seconds of delay."""
    last = len(ages) - 1
    middles = (ages[1:] + ages[:-1]) / 2
    ended = np.concatenate([[0.0], np.cumsum(chances)])
    moments = np.concatenate([[0.0], np.cumsum(chances * middles)])
    costs, follows = np.zeros(last + 1), [last] * (last + 1)
    for now in range(last - 1, -1, -1):
        later = slice(now + 1, last + 1)
        waited = ages[later] * (ended[later] - ended[now]) - (moments[later] - moments[now])
        each = price * (1.0 - ended[now]) + waited + costs[later]
        follows[now] = now + 1 + int(np.argmin(each))
        costs[now] = each[follows[now] - now - 1]
    return _comes_to(_plan(follows), ages, ended, moments)


def _plan(follows: Sequence[int]) -> list[int]:
    """From a task's start to its last moment: where one asks."""
    plan = [0]
    while plan[-1] < len(follows) - 1:
        plan.append(follows[plan[-1]])
    return plan


def _comes_to(plan: Sequence[int], ages: Array, ended: Array, moments: Array) -> Found:
    begins, ends = np.array(plan[:-1]), np.array(plan[1:])
    delay = ages[ends] * (ended[ends] - ended[begins]) - (moments[ends] - moments[begins])
    return Found(polls=float((1.0 - ended[begins]).sum()), delay_s=float(delay.sum()))
