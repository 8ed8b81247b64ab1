"""How long a task is waited for, on a clock that nobody sets: decisions without effects.

A task that waits in the service's queue is as good as one that runs, and may wait for hours there. So each has a
deadline of its own: the queue's counts from when the watching began, the run's from when a poll first found the task
running.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .states import Kind, TaskState

TASK_DEADLINE_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 1800.0, Kind.VIDEO: 1800.0, Kind.AUDIO: 1800.0}
"""Seconds from when a task was first seen running until it is given up: the guide of 2026-05-29 waits 30 minutes for an
image or a video. No document names a time for audio: as long."""

OFF_PEAK_S: Final = 48 * 3600.0
"""The same for a video that may wait for off-peak hours (Vidu's OffPeak, MPS API documents of 2026-10)."""

QUEUE_S: Final = 12 * 3600.0
"""Seconds that a task may wait in the service's queue. No document bounds it. As long as a result's URL lives (guide of
2026-05-29): a chain's input that was created as late as this could not be fetched any more."""

EMPTY_GRACE_S: Final = 60.0
"""Seconds that a task may be DONE without a URL, with a message that reads like a fault, before it counts as failed: a
service whose result comes right after its word is given time, and who waits hears the reason while it is of use."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that one task is waited for."""

    running_s: float
    queued_s: float

    @classmethod
    def of(cls, running_s: float, *, off_peak: bool = False) -> "Patience":
        """The patience with a task by its kind's deadline; a larger setting of the user's counts for the queue too.

        >>> Patience.of(1800.0), Patience.of(1800.0, off_peak=True).queued_s / 3600
        (Patience(running_s=1800.0, queued_s=43200.0), 48.0)
        """
        running_s = max(running_s, OFF_PEAK_S if off_peak else 0.0)
        return cls(running_s, max(running_s, QUEUE_S))


class Deadline:
    """When to give one task up, by what its polls have told. Times are the loop's."""

    __slots__ = ("_patience", "at", "seen_running")

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self.at = now + patience.queued_s
        self.seen_running = False

    def __repr__(self) -> str:
        return f"<Deadline at {self.at:.3f}, {'running' if self.seen_running else 'queued'}>"

    def polled(self, state: TaskState, now: float) -> None:
        """A poll found the task in this state. What runs once is not taken for waiting again: a service that puts a
        task back would be waited for without end."""
        if state is not TaskState.WAITING and not self.seen_running:
            self.seen_running = True
            self.at = now + self._patience.running_s

    def held_s(self, now: float) -> float:
        """Seconds that the task keeps its slot if nobody polls it from now on: it may begin to run at once."""
        return max(0.0, min(self.at - now, self._patience.running_s))
