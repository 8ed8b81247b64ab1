"""What a user asks for: frozen models in snake_case, every documented field of the MPS creates.

Field names are ours; the dialects know the services' names. Nothing unset is sent. Documented abilities of single
models (durations, ratios, counts) are not judged here, but by the `catalog`.

Sources: CreateAigcImageTask, CreateAigcVideoTask, CreateAigcAudioTask of the MPS API (2019-06-12), as of the official
SDK 3.1.194 of 2026-10, and the AIGC guide of 2026-05-29.
"""

import hashlib
import json
import re
from binascii import a2b_base64
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    WrapSerializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from .errors import FieldFault, InvalidRequest
from .plain_text import CUT
from .results import ImageResult, VideoResult
from .states import Kind

T = TypeVar("T")

ADDED_LATER: Final[Mapping[str, object]] = {
    "never_expires": False, "bare_file_ids": [], "usage": None, "begun_at": None, "finished_at": None,
}  # fmt: skip
"""Fields of results that ledgers of schema 4 and earlier do not have, with their defaults in JSON. They are content
only where they tell something: a request that goes on from a result would otherwise be another one after an upgrade,
and be paid for again. A field that is added to results belongs here."""


def _written_result(result: object, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = write(result)
    return {name: value for name, value in fields.items() if name not in ADDED_LATER or value != ADDED_LATER[name]}


_AsContent: Final = WrapSerializer(_written_result, when_used="json")

ImageSource = str | Path | Annotated[ImageResult, _AsContent]
"""A public URL, a local file, or the result of an image request (its first image)."""


def _source(value: object) -> object:
    if isinstance(value, str | Path | ImageResult | Mapping):  # the latter: a result as the ledger keeps it
        return value
    raise ValueError(f"expected a URL, a path or an ImageResult, got {type(value).__name__}")


Frame = Annotated[ImageSource, BeforeValidator(_source)]
"""An image, by where it is."""


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value}")  # noqa: TRY004 — pydantic's word for it
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
"""A whole number; Python and pydantic take `true` for 1."""

VideoSource = str | Annotated[VideoResult, _AsContent]
"""A public URL, or the result of a video request."""

REQUEST_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,120}")
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]


UNWRITABLE_NUMBER: Final = "a number that JSON cannot hold: infinite, none at all (NaN), or with too many digits"

_DATA_URL: Final = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)


class Value(BaseModel):
    """The base of everything here: frozen, no unknown fields, errors of our own."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    def __init__(self, /, *args: object, **data: Any) -> None:  # noqa: ANN401 — the decoder's edge: pydantic types it from here on
        if args:
            name = type(self).__name__
            first = next(field for field in type(self).model_fields if field != "id")
            raise InvalidRequest(f"{name} takes its fields by name: {name}({first}=…)")
        _in_our_words(type(self), lambda: super(Value, self).__init__(**data))

    # pydantic would call an `__init__` that is not marked so for every value inside a user's own model, and our error
    # would hide the path to the field there. The mark is pydantic's own (`BaseModel` and `RootModel` carry it).
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401 — pydantic's own signature
        """As pydantic's. Raises InvalidRequest."""
        return _in_our_words(cls, lambda: super(Value, cls).model_validate(obj, **options))

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:  # noqa: ANN401 — as above
        """As pydantic's. Raises InvalidRequest."""
        return _in_our_words(cls, lambda: super(Value, cls).model_validate_json(json_data, **options))

    @classmethod
    def model_validate_strings(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401 — as above
        """As pydantic's. Raises InvalidRequest."""
        return _in_our_words(cls, lambda: super(Value, cls).model_validate_strings(obj, **options))

    def __hash__(self) -> int:
        """By content, as requests are compared; a field may hold a dict (`additional_parameters`)."""
        return hash((type(self), _as_hashable(self.__dict__)))


def _in_our_words(cls: type[BaseModel], validate: Callable[[], T]) -> T:
    """Validate a value of this class by itself. Raises InvalidRequest.

    Inside a model of the user's, pydantic validates without this: its own error then has the path to the field.
    """
    try:
        return validate()
    except ValidationError as error:
        refused = InvalidRequest.of_fields(cls.__name__, [_fault_in(detail) for detail in error.errors()])
    # Raised out here: pydantic's error, which quotes the input, is in no chain.
    raise refused


def _fault_in(detail: Any) -> FieldFault:  # noqa: ANN401 — pydantic's own TypedDict is not exported
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return FieldFault(where, "unknown field")
    return FieldFault(where, str(detail["msg"]).removeprefix("Value error, "))


def _refusal(path: tuple[str, ...], value: object, why: str) -> ValidationError:
    """The error of a rule about several fields, at the field that breaks it: pydantic puts the path of the whole value
    before it, wherever that stands."""
    reason = PydanticCustomError("value_error", "{why}", {"why": why})
    return ValidationError.from_exception_data("request", [{"type": reason, "loc": path, "input": value}])


def _as_hashable(value: object) -> Hashable:
    if isinstance(value, dict):
        return frozenset((name, _as_hashable(inner)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return tuple(_as_hashable(inner) for inner in value)
    return value


class CosStore(Value):
    """Where the service stores the results in COS (StoreCosParam). Needs the MPS_QcsRole role on the bucket."""

    bucket: str = Field(min_length=1)
    region: str = Field(min_length=1)
    path: str | None = None


class ReferenceImage(Value):
    """A reference image with its documented `reference_type` (its meaning depends on the model)."""

    image: Frame = Field(validation_alias=AliasChoices("image", "url", "Url", "image_url", "ImageUrl"))
    reference_type: str | None = Field(default=None, validation_alias=AliasChoices("reference_type", "ReferenceType"))


class ReferenceVideo(Value):
    """A reference video by its public URL."""

    url: str
    refer_type: str | None = None
    """`feature` (a style to take from) or `base` (the video to edit; excludes first and last frames)."""
    keep_original_sound: bool | None = None


class Subject(Value):
    """A subject (a person, a thing) that the video should show."""

    id: str | None = None
    name: str | None = None
    voice_id: str | None = None
    images: tuple[ImageSource, ...] = ()
    videos: tuple[str, ...] = ()


class VodFile(Value):
    """An input file as VOD takes it: by its id there, by URL, or by its content."""

    file_id: str | None = None
    url: str | None = None
    base64: str | None = Field(default=None, repr=False)
    """The file's bytes in Base64; all files of a request together at most 7 MiB before Base64.

    A `data:` prefix and line ends are left out, since the service takes neither."""
    text: str | None = None
    """What the image shows (GEM), or a name for it in the prompt (PixVerse)."""
    category: str | None = None
    """Of a video's input: `Image`, `Video` or `Audio`."""
    usage: str | None = None
    """Of a video's input: `FirstFrame` (the service's default), `LastFrame` or `Reference`."""
    reference_type: str | None = None
    object_id: str | None = None
    voice_id: str | None = None
    keep_original_sound: bool | None = None

    @field_validator("base64")
    @classmethod
    def _as_the_service_takes_it(cls, value: str | None) -> str | None:
        if not value:
            return value
        encoded = "".join(_DATA_URL.sub("", value, count=1).split())
        content: bytes | None = None
        with suppress(ValueError):
            content = a2b_base64(encoded, strict_mode=True)
        if content is None or len(encoded) % 4:  # Python lets one = too many pass
            raise ValueError("is not Base64: A-Z, a-z, 0-9, + and /, padded with =")
        if not content:
            raise ValueError("is the Base64 of no bytes")
        return encoded

    @model_validator(mode="after")
    def _is_one_file(self) -> Self:
        given = [name for name in ("file_id", "url", "base64") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"give one of file_id, url and base64, not {' and '.join(given) or 'none'}")
        return self


class VodOptions(Value):
    """What only VOD (and the relay, in part) can be asked for: CreateAigcImageTask and CreateAigcVideoTask of VOD
    (2018-07-17), as of the official SDK 3.1.194 of 2026-10."""

    files: tuple[VodFile, ...] = ()
    last_frame_file_id: str | None = None
    storage_mode: str | None = None
    """`Temporary` (the default: the URL lives 7 days) or `Permanent`."""
    media_name: str | None = None
    class_id: Whole | None = None
    expire_time: str | None = None
    """When a file that is kept is deleted, as ISO 8601."""
    person_generation: str | None = None
    """`AllowAdult` or `Disallowed`."""
    input_compliance_check: bool | None = None
    output_compliance_check: bool | None = None
    enhance_switch: bool | None = None
    frame_interpolate: bool | None = None
    input_region: str | None = None
    """Where the inputs lie: `Mainland`, `Oversea` or `OverseaUSWest`."""
    procedure: str | None = None
    seed: Whole | None = None
    session_context: str | None = Field(default=None, max_length=1000)
    """Handed through to the service's notifications."""
    tasks_priority: Whole | None = Field(default=None, ge=-10, le=10)
    ext_info: dict[str, JsonValue] | None = None
    """The service's reserved field, beside `additional_parameters`, which go there as well."""


class _TaskRequest(Value):
    """What all requests for one task share."""

    kind: ClassVar[Kind]
    id: RequestId | None = None
    """Names the request in results, events and the ledger; derived from the content when absent."""
    prompt: str = ""
    """Documented as at most 1000 characters for images, 2000 for videos and audio."""
    model_name: str | None = None
    """`Hunyuan`, `Kling`, `Vidu` …: the service's list drifts, so any name passes."""
    model_version: str | None = None
    scene_type: str | None = None
    additional_parameters: dict[str, JsonValue] | None = None
    """What single models take beyond the documented fields, e.g. `{"size": "1024x1024"}`."""
    store: CosStore | None = None
    """Overrides the config's `cosOutput` for this request."""
    operator: str | None = None

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        for name, value in self.model_dump().items():  # as Python's values: in JSON's, pydantic mends the keys we send
            if why := _unwritable(value):
                raise _refusal((name,), None, why)  # nobody could write the value into an answer either
        return self


def _unwritable(value: object) -> str:
    """The reason why a value is in no JSON text that can be sent; empty if it can be. A model of the user's decides for
    the requests in it whether numbers may be infinite, and JSON can hold a cut text (`"\\ud83c"`) that UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False, skipkeys=True, default=str).encode()
    except UnicodeError:
        return CUT
    except ValueError:
        return UNWRITABLE_NUMBER
    return ""


class _PictureRequest(_TaskRequest):
    """What image and video requests share."""

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
    """What only VOD and the relay know."""

    @property
    def _vod_files(self) -> tuple[VodFile, ...]:
        return self.vod.files if self.vod else ()


class ImageRequest(_PictureRequest):
    """One image task.

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
            raise _refusal(("prompt",), self.prompt, "is empty: write one, or give reference `images`")
        return self


class VideoRequest(_PictureRequest):
    """One video task; with `first_frame` it begins with that image."""

    kind = Kind.VIDEO
    first_frame: Frame | None = None
    """jpeg or png, at most 10 MB recommended, publicly reachable by the service."""
    last_frame: Frame | None = None
    videos: tuple[str | ReferenceVideo, ...] = ()
    audios: tuple[str, ...] = ()
    """Public URLs of reference audio."""
    subjects: tuple[Subject, ...] = ()
    duration: Whole | None = Field(default=None, ge=1)
    """Seconds. Which values a model takes differs; billed per second generated."""
    enable_audio: bool | None = None
    enable_bgm: bool | None = None
    off_peak: bool | None = None
    """Vidu: cheaper, but the task may take up to 48 hours."""

    @property
    def shows_something(self) -> bool:
        """Whether the service has anything to start from. A chain's video always has: the chain's image."""
        inputs = (self.first_frame, self.last_frame, self.images, self.videos, self.subjects, self._vod_files)
        given = any(inputs)
        return bool(self.prompt.strip()) or given


class AudioRequest(_TaskRequest):
    """One audio task: music, a sound, or the sound of a video.

    >>> AudioRequest(prompt="a slow waltz", scene_type="music", model_name="MiniMaxMusic").prompt
    'a slow waltz'
    """

    kind = Kind.AUDIO
    videos: tuple[VideoSource, ...] = ()
    """What it is to sound with: Kling makes a video's sound, EL its background music."""
    audios: tuple[str, ...] = ()
    """Public URLs of reference audio, such as the song that MiniMaxMusic is to cover."""
    resource_id: str | None = None
    output_format: str | None = None
    """The audio's format, such as `mp3`."""

    @property
    def says_something(self) -> bool:
        """Whether the service has anything to start from. A chain's audio always has: the chain's video."""
        return bool(self.prompt.strip() or self.videos or self.audios)


class _Chain(Value):
    """What chains share: their steps are linked jobs, each of which goes on from the one before."""

    id: RequestId | None = None

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        for step in steps_of(self):
            if step.id is not None:
                raise _refusal((step.kind, "id"), step.id, "the id belongs to the chain itself, not to its steps")
            if isinstance(step, AudioRequest) and step.videos:
                why = "is the chain's own video: leave it out, or ask for an AudioRequest"
                raise _refusal((step.kind, "videos"), step.videos, why)
        return self


class ImageToVideo(_Chain):
    """A chain: an image, then the video that begins with it, then that video's sound if one is asked for."""

    image: ImageRequest
    video: VideoRequest
    audio: AudioRequest | None = None

    @model_validator(mode="after")
    def _begins_with_its_image(self) -> Self:
        if self.video.first_frame is not None:
            why = "is the chain's own image: leave it out, or ask for a VideoRequest"
            raise _refusal(("video", "first_frame"), self.video.first_frame, why)
        return self


class VideoToAudio(_Chain):
    """A chain: a video, then its sound."""

    video: VideoRequest
    audio: AudioRequest


Step = ImageRequest | VideoRequest | AudioRequest
"""A request for one task, by itself or as a step of a chain."""

Request = Step | ImageToVideo | VideoToAudio

_LINES: Final[Mapping[frozenset[str], type[Request]]] = {
    # What a line has → what it asks for.
    frozenset({"image"}): ImageRequest,
    frozenset({"video"}): VideoRequest,
    frozenset({"audio"}): AudioRequest,
    frozenset({"image", "video"}): ImageToVideo,
    frozenset({"image", "video", "audio"}): ImageToVideo,
    frozenset({"video", "audio"}): VideoToAudio,
}


def steps_of(request: Value) -> tuple[Step, ...]:
    """The requests for its tasks, in the order of making: itself, or a chain's steps."""
    given = [getattr(request, kind, None) for kind in Kind] if isinstance(request, _Chain) else [request]
    return tuple(step for step in given if isinstance(step, Step))


def parse(line: Mapping[str, Any]) -> Request:
    """A batch file's object as a request: `{"id": …, "image": {…}, "video": {…}, "audio": {…}}`.

    One alone is that one; more are a chain. Raises InvalidRequest naming the field.

    >>> parse({"id": "shot-001", "video": {"prompt": "she turns", "duration": 5}}).id
    'shot-001'
    """
    unknown = sorted(repr(key) for key in line if key not in ("id", *Kind))
    if unknown:
        raise InvalidRequest(f"unknown key {unknown[0]}: a line has `id`, `image`, `video` and `audio`")
    steps = _steps_in(line)
    try:
        return check(_of_steps(line, steps))
    except InvalidRequest as error:
        if not error.faults:
            raise
        step = next(iter(steps)) if len(steps) == 1 else ""
        faults = [_in_line(fault, step) for fault in error.faults]
    raise InvalidRequest.of_fields("", faults)


def _in_line(fault: FieldFault, step: str) -> FieldFault:
    """A fault by its place in the line. A chain's has its step's name already; a line's `id` stands beside its step."""
    if fault.where == "id":
        return fault
    return fault._replace(where=".".join(part for part in (step, fault.where) if part))


def _steps_in(line: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The steps of a line, by their kinds. Raises InvalidRequest if there is no request for such steps."""
    steps = {kind.value: line[kind] for kind in Kind if line.get(kind) is not None}
    for name, step in steps.items():
        if not isinstance(step, Mapping):
            expected = f"expected an object with the request's fields, got {type(step).__name__}"
            raise InvalidRequest.of_fields("", [FieldFault(name, expected)])
        if odd := [key for key in step if not isinstance(key, str)]:
            raise InvalidRequest.of_fields("", [FieldFault(name, f"{odd[0]!r} is no field's name")])
    if frozenset(steps) not in _LINES:
        needed = (
            "a `video` between its `image` and its `audio`" if steps else "an `image`, a `video`, an `audio`, or more"
        )
        raise InvalidRequest(f"a line needs {needed}")
    return steps


def _of_steps(line: Mapping[str, Any], steps: Mapping[str, Any]) -> Request:
    make = _LINES[frozenset(steps)]
    if len(steps) > 1:
        return make(id=line.get("id"), **steps)
    (step,) = steps.values()
    if "id" in step:
        raise InvalidRequest.of_fields("", [FieldFault("id", "it stands beside the step, not inside it")])
    return make(id=line.get("id"), **step)


def check(request: Request) -> Request:
    """Refuse what no model can serve. Raises InvalidRequest."""
    first = steps_of(request)[0]  # the others go on from it
    if isinstance(first, VideoRequest) and not first.shows_something:
        raise _without_prompt(request, first, "a `first_frame`")
    if isinstance(first, AudioRequest) and not first.says_something:
        raise _without_prompt(request, first, "`videos` or `audios`")
    return request


def _without_prompt(request: Request, step: Step, instead: str) -> InvalidRequest:
    where = "prompt" if request is step else f"{step.kind}.prompt"
    return InvalidRequest.of_fields(
        type(request).__name__, [FieldFault(where, f"is empty: write one, or give {instead}")]
    )


def content(request: Value) -> str:
    """The request as the user wrote it, as canonical JSON: only what was set, and not its id."""
    return json.dumps(_written(request), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def beyond(request: Value, written: str) -> dict[str, JsonValue]:
    """What `request` sets beyond the content that the user wrote: what defaults and chains have filled in.

    >>> asked = ImageRequest(prompt="a cat")
    >>> beyond(asked.model_copy(update={"model_name": "Hunyuan"}), content(asked))
    {'model_name': 'Hunyuan'}
    """
    known = json.loads(written)
    return {name: value for name, value in _written(request).items() if name not in known or known[name] != value}


def step_of(kind: Kind, fields: Mapping[str, Any]) -> Step:
    """A request for one task, from its fields as `content` and `beyond` have them. Raises InvalidRequest.

    >>> step_of(Kind.IMAGE, {"prompt": "a cat", "model_name": "Hunyuan"}) == ImageRequest(
    ...     prompt="a cat", model_name="Hunyuan"
    ... )
    True
    """
    (step,) = steps_of(_of_steps({}, {kind.value: fields}))
    return step


def _written(request: Value) -> dict[str, JsonValue]:
    return request.model_dump(mode="json", exclude_unset=True, exclude={"id"})


def model_label(name: object, version: object) -> str:
    """A model by its name and version, as it is counted and shown; empty for the service's own default.

    >>> model_label("Hailuo", "H3"), model_label("Vidu", None)
    ('Hailuo H3', 'Vidu')
    """
    return " ".join(str(part) for part in (name, version) if part)


def digest(request: Request) -> str:
    """A short name for a request's content, the same in every run and on every machine.

    It depends on nothing but what the user wrote: not on other requests, not on the config's defaults.

    >>> digest(ImageRequest(prompt="a cat"))
    'image-de4d7d1a2f60'
    """
    kind = request.kind if isinstance(request, Step) else "chain"
    return f"{kind}-{hashlib.sha256(f'{kind}:{content(request)}'.encode()).hexdigest()[:12]}"
