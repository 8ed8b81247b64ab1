"""A whole batch in numbers, counted row by row, so that a million rows need little memory."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from ..ledger import JobRecord
from ..model.states import JobState, Kind, Word
from .shots import Shot, clean, seconds
from .timeline import Span, span_of

MOST_BARS: Final = 4000
"""Most tasks that a picture can show one by one."""
MOST_REASONS: Final = 30
MOST_NAMED: Final = 8


@dataclass(slots=True)
class Reason:
    """A reason why requests need attention: their number, and the first few of them."""

    standing: Word
    text: str
    advice: str
    count: int = 0
    shots: list[tuple[int, str]] = field(default_factory=list)
    """The number and name of each of the first MOST_NAMED requests."""


class Overview:
    """The figures above the shots."""

    def __init__(self, now: float) -> None:
        self._now = now
        self.standings: Counter[Word] = Counter()
        self.jobs: Counter[tuple[Kind, JobState]] = Counter()
        self.retries = 0
        self.reasons: dict[str, Reason] = {}
        self.other_reasons = 0
        """Requests whose reason comes after the first MOST_REASONS."""
        self.spans: list[Span] = []
        self.tasks = 0
        self.begin = self.end = 0.0
        self._at_service: dict[Kind, array[float]] = {}

    def add(self, shot: Shot, jobs: Sequence[JobRecord]) -> None:
        self.standings[shot.standing] += 1
        # Equal reasons of a chain count once: a chain with two missing files is one request that needs attention.
        for reason, step in {clean(step.error.reason): step for step in shot.steps if step.error is not None}.items():
            self._add_reason(shot, step.standing, reason, step.advice)
        for job in jobs:
            self._add_job(job, shot.number)

    def _add_job(self, job: JobRecord, shot: int) -> None:
        self.jobs[job.kind, job.state] += 1
        self.retries += max(0, job.attempts - 1)
        if job.submitted_at is not None and job.ended_at is not None:
            self._at_service.setdefault(job.kind, array("d")).append(job.ended_at - job.submitted_at)
        span = span_of(job, shot, self._now)
        if span is not None:
            self.tasks += 1
            self.begin = min(self.begin or span.sent_at, span.sent_at)
            self.end = max(self.end, *(end for _, end in span.busy()))
            if len(self.spans) < MOST_BARS:
                self.spans.append(span)

    def _add_reason(self, shot: Shot, standing: Word, text: str, advice: str) -> None:
        reason = self.reasons.get(text)
        if reason is None:
            if len(self.reasons) == MOST_REASONS:
                self.other_reasons += 1
                return
            reason = self.reasons[text] = Reason(standing, text, advice)
        reason.count += 1
        if len(reason.shots) < MOST_NAMED:
            reason.shots.append((shot.number, shot.name))

    @property
    def shots(self) -> int:
        return self.standings.total()

    @property
    def unsaved_results(self) -> int:
        """The number of results that are paid for and not saved."""
        return sum(count for (_, state), count in self.jobs.items() if state is JobState.DONE)

    @property
    def kinds(self) -> list[Kind]:
        return [kind for kind in Kind if any(kind is job_kind for job_kind, _ in self.jobs)]

    def usual(self, kind: Kind) -> str:
        """The median time of a task at the service; a dash if no task of the kind has ended."""
        lengths = self._at_service.get(kind)
        return seconds(median(lengths)) if lengths else "–"
