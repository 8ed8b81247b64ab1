"""The failures of tasks that VOD has accepted: the codes inside a FINISH, and the evidence that nothing was generated.

Source: the 13 values of `ErrCodeExt` of AigcImageTask, AigcVideoTask and AigcAudioTask (official SDK 3.1.194, 2026-10),
each with its meaning in the SDK.
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
"""Spellings of the same codes elsewhere in the SDK."""

PILED_UP: Final = ("堆积", "排队", "繁忙", "too many", "queue", "pile", "backlog", "busy", "waiting at the model")
"""Words of a message about tasks that pile up at the model."""


def fault_of(code: str, message: str) -> TaskFault:
    """The reason why a task failed. A code that no document lists means SERVICE.

    `FailedOperation` is documented for tasks that pile up at the model, but elsewhere in the API it is a general code.
    So it means BUSY only beside a message about such a pile.

    >>> fault_of("FailedOperation", "Too many tasks waiting at the model"), fault_of("FailedOperation", "no such file")
    (<TaskFault.BUSY: 'busy'>, <TaskFault.SERVICE: 'service'>)
    """
    fault = FAULTS.get(code) or OTHER_SPELLINGS.get(code) or TaskFault.SERVICE
    if code == "FailedOperation" and not any(word in message.casefold() for word in PILED_UP):
        return TaskFault.SERVICE
    return fault


_OF_RESULTS: Final = ("FileInfos", "AudioInfos", "VideoInfos", "Usage", "ProcedureTaskIds")
"""Members of an output that show results; the second and the third are an audio's."""


def made_nothing(task_id: str, word: str, task: Mapping[str, object]) -> bool:
    """Whether a failed task's answer shows that nothing was generated and nothing is billed.

    VOD bills the generated results, and reports them as files and as usage. Only with this evidence may the job be
    created again without the user's word. All of these must hold:
    - the answer names the queried task;
    - the outer status and the task's own status are FINISH, so nothing is under way;
    - the output is readable: absent or an object;
    - no file is listed, not even a file without a URL or an id;
    - all usage is zero, and no procedure went on from a result.
    `fault_of` judges the fault itself, which must also be a refusal by the model.
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
    members = (output.get(name) for name in _OF_RESULTS)
    return not any(map(_is_something, (*members, task.get("Usage"))))


def _is_something(value: object) -> bool:
    """Whether a member has content. Empty lists, zeros, and objects with nothing else are no content.

    >>> _is_something({"Duration": 0, "Items": []}), _is_something([{}]), _is_something("5")
    (False, True, True)
    """
    if isinstance(value, dict):
        return any(_is_something(inner) for inner in value.values())
    return value not in (None, 0, "", "0", False) and value != []


def code_of(task: Mapping[str, object]) -> str:
    """The code of a failed task: ErrCodeExt, else the number in ErrCode."""
    codes = [value for value in (task.get("ErrCodeExt"), task.get("ErrCode")) if not says_success(value)]
    return next((code for value in codes if (code := answers.as_text(value))), "") or answers.quotation(codes[0])


def says_success(code: object) -> bool:
    """Whether an error code, which may be absent, reports no fault.

    >>> [says_success(code) for code in (None, 0, "0", "", "SUCCESS", "ok", False, 1, "InternalError", {})]
    [True, True, True, True, True, True, True, False, False, True]
    """
    if isinstance(code, str):
        return answers.is_no_reason(code)
    number = answers.as_text(code)
    return not code or (bool(number) and answers.is_no_reason(number))
