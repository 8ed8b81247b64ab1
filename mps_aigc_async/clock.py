"""The service's Unix time, independent of this machine's clock.

The service checks signatures and expires URLs by its own clock, while a machine's clock may be off by a day or be
corrected in mid-run. So this clock follows the machine's until the first answer with a `Date`. Then it follows the
service's, and the loop's monotonic clock, which nobody sets, counts the seconds between two answers.

A `Date` is in whole seconds, and was written at some moment of the exchange. So it gives an interval: when the answer
arrives, the service's time is at least the `Date`, and at most the `Date` plus one second (the part that is cut off)
plus the duration of the exchange. A time within the interval is left unchanged, so that it does not jitter.
"""

from collections.abc import Callable
from typing import Final

SLACK_S: Final = 1.0
"""Seconds that our time may lie outside an answer's interval before it is corrected. The servers behind one name differ
by up to a second, and would otherwise move our clock back and forth. Every use of this time tolerates such an error:
signatures live 300 s, keys are dropped 5 s before they expire, URLs live for hours."""


class ServiceClock:
    """The service's time, taken from the `Date` of its answers.

    >>> clock = ServiceClock(wall=lambda: 5000.0, monotonic=lambda: 7.0)
    >>> clock.now()
    5000.0
    >>> clock.hear(1000.0, took_s=0.2)
    >>> clock.now()
    1000.6
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset_s: float | None = None
        """Service time minus monotonic time; None until the first answer with a `Date`."""

    def __repr__(self) -> str:
        return f"<ServiceClock by {'the machine' if self._offset_s is None else 'the service'}: {self.now():.3f}>"

    def now(self) -> float:
        """Unix seconds."""
        return self._wall() if self._offset_s is None else self._monotonic() + self._offset_s

    def hear(self, date: float, took_s: float) -> None:
        """Adjust to the `Date` (Unix seconds) of an answer that arrived just now, `took_s` after its request left."""
        known = self.now()
        told = corrected(known, date, took_s)
        if self._offset_s is None or told != known:
            self._offset_s = told - self._monotonic()


def corrected(known: float, date: float, took_s: float) -> float:
    """Our time, unchanged if an answer's `Date` allows it, else the middle of the answer's interval.

    >>> corrected(100.9, date=100.0, took_s=0.1), corrected(98.9, date=100.0, took_s=0.0)
    (100.9, 100.5)
    """
    latest = date + 1.0 + max(0.0, took_s)
    if date - SLACK_S <= known <= latest + SLACK_S:
        return known
    return (date + latest) / 2
