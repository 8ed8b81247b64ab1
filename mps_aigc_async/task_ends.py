"""What follows for a job when the service has ended its task without a result. Pure decisions.

Nothing may be paid for twice, so that a task's failure alone sends nothing: the user decides (`retry_failed`). The one
exception is a task that the model refused for want of room, and its evidence is named in `is_planned_again`.
"""

from typing import Final

from .errors import TaskBlocked, TaskFailed
from .states import TaskFault
from .wire.dialect import TaskStatus

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
    """The error of a task that has ended without a result. `confirmed` says that a result was given time to come: the
    job had ended in the same way before, and its task was asked about again."""
    message = status.message or "the service gives no reason"
    if status.fault is TaskFault.REVIEW:
        blocked = TaskBlocked(
            status.fault_code, message.removeprefix(f"{status.fault_code}: "), request_id=status.request_id
        )
        return blocked.about(action=action)
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
