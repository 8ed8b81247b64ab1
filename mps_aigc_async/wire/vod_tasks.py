"""VOD's tasks: their actions, states, and the answer to a poll, in which a failure can hide."""

from collections.abc import Mapping
from typing import Final

from ..model.errors import InvalidRequest, TaskNotFound
from ..model.states import Ending, Kind, TaskState
from . import answers
from .answers import REASON_KEYS, text
from .dialect import TaskStatus
from .vod_faults import FAULTS, code_of, fault_of, made_nothing, says_success
from .vod_files import KEYS, Files, moment, percent, usage

CREATES: Final = {Kind.IMAGE: "CreateAigcImageTask", Kind.VIDEO: "CreateAigcVideoTask"}
DESCRIBE: Final = "DescribeTaskDetail"
MEMBERS: Final = {Kind.IMAGE: "AigcImageTask", Kind.VIDEO: "AigcVideoTask"}
"""The answer's member that tells of a task, named by its type."""

KIND_OF_TYPE: Final[Mapping[str, Kind]] = {
    "AigcImageTask": Kind.IMAGE,
    "SceneAigcImageTask": Kind.IMAGE,
    "AigcVideoTask": Kind.VIDEO,
    "SceneAigcVideoTask": Kind.VIDEO,
    "AigcAudioTask": Kind.AUDIO,
}
"""The kind that each documented type of AIGC task makes. A type's member has the type's name."""

OTHER_TYPES: Final = frozenset({
    "Procedure", "EditMedia", "SplitMedia", "ComposeMedia", "WechatPublish", "WechatMiniProgramPublish", "PullUpload",
    "FastClipMedia", "RemoveWatermarkTask", "DescribeFileAttributesTask", "RebuildMedia", "ReviewAudioVideo",
    "ExtractTraceWatermark", "ExtractCopyRightWatermark", "QualityInspect", "QualityEnhance",
    "ComplexAdaptiveDynamicStreaming", "ProcessMediaByMPS", "ImportMediaKnowledge", "ExtractBlindWatermark",
    "CreateAigcAdvancedCustomElement", "CreateAigcCustomVoice", "CreateAigcSubject", "CreateAigcAudioClone",
    "DescribeAigcFaceInfoAsync", "WandAsrTask", "DesignVoiceAsync", "CloneVoiceAsync", "TextToSpeechAsync",
    "VideoDubbingAsync", "VideoDepthEstimation",
})  # fmt: skip
"""Documented types that no create of ours makes (DescribeTaskDetailResponse.TaskType, SDK 3.1.194, 2026-10). A type
that is in neither table is new, and may be ours: it is read."""

TASK_STATES: Final[Mapping[str, TaskState]] = {
    "WAITING": TaskState.WAITING,
    "PROCESSING": TaskState.RUNNING,
    "FINISH": TaskState.DONE,
    "ABORTED": TaskState.FAILED,
}


_KEYS: Final[Mapping[str, str]] = {
    key.casefold(): key
    for key in (
        "Response", "RequestId", "TaskType", *KIND_OF_TYPE, "TaskId", "Status", "Progress", "CreateTime",
        "BeginProcessTime", "FinishTime", "ErrCode", "ErrCodeExt", "Message", *KEYS,
    )
}  # fmt: skip
MOST_DEPTH: Final = 10
"""Objects and lists inside each other whose keys are read: an answer has 6, and a relay's wrapping 2 more."""


def in_vods_keys(value: object, depth: int = MOST_DEPTH) -> object:
    """An answer whose keys are spelt as VOD spells them, whatever their letter case and underscores. A key in VOD's own
    spelling counts before another one.

    >>> in_vods_keys({"aigc_image_task": {"err_code": 0}, "status": "FINISH", "data": [{"fileUrl": "u"}]})
    {'AigcImageTask': {'ErrCode': 0}, 'Status': 'FINISH', 'data': [{'FileUrl': 'u'}]}
    """
    if depth and isinstance(value, list):
        return [in_vods_keys(item, depth - 1) for item in value]
    if not depth or not isinstance(value, dict):
        return value
    spelt = {_KEYS.get(key.replace("_", "").casefold(), key): inner for key, inner in value.items()}
    own = {key: inner for key, inner in value.items() if key in spelt}
    return {key: in_vods_keys(inner, depth - 1) for key, inner in (spelt | own).items()}


def of_images_or_videos(kind: Kind, service: str) -> Kind:
    """Raises InvalidRequest for a kind that this service's creates do not make."""
    if kind not in CREATES:
        raise InvalidRequest(f"{kind}: {service} makes images and videos only; use the mps backend")
    return kind


def detail(response: Mapping[str, object], kind: Kind, task_id: str = "") -> TaskStatus:
    """DescribeTaskDetail's answer as a status. FINISH alone is no success: the member named by the task's type tells.
    `task_id` is the task that was asked about.

    Raises TaskNotFound for a task of another kind.
    """
    kind = of_images_or_videos(kind, "VOD")
    word = text(response.get("Status"))
    task = _member(response, kind)
    begun_at = moment(response.get("BeginProcessTime"))
    files = Files.of(task, begun_at or moment(response.get("CreateTime")))
    has_files = bool(files.urls or files.file_ids)
    fault = _fault(task, has_files=has_files)
    state, known = answers.state_of(TASK_STATES, word)
    if state is TaskState.DONE:
        # The outer word may be ahead of the inner one.
        inner = text(task.get("Status"))
        state = TaskState.FAILED if fault else answers.state_of(TASK_STATES, inner)[0] if inner else state
    elif state is TaskState.RUNNING and known:  # as it may be of a task that has not begun
        waits = answers.state_of(TASK_STATES, text(task.get("Status")))[0] is TaskState.WAITING
        state = TaskState.WAITING if waits else state
    if state is TaskState.FAILED and has_files and not fault:  # aborted, and its files are billed all the same
        state = TaskState.DONE
    code, reason = (code_of(task), answers.reason(task, REASON_KEYS)) if fault else ("", "")
    return TaskStatus(
        state=state,
        word=word,
        request_id=text(response.get("RequestId")),
        message=fault or answers.reason(task) or answers.reason(response) or text(task.get("Message")),
        urls=files.urls,
        resolution=files.resolution if kind is Kind.VIDEO else None,
        known=known,
        file_ids=files.file_ids,
        bare_file_ids=files.bare_file_ids,
        lifetime=files.lifetime,
        progress=percent(task.get("Progress")),
        usage=usage(task),
        begun_at=begun_at,
        finished_at=moment(response.get("FinishTime")),
        fault_code=code,
        fault=fault_of(code, reason) if fault else None,
        made_nothing=bool(fault) and made_nothing(task_id, word, task),
    )


def _member(response: Mapping[str, object], kind: Kind) -> Mapping[str, object]:
    """The object that tells of the task: the one named by the kind or by the answer's TaskType, else any that tells of
    files or of an end, since new types appear. Empty if none does yet. Raises TaskNotFound for another kind's."""
    task_type = text(response.get("TaskType"))
    if task_type in OTHER_TYPES or KIND_OF_TYPE.get(task_type, kind) is not kind:
        raise _other(kind, task_type)
    objects = {name: value for name, value in response.items() if isinstance(value, dict)}
    names = (MEMBERS[kind], task_type, *(name for name, made in KIND_OF_TYPE.items() if made is kind))
    own = max((objects[name] for name in names if name in objects), key=_tells, default={})
    if _tells(own):
        return own
    # A member without anything in it is how some programs write one that is not there.
    if others := [name for name, value in objects.items() if name in KIND_OF_TYPE and _tells(value)]:
        raise _other(kind, others[0])
    if isinstance(response.get("Output"), dict):  # not wrapped in a member at all
        return response
    best = max(objects.values(), key=_tells, default={})
    return best if _tells(best) > bool(own) else own


def _tells(task: Mapping[str, object]) -> int:
    """How much an object tells of a task: 2 for files, 1 for a status or an error code, 0 for nothing."""
    return 2 if Files.of(task).infos else 1 if any(task.get(name) for name in ("Output", "Status", "ErrCode")) else 0


def _other(kind: Kind, task_type: str) -> TaskNotFound:
    return TaskNotFound(
        "InvalidParameterValue.TaskId", f"this is no {kind} task, but {task_type}", ending=Ending.REFUSED
    )


def _fault(task: Mapping[str, object], *, has_files: bool = False) -> str:
    """Why the task failed; empty if it did not.

    Evidence first: a task without an error code has not failed, whatever word of success stands in ErrCodeExt. Files
    are evidence too, since the service bills what it has made: beside them a word that is no documented failure is no
    failure either. To call such a task failed would have it paid for again.
    """
    code, extended = task.get("ErrCode"), task.get("ErrCodeExt")
    if says_success(code) and (says_success(extended) or (has_files and not _is_failure(extended))):
        return ""
    return f"{code_of(task)}: {answers.reason(task, REASON_KEYS) or 'the service gives no reason'}"


def _is_failure(extended: object) -> bool:
    """Whether ErrCodeExt is a documented failure, or a sub-code of one."""
    family = answers.as_text(extended).partition(".")[0]
    return any(family == code.partition(".")[0] for code in FAULTS)
