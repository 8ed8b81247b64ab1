"""The service's Unix time, independent of this machine's clock.

The service checks signatures and expires URLs by its own clock, while a machine's clock may be off by a day or be
corrected in mid-run. So this clock follows the machine's until the first answer with a `Date`. Then it follows the
service's, and the loop's monotonic clock, which no program sets, counts the seconds between two answers.

An answer's `Date` is in whole seconds and was written at some moment of the exchange. So it stands for an interval: at
the receipt the service's time is at least the `Date`, and at most a second (the part that is cut off) and the
exchange's length more. Our time does not change if it lies within the interval, so no answer makes it jitter.

A gateway may write the `Date` by a clock of its own. The service then refuses calls that are signed by that clock. From
then on this clock ignores the `Date` and follows the machine's clock again.
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

TIMESTAMPS_AGREE_S: Final = 240.0
"""Seconds between a refused call's timestamp and the refusal's `Date`, below which another clock wrote the `Date`: the
service takes timestamps up to 300 s off (TC3), less a minute for slow requests."""

CLOCKS_AGREE_S: Final = 60.0
"""Seconds by which the machine's two clocks may part before the service's last `Date` no longer counts: the monotonic
clock stands still while the machine sleeps, and the wall clock can be set."""


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
        """Service time less monotonic time; None before the first `Date`."""
        self._answered: Mark | None = None
        """The moment of the service's last `Date`."""
        self._hears = True
        """Whether the `Date` of answers counts as the service's time."""

    def __repr__(self) -> str:
        return f"<ServiceClock by {'the machine' if self._offset_s is None else 'the service'}: {self.now():.3f}>"

    def now(self) -> float:
        """Unix seconds."""
        return self._wall() if self._offset_s is None else self._monotonic() + self._offset_s

    @property
    def is_the_machines(self) -> bool:
        """Whether this clock follows the machine's, and an answer could correct it."""
        return self._hears and self._offset_s is None

    @property
    def machine_ahead_s(self) -> float | None:
        """Seconds by which the machine's clock is ahead of the service's; None if the service has not told its time."""
        return None if self._offset_s is None else self._wall() - self.now()

    @property
    def is_certain(self) -> bool:
        """Whether the service has told its time, and the machine has not slept or been set since."""
        if self._answered is None or not self._hears:
            return False
        wall, monotonic = self._wall() - self._answered.wall, self._monotonic() - self._answered.monotonic
        return abs(wall - monotonic) < CLOCKS_AGREE_S

    def mark(self) -> Mark:
        """Mark this moment, for `since`."""
        return Mark(self._wall(), self._monotonic())

    def since(self, mark: Mark) -> float:
        """Return the seconds since a mark, by the larger advance of the machine's two clocks: a sleep counts."""
        return max(self._wall() - mark.wall, self._monotonic() - mark.monotonic)

    def hear(self, date: float, took_s: float) -> None:
        """Take in the `Date` (Unix seconds) of an answer that has just arrived, `took_s` after its request was sent."""
        if not self._hears:
            return
        self._answered = self.mark()
        before = self.now()
        after = correct(before, date, took_s)
        if self._offset_s is None or after != before:
            self._offset_s = after - self._monotonic()

    def hear_refusal(self, signed_at: float, date: float, took_s: float) -> None:
        """Take in the `Date` of an answer that refused a call for its timestamp."""
        if self._hears and abs(signed_at - date) < TIMESTAMPS_AGREE_S:
            _log.warning(
                "the service refuses calls that are dated by its own answers: from now on this machine's clock counts"
            )
            self._hears, self._offset_s = False, None
        elif not self._hears and abs(signed_at - self.now()) < TIMESTAMPS_AGREE_S:  # the machine's clock fails as well
            self._hears = True
        self.hear(date, took_s)


def correct(time: float, date: float, took_s: float) -> float:
    """Return our time, unchanged if an answer's `Date` allows it, else the middle of the answer's interval.

    >>> correct(100.9, date=100.0, took_s=0.1), correct(98.9, date=100.0, took_s=0.0)
    (100.9, 100.5)
    """
    latest = date + 1.0 + max(0.0, took_s)
    if date - SLACK_S <= time <= latest + SLACK_S:
        return time
    return (date + latest) / 2
