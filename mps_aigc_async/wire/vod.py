"""Tencent VOD's dialect: its fields, its session ids, and its polls, whose envelope can hide a failure.

Sources: CreateAigcImageTask, CreateAigcVideoTask, CreateAigcAudioTask, DescribeTaskDetail and DescribeTasks of the VOD
API (2018-07-17), as of the official SDK 3.1.194 (2026-10).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from ..credentials.credentials import Credentials
from ..model.audio_models import require_lyrics_taken, with_lyrics_of_gl
from ..model.errors import InvalidRequest
from ..model.inputs import ImageSource, ReferenceImage, ReferenceVideo, VideoSource
from ..model.requests import AudioRequest, CosStore, ImageRequest, Step
from ..model.results import ImageResult, VideoResult
from ..model.states import Kind, TaskState
from ..model.vod_options import VodFile
from . import answers, envelope, fields
from .answers import text
from .common_fields import LYRICS_AND_MORE, MODEL_AND_PROMPT, SUBJECTS, with_parameters_as_json
from .dialect import Call, Created, HttpAnswer, HttpRequest, SessionRule, TaskPage, TaskStatus
from .fields import FieldRow, as_is, each, only_set, url_of
from .tencent_api import TencentApi
from .vod_errors import BY_CODE
from .vod_tasks import CREATES, DESCRIBE, TASK_STATES, detail

HOST: Final = "vod.tencentcloudapi.com"
VERSION: Final = "2018-07-17"
API: Final = TencentApi("vod", VERSION, BY_CODE)

LIMITS: Final[Mapping[str, float]] = {
    # Calls per second and account: each action's own page, 2026-10. By default VOD also PROCESSES one task at a time;
    # the other tasks wait in its queue and are not refused.
    "CreateAigcImageTask": 20,
    "CreateAigcVideoTask": 20,
    "CreateAigcAudioTask": 20,  # VOD API documents, 2026-05-19
    "DescribeTaskDetail": 100,
    "DescribeTasks": 20,
    "DescribeAigcUsageData": 20,
    "DescribeAigcQuotas": 20,
}
DEFAULT_LIMIT: Final = 20.0
DESCRIBE_MEDIA: Final = "DescribeMediaInfos"
"""The action for the URL of a stored file. The SDK's documents name no limit for it, so the default applies."""

URL_LIFE_S: Final = 7 * 24 * 3600.0
"""A temporary result's URL lives 7 days (OutputConfig.StorageMode)."""

MAX_BASE64_BYTES: Final = 7 * 1024 * 1024
"""Bytes of all files together, before Base64: a larger request would exceed the API's 10 MB."""

SUB_APP_ID: Final = "subAppId"
NO_SUB_APP: Final = "none"
"""A ledger's names for VOD's application. TaskIds and sessions of one application are unknown in the others."""

MPS_ONLY: Final = frozenset(
    {"DescribeAigcImageTask", "DescribeAigcVideoTask", "DescribeAigcAudioTask", "DescribeAigcTaskList",
     "DescribeAigcTaskStatus"}
)  # fmt: skip
"""AIGC actions of MPS that do not exist at VOD (official SDK 3.1.194, 2026-10)."""


def require_other_than_mps(action: str, service: str) -> None:
    """Raise InvalidRequest for an action that only MPS has."""
    if action in MPS_ONLY:
        raise InvalidRequest(f"{action}: {service} has no such action, only MPS has: use the mps backend")


# --- requests → bodies ------------------------------------------------------------------------------------------------


def _switch(on: object) -> str:
    return "Enabled" if on else "Disabled"


def _switch_if_set(on: bool | None) -> str | None:
    return None if on is None else _switch(on)


def _file(**members: object) -> dict[str, object]:
    return only_set(Type="Url", **members)


def _image(image: ImageSource, **more: object) -> dict[str, object]:
    """An image by its URL. An image result without a URL goes by its file id at VOD."""
    if isinstance(image, ImageResult) and not image.urls and image.file_ids:
        return only_set(Type="File", FileId=image.file_ids[0], **more)
    return _file(Url=url_of(image), **more)


def _reference(image: ImageSource | ReferenceImage, **more: object) -> dict[str, object]:
    if isinstance(image, ReferenceImage):
        return _image(image.image, ReferenceType=image.reference_type, **more)
    return _image(image, **more)


def _reference_video(video: str | ReferenceVideo) -> dict[str, object]:
    role = {"Category": "Video", "Usage": "Reference"}
    if isinstance(video, str):
        return _file(Url=url_of(video), **role)
    keep = _switch_if_set(video.keep_original_sound)
    return _file(Url=url_of(video.url), ReferenceType=video.refer_type, KeepOriginalSound=keep, **role)


def _film(video: VideoSource) -> dict[str, object]:
    """An audio's video by its URL. A video result without a URL goes by its file id at VOD."""
    if isinstance(video, VideoResult) and not video.urls and video.file_ids:
        return only_set(Type="File", FileId=video.file_ids[0])
    return _file(Url=url_of(video))


def _vod_file(file: VodFile) -> dict[str, object]:
    return only_set(
        Type="File" if file.file_id else "Url" if file.url else "Base64",
        FileId=file.file_id,
        Url=url_of(file.url) if file.url else None,
        Base64=file.base64,
        Text=file.text,
        Category=file.category,
        Usage=file.usage,
        ReferenceType=file.reference_type,
        ObjectId=file.object_id,
        VoiceId=file.voice_id,
        KeepOriginalSound=_switch_if_set(file.keep_original_sound),
    )


def _size(base64: str) -> int:
    """Bytes in a padded Base64 text."""
    return len(base64) // 4 * 3 - base64[-2:].count("=")


def _files(files: tuple[VodFile, ...]) -> list[object]:
    if sum(_size(file.base64 or "") for file in files) > MAX_BASE64_BYTES:
        raise InvalidRequest("the base64 files are larger than 7 MiB together: give their URLs")
    return [_vod_file(file) for file in files]


def _additional(parameters: object) -> dict[str, object]:
    return {"AdditionalParameters": fields.as_json(parameters)}


_STORED: Final[tuple[FieldRow, ...]] = (
    ("vod.storage_mode", "OutputConfig.StorageMode", as_is),
    ("vod.media_name", "OutputConfig.MediaName", as_is),
    ("vod.class_id", "OutputConfig.ClassId", as_is),
    ("vod.expire_time", "OutputConfig.ExpireTime", as_is),
)
_COMMON: Final[tuple[FieldRow, ...]] = (
    *MODEL_AND_PROMPT,
    ("negative_prompt", "NegativePrompt", as_is),
    ("enhance_prompt", "EnhancePrompt", _switch),
    ("aspect_ratio", "OutputConfig.AspectRatio", as_is),
    ("resolution", "OutputConfig.Resolution", as_is),
    ("logo_add", "OutputConfig.LogoAdd", _switch),
    *_STORED,
    ("vod.person_generation", "OutputConfig.PersonGeneration", as_is),
    ("vod.input_compliance_check", "OutputConfig.InputComplianceCheck", _switch),
    ("vod.output_compliance_check", "OutputConfig.OutputComplianceCheck", _switch),
    ("vod.input_region", "InputRegion", as_is),
    ("vod.seed", "Seed", as_is),
    ("vod.session_id", "SessionId", as_is),
    ("vod.session_context", "SessionContext", as_is),
    ("vod.tasks_priority", "TasksPriority", as_is),
    # Both are merged, and written as JSON at the end.
    ("additional_parameters", "ExtInfo", _additional),
    ("vod.ext_info", "ExtInfo", dict),
)
IMAGE_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_COMMON,
    ("images", "FileInfos", each(_reference)),
    ("vod.files", "FileInfos", _files),
    ("output_count", "OutputConfig.OutputImageCount", as_is),
    ("output_format", "OutputConfig.OutputFormat", as_is),
)
VIDEO_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_COMMON,
    ("first_frame", "FileInfos", lambda image: [_reference(image, Category="Image", Usage="FirstFrame")]),
    ("last_frame", "FileInfos", lambda image: [_reference(image, Category="Image", Usage="LastFrame")]),
    ("images", "FileInfos", each(partial(_reference, Category="Image", Usage="Reference"))),
    ("videos", "FileInfos", each(_reference_video)),
    ("audios", "FileInfos", each(lambda url: _file(Url=url_of(url), Category="Audio", Usage="Reference"))),
    ("vod.files", "FileInfos", _files),
    ("vod.last_frame_file_id", "LastFrameFileId", as_is),
    SUBJECTS,
    ("duration", "OutputConfig.Duration", as_is),
    ("enable_audio", "OutputConfig.AudioGeneration", _switch),
    ("enable_bgm", "OutputConfig.EnableBGM", _switch),
    ("off_peak", "OutputConfig.OffPeak", _switch),
    ("vod.enhance_switch", "OutputConfig.EnhanceSwitch", _switch),
    ("vod.frame_interpolate", "OutputConfig.FrameInterpolate", _switch),
    ("vod.procedure", "Procedure", as_is),
)
AUDIO_FIELDS: Final[tuple[FieldRow, ...]] = (
    *MODEL_AND_PROMPT,
    *LYRICS_AND_MORE,
    *_STORED,
    ("videos", "VideoInfos", each(_film)),
    ("audios", "AudioInfos", each(lambda url: _file(Url=url_of(url)))),
    ("duration", "OutputConfig.Duration", as_is),
    ("output_format", "OutputConfig.OutputAudioFormat", as_is),
)
BY_FILE_ID: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.IMAGE: frozenset({"images"}),
    Kind.VIDEO: frozenset({"first_frame", "last_frame", "images"}),
    Kind.AUDIO: frozenset({"videos"}),
}
"""The attributes whose results go by FileId. A subject's images go by URL (AigcVideoTaskInputSubject)."""
_ONLY_OF_VIDEOS: Final = ("category", "usage", "object_id", "voice_id", "keep_original_sound")
"""Attributes of a file that the image action refuses."""


def encode(request: Step) -> dict[str, object]:
    """The create's parameters. Raises InvalidRequest, by the field's name."""
    if isinstance(request, AudioRequest):
        require_lyrics_taken(request)
        return with_parameters_as_json(fields.encode(AUDIO_FIELDS, with_lyrics_of_gl(request, "vod"), "VOD"))
    if isinstance(request, ImageRequest):
        rows = IMAGE_FIELDS
        for file in request.vod.files if request.vod else ():
            if odd := [name for name in _ONLY_OF_VIDEOS if getattr(file, name) is not None]:
                raise InvalidRequest(f"vod.files: {odd[0]} is for a video's inputs only")
    else:
        rows = VIDEO_FIELDS
    return with_ext_info_as_json(fields.encode(rows, request, "VOD"))


def never_expires(request: Step) -> bool:
    """Whether a request's results never expire: StorageMode Permanent, and no ExpireTime."""
    options = request.vod
    return options is not None and options.storage_mode == "Permanent" and not options.expire_time


def with_ext_info_as_json(params: dict[str, object]) -> dict[str, object]:
    """The parameters with ExtInfo as a string, which holds a JSON document."""
    return params | {"ExtInfo": fields.as_json(params["ExtInfo"])} if "ExtInfo" in params else params


# --- answers → values -------------------------------------------------------------------------------------------------


def _media_urls(answer: HttpAnswer) -> dict[str, str]:
    """The URLs of DescribeMediaInfos, by file id. Files that do not exist or have no URL are left out."""
    infos = API.unwrap(answer, DESCRIBE_MEDIA).get("MediaInfoSet")
    urls: dict[str, str] = {}
    for media in infos if isinstance(infos, list) else []:
        basic = media.get("BasicInfo") if isinstance(media, dict) else None
        url = text(basic.get("MediaUrl")).strip() if isinstance(basic, dict) else ""
        if url and (file_id := answers.as_text(media.get("FileId"))):
            urls[file_id] = url
    return urls


def _page(answer: HttpAnswer) -> TaskPage:
    response = API.unwrap(answer, "DescribeTasks")
    entries = response.get("TaskSet")
    tasks = [task for task in entries if isinstance(task, dict)] if isinstance(entries, list) else []
    by_session: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        session_id, task_id = text(task.get("SessionId")), answers.task_id(task.get("TaskId"))
        if session_id and task_id and task_id not in by_session.get(session_id, ()):
            by_session[session_id] = (*by_session.get(session_id, ()), task_id)
    return TaskPage(
        {session_id: task_ids[-1] for session_id, task_ids in by_session.items()},
        text(response.get("ScrollToken")),
        {session_id: task_ids for session_id, task_ids in by_session.items() if len(task_ids) > 1},
    )


# --- the dialect ------------------------------------------------------------------------------------------------------


class Vod:
    """The VOD dialect, one per client."""

    backend = "vod"
    limits = LIMITS
    limits_region = ""  # the actions' pages count by account and action, and name no region (2026-10)
    default_limit = DEFAULT_LIMIT
    url_life_s = URL_LIFE_S
    signs_time = True

    def __init__(
        self, *, host: str = HOST, region: str | None = None, sub_app_id: int | None = None, language: str = "en-US"
    ) -> None:
        self._tc3 = API.signer(host=host, region=region, language=language)
        self._sub_app = {} if sub_app_id is None else {"SubAppId": sub_app_id}
        self.scope: Final = {SUB_APP_ID: NO_SUB_APP if sub_app_id is None else str(sub_app_id)}

    def create_action(self, kind: Kind) -> str:
        return CREATES[kind]

    def describe_action(self, _kind: Kind, /) -> str:
        return DESCRIBE

    def sessions(self, kind: Kind, /) -> SessionRule:
        # CreateAigcAudioTaskRequest has no SessionId (SDK 3.1.194): a second create of an audio is a second task.
        return SessionRule.NONE if kind is Kind.AUDIO else SessionRule.DOCUMENTED

    def create(self, request: Step, _store: CosStore | None, session_id: str = "", /) -> Call[Created]:
        session = only_set(SessionId=session_id)
        return API.create(self.create_action(request.kind), {**self._sub_app, **encode(request), **session})

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]:
        return Call(
            DESCRIBE,
            envelope.body({**self._sub_app, "TaskId": task_id}),
            lambda answer: detail(API.unwrap(answer, DESCRIBE), kind, task_id),
        )

    def keeps(self, request: Step, _store: CosStore | None, /) -> bool:
        return never_expires(request)

    def media_urls(self, file_ids: Sequence[str], /) -> Call[Mapping[str, str]] | None:
        query = {"FileIds": list(file_ids), "Filters": ["basicInfo"]}
        return Call(DESCRIBE_MEDIA, envelope.body({**self._sub_app, **query}), _media_urls)

    def takes_file_ids(self, kind: Kind, /) -> frozenset[str]:
        return BY_FILE_ID.get(kind, frozenset())

    def call(self, action: str, params: Mapping[str, object]) -> Call[dict[str, object]]:
        require_other_than_mps(action, "VOD")
        return API.call(action, {**self._sub_app, **envelope.parameters(params)})

    def tasks(self, state: TaskState, page: str, /) -> Call[TaskPage] | None:
        words = {task_state: word for word, task_state in TASK_STATES.items() if word != "ABORTED"}
        newest = {"Status": words[state], "Limit": 100, "Sort": {"Field": "CreateTime", "Order": "Desc"}}
        return Call("DescribeTasks", envelope.body({**self._sub_app, **newest, **only_set(ScrollToken=page)}), _page)

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int) -> HttpRequest:
        return self._tc3.sign(call, credentials, timestamp)
