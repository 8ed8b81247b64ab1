"""Deadlines of tasks, on the loop's monotonic clock. Pure decisions.

A task may wait in the service's queue for hours before it runs. So the queue and the run have separate deadlines: the
queue's counts from the first moment the task is watched, the run's from the first poll that finds the task running.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..model.states import Kind, TaskState

TASK_DEADLINE_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 1800.0, Kind.VIDEO: 1800.0, Kind.AUDIO: 1800.0}
"""Seconds from the first poll that finds a task running until the client gives the task up. The guide of 2026-05-29
waits 30 minutes for an image or a video. No document names a time for audio, so audio gets the same."""

OFF_PEAK_S: Final = 48 * 3600.0
"""The same deadline in seconds for a video that may wait for off-peak hours (Vidu's OffPeak, MPS API documents of
2026-10)."""

QUEUE_S: Final = 12 * 3600.0
"""Seconds that a task may wait in the service's queue, unless the config says otherwise (`timeouts.queueSeconds`). No
document names a bound, and VOD runs one task at a time by default, so that the user's own queue may take hours. The
value is the life of a result's URL on MPS (guide of 2026-05-29): later, a video's first frame can no longer be
fetched."""

EMPTY_GRACE_S: Final = 60.0
"""Seconds that a task may be DONE with an error message and no URL before it counts as failed. The URL may arrive a
moment after the status; a longer wait would only delay the reason."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The longest waits for a task, in seconds."""

    running_s: float
    queued_s: float

    @classmethod
    def of(cls, running_s: float, queue_s: float | None = None, *, off_peak: bool = False) -> "Patience":
        """Derive both waits from the deadlines of the config. Without `queue_s`, the queue's wait is QUEUE_S, or the
        running deadline if that is longer. An off-peak video may always wait for OFF_PEAK_S.

        >>> Patience.of(1800.0), Patience.of(1800.0, off_peak=True).queued_s / 3600
        (Patience(running_s=1800.0, queued_s=43200.0), 48.0)
        """
        least_s = OFF_PEAK_S if off_peak else 0.0
        running_s = max(running_s, least_s)
        return cls(running_s, max(running_s, QUEUE_S) if queue_s is None else max(queue_s, least_s))


class Deadline:
    """When to give up a task, updated by its polls. Times are the loop's."""

    __slots__ = ("_patience", "at", "seen_running")

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self.at = now + patience.queued_s
        self.seen_running = False

    def __repr__(self) -> str:
        return f"<Deadline at {self.at:.3f}, {'running' if self.seen_running else 'queued'}>"

    def update(self, state: TaskState, now: float) -> None:
        """Take in the state from a poll. A task that has run stays *running* here: otherwise a service that puts tasks
        back into its queue could extend the deadline for ever. Callers leave out a status that no document knows: the
        status may be another word for the queue."""
        if state is not TaskState.WAITING and not self.seen_running:
            self.seen_running = True
            self.at = now + self._patience.running_s

    def slot_hold_s(self, now: float) -> float:
        """Seconds to keep the task's slot taken if its polling stops now. A task that was never seen running, even one
        given up in the queue, may start at any moment and then run for as long as a run may take."""
        return max(0.0, self.at - now) if self.seen_running else self._patience.running_s
