"""A request as the facts look at it: a flat mapping, field → value."""

import re
from collections.abc import Mapping
from typing import Final, cast

from ..model.audio_models import LYRIC, LYRICS
from ..model.inputs import ReferenceVideo, Subject
from ..model.vod_options import VodFile, VodOptions
from .facts import MISSING, FlatRequest, ModelKind, fold_case

_KINDS: Final[Mapping[str, ModelKind]] = {"ImageRequest": "image", "VideoRequest": "video", "AudioRequest": "audio"}
"""Kinds by the names of the requests' classes. All other values are read by attribute."""

_PLAIN: Final = (
    "aspect_ratio", "duration", "enable_audio", "logo_add", "model_version", "off_peak", "output_format", "resolution",
    "scene_type",
)  # fmt: skip
"""Fields whose values are judged unchanged."""
_LISTS: Final = ("images", "videos", "audios")
_SIZE: Final = re.compile(r"([0-9]{1,9})[x*]([0-9]{1,9})", re.IGNORECASE)
_STORYBOARD: Final = "additional_parameters.multi_prompt"
_MOST_SECONDS: Final = 10**9
"""A longer shot is no number of seconds. Without a bound, the sum could have more digits than Python writes."""


def kind_of(request: object) -> ModelKind | None:
    """The kind of one task's request; None for anything else."""
    return next((_KINDS[cls.__name__] for cls in type(request).__mro__ if cls.__name__ in _KINDS), None)


def flatten(request: object) -> FlatRequest:
    """The fields that a request sets, field → value; a False counts as not set.

    A request for images that names no count asks for one.

    >>> from mps_aigc_async import VideoRequest
    >>> flatten(VideoRequest(prompt="waves", duration=5, images=("https://a/1.png",), enable_audio=False))
    {'prompt': 5, 'duration': 5, 'images': 1}
    """
    additional = getattr(request, "additional_parameters", None)
    parameters = cast("dict[str, object]", additional) if isinstance(additional, dict) else {}
    flat: dict[str, object] = {"prompt": len(getattr(request, "prompt", None) or "")}
    flat |= {field: getattr(request, field, None) for field in _PLAIN}
    flat |= {"output_count": (getattr(request, "output_count", None) or 1) if kind_of(request) == "image" else None}
    flat |= _inputs(request)
    flat |= _needs_of_audio(request, parameters) if kind_of(request) == "audio" else {}
    flat |= _kinds_of_videos(getattr(request, "videos", None) or ())
    flat |= _subjects(getattr(request, "subjects", None) or ())
    flat |= {"additional_parameters.size": _size(parameters.get("size"))}
    flat |= _storyboard(parameters.get("multi_prompt"))
    return {field: value for field, value in flat.items() if value not in (None, "", 0, False)}


# --- inputs -----------------------------------------------------------------------------------------------------------


def _inputs(request: object) -> dict[str, object]:
    """The frames, and the numbers of references; VOD's files are among them."""
    options = getattr(request, "vod", None)
    vod = options if isinstance(options, VodOptions) else VodOptions()
    roles = [_role(file, kind_of(request)) for file in vod.files]
    has_first = getattr(request, "first_frame", None) or "first_frame" in roles
    has_last = getattr(request, "last_frame", None) or vod.last_frame_file_id or "last_frame" in roles
    counts = {field: len(getattr(request, field, None) or ()) + roles.count(field) for field in _LISTS}
    return {"first_frame": has_first and "given", "last_frame": has_last and "given", **counts}


def _role(file: VodFile, kind: ModelKind | None) -> str:
    """The field that a file of VOD's stands for. The documented default of a video's file is the first frame."""
    if kind == "image":
        return "images"
    match fold_case(file.category), fold_case(file.usage):
        case "video", _:
            return "videos"
        case "audio", _:
            return "audios"
        case _, "reference":
            return "images"
        case _, "lastframe":
            return "last_frame"
    return "first_frame"


def _kinds_of_videos(videos: tuple[str | ReferenceVideo, ...]) -> dict[str, int]:
    """The number of videos to edit, and the number of videos without a purpose (`refer_type`)."""
    types = [video.refer_type if isinstance(video, ReferenceVideo) else None for video in videos]
    return {
        "base_videos": sum(fold_case(kind) == "base" for kind in types),
        "plain_videos": sum(not kind for kind in types),
    }


def _subjects(subjects: tuple[Subject, ...]) -> dict[str, object]:
    """Each part that a subject has, the greatest number of its files, and each name that a subject lacks."""
    return {
        "subjects.id": any(not subject.id for subject in subjects) and "missing",
        "subjects.name": any(not subject.name for subject in subjects) and "missing",
        "subjects.voice_id": any(subject.voice_id for subject in subjects) and "given",
        "subjects.images": max((len(subject.images) for subject in subjects), default=0),
        "subjects.videos": max((len(subject.videos) for subject in subjects), default=0),
    }


def _needs_of_audio(request: object, parameters: Mapping[str, object]) -> dict[str, object]:
    """The fields that some audio models need: set, or missing."""
    words = getattr(request, "lyrics", None) or parameters.get(LYRIC) or parameters.get(LYRICS)
    return {
        "model_version": getattr(request, "model_version", None) or MISSING,
        "lyrics": "given" if words else MISSING,
        "resource_id": getattr(request, "resource_id", None) or MISSING,
        "audios": len(getattr(request, "audios", None) or ()) or MISSING,
    }


# --- parameters of single models --------------------------------------------------------------------------------------


def _size(size: object) -> tuple[int, int] | None:
    """`"1024x1024"` as numbers; None for every other content."""
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _storyboard(parts: object) -> dict[str, object]:
    """The number of Kling's shots, the length of the longest prompt, and the sum of the durations."""
    if not isinstance(parts, list):
        return {}
    shots = [cast("dict[str, object]", part) for part in cast("list[object]", parts) if isinstance(part, dict)]
    prompts = [prompt for shot in shots if isinstance(prompt := shot.get("prompt"), str)]
    durations = [_seconds(shot.get("duration")) for shot in shots]
    return {
        _STORYBOARD: len(shots),
        f"{_STORYBOARD}.prompt": max(map(len, prompts), default=0),
        f"{_STORYBOARD}.duration": None if None in durations else sum(second or 0 for second in durations),
    }


def _seconds(duration: object) -> int | None:
    """Seconds, from a whole number or from its digits (`"5"`); None for every other content."""
    if isinstance(duration, str) and duration.isascii() and duration.isdecimal():
        return int(duration[:9])
    if isinstance(duration, int) and not isinstance(duration, bool):
        return duration if abs(duration) < _MOST_SECONDS else None
    return None
