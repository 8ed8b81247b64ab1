"""The check of a request, as a flat mapping, against the facts of its model and version."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from ..model.inputs import ReferenceVideo
from ..model.requests import ImageToVideo, steps_of
from ..model.value import Value
from .facts import Fact, FlatRequest, Model, ModelKind, Source, fold_case
from .models import KIND_WIDE, MODELS

_KINDS: Final[Mapping[str, ModelKind]] = {"ImageRequest": "image", "VideoRequest": "video", "AudioRequest": "audio"}
"""Kinds by the names of the requests' classes. All other values are read by attribute."""

_PLAIN: Final = (
    "aspect_ratio", "duration", "enable_audio", "off_peak", "output_count", "output_format", "resolution", "scene_type",
)  # fmt: skip
"""Fields whose values are judged unchanged."""
_FRAMES: Final = ("first_frame", "last_frame")
_LISTS: Final = ("images", "videos", "audios")
_IN_A_SCENE: Final = frozenset({"prompt", "scene_type"})
"""The only fields judged with a `scene_type`: a scene has abilities of its own, which the lists do not give."""

_UNITS: Final = {"prompt": " characters", "duration": " s"}
_SIZE: Final = re.compile(r"([0-9]{1,9})[x*]([0-9]{1,9})", re.IGNORECASE)
_LONGEST: Final = 40
"""Most characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that the model cannot serve, by its documents.

    >>> from mps_aigc_async import VideoRequest
    >>> for finding in findings(VideoRequest(prompt="x", model_name="kling", model_version="2.1", duration=7)):
    ...     print(finding)
    duration: 7 s, but Kling 2.1 takes 5 or 10 s (official SDK 3.1.194, 2026-10)
    """

    field: str
    """The request's name for the field; in a chain with the step before it: `video.duration`."""
    value: str
    model: str
    """Model and version in the documents' spelling."""
    accepted: str
    """The accepted values, in words."""
    source: Source

    def __str__(self) -> str:
        return f"{self.field}: {self.value}, but {self.model} takes {self.accepted} ({self.source})"


def findings(request: object) -> tuple[Finding, ...]:
    """The values of a request that its model cannot serve, by the documents; empty where the documents are silent.

    A model or a version without documents is never judged. For a request without a version the service takes a stable
    one, so only the facts that are true of all versions count. Letter case of names is ignored.
    """
    steps = steps_of(request) if isinstance(request, Value) else ()
    if len(steps) < 2:
        return tuple(_of_task(request, flatten(request)))
    from_chain = {"video": {"first_frame": "the chain's image"}} if isinstance(request, ImageToVideo) else {}
    return tuple(
        replace(finding, field=f"{step.kind}.{finding.field}")
        for step in steps
        for finding in _of_task(step, {**flatten(step), **from_chain.get(step.kind, {})})
    )


def _of_task(request: object, flat: FlatRequest) -> Iterator[Finding]:
    """The findings in the request for one task."""
    kind, name = kind_of(request), getattr(request, "model_name", None)
    model = _BY_NAME.get((kind, fold_case(name)))
    if model is None:
        return
    spelling = getattr(request, "model_version", None) or None
    version = next((entry for entry in model.versions if fold_case(entry) == fold_case(spelling)), None)
    if spelling is not None and version is None:
        return
    for field, fact in _facts_for(model, version, flat).items():
        # An audio always has a scene, and the lists of audio models are those of their scenes.
        in_no_scene = kind == "audio" or "scene_type" not in flat
        is_judged = field in flat and (in_no_scene or field in _IN_A_SCENE)
        if is_judged and not fact.accepts.takes(flat[field]):
            label = f"{model.name} {version}" if version else model.name
            yield Finding(field, _in_words(field, flat[field]), label, fact.words, fact.source or model.source)


def _facts_for(model: Model, version: str | None, flat: FlatRequest) -> dict[str, Fact]:
    """The facts that hold for a request, by field. The last one wins, so that the model's own override its kind's."""
    facts = (*KIND_WIDE[model.kind], *model.facts)
    if version is None:
        open_fields = {fact.field for fact in model.facts if fact.versions}
        candidates = [fact for fact in facts if fact.field not in open_fields]
    else:
        candidates = [fact for fact in facts if not fact.versions or version in fact.versions]
    return {fact.field: fact for fact in candidates if fact.when is None or fact.when.holds(flat)}


_BY_NAME: Final[Mapping[tuple[str | None, object], Model]] = {
    (model.kind, fold_case(model.name)): model for model in MODELS
}


# --- requests as flat mappings ----------------------------------------------------------------------------------------


def kind_of(request: object) -> ModelKind | None:
    """The kind of one task's request; None for anything else."""
    return next((_KINDS[cls.__name__] for cls in type(request).__mro__ if cls.__name__ in _KINDS), None)


def flatten(request: object) -> FlatRequest:
    """The fields that a request sets, field → value; a False counts as not set.

    >>> from mps_aigc_async import VideoRequest
    >>> flatten(VideoRequest(prompt="waves", duration=5, images=("https://a/1.png",), enable_audio=False))
    {'prompt': 5, 'duration': 5, 'images': 1}
    """
    flat: dict[str, object] = {"prompt": len(getattr(request, "prompt", None) or "")}
    flat |= {field: getattr(request, field, None) for field in _PLAIN}
    flat |= {field: "given" if getattr(request, field, None) else None for field in _FRAMES}
    flat |= {field: len(getattr(request, field, None) or ()) for field in _LISTS}
    flat |= {"additional_parameters.size": _size(getattr(request, "additional_parameters", None))}
    flat |= _kinds_of_videos(getattr(request, "videos", None) or ())
    return {field: value for field, value in flat.items() if value not in (None, "", 0, False)}


def _kinds_of_videos(videos: tuple[str | ReferenceVideo, ...]) -> dict[str, int]:
    """The number of videos to edit, and the number of videos without a purpose (`refer_type`)."""
    types = [video.refer_type if isinstance(video, ReferenceVideo) else None for video in videos]
    return {
        "base_videos": sum(fold_case(kind) == "base" for kind in types),
        "plain_videos": sum(not kind for kind in types),
    }


def _size(additional: object) -> tuple[int, int] | None:
    """`{"size": "1024x1024"}` as numbers; None for every other content."""
    size = cast("dict[object, object]", additional).get("size") if isinstance(additional, dict) else None
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _in_words(field: str, value: object) -> str:
    """A value in a message: short, and on one line."""
    if value is True:
        return "true"
    if isinstance(value, tuple):
        return "x".join(str(side) for side in value)
    text = str(value)
    text = text if text.isprintable() and len(text) <= _LONGEST else f"{text[:_LONGEST]!r}…"
    return text + _UNITS.get(field, "")
