"""VOD's tasks: their actions, their states, and the answer to a poll, which can hide a failure."""

from collections.abc import Mapping
from typing import Final

from ..model.errors import TaskNotFound
from ..model.states import Ending, Kind, TaskState
from . import answers
from .answers import REASON_KEYS, text
from .dialect import TaskStatus
from .vod_faults import FAULTS, code_of, fault_of, made_nothing, says_success
from .vod_files import AUDIOS, FILES, FILMS, KEYS, Files, moment, percent, usage

CREATES: Final = {
    Kind.IMAGE: "CreateAigcImageTask",
    Kind.VIDEO: "CreateAigcVideoTask",
    Kind.AUDIO: "CreateAigcAudioTask",
}
DESCRIBE: Final = "DescribeTaskDetail"
MEMBERS: Final = {Kind.IMAGE: "AigcImageTask", Kind.VIDEO: "AigcVideoTask", Kind.AUDIO: "AigcAudioTask"}
"""The answer's member for a task of each kind, which has the name of the task's type."""

KIND_OF_TYPE: Final[Mapping[str, Kind]] = {
    "AigcImageTask": Kind.IMAGE,
    "SceneAigcImageTask": Kind.IMAGE,
    "AigcVideoTask": Kind.VIDEO,
    "SceneAigcVideoTask": Kind.VIDEO,
    "AigcAudioTask": Kind.AUDIO,
}
"""The kind of each documented type of AIGC task. A type's member has the type's name."""

OTHER_TYPES: Final = frozenset({
    "Procedure", "EditMedia", "SplitMedia", "ComposeMedia", "WechatPublish", "WechatMiniProgramPublish", "PullUpload",
    "FastClipMedia", "RemoveWatermarkTask", "DescribeFileAttributesTask", "RebuildMedia", "ReviewAudioVideo",
    "ExtractTraceWatermark", "ExtractCopyRightWatermark", "QualityInspect", "QualityEnhance",
    "ComplexAdaptiveDynamicStreaming", "ProcessMediaByMPS", "ImportMediaKnowledge", "ExtractBlindWatermark",
    "CreateAigcAdvancedCustomElement", "CreateAigcCustomVoice", "CreateAigcSubject", "CreateAigcAudioClone",
    "DescribeAigcFaceInfoAsync", "WandAsrTask", "DesignVoiceAsync", "CloneVoiceAsync", "TextToSpeechAsync",
    "VideoDubbingAsync", "VideoDepthEstimation",
})  # fmt: skip
"""Documented types that none of our creates has (DescribeTaskDetailResponse.TaskType, SDK 3.1.194, 2026-10). A type in
neither table is new and may be ours, so its answer is read."""

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
"""Levels of nested objects and lists in which keys are read: an answer has 6, and a relay's wrapping 2 more."""


def in_vods_keys(value: object, depth: int = MOST_DEPTH) -> object:
    """An answer with its keys in VOD's spelling, from keys in any letter case, with or without underscores. A key that
    already has VOD's spelling wins over another one.

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


def detail(response: Mapping[str, object], kind: Kind, task_id: str = "") -> TaskStatus:
    """DescribeTaskDetail's answer as a status. FINISH alone is no success: the member of the task's type decides.
    `task_id` is the queried task.

    Raises TaskNotFound for a task of another kind.
    """
    word = text(response.get("Status"))
    task = _member(response, kind)
    begun_at = moment(response.get("BeginProcessTime"))
    made_after = begun_at or moment(response.get("CreateTime"))
    is_audio = kind is Kind.AUDIO
    files = Files.of(task, made_after, AUDIOS if is_audio else FILES)
    films = Files.of(task, made_after, FILMS if is_audio else ())
    every_file = files.with_files(films)
    has_files = bool(every_file.urls or every_file.file_ids)
    fault = _fault(task, has_files=has_files)
    state, is_documented = answers.state_of(TASK_STATES, word)
    if state is TaskState.DONE:
        # The outer word may be ahead of the inner word.
        inner = text(task.get("Status"))
        state = TaskState.FAILED if fault else answers.state_of(TASK_STATES, inner)[0] if inner else state
    elif state is TaskState.RUNNING and is_documented:  # the outer word of a task that has not begun may be PROCESSING
        waits = answers.state_of(TASK_STATES, text(task.get("Status")))[0] is TaskState.WAITING
        state = TaskState.WAITING if waits else state
    if state is TaskState.FAILED and has_files and not fault:  # aborted, but the files are billed
        state = TaskState.DONE
    code, reason = (code_of(task), answers.reason(task, REASON_KEYS)) if fault else ("", "")
    return TaskStatus(
        state=state,
        word=word,
        request_id=text(response.get("RequestId")),
        message=fault or answers.reason(task) or answers.reason(response) or text(task.get("Message")),
        urls=files.urls,
        resolution=files.resolution if kind is Kind.VIDEO else None,
        known=is_documented,
        durations=files.durations if is_audio else (),
        videos=films.urls,
        video_durations=films.durations,
        file_ids=every_file.file_ids,
        bare_file_ids=every_file.bare_file_ids,
        lifetime=every_file.lifetime,
        progress=percent(task.get("Progress")),
        usage=usage(task),
        begun_at=begun_at,
        finished_at=moment(response.get("FinishTime")),
        fault_code=code,
        fault=fault_of(code, reason) if fault else None,
        made_nothing=bool(fault) and made_nothing(task_id, word, task),
    )


def _member(response: Mapping[str, object], kind: Kind) -> Mapping[str, object]:
    """The object with the task's data; empty if there is none yet. Raises TaskNotFound for a task of another kind.

    The member named by the kind or by the answer's TaskType counts first. Since new types appear, any other object with
    files or with an end counts next.
    """
    task_type = text(response.get("TaskType"))
    if task_type in OTHER_TYPES or KIND_OF_TYPE.get(task_type, kind) is not kind:
        raise _other(kind, task_type)
    objects = {name: value for name, value in response.items() if isinstance(value, dict)}
    names = (MEMBERS[kind], task_type, *(name for name, type_kind in KIND_OF_TYPE.items() if type_kind is kind))
    own = max((objects[name] for name in names if name in objects), key=_content, default={})
    if _content(own):
        return own
    # Some programs write an empty member in place of a missing one.
    if others := [name for name, value in objects.items() if name in KIND_OF_TYPE and _content(value)]:
        raise _other(kind, others[0])
    if isinstance(response.get("Output"), dict):  # not wrapped in a member at all
        return response
    best = max(objects.values(), key=_content, default={})
    return best if _content(best) > bool(own) else own


def _content(task: Mapping[str, object]) -> int:
    """The rank of an object's data about a task: 2 for files, 1 for a status or an error code, 0 for nothing."""
    has_files = bool(Files.of(task, members=(*AUDIOS, *FILMS)).infos)
    return 2 if has_files else 1 if any(task.get(name) for name in ("Output", "Status", "ErrCode")) else 0


def _other(kind: Kind, task_type: str) -> TaskNotFound:
    return TaskNotFound(
        "InvalidParameterValue.TaskId", f"the task's kind is not {kind}: its type is {task_type}", ending=Ending.REFUSED
    )


def _fault(task: Mapping[str, object], *, has_files: bool = False) -> str:
    """The reason why the task failed; empty if it did not.

    Evidence decides: a task without an error code, and with any word of success in ErrCodeExt, has not failed. Files
    are evidence too, since the service bills its results: beside files an undocumented word is no failure. If such a
    task counted as failed, it would be paid for again.
    """
    code, code_ext = task.get("ErrCode"), task.get("ErrCodeExt")
    if says_success(code) and (says_success(code_ext) or (has_files and not _is_failure(code_ext))):
        return ""
    return f"{code_of(task)}: {answers.reason(task, REASON_KEYS) or 'the service gives no reason'}"


def _is_failure(code_ext: object) -> bool:
    """Whether ErrCodeExt is a documented failure, or a sub-code of one."""
    family = answers.as_text(code_ext).partition(".")[0]
    return any(family == code.partition(".")[0] for code in FAULTS)
