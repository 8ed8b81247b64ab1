"""Why VOD fails a task that it has accepted: the codes inside a FINISH, and the evidence that nothing was made.

Source: the 13 values of `ErrCodeExt` of AigcImageTask, AigcVideoTask and AigcAudioTask (official SDK 3.1.194, 2026-10),
each with the meaning that is written there.
"""

from collections.abc import Mapping
from typing import Final

from ..model.states import TaskFault
from . import answers
from .answers import text

FAULTS: Final[Mapping[str, TaskFault]] = {
    "RequestLimitExceeded": TaskFault.CONCURRENCY,  # the model's calls are over the concurrency limit
    "ResourceInsufficient": TaskFault.BUSY,  # not enough resources
    "FailedOperation": TaskFault.BUSY,  # the model's tasks pile up; see `fault_of`
    "InvalidParameter.VoilationContent": TaskFault.REVIEW,  # the prompt violates the content policy
    "ContentModerationFailed": TaskFault.REVIEW,  # content review was not passed
    "InvalidParameterValue": TaskFault.REQUEST,  # a parameter is wrong
    "InvalidParameter": TaskFault.REQUEST,  # a parameter is not allowed
    "InvalidParameter.MediaFormat": TaskFault.REQUEST,  # the input's media format is not valid
    "ResourceNotFound": TaskFault.REQUEST,  # a resource does not exist
    "InternalError": TaskFault.SERVICE,  # an internal error
    "ModelGenerateFailed": TaskFault.SERVICE,  # the model failed to generate
    "OperationCanceled": TaskFault.SERVICE,  # the operation was cancelled
    "TaskTimeout": TaskFault.SERVICE,  # the task timed out
}
OTHER_SPELLINGS: Final[Mapping[str, TaskFault]] = {
    "InvalidParameter.ViolationContent": TaskFault.REVIEW,
}
"""As the code is written elsewhere in the same SDK."""

PILED_UP: Final = ("堆积", "排队", "繁忙", "too many", "queue", "pile", "backlog", "busy", "waiting at the model")
"""Words of a message that speaks of tasks which pile up at the model."""


def fault_of(code: str, message: str) -> TaskFault:
    """The reason why a task failed. A code that no document lists tells nothing: SERVICE.

    `FailedOperation` is documented for tasks that pile up at the model, but elsewhere in the API it says anything: it
    means that here only beside a message that says so.

    >>> fault_of("FailedOperation", "Too many tasks waiting at the model"), fault_of("FailedOperation", "no such file")
    (<TaskFault.BUSY: 'busy'>, <TaskFault.SERVICE: 'service'>)
    """
    fault = FAULTS.get(code) or OTHER_SPELLINGS.get(code) or TaskFault.SERVICE
    if code == "FailedOperation" and not any(word in message.casefold() for word in PILED_UP):
        return TaskFault.SERVICE
    return fault


def made_nothing(task_id: str, word: str, task: Mapping[str, object]) -> bool:
    """Whether a failed task's answer shows that nothing was made, and so nothing billed: VOD bills what is generated,
    and reports it as files and as usage. Only then may its job be created again without the user's word.

    The evidence, all of it: the answer names the task that was asked about; the outer word is FINISH and the task's own
    is too, so that nothing is under way; the output can be read (it is absent or an object); it lists no file, not even
    one without a URL or an id; no usage other than zeros; and no procedure that went on from a result. `fault_of`
    judges the fault itself, which must be a refusal by the model as well.
    """
    output = task.get("Output")
    if not task_id or answers.task_id(task.get("TaskId")) != task_id:
        return False
    if word.strip().upper() != "FINISH" or text(task.get("Status")).strip().upper() != "FINISH":
        return False
    if output is None:
        return not _is_something(task.get("Usage"))
    if not isinstance(output, dict):
        return False
    members = (output.get(name) for name in ("FileInfos", "Usage", "ProcedureTaskIds"))
    return not any(map(_is_something, (*members, task.get("Usage"))))


def _is_something(value: object) -> bool:
    """Whether a member tells of anything: empty lists, zeros and objects of only such do not.

    >>> _is_something({"Duration": 0, "Items": []}), _is_something([{}]), _is_something("5")
    (False, True, True)
    """
    if isinstance(value, dict):
        return any(_is_something(inner) for inner in value.values())
    return value not in (None, 0, "", "0", False) and value != []


def code_of(task: Mapping[str, object]) -> str:
    """The code of a task that failed: the extended one, else the number that it replaces."""
    codes = [value for value in (task.get("ErrCodeExt"), task.get("ErrCode")) if not says_success(value)]
    return next((code for value in codes if (code := answers.as_text(value))), "") or answers.quoted(codes[0])


def says_success(code: object) -> bool:
    """Whether an error code, absent or present, reports no fault.

    >>> [says_success(code) for code in (None, 0, "0", "", "SUCCESS", "ok", False, 1, "InternalError", {})]
    [True, True, True, True, True, True, True, False, False, True]
    """
    if isinstance(code, str):
        return answers.is_no_reason(code)
    said = answers.as_text(code)
    return not code or (bool(said) and answers.is_no_reason(said))
