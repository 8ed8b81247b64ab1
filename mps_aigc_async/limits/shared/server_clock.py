"""The clock of a server on the loop's clock, from the answers of transactions. Arithmetic only, times are arguments.

Each answer brings the server's time, and the loop's times before the request and after the answer. The server's moment
lies between those two, so half of the time between them is the sample's uncertainty. The best sample counts, until it
has aged: two clocks drift apart by at most 100 ppm.

A simpler rule counts an answer's wait from the middle of its request, and discards an answer that took longer than J/5.
Both rules close the same interleaving: an answer that comes late would shift the send time by its lateness. With the
best sample a late answer shifts nothing, because an earlier one has told the offset. A reservation is discarded only
while no sample is good enough (`shared_pace`).
"""

from dataclasses import dataclass
from typing import Final

DRIFT: Final = 1e-4
"""Seconds by which two clocks may drift apart in a second: the quartz of a computer stays within 100 ppm."""


@dataclass(frozen=True, slots=True)
class _Sample:
    offset: float
    """The loop's time less the server's."""
    radius: float
    at: float
    """The loop's time before the request: the server's moment was then or later."""

    def uncertainty(self, now: float) -> float:
        return self.radius + DRIFT * max(0.0, now - self.at)


class ServerClock:
    """The offset between the two clocks.

    >>> clock = ServerClock()
    >>> clock.note(1000.0, before=5.0, after=5.5)
    True
    >>> clock.loop_time(1001.0), round(clock.uncertainty(5.5), 3)
    (6.25, 0.25)
    """

    def __init__(self) -> None:
        self._best: _Sample | None = None

    def note(self, server: float, before: float, after: float) -> bool:
        """Note one answer. Return False if it contradicts the earlier ones: one of the clocks was set."""
        sample, best = _Sample((before + after) / 2 - server, (after - before) / 2, before), self._best
        if best is None:
            self._best = sample
            return True
        agrees = abs(sample.offset - best.offset) <= sample.radius + best.uncertainty(after) + 1e-6
        if not agrees or sample.radius <= best.uncertainty(after):
            self._best = sample
        return agrees

    def loop_time(self, server: float) -> float:
        """A time of the server's clock, on the loop's clock."""
        return server + (self._best.offset if self._best else 0.0)

    def uncertainty(self, now: float) -> float:
        """Most seconds by which `loop_time` may be wrong."""
        return self._best.uncertainty(now) if self._best else float("inf")
