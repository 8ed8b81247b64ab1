"""Requests: frozen models in snake_case with every documented field of the MPS creates.

Field names are ours; the dialects know the services' names. Unset fields are not sent. Documented abilities of single
models (durations, ratios, counts) are judged by the `catalog`, not here.

Sources: CreateAigcImageTask, CreateAigcVideoTask, CreateAigcAudioTask of the MPS API (2019-06-12), as of the official
SDK 3.1.194 of 2026-10, and the AIGC guide of 2026-05-29.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from .errors import FieldFault, InvalidRequest
from .inputs import Frame, ImageSource, ReferenceImage, ReferenceVideo, Subject, VideoSource
from .json_text import JsonObject
from .spelling import letters
from .states import Kind
from .value import Value, Whole, refusal_at, unwritable
from .vod_options import VodFile, VodOptions

REQUEST_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,120}")
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]

VERSION: Final = re.compile(r"@([1-9][0-9]{0,5})$")
"""The end of a name that means one version of a request."""


def _is_no_version(name: str) -> str:
    if VERSION.search(name):
        raise PydanticCustomError("version", "an id that ends in @ and a number names a version: leave the end out")
    return name


def _as_text(value: object) -> object:
    """A whole number as an id: the key of a table's row is one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


OwnId = Annotated[RequestId, BeforeValidator(_as_text), AfterValidator(_is_no_version)]

SERVICE_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "imageurl": ("first_frame", "images"),
    "imageinfos": ("images",),
    "lastimageurl": ("last_frame",),
    "videoinfos": ("videos",),
    "audioinfos": ("audios",),
    "subjectinfos": ("subjects",),
    "model": ("model_name",),
    "version": ("model_version",),
    "scene": ("scene_type",),
    "image": ("first_frame", "images"),
    "fileinfos": ("images", "videos"),
    "outputimagecount": ("output_count",),
    "outputaudioformat": ("output_format",),
    "audiogeneration": ("enable_audio",),
    "storecosparam": ("store",),
    "extinfo": ("additional_parameters",),
}
"""The services' own names of fields that differ from the attribute's, and short names, in small letters, for hints: the
first attribute that a request has."""


class CosStore(Value):
    """Where the service stores the results in COS (StoreCosParam). Needs the MPS_QcsRole role on the bucket."""

    bucket: str = Field(min_length=1)
    region: str = Field(min_length=1)
    path: str | None = None


class _TaskRequest(Value):
    """The fields of every request for one task."""

    kind: ClassVar[Kind]
    id: OwnId | None = None
    """Names the request in results, events and the ledger; derived from the content when absent."""
    prompt: str = ""
    """Documented as at most 1000 characters for images, 2000 for videos and audio."""
    model_name: str | None = None
    """`Hunyuan`, `Kling`, `Vidu` …: the service's list drifts, so any name passes."""
    model_version: str | None = None
    scene_type: str | None = None
    additional_parameters: JsonObject | None = None
    """Parameters of single models beyond the documented fields, such as `{"size": "1024x1024"}`: the object, or its
    JSON text as the guide writes it."""
    store: CosStore | None = None
    """Overrides the config's `cosOutput` for this request."""
    operator: str | None = None

    @classmethod
    def hint_for(cls, name: str) -> str:
        """Return the attribute for a service's own name, for another kind's or for VOD's; else the closest one."""
        named = letters(name)
        attributes = [field for field in cls.model_fields if letters(field) == named]
        attributes += [field for field in SERVICE_NAMES.get(named, ()) if field in cls.model_fields]
        attributes += [f"vod.{field}" for field in VodOptions.model_fields if letters(field) == named]
        if attributes and (attributes[0] in cls.model_fields or "vod" in cls.model_fields):
            return f"is {attributes[0]} meant?"
        kinds = [step.kind for step in (ImageRequest, VideoRequest, AudioRequest) if name in step.model_fields]
        return f"a field of {' and '.join(kinds)} requests" if kinds else super().hint_for(name)

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        # As Python's values: as JSON's, pydantic would repair keys that are sent without repair.
        fields = self.model_dump()
        if unwritable(fields):
            name, why = next((name, why) for name, value in fields.items() if (why := unwritable(value)))
            raise refusal_at((name,), None, why)  # without the value, which no error could be written with either
        return self


class _PictureRequest(_TaskRequest):
    """The fields that image and video requests share."""

    negative_prompt: str | None = None
    enhance_prompt: bool | None = None
    """Let the service rewrite the prompt for quality. The service's default is false."""
    images: tuple[ImageSource | ReferenceImage, ...] = ()
    """Reference images (jpeg, png, webp)."""
    aspect_ratio: str | None = None
    resolution: str | None = None
    logo_add: bool | None = None
    """Add the provider's watermark."""
    vod: VodOptions | None = None
    """Options that only VOD and the relay know."""

    @property
    def _vod_files(self) -> tuple[VodFile, ...]:
        return self.vod.files if self.vod else ()


class ImageRequest(_PictureRequest):
    """A request for one image task.

    >>> ImageRequest(prompt="a lake by moonlight", aspect_ratio="16:9").prompt
    'a lake by moonlight'
    >>> ImageRequest(prompt=" ")
    Traceback (most recent call last):
        ...
    mps_aigc_async.model.errors.InvalidRequest: ImageRequest: prompt is empty: write one, or give reference `images`
    """

    kind = Kind.IMAGE
    output_count: Whole | None = Field(default=None, ge=1)
    output_format: str | None = None
    """`jpeg` or `png`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.prompt.strip() and not self.images and not self._vod_files:
            raise refusal_at(("prompt",), self.prompt, "is empty: write one, or give reference `images`")
        return self


class VideoRequest(_PictureRequest):
    """A request for one video task; with `first_frame` the video begins with that image."""

    kind = Kind.VIDEO
    first_frame: Frame | None = None
    """jpeg or png, at most 10 MB recommended, publicly reachable by the service."""
    last_frame: Frame | None = None
    videos: tuple[str | ReferenceVideo, ...] = ()
    audios: tuple[str, ...] = ()
    """Public URLs of reference audio."""
    subjects: tuple[Subject, ...] = ()
    duration: Whole | None = Field(default=None, ge=1)
    """Seconds. The values that a model takes differ; billed per second generated."""
    enable_audio: bool | None = None
    enable_bgm: bool | None = None
    off_peak: bool | None = None
    """Vidu: cheaper, but the task may take up to 48 hours."""

    @property
    def shows_something(self) -> bool:
        """Whether the service has anything to start from. A chain's video always has: the chain's image."""
        inputs = (self.first_frame, self.last_frame, self.images, self.videos, self.subjects, self._vod_files)
        return bool(self.prompt.strip()) or any(inputs)


class AudioRequest(_TaskRequest):
    """A request for one audio task: music, a sound, or the sound of a video.

    The scene (`scene_type`) is `music`, `sfx` (a sound) or `tts` (speech). An audio that leaves it open gets the scene
    that its model and its video allow, if there is only one.

    >>> AudioRequest(prompt="a slow waltz", scene_type="music", model_name="MiniMaxMusic").prompt
    'a slow waltz'
    """

    kind = Kind.AUDIO
    videos: tuple[VideoSource, ...] = ()
    """The videos to make sound for: Kling makes a video's sound, EL its background music."""
    audios: tuple[str, ...] = ()
    """Public URLs of reference audio, such as the song that MiniMaxMusic is to cover."""
    lyrics: str | None = None
    """The words of a song (GL, MiniMaxMusic, Mureka's songs): sent among the `additional_parameters`."""
    duration: Whole | None = Field(default=None, ge=0, le=60)
    """Seconds, on VOD only: AigcAudioOutputConfig.Duration (SDK 3.1.194)."""
    resource_id: str | None = None
    """The song that Tme covers."""
    output_format: str | None = None
    """The audio's format, such as `mp3`."""
    vod: VodOptions | None = None
    """Options that only VOD knows, such as `storage_mode`."""

    @model_validator(mode="after")
    def _has_its_lyrics_once(self) -> Self:
        if self.lyrics is not None and {"lyrics", "lyric"} & {*(self.additional_parameters or {})}:
            raise refusal_at(("lyrics",), None, "are in `additional_parameters` too: write them in one of the two")
        return self

    @property
    def says_something(self) -> bool:
        """Whether the service has anything to start from. A chain's audio always has: the chain's video."""
        return bool(self.prompt.strip() or self.videos or self.audios)


class _Chain(Value):
    """A request for several tasks. Its steps are linked jobs, and each starts from the result of the step before."""

    id: OwnId | None = None

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        for step in steps_of(self):
            if step.id is not None:
                raise refusal_at((step.kind, "id"), step.id, "the id belongs to the chain itself, not to its steps")
            if isinstance(step, AudioRequest) and step.videos:
                why = "is the chain's own video: leave it out, or ask for an AudioRequest"
                raise refusal_at((step.kind, "videos"), step.videos, why)
        return self


class ImageToVideo(_Chain):
    """A chain: an image, then the video that begins with it, then that video's sound if `audio` is set."""

    image: ImageRequest
    video: VideoRequest
    audio: AudioRequest | None = None

    @model_validator(mode="after")
    def _begins_with_its_image(self) -> Self:
        if self.video.first_frame is not None:
            why = "is the chain's own image: leave it out, or leave out the image step"
            raise refusal_at(("video", "first_frame"), self.video.first_frame, why)
        return self


class VideoToAudio(_Chain):
    """A chain: a video, then its sound."""

    video: VideoRequest
    audio: AudioRequest


Step = ImageRequest | VideoRequest | AudioRequest
"""A request for one task, by itself or as a step of a chain."""

Request = Step | ImageToVideo | VideoToAudio


def steps_of(request: Value) -> tuple[Step, ...]:
    """Return the requests for single tasks, in the order of making: the request itself, or a chain's steps."""
    steps = [getattr(request, kind, None) for kind in Kind] if isinstance(request, _Chain) else [request]
    return tuple(step for step in steps if isinstance(step, Step))


def check(request: Request) -> Request:
    """Refuse a request that no model can serve. Raises InvalidRequest."""
    first = steps_of(request)[0]  # the other steps start from its result
    if isinstance(first, VideoRequest) and not first.shows_something:
        raise _without_prompt(request, first, "a `first_frame`")
    if isinstance(first, AudioRequest) and not first.says_something:
        raise _without_prompt(request, first, "`videos` or `audios`")
    _refuse_shared_session(request)
    return request


def session_of(step: Step) -> str:
    """Return the session id that the user has chosen for a step's create; empty for none."""
    options = getattr(step, "vod", None)
    return (options.session_id or "") if isinstance(options, VodOptions) else ""


def _refuse_shared_session(request: Request) -> None:
    """Refuse a chain with one session id for two steps: the service would refuse the second one, after the first is
    paid for."""
    sessions: dict[str, Kind] = {}
    for step in steps_of(request):
        session_id = session_of(step)
        other = sessions.setdefault(session_id, step.kind) if session_id else step.kind
        if other is not step.kind:
            why = f"is the {other}'s session id too: the service refuses a second create of one session"
            raise InvalidRequest.of_fields(
                type(request).__name__, [FieldFault(f"{step.kind}.vod.session_id", f"{why}; choose another")]
            )


def _without_prompt(request: Request, step: Step, instead: str) -> InvalidRequest:
    where = "prompt" if request is step else f"{step.kind}.prompt"
    return InvalidRequest.of_fields(
        type(request).__name__, [FieldFault(where, f"is empty: write one, or give {instead}")]
    )


def model_label(name: object, version: object) -> str:
    """Return a model's name and version, as they are counted and shown; empty for the service's own default.

    >>> model_label("Hailuo", "H3"), model_label("Vidu", None)
    ('Hailuo H3', 'Vidu')
    """
    return " ".join(str(part) for part in (name, version) if part)
