"""The end of a task: the row of its job, and the next step if there is no result. Pure decisions.

Nothing may be paid for twice, so that a task's failure alone sends nothing: the user decides (`retry_failed`). The one
exception is a task that the model refused for want of room, and its evidence is named in `is_planned_again`.
"""

from dataclasses import dataclass, replace
from typing import Final

from ..ledger.record import Changes, JobRecord
from ..model.error_records import to_record
from ..model.errors import AigcError, ServiceError, TaskBlocked, TaskFailed, TaskNotFound
from ..model.states import JobState, Kind, TaskFault, TaskState
from ..policy.lifetimes import Expiry, Lifetime, expiry, is_stored_in, made_after
from ..wire.dialect import TaskStatus
from .own_sessions import replan

NOT_FOUND_MOST: Final = 3
"""Polls in a row that must deny a task before the client believes it: a create's answer may be ahead of the service's
readers, and a paid task must not be lost to that."""

NO_SUCH_TASK: Final = "ResourceNotFound"
"""The code with which MPS answers a poll by another kind's action (reported as tested on the live service, 2026-08),
and only this exact code: its sub-codes name other resources, and the code has other meanings in the answer to a
create."""

NO_ROOM: Final = frozenset({TaskFault.CONCURRENCY, TaskFault.BUSY})

MOST_CREATES: Final = 60
"""Most creates of one job in its life for which a refusal by the model plans it again. Each costs the service a task,
and with the growing delays they take some ten hours, about as long as a task may wait in the service's queue."""

FIRST_DELAY_S: Final = 20.0
"""Seconds before a job is created again after the first refusal by the model: as long as a create that was refused for
want of room waits (`limits.PROBE_S`)."""

MOST_DELAY_S: Final = 640.0
"""Seconds between two creates of a job that the model keeps refusing: about two runs of a video."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended. Times are Unix seconds."""

    status: TaskStatus
    """Its state is still DONE if the task was given up because its result has not come."""
    seen_at: float
    """When the answer with that status came."""
    unfinished_at: float | None
    """When a poll last found the task unfinished. The URLs' life is counted from here: never later than the truth."""
    running_at: float | None
    """When a poll first found the task running after one had found it waiting; None if there were no such two."""


def expiry_of(end: TaskEnd, bucket: str, url_life_s: float) -> Expiry:
    """When the task's results can no longer be fetched. Results in the user's own bucket never expire."""
    status, lifetime = end.status, end.status.lifetime
    if bucket and is_stored_in(bucket, (*status.urls, *status.videos)):
        lifetime = Lifetime(permanent=True, endless=True)
    return expiry(
        lifetime,
        made_after=made_after(end.unfinished_at, status.begun_at, end.seen_at),
        seen_at=end.seen_at,
        url_life_s=url_life_s,
    )


def row_at(end: TaskEnd, job: JobRecord, expires: Expiry, action: str) -> JobRecord:
    """The job's row after its task's end: done, or failed with the results that the task left. `action` is the poll's,
    for the error."""
    if end.status.state is TaskState.DONE and end.status.has_ended:
        return job.moved(JobState.DONE, **_changes_at(end, expires, {}))
    # A submitted job has an error only if its task was polled again for that error (`Settling.retry_failed`).
    failure = failure_of(end.status, action, is_confirmed=bool(job.error))
    return job.moved(JobState.FAILED, **_changes_at(end, expires, to_record(failure)))


def _changes_at(end: TaskEnd, expires: Expiry, error: dict[str, str]) -> Changes:
    status = end.status
    return {
        "urls": status.urls,
        "file_ids": status.file_ids,
        "bare_file_ids": status.bare_file_ids,
        "resolution": status.resolution,
        "duration": status.duration,
        "durations": status.durations,
        "videos": status.videos,
        "video_durations": status.video_durations,
        "request_id": status.request_id,
        "running_at": end.running_at,
        "unfinished_at": end.unfinished_at,
        "ended_at": end.seen_at,
        "expires_at": expires.at if status.has_results else None,
        "never_expires": expires.never and status.has_results,
        "progress": status.progress,
        "usage": status.usage,
        "begun_at": status.begun_at,
        "finished_at": status.finished_at,
        "error": error,
    }


def planned_row(job: JobRecord) -> JobRecord:
    """The row of a job that is created again because the model had no room for its task. The error has the reason."""
    return replace(replan(job), error=job.error)


def failure_of(status: TaskStatus, action: str, *, is_confirmed: bool) -> TaskFailed:
    """The error of a task that has ended without a result. `is_confirmed` says that a poll after a wait has shown the
    same end."""
    message = status.message or "the service gives no reason"
    if status.fault is TaskFault.REVIEW:
        reason = message.removeprefix(f"{status.fault_code}: ")
        return TaskBlocked(status.fault_code, reason, request_id=status.request_id).with_context(action=action)
    failure = TaskFailed(message, code=status.fault_code, request_id=status.request_id, action=action)
    # A status that still says DONE was given up for want of a result: the service has not said that it failed.
    return failure if status.ended_failed or is_confirmed else failure.as_without_result()


def is_planned_again(status: TaskStatus, creates: int, most: int, *, others_run: bool) -> bool:
    """Whether a job whose task failed is created again without the user's word.

    The evidence, all of it: the service has ended the task and calls it failed; the documents call its code a refusal
    by the model for want of room (`vod_faults.FAULTS`); and the answer shows no file, no usage and nothing that goes on
    (`vod_faults.made_nothing`; never on a relay, whose billing is in no document). So the task is over, made nothing
    and is not billed, and another create is the first that can cost anything.

    The retry budget bounds it: at most `most` creates, or MOST_CREATES while other tasks of ours run, whose ends make
    room. `creates` counts those that went out; the ledger keeps it, so that a restart does not begin anew.
    """
    has_refused = status.ended_failed and status.fault in NO_ROOM and status.made_nothing
    return has_refused and creates < (MOST_CREATES if others_run and most > 1 else most)


def delay_s(creates: int) -> float:
    """Seconds before the next create of a job that went out `creates` times and was refused by the model.

    >>> [delay_s(creates) for creates in (1, 2, 3, 60)]
    [20.0, 40.0, 80.0, 640.0]
    """
    return min(MOST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(max(creates - 1, 0), 10))


def says_no_task(error: AigcError) -> bool:
    """Whether the service answered a poll that it has no such task."""
    return isinstance(error, TaskNotFound) or (isinstance(error, ServiceError) and error.code == NO_SUCH_TASK)


def not_found(error: AigcError, kind: Kind) -> TaskNotFound:
    """The error for a task that the service does not know, with the likely reasons. Call it for `says_no_task`."""
    assert isinstance(error, ServiceError)  # noqa: S101 — as above
    reason = (
        f"{error.message or 'no such task'} (polled {NOT_FOUND_MOST} times as a task of kind {kind}: check that kind, "
        "and that account, region and vod.subAppId are those that it was created with; VOD knows a task for 3 days)"
    )
    return TaskNotFound(error.code, reason, request_id=error.request_id).with_context(action=error.action)
