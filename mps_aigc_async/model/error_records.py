"""Errors as records: the ledger and the queue keep them as text."""

from typing import Final

from .errors import (
    AccountError,
    AigcError,
    BudgetReached,
    ClientClosed,
    ClientError,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    JobCancelled,
    JobDropped,
    LedgerError,
    NoTaskId,
    Redirected,
    ResultExpired,
    ServiceError,
    TaskBlocked,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    Throttled,
    TooManyTasks,
    TransportError,
    UnexpectedError,
    Unreachable,
)
from .states import Ending

RECORDED: Final[dict[str, type[AigcError]]] = {
    cls.__name__: cls
    for cls in (
        BudgetReached, ClientClosed, ClientError, ConfigError, CreateOutcomeUnknown, DamagedRow, DownloadError,
        InvalidRequest, JobCancelled, JobDropped, LedgerError, ResultExpired, TaskFailed, TaskTimeout, UnexpectedError,
    )
}  # fmt: skip
SERVICE: Final[dict[str, type[ServiceError]]] = {
    cls.__name__: cls
    for cls in (
        ServiceError, Throttled, TooManyTasks, AccountError, Redirected, ContentViolation, TaskBlocked, TaskNotFound,
    )
}  # fmt: skip
TRANSPORT: Final = {cls.__name__: cls for cls in (TransportError, Unreachable, NoTaskId)}


def to_record(error: AigcError) -> dict[str, str]:
    """Write an error for the ledger: its class, texts and ids (no traceback, no cause, no secret)."""
    record = {"type": type(error).__name__, "message": error.message}
    if isinstance(error, ServiceError | TaskFailed) and error.code:
        record["code"] = error.code
    if error.ending is not None:
        record["ending"] = error.ending.name
    if error.request_id:
        record["request_id"] = error.request_id
    if error.action:
        record["action"] = error.action
    if isinstance(error, CreateOutcomeUnknown):
        if error.accepted:
            record["accepted"] = "yes"
        if not error.repeatable:
            record["repeatable"] = "no"
    if isinstance(error, TaskFailed) and error.may_have_result:
        record["may_have_result"] = "yes"
    return record


def from_record(record: dict[str, str], *, job_id: str, task_id: str | None) -> AigcError:
    """Read an error from the ledger; a class that this version does not know becomes a plain AigcError."""
    name, message, request_id = record.get("type", ""), record.get("message", ""), record.get("request_id")
    ending = Ending.__members__.get(record.get("ending", ""), Ending.REFUSED)
    error: AigcError
    if name in SERVICE:
        error = SERVICE[name](record.get("code", ""), message, ending=ending, request_id=request_id)
    elif name in TRANSPORT:
        error = TRANSPORT[name](message, ending=ending)
    else:
        error = RECORDED.get(name, AigcError)(message, request_id=request_id)
        if isinstance(error, TaskFailed):
            error.code = record.get("code", "")
            if "may_have_result" in record:
                error.as_without_result()
        if isinstance(error, UnexpectedError) and "ending" in record:
            error.ending = ending
        if isinstance(error, CreateOutcomeUnknown):
            if "repeatable" in record:
                error.as_not_repeatable()
            if "accepted" in record:
                error.as_accepted()
    return error.with_context(job_id=job_id, task_id=task_id, action=record.get("action"))
