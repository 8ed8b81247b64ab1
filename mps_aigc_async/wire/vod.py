"""Tencent VOD's dialect: its fields, its poll's envelope in which a failure can hide, its session ids.

Sources: CreateAigcImageTask, CreateAigcVideoTask, DescribeTaskDetail and DescribeTasks of the VOD API (2018-07-17), as
of the official SDK 3.1.194 (2026-10).
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from ..credentials import Credentials
from ..errors import InvalidRequest
from ..requests import CosStore, ImageRequest, ImageSource, ReferenceImage, ReferenceVideo, Subject, VodFile
from ..states import Kind, TaskState
from . import answers, envelope, fields
from .answers import text
from .dialect import Call, Created, HttpAnswer, HttpRequest, TaskPage, TaskRequest, TaskStatus
from .envelope import Tc3
from .fields import FieldRow, as_is, each, only_set, url_of
from .vod_errors import BY_CODE
from .vod_tasks import CREATES, DESCRIBE, TASK_STATES, detail, of_images_or_videos

HOST: Final = "vod.tencentcloudapi.com"
VERSION: Final = "2018-07-17"
SERVICE: Final = "vod"

LIMITS: Final[Mapping[str, float]] = {
    # Calls per second and account: each action's own page, 2026-10. Beside them one task at a time is PROCESSED by
    # default; others wait in the service's queue, and are no refusals.
    "CreateAigcImageTask": 20,
    "CreateAigcVideoTask": 20,
    "DescribeTaskDetail": 100,
    "DescribeTasks": 20,
}
DEFAULT_LIMIT: Final = 20.0

URL_LIFE_S: Final = 7 * 24 * 3600.0
"""A temporary result's URL lives 7 days (OutputConfig.StorageMode)."""

MAX_BASE64_BYTES: Final = 7 * 1024 * 1024
"""Of all files together, before Base64: with more the request would pass the API's 10 MB."""

# --- requests → bodies ------------------------------------------------------------------------------------------------


def _switch(on: object) -> str:
    return "Enabled" if on else "Disabled"


def _file(**given: object) -> dict[str, object]:
    return only_set(Type="Url", **given)


def _reference(image: ImageSource | ReferenceImage, **more: object) -> dict[str, object]:
    if isinstance(image, ReferenceImage):
        return _file(Url=url_of(image.image), ReferenceType=image.reference_type, **more)
    return _file(Url=url_of(image), **more)


def _reference_video(video: str | ReferenceVideo) -> dict[str, object]:
    known = {"Category": "Video", "Usage": "Reference"}
    if isinstance(video, str):
        return _file(Url=url_of(video), **known)
    keep = None if video.keep_original_sound is None else _switch(video.keep_original_sound)
    return _file(Url=url_of(video.url), ReferenceType=video.refer_type, KeepOriginalSound=keep, **known)


def _vod_file(file: VodFile) -> dict[str, object]:
    kept = None if file.keep_original_sound is None else _switch(file.keep_original_sound)
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
        KeepOriginalSound=kept,
    )


def _files(files: tuple[VodFile, ...]) -> list[object]:
    if sum(len(file.base64 or "") * 3 // 4 for file in files) > MAX_BASE64_BYTES:
        raise InvalidRequest("the base64 files are larger than 7 MB together: give their URLs")
    return [_vod_file(file) for file in files]


def _subject(subject: Subject) -> dict[str, object]:
    return only_set(
        Id=subject.id,
        Name=subject.name,
        VoiceId=subject.voice_id,
        ImageUrls=[url_of(image) for image in subject.images],
        VideoUrls=[url_of(video) for video in subject.videos],
    )


def _additional(parameters: object) -> dict[str, object]:
    return {"AdditionalParameters": fields.as_json(parameters)}


_COMMON: Final[tuple[FieldRow, ...]] = (
    ("model_name", "ModelName", as_is),
    ("model_version", "ModelVersion", as_is),
    ("scene_type", "SceneType", as_is),
    ("prompt", "Prompt", as_is),
    ("negative_prompt", "NegativePrompt", as_is),
    ("enhance_prompt", "EnhancePrompt", _switch),
    ("aspect_ratio", "OutputConfig.AspectRatio", as_is),
    ("resolution", "OutputConfig.Resolution", as_is),
    ("logo_add", "OutputConfig.LogoAdd", _switch),
    ("vod.storage_mode", "OutputConfig.StorageMode", as_is),
    ("vod.media_name", "OutputConfig.MediaName", as_is),
    ("vod.class_id", "OutputConfig.ClassId", as_is),
    ("vod.expire_time", "OutputConfig.ExpireTime", as_is),
    ("vod.person_generation", "OutputConfig.PersonGeneration", as_is),
    ("vod.input_compliance_check", "OutputConfig.InputComplianceCheck", _switch),
    ("vod.output_compliance_check", "OutputConfig.OutputComplianceCheck", _switch),
    ("vod.input_region", "InputRegion", as_is),
    ("vod.seed", "Seed", as_is),
    ("vod.session_context", "SessionContext", as_is),
    ("vod.tasks_priority", "TasksPriority", as_is),
    # Put together, and written as JSON at the end.
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
    ("subjects", "SubjectInfos", each(_subject)),
    ("duration", "OutputConfig.Duration", as_is),
    ("enable_audio", "OutputConfig.AudioGeneration", _switch),
    ("enable_bgm", "OutputConfig.EnableBGM", _switch),
    ("off_peak", "OutputConfig.OffPeak", _switch),
    ("vod.enhance_switch", "OutputConfig.EnhanceSwitch", _switch),
    ("vod.frame_interpolate", "OutputConfig.FrameInterpolate", _switch),
    ("vod.procedure", "Procedure", as_is),
)
_ONLY_OF_VIDEOS: Final = ("category", "usage", "object_id", "voice_id", "keep_original_sound")
"""Of a file: the image action refuses them."""


def encode(request: TaskRequest) -> dict[str, object]:
    """The create's parameters. Raises InvalidRequest, by the field's name."""
    if isinstance(request, ImageRequest):
        rows = IMAGE_FIELDS
        for file in request.vod.files if request.vod else ():
            if odd := [name for name in _ONLY_OF_VIDEOS if getattr(file, name) is not None]:
                raise InvalidRequest(f"vod.files: {odd[0]} is of a video's inputs")
    else:
        rows = VIDEO_FIELDS
    return written(fields.encode(rows, request, "VOD"))


def written(params: dict[str, object]) -> dict[str, object]:
    """With ExtInfo, which is a JSON document in a string, as that."""
    return params | {"ExtInfo": fields.as_json(params["ExtInfo"])} if "ExtInfo" in params else params


# --- answers → values -------------------------------------------------------------------------------------------------


def unwrap(answer: HttpAnswer, action: str) -> dict[str, object]:
    """The inside of the `Response` envelope. Raises ServiceError, or TransportError for anything else."""
    return envelope.unwrap(answer, action, BY_CODE)


def created(response: Mapping[str, object], action: str) -> Created:
    return Created(answers.new_task_id(response, action), text(response.get("RequestId")))


def _page(answer: HttpAnswer) -> TaskPage:
    response = unwrap(answer, "DescribeTasks")
    found = response.get("TaskSet")
    tasks = [task for task in found if isinstance(task, dict)] if isinstance(found, list) else []
    known = ((text(task.get("SessionId")), answers.task_id(task.get("TaskId"))) for task in tasks)
    by_session = {session_id: task_id for session_id, task_id in known if session_id and task_id}
    return TaskPage(by_session, text(response.get("ScrollToken")))


# --- the dialect ------------------------------------------------------------------------------------------------------


class Vod:
    """The VOD dialect. One per client."""

    backend = "vod"
    limits = LIMITS
    default_limit = DEFAULT_LIMIT
    url_life_s = URL_LIFE_S
    takes_sessions = True

    def __init__(
        self, *, host: str = HOST, region: str | None = None, sub_app_id: int | None = None, language: str = "en-US"
    ) -> None:
        self._tc3 = Tc3(SERVICE, VERSION, host=host, region=region, language=language)
        self._sub_app = {} if sub_app_id is None else {"SubAppId": sub_app_id}

    def create_action(self, kind: Kind) -> str:
        return CREATES[of_images_or_videos(kind, "VOD")]

    def describe_action(self, _kind: Kind, /) -> str:
        return DESCRIBE

    def create(self, request: TaskRequest, _store: CosStore | None, session_id: str = "", /) -> Call[Created]:
        action = self.create_action(request.kind)
        session = only_set(SessionId=session_id)
        return Call(
            action,
            envelope.body({**self._sub_app, **encode(request), **session}),
            lambda answer: created(unwrap(answer, action), action),
            deduplicated=bool(session_id),
        )

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]:
        kind = of_images_or_videos(kind, "VOD")
        return Call(
            DESCRIBE,
            envelope.body({**self._sub_app, "TaskId": task_id}),
            lambda answer: detail(unwrap(answer, DESCRIBE), kind, task_id),
        )

    def call(self, action: str, params: Mapping[str, object]) -> Call[dict[str, object]]:
        return Call(action, envelope.body({**self._sub_app, **params}), partial(unwrap, action=action))

    def tasks(self, state: TaskState, page: str, /) -> Call[TaskPage] | None:
        words = {known: word for word, known in TASK_STATES.items() if word != "ABORTED"}
        newest = {"Status": words[state], "Limit": 100, "Sort": {"Field": "CreateTime", "Order": "Desc"}}
        return Call("DescribeTasks", envelope.body({**self._sub_app, **newest, **only_set(ScrollToken=page)}), _page)

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int) -> HttpRequest:
        return self._tc3.sign(call, credentials, timestamp)
