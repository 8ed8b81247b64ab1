"""Where a run stands, from three sources: the ledger as the run found it, events as they come, outcomes as they end.

Each job has one stand at a time, and the counts are derived from the stands. So the same news from two sources counts
once, and for each kind asked = done + failed + unknown + open. Jobs of the ledger that the batch does not ask for are
counted apart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ..engine.batch import BatchItem
from ..ledger import JobRecord
from ..model import events
from ..model.errors import AigcError, DamagedRow
from ..model.outcomes import Outcome
from ..model.states import JobState, Kind
from ..policy.retries import stops_a_batch
from .asked import AskedJobs, Stand
from .verdicts import stand_of_error, stands_of

MOST_REASONS: Final = 10
MOST_IDS: Final = 5


class Word(StrEnum):
    """What can be said of a job."""

    DONE = "done"
    SAVED = "saved"
    FAILED = "failed"
    UNKNOWN = "unknown"


_WORDS: Final[Mapping[Stand, tuple[Word, ...]]] = {
    Stand.OPEN: (),
    Stand.RUNNING: (),
    Stand.LATE: (),
    Stand.DONE: (Word.DONE,),
    Stand.UNSAVED: (Word.DONE,),
    Stand.SAVED: (Word.DONE, Word.SAVED),
    Stand.FAILED: (Word.FAILED,),
    Stand.REFUSED: (Word.FAILED,),
    Stand.UNKNOWN: (Word.UNKNOWN,),
}

_OF_EVENT: Final[Mapping[type[events.Event], Stand]] = {
    events.Planned: Stand.OPEN,
    events.Submitted: Stand.RUNNING,
    events.Done: Stand.DONE,
    events.Saved: Stand.SAVED,
    events.Failed: Stand.FAILED,
    events.Unknown: Stand.UNKNOWN,
}

_OF_STATE: Final[Mapping[JobState, Stand]] = {
    JobState.PLANNED: Stand.OPEN,
    JobState.INTENT: Stand.UNKNOWN,  # its process has died: who opens the ledger next says so
    JobState.SUBMITTED: Stand.RUNNING,
    JobState.DONE: Stand.DONE,
    JobState.SAVED: Stand.SAVED,
    JobState.FAILED: Stand.FAILED,
    JobState.UNKNOWN: Stand.UNKNOWN,
}

_MADE: Final = frozenset({Stand.DONE, Stand.UNSAVED, Stand.SAVED})


@dataclass(slots=True)
class Counts:
    """Jobs by kind, and by the words that can be said of them."""

    asked: Counter[Kind] = field(default_factory=Counter)
    words: dict[Word, Counter[Kind]] = field(default_factory=lambda: {word: Counter() for word in Word})

    def move(self, kind: Kind, before: Stand, after: Stand) -> None:
        """Count a job by its new stand, and by its former one no more."""
        for word in _WORDS[before]:
            self.words[word][kind] -= 1
        for word in _WORDS[after]:
            self.words[word][kind] += 1

    def open(self, kind: Kind) -> int:
        """Jobs that have neither been done nor failed, nor are unknown."""
        return self.asked[kind] - sum(self.words[word][kind] for word in (Word.DONE, Word.FAILED, Word.UNKNOWN))


@dataclass(slots=True)
class Reason:
    """Why requests did not end well: the first few of them, and how many there are."""

    error: AigcError
    """The first one's."""
    count: int = 0
    ids: list[str] = field(default_factory=list)


class Tally:
    """Counts the jobs of one batch, and apart from them the others of its ledger that are or may be paid for.

    In memory are 9 bytes for each job of the batch, and the ids of those other jobs that are not saved.
    """

    def __init__(self, jobs: AskedJobs) -> None:
        self._jobs = jobs
        self._others: dict[str, Stand] = {}
        self.batch = Counts(asked=Counter(jobs.totals))
        self.earlier = Counts()
        """Jobs that this batch does not ask for. A job that is only planned has cost nothing, and is not counted."""
        self.reasons: dict[str, Reason] = {}
        self.other_reasons = 0
        """Requests that ended for reasons beyond the first MOST_REASONS."""
        self.not_well = 0
        """Requests of the batch that failed, are unknown, or could not be finished."""
        self.saves_earlier = False
        """Whether any job that this batch does not ask for was running, or done and not saved."""
        self.trouble = ""
        """Why the latest create has to be sent again, or the latest result fetched again; empty once one went well."""

    @property
    def totals(self) -> Mapping[Kind, int]:
        """The batch's jobs, for the kinds that it has."""
        return {kind: self.batch.asked[kind] for kind in Kind if self.batch.asked[kind]}

    def open(self, kind: Kind) -> int:
        """Jobs of the batch that have neither been done nor failed, nor are unknown."""
        return self.batch.open(kind)

    # --- news ---------------------------------------------------------------------------------------------------------

    def on_ledger(self, jobs: Iterable[tuple[str, Kind, JobState]]) -> None:
        """The ledger's jobs as the run finds them, before the first event."""
        for job_id, kind, state in jobs:
            stand = _OF_STATE[state]
            if self._jobs.get(job_id) is not None:
                self._set(job_id, kind, stand)
            elif stand is Stand.SAVED:  # it stays so: its id need not be remembered
                self.earlier.asked[kind] += 1
                self.earlier.move(kind, Stand.OPEN, stand)
            else:
                self._set_other(job_id, kind, stand)

    def on_retry(self, jobs: Iterable[JobRecord]) -> None:
        """These jobs had failed, and are tried again."""
        for job in jobs:
            self._tell(job.job_id, job.kind, _OF_STATE[job.state])

    def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Retried):
            self.trouble = event.error.reason
        elif isinstance(event, events.Submitted | events.Saved):
            self.trouble = ""
        if (stand := _OF_EVENT.get(type(event))) is not None:
            self._tell(event.job_id, event.kind, stand)

    def on_outcome(self, outcome: Outcome[BatchItem]) -> None:
        """A request of the batch has ended."""
        for job_id, stand in stands_of(outcome):
            self._judge(job_id, stand, outcome.error)
        if outcome.error is not None:
            self.not_well += 1
            self._give_reason(outcome.error, outcome.job_id)

    def on_saving(self, outcome: Outcome[JobRecord]) -> None:
        """A job that was paid for has been saved, or could not be, beside the batch."""
        job, error = outcome.request, outcome.error
        if error is not None:
            stand = stand_of_error(outcome)
            if stand is Stand.UNSAVED or stand is Stand.LATE:  # other ends have events
                self._tell(job.job_id, job.kind, stand)
            self.not_well += self.asks_for(job.job_id)
            self._give_reason(error, job.job_id)
        else:
            self._tell(job.job_id, job.kind, Stand.SAVED)  # a batch's own job may have been saved without an event

    # --- questions ----------------------------------------------------------------------------------------------------

    def asks_for(self, job_id: str) -> bool:
        """Whether the batch asks for the job that the ledger has under this id."""
        return self._jobs.get(job_id) not in (None, Stand.REFUSED)

    def is_named(self, job_id: str) -> bool:
        """Whether the batch has a job of this id, be it another one than the ledger's."""
        return self._jobs.get(job_id) is not None

    def was_given_up(self, job_id: str) -> bool:
        """Whether this run has tried to finish the job, in vain."""
        return self._jobs.get(job_id) in (Stand.LATE, Stand.UNSAVED)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _judge(self, job_id: str, stand: Stand, error: AigcError | None) -> None:
        """Take an outcome's word on a job of the batch, unless it says less than is known."""
        before = self._jobs.get(job_id)
        if before is None:  # the file has changed since it was read
            return
        kind = Kind(job_id.rpartition("/")[2])
        if stand is Stand.DONE and before in _MADE:
            return
        if stand is Stand.FAILED and before in _MADE and not isinstance(error, DamagedRow):
            return
        if stand is Stand.REFUSED and before not in (Stand.OPEN, Stand.REFUSED):
            self._set_other(job_id, kind, before)  # the ledger's job of this id is another one
        self._set(job_id, kind, stand)

    def _tell(self, job_id: str, kind: Kind, stand: Stand) -> None:
        """Take the ledger's word on a job."""
        if self.asks_for(job_id):
            self._set(job_id, kind, stand)
        else:
            self._set_other(job_id, kind, stand)

    def _set(self, job_id: str, kind: Kind, stand: Stand) -> None:
        before = self._jobs.get(job_id)
        assert before is not None  # noqa: S101 — asked by the caller
        self._jobs.put(job_id, stand)
        self.batch.move(kind, before, stand)

    def _set_other(self, job_id: str, kind: Kind, stand: Stand) -> None:
        before = self._others.get(job_id, Stand.OPEN)
        self.earlier.asked[kind] += (stand is not Stand.OPEN) - (before is not Stand.OPEN)
        self.earlier.move(kind, before, stand)
        self._others[job_id] = stand
        self.saves_earlier = self.saves_earlier or stand in (Stand.RUNNING, Stand.DONE)

    def _give_reason(self, error: AigcError, name: str) -> None:
        if stops_a_batch(error):  # it ends the batch, and is told once at its end
            return
        reason = self.reasons.get(error.reason)
        if reason is None:
            if len(self.reasons) == MOST_REASONS:
                self.other_reasons += 1
                return
            reason = self.reasons[error.reason] = Reason(error)
        reason.count += 1
        if len(reason.ids) < MOST_IDS:
            reason.ids.append(name)
