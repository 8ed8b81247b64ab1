"""Tencent Cloud MPS's dialect: its fields, envelope, error codes and limits.

Sources: CreateAigcImageTask, DescribeAigcImageTask, CreateAigcVideoTask and DescribeAigcVideoTask of the MPS API,
version 2019-06-12, as of the official SDK 3.1.194 (2026-10); "AIGC creation guide" (MPS, 2026-05-29).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from ..credentials.credentials import Credentials
from ..model.audio_models import require_lyrics_taken, require_scene, with_lyrics_of_gl
from ..model.inputs import ImageSource, ReferenceImage, ReferenceVideo
from ..model.requests import AudioRequest, CosStore, Step
from ..model.states import Kind, TaskState
from . import answers, envelope, fields
from .answers import text
from .common_fields import LYRICS_AND_MORE, MODEL_AND_PROMPT, SUBJECTS, with_parameters_as_json
from .dialect import Call, Created, HttpAnswer, HttpRequest, SessionRule, TaskPage, TaskStatus
from .fields import FieldRow, as_is, as_json, each, only_set, url_of
from .mps_errors import BY_CODE, BY_CODE_WITH_STORE
from .tencent_api import TencentApi

HOST: Final = "mps.tencentcloudapi.com"
VERSION: Final = "2019-06-12"
API: Final = TencentApi("mps", VERSION, BY_CODE)
_API_WITH_STORE: Final = TencentApi("mps", VERSION, BY_CODE_WITH_STORE)

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
    "DescribeUsageData": 100,
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
    """One kind's actions, and the keys of the URLs in the answer."""

    create: str
    describe: str
    urls: str
    videos: str = ""
    """The key of an audio's videos, which have the new sound on them. Other kinds have none."""


_ACTIONS: Final = {
    Kind.IMAGE: _Actions("CreateAigcImageTask", "DescribeAigcImageTask", "ImageUrls"),
    Kind.VIDEO: _Actions("CreateAigcVideoTask", "DescribeAigcVideoTask", "VideoUrls"),
    Kind.AUDIO: _Actions("CreateAigcAudioTask", "DescribeAigcAudioTask", "AudioInfos", "VideoInfos"),
}


# --- requests → bodies ------------------------------------------------------------------------------------------------


def _reference_image(image: ImageSource | ReferenceImage) -> dict[str, object]:
    if isinstance(image, ReferenceImage):
        return only_set(ImageUrl=url_of(image.image), ReferenceType=image.reference_type)
    return {"ImageUrl": url_of(image)}


def _reference_video(video: str | ReferenceVideo) -> dict[str, object]:
    if isinstance(video, str):
        return {"VideoUrl": url_of(video)}
    keep = None if video.keep_original_sound is None else ("yes" if video.keep_original_sound else "no")
    return only_set(VideoUrl=url_of(video.url), ReferType=video.refer_type, KeepOriginalSound=keep)


def _store(store: CosStore) -> dict[str, object]:
    return only_set(CosBucketName=store.bucket, CosBucketRegion=store.region, CosBucketPath=store.path)


_STORE: Final[tuple[FieldRow, ...]] = (
    # request attribute → field on the wire (a dot enters a nested object), and the function that writes the value
    ("store", "StoreCosParam", _store),
    ("operator", "Operator", as_is),
)
_PICTURE: Final[tuple[FieldRow, ...]] = (
    *MODEL_AND_PROMPT,
    ("additional_parameters", "AdditionalParameters", as_json),
    *_STORE,
    ("negative_prompt", "NegativePrompt", as_is),
    ("enhance_prompt", "EnhancePrompt", as_is),
    ("images", "ImageInfos", each(_reference_image)),
    ("aspect_ratio", "ExtraParameters.AspectRatio", as_is),
    ("resolution", "ExtraParameters.Resolution", as_is),
    ("logo_add", "ExtraParameters.LogoAdd", int),
)
IMAGE_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_PICTURE,
    ("output_count", "OutputImageCount", as_is),
    ("output_format", "ExtraParameters.OutputFormat", as_is),
)
_AUDIOS: Final[FieldRow] = ("audios", "AudioInfos", each(lambda url: {"AudioUrl": url_of(url)}))
VIDEO_FIELDS: Final[tuple[FieldRow, ...]] = (
    *_PICTURE,
    ("first_frame", "ImageUrl", url_of),
    ("last_frame", "LastImageUrl", url_of),
    ("videos", "VideoInfos", each(_reference_video)),
    _AUDIOS,
    SUBJECTS,
    ("duration", "Duration", as_is),
    ("enable_audio", "ExtraParameters.EnableAudio", as_is),
    ("enable_bgm", "ExtraParameters.EnableBgm", as_is),
    ("off_peak", "ExtraParameters.OffPeak", as_is),
)
AUDIO_FIELDS: Final[tuple[FieldRow, ...]] = (
    *MODEL_AND_PROMPT,
    *LYRICS_AND_MORE,
    *_STORE,
    ("videos", "VideoInfos", each(lambda video: {"VideoUrl": url_of(video)})),
    _AUDIOS,
    ("resource_id", "ExtraParameters.ResourceId", as_is),
    ("output_format", "ExtraParameters.OutputAudioFormat", as_is),
)
_FIELDS: Final = {Kind.IMAGE: IMAGE_FIELDS, Kind.VIDEO: VIDEO_FIELDS, Kind.AUDIO: AUDIO_FIELDS}


def encode(request: Step, store: CosStore | None = None) -> dict[str, object]:
    """The create's parameters. Raises InvalidRequest, by the field's name."""
    if not isinstance(request, AudioRequest):
        return fields.encode(_FIELDS[request.kind], request, "MPS", {"store": store})
    audio = with_lyrics_of_gl(request, "mps")
    params = fields.encode(AUDIO_FIELDS, audio, "MPS", {"store": store})
    require_scene(request)
    require_lyrics_taken(request)
    return with_parameters_as_json(params)


# --- answers → values -------------------------------------------------------------------------------------------------


def _decode_status(actions: _Actions, answer: HttpAnswer) -> TaskStatus:
    response = API.unwrap(answer, actions.describe)
    word = text(response.get("Status"))
    state, is_documented = answers.state_of(TASK_STATES, word)
    results, videos = response.get(actions.urls), response.get(actions.videos)
    return TaskStatus(
        state=state,
        word=word,
        request_id=text(response.get("RequestId")),
        message=answers.reason(response) or text(response.get("Message")),
        urls=answers.urls(results),
        resolution=text(response.get("Resolution")) or None,
        durations=answers.durations(results),
        videos=answers.urls(videos),
        video_durations=answers.durations(videos),
        known=is_documented,
    )


# --- the dialect ------------------------------------------------------------------------------------------------------


class Mps:
    """The MPS dialect, one per client. Its only state is the signing key derived for the day."""

    backend = "mps"
    limits = LIMITS
    default_limit = DEFAULT_LIMIT
    url_life_s = URL_LIFE_S
    signs_time = True
    scope: Mapping[str, str] = MappingProxyType({})

    def __init__(self, *, host: str = HOST, region: str | None = None, language: str = "en-US") -> None:
        self._tc3 = API.signer(host=host, region=region, language=language)
        # Each action's page counts by sub-account, access region and action. No document says in which region a call
        # without a region counts, so such calls are counted apart.
        self.limits_region = region or ""

    def create_action(self, kind: Kind) -> str:
        return _ACTIONS[kind].create

    def describe_action(self, kind: Kind) -> str:
        return _ACTIONS[kind].describe

    def sessions(self, _kind: Kind, /) -> SessionRule:
        return SessionRule.NONE  # no create of MPS has a field for one

    def create(self, request: Step, store: CosStore | None, _session_id: str = "", /) -> Call[Created]:
        api = API if request.store in (None, store) else _API_WITH_STORE
        return api.create(self.create_action(request.kind), encode(request, store))

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]:
        actions = _ACTIONS[kind]
        return Call(actions.describe, envelope.body({"TaskId": task_id}), partial(_decode_status, actions))

    def keeps(self, request: Step, store: CosStore | None, /) -> bool:
        return bool(request.store or store)  # results in the user's own bucket never expire

    def media_urls(self, _file_ids: Sequence[str], /) -> Call[Mapping[str, str]] | None:
        return None

    def takes_file_ids(self, _kind: Kind, /) -> frozenset[str]:
        return frozenset()

    def call(self, action: str, params: Mapping[str, object]) -> Call[dict[str, object]]:
        return API.call(action, params)

    def tasks(self, _state: TaskState, _page: str, /) -> Call[TaskPage] | None:
        return None

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int) -> HttpRequest:
        return self._tc3.sign(call, credentials, timestamp)
