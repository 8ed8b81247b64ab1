"""Measures of paces and of their sends."""

import asyncio

from mps_aigc_async.limits import Pace, PaceFigures


def most_in_a_window(times: list[float], window: float = 1.0) -> int:
    """The most sends in any half-open window, by the definition."""
    times = sorted(times)
    return max((sum(1 for time in times if start <= time < start + window) for start in times), default=0)


def figures_of(pace: Pace) -> PaceFigures:
    """The figures of this moment."""
    return pace.figures(asyncio.get_running_loop().time())


def rate_of(pace: Pace) -> float:
    """Calls per second that the pace allows now."""
    return figures_of(pace).rate
