"""The service's Unix time, independent of this machine's clock.

The service checks signatures and expires URLs by its own clock, while a machine's clock may be off by a day or be
corrected in mid-run. So this clock follows the machine's until the first answer with a `Date`. Then it follows the
service's, and the loop's monotonic clock, which nobody sets, counts the seconds between two answers.

An answer's `Date` is in whole seconds and was written at some moment of the exchange. So it tells an interval: at the
receipt the service's time is at least the `Date`, and at most a second (the part that is cut off) and the exchange's
length more. A time within the interval stays as it is: no answer makes it jitter.

A gateway may write the `Date` by a clock of its own. The service then refuses calls signed by it, though they agree
with it: their `Date` is no longer heard, and the machine's clock is believed again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_log: Final = logging.getLogger("mps_aigc_async")

SLACK_S: Final = 1.0
"""Seconds that our time may lie outside an answer's interval before it is corrected. The servers behind one name differ
by up to a second, and would otherwise move our clock back and forth. Every use of this time tolerates such an error:
signatures live 300 s, keys are dropped 5 s before they expire, URLs live for hours."""

AGREES_S: Final = 240.0
"""How close a call's timestamp and the `Date` that refused it must be to prove that another clock wrote the `Date`: the
service takes timestamps up to 300 s off (TC3), less a minute for slow requests."""

AGREE_S: Final = 60.0
"""Seconds by which the machine's two clocks may part before a time that was heard earlier no longer counts: the
monotonic one stands still while the machine sleeps, and the wall clock can be set."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment by both of the machine's clocks, to count from."""

    wall: float
    monotonic: float


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
        """Service time less monotonic time; None until the service has told its time."""
        self._heard: Mark | None = None
        """When the service last told its time."""
        self._hears = True
        """Whether the `Date` of answers is taken for the service's."""

    def __repr__(self) -> str:
        return f"<ServiceClock by {'the machine' if self._offset_s is None else 'the service'}: {self.now():.3f}>"

    def now(self) -> float:
        """Unix seconds."""
        return self._wall() if self._offset_s is None else self._monotonic() + self._offset_s

    @property
    def is_the_machines(self) -> bool:
        """Whether it goes by the machine's clock, and an answer could correct it."""
        return self._hears and self._offset_s is None

    @property
    def is_certain(self) -> bool:
        """Whether the service has told its time, and the machine has not slept or been set since."""
        if self._heard is None or not self._hears:
            return False
        wall, monotonic = self._wall() - self._heard.wall, self._monotonic() - self._heard.monotonic
        return abs(wall - monotonic) < AGREE_S

    def mark(self) -> Mark:
        """This moment, for `since`."""
        return Mark(self._wall(), self._monotonic())

    def since(self, mark: Mark) -> float:
        """Seconds since then, by the clock of the machine that went further: never too few after a sleep."""
        return max(self._wall() - mark.wall, self._monotonic() - mark.monotonic)

    def hear(self, date: float, took_s: float) -> None:
        """Take in the `Date` (Unix seconds) of an answer that has just come, `took_s` after its request was sent."""
        if not self._hears:
            return
        self._heard = self.mark()
        known = self.now()
        told = corrected(known, date, took_s)
        if self._offset_s is None or told != known:
            self._offset_s = told - self._monotonic()

    def refused(self, signed_at: float, date: float, took_s: float) -> None:
        """Take in the `Date` of an answer that refused a call for its timestamp."""
        if self._hears and abs(signed_at - date) < AGREES_S:
            _log.warning("the service refuses calls of the time that its answers tell: this machine's clock counts now")
            self._hears, self._offset_s = False, None
        elif not self._hears and abs(signed_at - self.now()) < AGREES_S:  # the machine's own: no better
            self._hears = True
        self.hear(date, took_s)


def corrected(known: float, date: float, took_s: float) -> float:
    """Our time, unchanged if an answer's `Date` allows it, else the middle of the answer's interval.

    >>> corrected(100.9, date=100.0, took_s=0.1), corrected(98.9, date=100.0, took_s=0.0)
    (100.9, 100.5)
    """
    latest = date + 1.0 + max(0.0, took_s)
    if date - SLACK_S <= known <= latest + SLACK_S:
        return known
    return (date + latest) / 2
