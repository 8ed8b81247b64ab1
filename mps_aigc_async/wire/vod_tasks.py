"""VOD's tasks: their actions, states, and the answer to a poll, in which a failure can hide."""

from collections.abc import Mapping
from typing import Final

from ..errors import InvalidRequest, TaskNotFound
from ..states import Ending, Kind, TaskState
from . import answers
from .answers import REASON_KEYS, text
from .dialect import TaskStatus
from .vod_faults import code_of, fault_of, made_nothing

CREATES: Final = {Kind.IMAGE: "CreateAigcImageTask", Kind.VIDEO: "CreateAigcVideoTask"}
DESCRIBE: Final = "DescribeTaskDetail"
MEMBERS: Final = {Kind.IMAGE: "AigcImageTask", Kind.VIDEO: "AigcVideoTask"}
"""The answer's member that tells of a task, named by its type."""

TASK_STATES: Final[Mapping[str, TaskState]] = {
    "WAITING": TaskState.WAITING,
    "PROCESSING": TaskState.RUNNING,
    "FINISH": TaskState.DONE,
    "ABORTED": TaskState.FAILED,
}


def of_images_or_videos(kind: Kind, service: str) -> Kind:
    """Raises InvalidRequest for a kind that this service's creates do not make."""
    if kind not in CREATES:
        raise InvalidRequest(f"{kind}: {service} makes images and videos only; use the mps backend")
    return kind


def detail(response: Mapping[str, object], kind: Kind, task_id: str = "") -> TaskStatus:
    """DescribeTaskDetail's answer as a status. FINISH alone is no success: the member named by the task's type tells.
    `task_id` is the task that was asked about.

    Raises TaskNotFound for a task of another type.
    """
    kind = of_images_or_videos(kind, "VOD")
    task_type, word = text(response.get("TaskType")), text(response.get("Status"))
    if task_type and task_type != MEMBERS[kind]:
        raise TaskNotFound(
            "InvalidParameterValue.TaskId", f"this is no {kind} task, but {task_type}", ending=Ending.REFUSED
        )
    member = response.get(MEMBERS[kind])
    task = member if isinstance(member, dict) else {}
    fault, found = _fault(task), _output(task)
    infos = [info for info in answers.entries(found) if isinstance(info, dict)]
    state, known = answers.state_of(TASK_STATES, word)
    if state is TaskState.DONE:
        # The outer word may be ahead of the inner one.
        inner = text(task.get("Status"))
        state = TaskState.FAILED if fault else answers.state_of(TASK_STATES, inner)[0] if inner else state
    elif state is TaskState.RUNNING and known:  # as it may be of a task that has not begun
        waits = answers.state_of(TASK_STATES, text(task.get("Status")))[0] is TaskState.WAITING
        state = TaskState.WAITING if waits else state
    code, reason = (code_of(task), answers.reason(task, REASON_KEYS)) if fault else ("", "")
    return TaskStatus(
        state=state,
        word=word,
        request_id=text(response.get("RequestId")),
        message=fault or answers.reason(task) or answers.reason(response) or text(task.get("Message")),
        urls=answers.urls(found),
        resolution=_resolution(infos) if kind is Kind.VIDEO else None,
        known=known,
        file_ids=tuple(file_id for info in infos if (file_id := answers.as_text(info.get("FileId")))),
        fault_code=code,
        fault=fault_of(code, reason) if fault else None,
        made_nothing=bool(fault) and made_nothing(task_id, word, task),
    )


def _fault(task: Mapping[str, object]) -> str:
    """Why the task failed; empty if it did not."""
    code, extended = task.get("ErrCode"), task.get("ErrCodeExt")
    if code in (None, 0, "", "0") and extended in (None, 0, "", "0"):
        return ""
    return f"{code_of(task)}: {answers.reason(task, REASON_KEYS) or 'the service gives no reason'}"


def _output(task: Mapping[str, object]) -> object:
    output = task.get("Output")
    return output.get("FileInfos") if isinstance(output, dict) else None


def _resolution(infos: list[dict[str, object]]) -> str | None:
    for info in infos:
        meta = info.get("MetaData")
        if isinstance(meta, dict) and (width := _pixels(meta.get("Width"))) and (height := _pixels(meta.get("Height"))):
            return f"{width}x{height}"
    return None


def _pixels(value: object) -> int:
    """0 for what is no size."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
