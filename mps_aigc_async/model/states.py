"""The words for where things stand, and the one table that says which moves a job may make.

    planned → intent → submitted → done → saved
                     ↘ unknown          (also: failed; by the user's word both go back into this row)

A task that the model refused for want of room, and of which the answer shows that nothing was made, is *planned* again.

A *job* is one task's life here; a *task* is the service's side of it. The service's own words (WAIT, RUN, DONE, FAIL)
are mapped to `TaskState` in the dialect and go no further.
"""

from enum import Enum, StrEnum


class Kind(StrEnum):
    """What a task makes, in the order of a chain's steps. Limits on tasks running at once count per kind."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class JobState(StrEnum):
    """One job's state as the ledger keeps it."""

    PLANNED = "planned"
    """Known here; nothing was sent, nothing can have been billed."""
    INTENT = "intent"
    """On disk that a create is about to be sent. Found again after a crash it means *unknown*."""
    SUBMITTED = "submitted"
    """Accepted: the TaskId is on disk. Billed if it succeeds; polled until it ends."""
    DONE = "done"
    """The service finished it; its URLs live until `expires_at`."""
    SAVED = "saved"
    """Its files are on disk here, complete."""
    FAILED = "failed"
    """Refused for good, or failed at the service. Stays so until the user asks to retry."""
    UNKNOWN = "unknown"
    """The create was sent and no answer told whether it was accepted. Sent again by itself only with a session of which
    the service is known to refuse a second create."""


MOVES: dict[JobState, frozenset[JobState]] = {
    # A refused or undelivered create goes back to planned: the next attempt writes its intent anew.
    JobState.PLANNED: frozenset({JobState.INTENT, JobState.FAILED}),
    JobState.INTENT: frozenset({JobState.SUBMITTED, JobState.PLANNED, JobState.FAILED, JobState.UNKNOWN}),
    # Planned again only when the service has ended the task with nothing made: `task_ends.is_planned_again`.
    JobState.SUBMITTED: frozenset({JobState.DONE, JobState.FAILED, JobState.PLANNED}),
    # Several results are saved one by one: those that are there are kept while another is missing still.
    JobState.DONE: frozenset({JobState.DONE, JobState.SAVED}),
    # A file that was deleted may be fetched again while its URL lives: saved again, with the new paths.
    JobState.SAVED: frozenset({JobState.SAVED}),
    # By the user's word alone: try again; a task that the service did not know is only asked about again.
    JobState.FAILED: frozenset({JobState.PLANNED, JobState.SUBMITTED}),
    # By the user's word alone: create again, this is its task, drop it. The exception is a create with a session, where
    # the service is known to refuse a second one of it: that is sent again.
    JobState.UNKNOWN: frozenset({JobState.PLANNED, JobState.SUBMITTED, JobState.FAILED, JobState.INTENT}),
}
"""Every move a job may make; any other raises in `JobRecord.moved`."""


class TaskState(StrEnum):
    """The service's side, whatever words it uses."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class TaskFault(StrEnum):
    """The reason why an accepted task failed, if the service gives a code (VOD, and a relay that hands it on)."""

    CONCURRENCY = "concurrency"
    """The model took no more tasks of this account."""
    BUSY = "busy"
    """The model took no more tasks of anybody."""
    REVIEW = "review"
    """The prompt, an input or the result was blocked by content review."""
    REQUEST = "request"
    """A parameter or an input of the request."""
    SERVICE = "service"
    """Anything else, and what no document lists."""


class Ending(Enum):
    """The ways an exchange can end other than well. What follows from each is `policy.retries.CONSEQUENCES`."""

    NEVER_DELIVERED = "never delivered"
    UNREACHABLE = "never delivered, until somebody corrects the cause"
    REFUSED_FOR_NOW = "refused for now"
    REFUSED = "refused for good, this job"
    ACCOUNT_REFUSED = "refused for good, the account"
    ACCEPTED_BEFORE = "refused, because an earlier one was accepted"
    UNKNOWN = "outcome unknown"
