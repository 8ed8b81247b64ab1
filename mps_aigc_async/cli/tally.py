"""Where a batch stands, counted from events as they come and from outcomes as they end.

Events tell what happens now; a job that an earlier run brought to its end has none, only an outcome. So both count,
and what was counted by its event is not counted again by its outcome.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from .. import events
from ..assembly import BatchItem
from ..errors import (
    AigcError,
    ClientClosed,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    LedgerError,
    TaskTimeout,
)
from ..policy import AFTER, stops_a_batch
from ..results import Outcome, steps_made
from ..states import Ending, Kind

MOST_REASONS: Final = 10
MOST_IDS: Final = 5


class Word(StrEnum):
    """What can be said of a job."""

    DONE = "done"
    SAVED = "saved"
    FAILED = "failed"
    UNKNOWN = "unknown"


_OF_EVENT: Final[Mapping[type[events.Event], Word]] = {
    events.Done: Word.DONE,
    events.Saved: Word.SAVED,
    events.Failed: Word.FAILED,
    events.Unknown: Word.UNKNOWN,
}


@dataclass(slots=True)
class Reason:
    """Why requests did not end well: the first few of them, and how many there are."""

    error: AigcError
    """The first one's."""
    count: int = 0
    ids: list[str] = field(default_factory=list)


class Tally:
    """Counts the jobs of one batch. Its memory follows what is under way, not what has ended."""

    def __init__(self, totals: Mapping[Kind, int]) -> None:
        self.totals = {kind: totals[kind] for kind in Kind if totals.get(kind)}
        self.counts: dict[Word, Counter[Kind]] = {word: Counter() for word in Word}
        self.reasons: dict[str, Reason] = {}
        self.other_reasons = 0
        """Requests that ended for reasons beyond the first MOST_REASONS."""
        self.not_well = 0
        """Requests that failed, are unknown, or could not be finished."""
        self.trouble = ""
        """Why the latest create has to be sent again, or the latest result fetched again; empty once one went well."""
        self._told: set[tuple[str, Word]] = set()

    def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Retried):
            self.trouble = event.error.reason
        elif isinstance(event, events.Submitted | events.Saved):
            self.trouble = ""
        if (word := _OF_EVENT.get(type(event))) and (event.job_id, word) not in self._told:
            self._told.add((event.job_id, word))
            self.counts[word][event.kind] += 1

    def on_outcome(self, outcome: Outcome[BatchItem]) -> None:
        for kind, word in set(_said_by(outcome)):
            job_id = f"{outcome.job_id}/{kind}"
            if (job_id, word) not in self._told and not (word is Word.FAILED and (job_id, Word.DONE) in self._told):
                self.counts[word][kind] += 1
        self._told -= {(f"{outcome.job_id}/{kind}", word) for kind in Kind for word in Word}
        if outcome.error is not None:
            self.not_well += 1
            self._give_reason(outcome.error, outcome.job_id)

    def open(self, kind: Kind) -> int:
        """Jobs that have neither been done nor failed, nor are unknown."""
        return self.totals[kind] - sum(self.counts[word][kind] for word in (Word.DONE, Word.FAILED, Word.UNKNOWN))

    def _give_reason(self, error: AigcError, request_id: str) -> None:
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
            reason.ids.append(request_id)


def _said_by(outcome: Outcome[BatchItem]) -> Iterator[tuple[Kind, Word]]:
    """What an outcome says of its jobs."""
    for one in steps_made(outcome.result or outcome.partial):
        yield one.kind, Word.DONE
        if one.is_saved:
            yield one.kind, Word.SAVED
    if outcome.error is not None and (word := word_for(outcome.error)) is not None:
        step = (outcome.error.job_id or "").removeprefix(f"{outcome.job_id}/")
        if step in list(Kind):
            yield Kind(step), word


def word_for(error: AigcError) -> Word | None:
    """What an error says of its job; None where the same command again would go on with it."""
    if isinstance(error, CreateOutcomeUnknown):
        return Word.UNKNOWN
    if isinstance(error, DownloadError):
        return Word.DONE
    if isinstance(error, DamagedRow):
        return Word.FAILED
    after = AFTER[error.ending or Ending.REFUSED]
    goes_on = after.create_again or after.stops_creating or isinstance(error, TaskTimeout | ClientClosed | LedgerError)
    return None if goes_on else Word.FAILED
