"""The progress of a run, from three sources: the ledger before the run, events, and outcomes.

Each job has one standing at a time, and the counts are derived from the standings. So the same news from two sources
counts once, and for each kind the numbers of all words add up to the total. Jobs of earlier batches are counted apart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ..engine.batch import BatchItem
from ..ledger import JobRecord
from ..model import events
from ..model.errors import AigcError, BudgetReached, DamagedRow
from ..model.outcomes import Outcome
from ..model.plain_text import visible_line
from ..model.results import Result, steps_made
from ..model.states import JobState, Kind, Word
from ..policy.retries import stops_a_batch
from .batch_jobs import BatchJobs, Standing
from .verdicts import standing_of_error, standings_of

MOST_REASONS: Final = 10
"""Reasons that the summary prints: more would scroll the table away."""

MOST_IDS: Final = 5
"""Ids that the summary prints beside a reason."""


WORDS: Final[Mapping[Standing, Word]] = {
    Standing.OPEN: Word.PLANNED,
    Standing.RUNNING: Word.RUNNING,
    Standing.LATE: Word.RUNNING,
    Standing.DONE: Word.DONE,
    Standing.UNSAVED: Word.DONE,
    Standing.SAVED: Word.SAVED,
    Standing.FAILED: Word.FAILED,
    Standing.REFUSED: Word.FAILED,
    Standing.BLOCKED: Word.BLOCKED,
    Standing.UNKNOWN: Word.UNKNOWN,
}

_OF_EVENT: Final[Mapping[type[events.Event], Standing]] = {
    events.Planned: Standing.OPEN,
    events.Submitted: Standing.RUNNING,
    events.Done: Standing.DONE,
    events.Saved: Standing.SAVED,
    events.Failed: Standing.FAILED,
    events.Unknown: Standing.UNKNOWN,
}

_OF_STATE: Final[Mapping[JobState, Standing]] = {
    JobState.PLANNED: Standing.OPEN,
    JobState.INTENT: Standing.UNKNOWN,  # its process has died: opening the ledger will make it unknown
    JobState.SUBMITTED: Standing.RUNNING,
    JobState.DONE: Standing.DONE,
    JobState.SAVED: Standing.SAVED,
    JobState.FAILED: Standing.FAILED,
    JobState.UNKNOWN: Standing.UNKNOWN,
}

_SUCCESSES: Final = frozenset({Standing.DONE, Standing.UNSAVED, Standing.SAVED})


@dataclass(slots=True)
class Counts:
    """Jobs by kind, and by the word for their state."""

    total: Counter[Kind] = field(default_factory=Counter)
    _begun: Counter[tuple[Word, Kind]] = field(default_factory=Counter)
    """The jobs that are more than planned."""

    def move(self, kind: Kind, before: Standing, after: Standing) -> None:
        """Count a job by its new standing in place of its former one."""
        for standing, step in ((before, -1), (after, 1)):
            if WORDS[standing] is not Word.PLANNED:
                self._begun[WORDS[standing], kind] += step

    def of(self, word: Word, *kinds: Kind) -> int:
        """The jobs in a state; without kinds those of all kinds."""
        if word is Word.PLANNED:
            return sum(self.total[kind] - sum(self._begun[other, kind] for other in Word) for kind in kinds or Kind)
        return sum(self._begun[word, kind] for kind in kinds or Kind)

    def with_result(self, *kinds: Kind) -> int:
        """The jobs whose task has ended with a result."""
        return self.of(Word.DONE, *kinds) + self.of(Word.SAVED, *kinds)


@dataclass(slots=True)
class Names:
    """The ids of the first of some requests, and the number of all."""

    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.ids) < MOST_IDS:
            self.ids.append(name)

    def __str__(self) -> str:
        return ", ".join(map(visible_line, self.ids)) + (", …" if self.count > len(self.ids) else "")


@dataclass(slots=True)
class Reason:
    """A reason why requests failed."""

    error: AigcError
    """The error of the first request."""
    names: Names = field(default_factory=Names)


class Tally:
    """Counts the jobs of one batch, and apart from them the other jobs of its ledger that are or may be paid for.

    Memory: 9 bytes for each job of the batch, and the ids of the other jobs that are not saved.
    """

    def __init__(self, jobs: BatchJobs) -> None:
        self._jobs = jobs
        self._others: dict[str, Standing] = {}
        self.batch = Counts(total=Counter(jobs.totals))
        self.earlier = Counts()
        """Jobs of earlier batches. A job that is only planned has cost nothing, and is not counted."""
        self.reasons: dict[str, Reason] = {}
        self.other_reasons = 0
        """Requests that failed for reasons beyond the first MOST_REASONS."""
        self.needing_attention = 0
        """Requests of the batch that failed, are unknown, or could not be finished."""
        self.saves_earlier = False
        """Whether any job of an earlier batch was running, or done and not saved."""
        self.moved_files = 0
        """Files of saved results that are not in their place any more."""
        self.kept_requests = 0
        """Requests that were complete before."""
        self.changed_defaults: dict[str, Names] = {}
        """The config's defaults that have changed since kept results were made, each with the requests; the first
        ones."""
        self.over_budget = 0
        """Requests that wait for a larger budget."""
        self.budget_refusal: BudgetReached | None = None
        self.trouble = ""
        """Why the latest create or download has to be retried; empty after a success."""

    @property
    def totals(self) -> Mapping[Kind, int]:
        """The batch's jobs, for the kinds that it has."""
        return {kind: self.batch.total[kind] for kind in Kind if self.batch.total[kind]}

    # --- news ---------------------------------------------------------------------------------------------------------

    def on_ledger(self, jobs: Iterable[tuple[str, Kind, JobState]]) -> None:
        """Count the ledger's jobs, before the first event."""
        for job_id, kind, state in jobs:
            standing = _OF_STATE[state]
            if self._jobs.get(job_id) is not None:
                self._set(job_id, kind, standing)
            elif standing is Standing.SAVED:  # a saved job stays saved: its id need not be remembered
                self.earlier.total[kind] += 1
                self.earlier.move(kind, Standing.OPEN, standing)
            else:
                self._set_other(job_id, kind, standing)

    def on_retry(self, jobs: Iterable[JobRecord]) -> None:
        """Count the jobs that had failed and are retried."""
        for job in jobs:
            self._update(job.job_id, job.kind, _OF_STATE[job.state])

    def on_event(self, event: events.Event) -> None:
        """Count an event of the client."""
        if isinstance(event, events.Retried):
            self.trouble = event.error.reason
        elif isinstance(event, events.Submitted | events.Saved):
            self.trouble = ""
        if (standing := _OF_EVENT.get(type(event))) is not None:
            self._update(event.job_id, event.kind, standing)

    def on_outcome(self, outcome: Outcome[BatchItem, Result]) -> None:
        """Count the outcome of a request of the batch."""
        for job_id, standing in standings_of(outcome):
            self._judge(job_id, standing, outcome.error)
        files = [file for one in steps_made(outcome.result) for file in one.files]
        self.moved_files += sum(not file.exists() for file in files)
        self.kept_requests += outcome.is_kept
        for origin in outcome.origins:
            for change in origin.changed_defaults:
                if len(self.changed_defaults) < MOST_REASONS:
                    self.changed_defaults.setdefault(f"{origin.kind}: {change}", Names()).add(outcome.job_id)
        if isinstance(outcome.error, BudgetReached):
            self.over_budget += 1
            self.budget_refusal = self.budget_refusal or outcome.error
        elif outcome.error is not None:
            self.needing_attention += 1
            self._give_reason(outcome.error, outcome.job_id)

    def on_saving(self, outcome: Outcome[JobRecord, Result]) -> None:
        """Count the outcome of a paid job that was saved alongside the batch, or could not be saved."""
        job, error = outcome.request, outcome.error
        if error is not None:
            standing = standing_of_error(outcome)
            if standing is Standing.UNSAVED or standing is Standing.LATE:  # other ends have events
                self._update(job.job_id, job.kind, standing)
            self.needing_attention += self.asks_for(job.job_id)
            self._give_reason(error, job.job_id)
        else:
            self._update(job.job_id, job.kind, Standing.SAVED)  # a batch's own job may have been saved without an event

    # --- questions ----------------------------------------------------------------------------------------------------

    def asks_for(self, job_id: str) -> bool:
        """Whether the batch asks for the very job that the ledger has under this id."""
        return self._jobs.get(job_id) not in (None, Standing.REFUSED)

    def is_named(self, job_id: str) -> bool:
        """Whether the batch has a job of this id. The ledger's job of this id may be another one."""
        return self._jobs.get(job_id) is not None

    def was_given_up(self, job_id: str) -> bool:
        """Whether this run has tried to finish the job and could not."""
        return self._jobs.get(job_id) in (Standing.LATE, Standing.UNSAVED)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _judge(self, job_id: str, standing: Standing, error: AigcError | None) -> None:
        """Take an outcome's standing of a job of the batch, unless the job is further already."""
        before = self._jobs.get(job_id)
        if before is None:  # the file has changed since it was read
            return
        kind = Kind(job_id.rpartition("/")[2])
        if standing is Standing.DONE and before in _SUCCESSES:
            return
        if standing is Standing.BLOCKED and before is not Standing.OPEN:
            return
        if standing is Standing.FAILED and before in _SUCCESSES and not isinstance(error, DamagedRow):
            return
        if standing is Standing.REFUSED and before not in (Standing.OPEN, Standing.REFUSED):
            self._set_other(job_id, kind, before)  # the ledger has another job under this id
        self._set(job_id, kind, standing)

    def _update(self, job_id: str, kind: Kind, standing: Standing) -> None:
        """Take the ledger's standing of a job."""
        if self.asks_for(job_id):
            self._set(job_id, kind, standing)
        else:
            self._set_other(job_id, kind, standing)

    def _set(self, job_id: str, kind: Kind, standing: Standing) -> None:
        before = self._jobs.get(job_id)
        assert before is not None  # noqa: S101 — the caller has checked it
        self._jobs.put(job_id, standing)
        self.batch.move(kind, before, standing)

    def _set_other(self, job_id: str, kind: Kind, standing: Standing) -> None:
        before = self._others.get(job_id, Standing.OPEN)
        self.earlier.total[kind] += (standing is not Standing.OPEN) - (before is not Standing.OPEN)
        self.earlier.move(kind, before, standing)
        self._others[job_id] = standing
        self.saves_earlier = self.saves_earlier or standing in (Standing.RUNNING, Standing.DONE)

    def _give_reason(self, error: AigcError, name: str) -> None:
        if stops_a_batch(error):  # the error ends the batch, and is printed once at its end
            return
        reason = self.reasons.get(error.reason)
        if reason is None:
            if len(self.reasons) == MOST_REASONS:
                self.other_reasons += 1
                return
            reason = self.reasons[error.reason] = Reason(error)
        reason.names.add(name)
