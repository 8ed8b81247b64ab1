"""The states of jobs and tasks, and the table of moves that a job may make.

    planned → intent → submitted → done → saved
                     ↘ unknown          (also: failed; the user can move both back into this row)

A job is *planned* again if the model failed its task for want of room and the answer shows that the task made nothing.

A *job* is one task's life here; a *task* is the service's side. The dialect maps the service's own words (WAIT, RUN,
DONE, FAIL) to `TaskState`; no other module sees those words.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final


class Kind(StrEnum):
    """The medium that a task makes, in the order of a chain's steps. Limits on tasks running at once count per kind."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class JobState(StrEnum):
    """A job's state in the ledger."""

    PLANNED = "planned"
    """In the ledger; nothing was sent, nothing can have been billed."""
    INTENT = "intent"
    """The ledger has on disk that a create is about to be sent. After a crash, an intent means *unknown*."""
    SUBMITTED = "submitted"
    """Accepted: the TaskId is on disk. Billed if the task succeeds; polled until the task ends."""
    DONE = "done"
    """The service finished the task; its URLs live until `expires_at`."""
    SAVED = "saved"
    """The files are on disk here, complete."""
    FAILED = "failed"
    """Refused for good, or failed at the service. Stays so until the user asks to retry."""
    UNKNOWN = "unknown"
    """The create was sent and got no reply: it may or may not have been accepted.

    Sent again without the user's decision only if the service is known to refuse a second create of the session."""


class Word(StrEnum):
    """The state of a job in the words that people read: tables, lists and the page all have these. The word that needs
    a user most comes first.

    A create that is about to be sent (*intent*) is *running* while its process may still send it, and *unknown* after
    that.
    """

    FAILED = "failed"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"
    """Planned, and a step of its chain before it has to be made first: that step failed, or is unknown."""
    DONE = "done"
    """Paid for, and not all of its files are here."""
    RUNNING = "running"
    PLANNED = "planned"
    SAVED = "saved"


UNDER_WAY_S: Final = 300.0
"""Seconds after which a create is no longer under way: it waits 250 ms for its send time, and a minute for its
answer."""

_WORDS: Final[Mapping[JobState, Word]] = {
    JobState.PLANNED: Word.PLANNED,
    JobState.INTENT: Word.UNKNOWN,
    JobState.SUBMITTED: Word.RUNNING,
    JobState.DONE: Word.DONE,
    JobState.SAVED: Word.SAVED,
    JobState.FAILED: Word.FAILED,
    JobState.UNKNOWN: Word.UNKNOWN,
}


def word_for(state: JobState, *, before: Word | None = None, intent_s: float | None = None) -> Word:
    """The word for a job's state. `before` is the word for the chain's step before it, `intent_s` the age in seconds
    of a create that is about to be sent.

    >>> word_for(JobState.PLANNED, before=Word.FAILED)
    <Word.BLOCKED: 'blocked'>
    """
    if state is JobState.PLANNED and before in (Word.FAILED, Word.UNKNOWN, Word.BLOCKED):
        return Word.BLOCKED
    if state is JobState.INTENT and intent_s is not None and intent_s < UNDER_WAY_S:
        return Word.RUNNING
    return _WORDS[state]


MOVES: dict[JobState, frozenset[JobState]] = {
    # A refused or undelivered create goes back to planned; the next attempt writes a new intent.
    JobState.PLANNED: frozenset({JobState.INTENT, JobState.FAILED}),
    JobState.INTENT: frozenset({JobState.SUBMITTED, JobState.PLANNED, JobState.FAILED, JobState.UNKNOWN}),
    # Planned again only if the service has ended the task without a result: `task_ends.is_planned_again`.
    JobState.SUBMITTED: frozenset({JobState.DONE, JobState.FAILED, JobState.PLANNED}),
    # Several results are saved singly: the ledger stores the files so far while another is still missing.
    JobState.DONE: frozenset({JobState.DONE, JobState.SAVED}),
    # A deleted file may be fetched again while its URL lives: saved again, with the new paths.
    JobState.SAVED: frozenset({JobState.SAVED}),
    # By the user's decision alone: retry, or, for a task that the service did not know, only poll again.
    JobState.FAILED: frozenset({JobState.PLANNED, JobState.SUBMITTED}),
    # By the user's decision alone: create again, attach a TaskId, or drop. The exception is a create with a session
    # whose second create the service is known to refuse: the client sends that create again.
    JobState.UNKNOWN: frozenset({JobState.PLANNED, JobState.SUBMITTED, JobState.FAILED, JobState.INTENT}),
}
"""Every move that a job may make. `JobRecord.moved` raises for any other move."""


class TaskState(StrEnum):
    """A task's state at the service, in our words."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class TaskFault(StrEnum):
    """The reason why an accepted task failed, if the service gives a code (VOD, and a relay that passes it on)."""

    CONCURRENCY = "concurrency"
    """The model took no more tasks of this account."""
    BUSY = "busy"
    """The model took no more tasks of any account."""
    REVIEW = "review"
    """Content review blocked the prompt, an input or the result."""
    REQUEST = "request"
    """A parameter or an input of the request is at fault."""
    SERVICE = "service"
    """Any other code, also a code that no document lists."""


class Ending(Enum):
    """The ways in which an exchange can fail. `policy.retries.CONSEQUENCES` has the consequences of each."""

    NEVER_DELIVERED = "never delivered"
    UNREACHABLE = "never delivered, until somebody corrects the cause"
    REFUSED_FOR_NOW = "refused for now"
    REFUSED = "refused for good, this job"
    ACCOUNT_REFUSED = "refused for good, the account"
    ACCEPTED_BEFORE = "refused, because an earlier one was accepted"
    UNKNOWN = "outcome unknown"
