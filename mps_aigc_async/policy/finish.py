"""The earliest finish of a batch, from its tasks and the limits: a bound, not a promise."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from ..model.states import Kind

USUAL_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 120.0, Kind.VIDEO: 240.0, Kind.AUDIO: 60.0}
"""Seconds of a task where the ledger has none of its kind: the middle of "1–3 minutes" and of "3–5 minutes" (AIGC guide
of 2026-05-29). No document has the time of an audio; a minute is assumed."""


@dataclass(frozen=True, slots=True)
class Load:
    """The tasks of one kind that a batch still needs."""

    creates: int
    running: int
    """Tasks that are at the service already."""
    capacity: int
    """Tasks that may run at once."""
    per_second: float
    """Creates that may be sent in a second."""
    task_s: float
    """Seconds of one task."""

    @property
    def span_s(self) -> float:
        """Seconds from the first create to the last end: bounded by the rate, or by the tasks running at once."""
        tasks = self.creates + self.running
        if not tasks:
            return 0.0
        return max(self.creates / self.per_second + self.task_s, ceil(tasks / self.capacity) * self.task_s)


def earliest_finish_s(loads: Mapping[Kind, Load], after: Mapping[Kind, Kind]) -> float:
    """Seconds until the last task can have ended. `after` names the kind whose results all tasks of a kind wait for.

    >>> images, videos = Load(4, 0, 2, 20, 60), Load(4, 0, 1, 10, 240)
    >>> earliest_finish_s({Kind.IMAGE: images, Kind.VIDEO: videos}, {Kind.VIDEO: Kind.IMAGE})
    1020.0
    """
    starts = dict.fromkeys(Kind, 0.0)
    for kind in Kind:
        before = after.get(kind)
        if before is not None and before in loads and loads[before].creates:
            starts[kind] = starts[before] + loads[before].task_s
    return max((starts[kind] + load.span_s for kind, load in loads.items() if load.span_s), default=0.0)
