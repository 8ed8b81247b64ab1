"""Tencent Cloud MPS's dialect: its fields, envelope, error codes and limits.

Sources: the MPS API's CreateAigc…Task and DescribeAigc…Task for images, videos and audio, version 2019-06-12, as of the
official SDK 3.1.194 (2026-10); "AIGC creation guide" (MPS, 2026-05-29).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, NamedTuple

from ..credentials import Credentials
from ..errors import (
    AccountError,
    ContentViolation,
    InvalidRequest,
    ServiceError,
    TaskNotFound,
    Throttled,
    TooManyTasks,
    TransportError,
)
from ..requests import CosStore, ImageSource, ReferenceImage, ReferenceVideo, Subject, VideoSource
from ..results import TaskResult
from ..states import Ending, Kind, TaskState
from .dialect import Call, Created, HttpAnswer, HttpRequest, TaskRequest, TaskStatus
from .tc3 import Signer

HOST: Final = "mps.tencentcloudapi.com"
VERSION: Final = "2019-06-12"
SERVICE: Final = "mps"

LIMITS: Final[Mapping[str, float]] = {
    # Calls per second and account (guide of 2026-05-29, "频率限制"; each action's own page says the same).
    "CreateAigcImageTask": 20,
    "DescribeAigcImageTask": 20,
    "CreateAigcVideoTask": 10,
    "DescribeAigcVideoTask": 50,
    # Not in the guide: each action's own page (MPS API documents, 2026-10).
    "CreateAigcAudioTask": 20,
    "DescribeAigcAudioTask": 20,
    "DescribeAigcTaskList": 20,
    "DescribeAigcTaskStatus": 20,
}
DEFAULT_LIMIT: Final = 20.0
"""The documented default of MPS actions that name no other (API overview, 2026-10)."""

URL_LIFE_S: Final = 12 * 3600.0
"""Result URLs live 12 hours (guide of 2026-05-29, note 1)."""

TASK_STATES: Final[Mapping[str, TaskState]] = {
    "WAIT": TaskState.WAITING,
    "RUN": TaskState.RUNNING,
    "DONE": TaskState.DONE,
    "FAIL": TaskState.FAILED,
}


class _Actions(NamedTuple):
    """How one kind of task is created and asked about, and where the answer has its URLs."""

    create: str
    describe: str
    urls: str
    videos: str = ""
    """Where the answer has the videos that an audio was put on; other kinds have none."""


_ACTIONS: Final = {
    Kind.IMAGE: _Actions("CreateAigcImageTask", "DescribeAigcImageTask", "ImageUrls"),
    Kind.VIDEO: _Actions("CreateAigcVideoTask", "DescribeAigcVideoTask", "VideoUrls"),
    Kind.AUDIO: _Actions("CreateAigcAudioTask", "DescribeAigcAudioTask", "AudioInfos", "VideoInfos"),
}


# --- errors -----------------------------------------------------------------------------------------------------------

ErrorRow = tuple[str, type[ServiceError], Ending]
ERRORS: Final[tuple[ErrorRow, ...]] = (
    # Code (or its prefix up to a dot) → class and ending; the longest match wins. MPS error codes, 2026-10.
    ("RequestLimitExceeded", Throttled, Ending.REFUSED_FOR_NOW),
    ("LimitExceeded.CreateTask", TooManyTasks, Ending.REFUSED_FOR_NOW),
    ("ResourceInsufficient", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ServiceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    # These two say that something broke, not that nothing was accepted.
    ("InternalError", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.CreateAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.QueryAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("AuthFailure", AccountError, Ending.ACCOUNT_REFUSED),
    ("UnauthorizedOperation", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidMpsUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.UserUnRegister", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpInBlacklist", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpNotInWhitelist", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("FailedOperation.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("ResourceNotFound.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    ("InvalidParameter", ServiceError, Ending.REFUSED),
    ("InvalidParameterValue", ServiceError, Ending.REFUSED),
    ("MissingParameter", ServiceError, Ending.REFUSED),
    ("UnknownParameter", ServiceError, Ending.REFUSED),
    ("UnsupportedOperation", ServiceError, Ending.REFUSED),
    ("RequestSizeLimitExceeded", ServiceError, Ending.REFUSED),
    # Not about AIGC, but certain refusals of the API's own gateway.
    ("InvalidAction", ServiceError, Ending.REFUSED),
    ("NoSuchVersion", ServiceError, Ending.REFUSED),
)
_BY_CODE: Final = {code: (cls, ending) for code, cls, ending in ERRORS}


def service_error(code: str, message: str, request_id: str | None) -> ServiceError:
    """The error of a documented code. A code that no row knows tells nothing of what happened: UNKNOWN."""
    known = code
    while known and known not in _BY_CODE:
        known = known.rpartition(".")[0]
    cls, ending = _BY_CODE.get(known, (ServiceError, Ending.UNKNOWN))
    return cls(code, message, ending=ending, request_id=request_id)


# --- requests → bodies ------------------------------------------------------------------------------------------------


def _url(source: ImageSource | VideoSource) -> str:
    if isinstance(source, TaskResult):
        if not source.urls:
            raise InvalidRequest(f"the {source.kind} of task {source.task_id} has no URL", task_id=source.task_id)
        return source.urls[0]
    text = str(source)
    if not text.lower().startswith(("https://", "http://")):
        raise InvalidRequest(
            f"{text!r} is not a URL: MPS fetches its inputs itself, so put the file where it is publicly reachable"
        )
    return text


def _reference_image(image: ImageSource | ReferenceImage) -> dict[str, object]:
    if isinstance(image, ReferenceImage):
        return _set(ImageUrl=_url(image.image), ReferenceType=image.reference_type)
    return {"ImageUrl": _url(image)}


def _reference_video(video: str | ReferenceVideo) -> dict[str, object]:
    if isinstance(video, str):
        return {"VideoUrl": _url(video)}
    keep = None if video.keep_original_sound is None else ("yes" if video.keep_original_sound else "no")
    return _set(VideoUrl=_url(video.url), ReferType=video.refer_type, KeepOriginalSound=keep)


def _subject(subject: Subject) -> dict[str, object]:
    return _set(
        Id=subject.id,
        Name=subject.name,
        VoiceId=subject.voice_id,
        ImageUrls=[_url(image) for image in subject.images],
        VideoUrls=[_url(video) for video in subject.videos],
    )


def _store(store: CosStore) -> dict[str, object]:
    return _set(CosBucketName=store.bucket, CosBucketRegion=store.region, CosBucketPath=store.path)


def _set(**fields: object) -> dict[str, object]:
    """Only what is set: the service answers UnknownParameter or InvalidParameter to stray fields."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def _as_is(value: object) -> object:
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _each(encode: Callable[..., object]) -> Callable[[Iterable[object]], list[object]]:
    return lambda values: [encode(value) for value in values]


FieldRow = tuple[str, str, Callable[..., object]]
_COMMON: Final[tuple[FieldRow, ...]] = (
    # request attribute → field on the wire (a dot enters a nested object), and how its value is written
    ("model_name", "ModelName", _as_is),
    ("model_version", "ModelVersion", _as_is),
    ("scene_type", "SceneType", _as_is),
    ("prompt", "Prompt", _as_is),
    ("additional_parameters", "AdditionalParameters", _json),
    ("store", "StoreCosParam", _store),
    ("operator", "Operator", _as_is),
)
_PICTURE: Final[tuple[FieldRow, ...]] = (
    *_COMMON,
    ("negative_prompt", "NegativePrompt", _as_is),
    ("enhance_prompt", "EnhancePrompt", _as_is),
    ("images", "ImageInfos", _each(_reference_image)),
    ("aspect_ratio", "ExtraParameters.AspectRatio", _as_is),
    ("resolution", "ExtraParameters.Resolution", _as_is),
    ("logo_add", "ExtraParameters.LogoAdd", int),
)
IMAGE_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_PICTURE,
    ("output_count", "OutputImageCount", _as_is),
    ("output_format", "ExtraParameters.OutputFormat", _as_is),
)
_AUDIOS: Final[FieldRow] = ("audios", "AudioInfos", _each(lambda url: {"AudioUrl": _url(url)}))
VIDEO_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_PICTURE,
    ("first_frame", "ImageUrl", _url),
    ("last_frame", "LastImageUrl", _url),
    ("videos", "VideoInfos", _each(_reference_video)),
    _AUDIOS,
    ("subjects", "SubjectInfos", _each(_subject)),
    ("duration", "Duration", _as_is),
    ("enable_audio", "ExtraParameters.EnableAudio", _as_is),
    ("enable_bgm", "ExtraParameters.EnableBgm", _as_is),
    ("off_peak", "ExtraParameters.OffPeak", _as_is),
)
AUDIO_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_COMMON,
    ("videos", "VideoInfos", _each(lambda video: {"VideoUrl": _url(video)})),
    _AUDIOS,
    ("resource_id", "ExtraParameters.ResourceId", _as_is),
    ("output_format", "ExtraParameters.OutputAudioFormat", _as_is),
)
_FIELDS: Final = {Kind.IMAGE: IMAGE_FIELDS, Kind.VIDEO: VIDEO_FIELDS, Kind.AUDIO: AUDIO_FIELDS}


def encode(request: TaskRequest, store: CosStore | None = None) -> dict[str, object]:
    """The create's parameters: what is set, under the service's names. Raises InvalidRequest for a local file."""
    params: dict[str, object] = {}
    nested: dict[str, dict[str, object]] = {}
    for attribute, name, write in _FIELDS[request.kind]:
        value = getattr(request, attribute)
        if attribute == "store":
            value = value or store
        if value in (None, "", ()):
            continue
        try:
            written = write(value)
        except InvalidRequest as error:
            raise InvalidRequest(f"{attribute}: {error.message}", task_id=error.task_id) from None
        outer, _, inner = name.partition(".")
        if inner:
            nested.setdefault(outer, {})[inner] = written
        else:
            params[outer] = written
    return params | nested


# --- answers → values -------------------------------------------------------------------------------------------------


_ENDLESS: Final = 1e9
"""No audio lasts as many seconds: what claims to (JSON writes infinity too) tells nothing."""


def unwrap(answer: HttpAnswer, action: str) -> dict[str, object]:
    """The inside of the `Response` envelope. Raises ServiceError, or TransportError for anything else.

    The service answers 200 to whatever it processed, a failed signature included; another status is the network's.
    """
    response = _response_of(answer.body) if answer.status == 200 else None
    error = response.get("Error") if response else None
    if response is None or not isinstance(error, dict | None):
        raise TransportError(
            f"HTTP {answer.status} with {len(answer.body)} bytes that are not the service's envelope",
            ending=Ending.UNKNOWN,
            action=action,
        )
    if error is not None:
        request_id = _text(response.get("RequestId")) or None
        raise service_error(_text(error.get("Code")), _text(error.get("Message")), request_id).about(action=action)
    return response


def _response_of(body: bytes) -> dict[str, object] | None:
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):  # the latter: nested a thousand deep
        return None
    response = envelope.get("Response") if isinstance(envelope, dict) else None
    return response if isinstance(response, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _decode_created(action: str, answer: HttpAnswer) -> Created:
    response = unwrap(answer, action)
    task_id = _text(response.get("TaskId"))
    if not task_id:
        raise TransportError("the answer to the create has no TaskId", ending=Ending.UNKNOWN, action=action)
    return Created(task_id, _text(response.get("RequestId")))


def _urls(found: object) -> tuple[str, ...]:
    """The URLs of a list of them, or of objects that have one as their `Url`."""
    entries = found if isinstance(found, list) else []
    urls = (entry.get("Url") if isinstance(entry, dict) else entry for entry in entries)
    return tuple(url for url in urls if isinstance(url, str) and url)


def _duration(*found: object) -> float | None:
    """The `Duration` of the first object in these lists that has one."""
    for entry in (entry for entries in found if isinstance(entries, list) for entry in entries):
        length = entry.get("Duration") if isinstance(entry, dict) else None
        if isinstance(length, int | float) and not isinstance(length, bool) and 0 < length < _ENDLESS:
            return length
    return None


def _decode_status(actions: _Actions, answer: HttpAnswer) -> TaskStatus:
    response = unwrap(answer, actions.describe)
    word = _text(response.get("Status"))
    # A word that the documents do not know is polled on: the deadline bounds it, and guessing could lose a result.
    state = TASK_STATES.get(word, TaskState.RUNNING)
    found, videos = response.get(actions.urls), response.get(actions.videos)
    return TaskStatus(
        state=state,
        word=word,
        request_id=_text(response.get("RequestId")),
        message=_text(response.get("Message")),
        urls=_urls(found),
        resolution=_text(response.get("Resolution")) or None,
        duration=_duration(found, videos),
        videos=_urls(videos),
        known=word in TASK_STATES,
    )


def server_time(answer: HttpAnswer) -> float | None:
    """The answer's `Date` in Unix seconds: what AuthFailure.SignatureExpire is corrected by."""
    try:
        date = parsedate_to_datetime(answer.headers["date"])
        # A zone that is not named, or is `-0000`, is UTC in an HTTP date; `timestamp` would take it for the local one.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


# --- the dialect ------------------------------------------------------------------------------------------------------


class Mps:
    """The MPS dialect. One per client; keeps nothing but the day's derived signing key."""

    limits = LIMITS
    default_limit = DEFAULT_LIMIT
    url_life_s = URL_LIFE_S

    def __init__(self, *, host: str = HOST, region: str | None = None, language: str = "en-US") -> None:
        self._host = host
        self._region = region
        self._language = language
        self._signer = Signer(SERVICE)

    def create_action(self, kind: Kind) -> str:
        return _ACTIONS[kind].create

    def describe_action(self, kind: Kind) -> str:
        return _ACTIONS[kind].describe

    def create(self, request: TaskRequest, store: CosStore | None) -> Call[Created]:
        action = self.create_action(request.kind)
        return Call(action, _body(encode(request, store)), partial(_decode_created, action))

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]:
        actions = _ACTIONS[kind]
        return Call(actions.describe, _body({"TaskId": task_id}), partial(_decode_status, actions))

    def call(self, action: str, params: Mapping[str, object]) -> Call[dict[str, object]]:
        return Call(action, _body(params), partial(unwrap, action=action))

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int) -> HttpRequest:
        signed = {
            "content-type": "application/json; charset=utf-8",
            "host": self._host,
            "x-tc-action": call.action,
        }
        headers = {
            "Authorization": self._signer.authorization(
                credentials.secret_id, credentials.secret_key.get_secret_value(), timestamp, signed, call.body
            ),
            "Content-Type": signed["content-type"],
            "Host": self._host,
            "X-TC-Action": call.action,
            "X-TC-Version": VERSION,
            "X-TC-Timestamp": str(timestamp),
            "X-TC-Language": self._language,
        }
        if self._region:
            headers["X-TC-Region"] = self._region
        if credentials.token:
            headers["X-TC-Token"] = credentials.token.get_secret_value()
        return HttpRequest("/", headers, call.body)


def _body(params: Mapping[str, object]) -> bytes:
    return json.dumps(params, ensure_ascii=False, separators=(",", ":")).encode()
