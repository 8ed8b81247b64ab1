"""The next step when the service has ended a task without a result, or does not know it. Pure decisions.

Nothing may be paid for twice, so that a task's failure alone sends nothing: the user decides (`retry_failed`). The one
exception is a task that the model refused for want of room, and its evidence is named in `is_planned_again`.
"""

from typing import Final

from ..model.errors import AigcError, ServiceError, TaskBlocked, TaskFailed, TaskNotFound
from ..model.states import Kind, TaskFault
from ..wire.dialect import TaskStatus

NOT_FOUND_MOST: Final = 3
"""Polls in a row that say that there is no such task before it is believed: a create's answer may be ahead of the
service's readers, and a paid task must not be lost to that."""

NO_SUCH_TASK: Final = "ResourceNotFound"
"""The code with which MPS answers a poll by another kind's action (reported as tested on the live service, 2026-08), as
it stands: its sub-codes name other resources, and beside a create the code has other meanings."""

NO_ROOM: Final = frozenset({TaskFault.CONCURRENCY, TaskFault.BUSY})

MOST_CREATES: Final = 60
"""Most creates of one job in its life for which a refusal by the model plans it again. Each costs the service a task,
and with the growing delays they take some ten hours, about as long as a task may wait in the service's queue."""

FIRST_DELAY_S: Final = 20.0
"""Seconds before a job is created again after the first refusal by the model: as long as a create that was refused for
want of room waits (`limits.PROBE_S`)."""

MOST_DELAY_S: Final = 640.0
"""Seconds between two creates of a job that the model keeps refusing: about two runs of a video."""


def failure_of(status: TaskStatus, action: str, *, confirmed: bool) -> TaskFailed:
    """The error of a task that has ended without a result. `confirmed` says that it had ended so before, and was asked
    about again: the result was given its time."""
    message = status.message or "the service gives no reason"
    if status.fault is TaskFault.REVIEW:
        blocked = TaskBlocked(
            status.fault_code, message.removeprefix(f"{status.fault_code}: "), request_id=status.request_id
        )
        return blocked.with_context(action=action)
    failed = TaskFailed(message, code=status.fault_code, request_id=status.request_id, action=action)
    # A status that still says DONE was given up for want of a result: the service has not said that it failed.
    return failed if status.ended_failed or confirmed else failed.as_without_result()


def is_planned_again(status: TaskStatus, creates: int, most: int, *, others_run: bool) -> bool:
    """Whether a job whose task failed is created again without the user's word.

    The evidence, all of it: the service has ended the task and calls it failed; the documents call its code a refusal
    by the model for want of room (`vod_faults.FAULTS`); and the answer shows no file, no usage and nothing that goes on
    (`vod_faults.made_nothing`; never on a relay, whose billing is in no document). So the task is over, made nothing
    and is not billed, and another create is the first that can cost anything.

    It stays within the retry budget: at most `most` creates, or MOST_CREATES while others of our tasks run, whose ends
    make room. `creates` counts those that went out; the ledger keeps it, so that a restart does not begin anew.
    """
    refused = status.ended_failed and status.fault in NO_ROOM and status.made_nothing
    return refused and creates < (MOST_CREATES if others_run and most > 1 else most)


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
    """The error for a task that the service does not know, with what may be the reason. Call it for `says_no_task`."""
    assert isinstance(error, ServiceError)  # noqa: S101 — as above
    reason = (
        f"{error.message or 'no such task'} (polled {NOT_FOUND_MOST} times as a task of kind {kind}: check that kind, "
        "and that account, region and vod.subAppId are those that it was created with; VOD knows a task for 3 days)"
    )
    return TaskNotFound(error.code, reason, request_id=error.request_id).with_context(action=error.action)
