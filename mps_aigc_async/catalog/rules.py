"""What a request breaks: the request as a flat mapping, held against the facts of its model and version."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from ..model.inputs import ReferenceVideo
from ..model.requests import ImageToVideo, steps_of
from ..model.value import Value
from .facts import Asked, Fact, Model, ModelKind, Source, folded
from .models import KIND_WIDE, MODELS

_KINDS: Final[Mapping[str, ModelKind]] = {"ImageRequest": "image", "VideoRequest": "video", "AudioRequest": "audio"}
"""Requests by their classes' names: all else that is looked at is found by attribute."""

_PLAIN: Final = (
    "aspect_ratio", "duration", "enable_audio", "off_peak", "output_count", "output_format", "resolution", "scene_type",
)  # fmt: skip
"""Judged as they are."""
_FRAMES: Final = ("first_frame", "last_frame")
_LISTS: Final = ("images", "videos", "audios")
_IN_A_SCENE: Final = frozenset({"prompt", "scene_type"})
"""With a `scene_type` only these are judged: a scene has abilities of its own, which the lists do not give."""

_UNITS: Final = {"prompt": " characters", "duration": " s"}
_SIZE: Final = re.compile(r"([0-9]{1,9})[x*]([0-9]{1,9})", re.IGNORECASE)
_LONGEST: Final = 40
"""Letters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the documents say a model cannot serve.

    >>> from mps_aigc_async import VideoRequest
    >>> for finding in findings(VideoRequest(prompt="x", model_name="kling", model_version="2.1", duration=7)):
    ...     print(finding)
    duration: 7 s, but Kling 2.1 takes 5 or 10 s (official SDK 3.1.194, 2026-10)
    """

    field: str
    """As the request spells it; of a chain with its step, `video.duration`."""
    value: str
    model: str
    """With its version, as the documents spell them."""
    accepted: str
    """What would be accepted, in words."""
    source: Source

    def __str__(self) -> str:
        return f"{self.field}: {self.value}, but {self.model} takes {self.accepted} ({self.source})"


def findings(request: object) -> tuple[Finding, ...]:
    """What of a request the documents say its model cannot serve; nothing where they say nothing.

    A model or a version that they do not know is never judged. Without a version, of which the service then takes a
    stable one, only what is true of all versions is. Names are matched whatever their letter case.
    """
    steps = steps_of(request) if isinstance(request, Value) else ()
    if len(steps) < 2:
        return tuple(_of_one(request, asked_by(request)))
    begun = {"video": {"first_frame": "the chain's image"}} if isinstance(request, ImageToVideo) else {}
    return tuple(
        replace(found, field=f"{step.kind}.{found.field}")
        for step in steps
        for found in _of_one(step, {**asked_by(step), **begun.get(step.kind, {})})
    )


def _of_one(request: object, asked: Asked) -> Iterator[Finding]:
    kind, name = kind_of(request), getattr(request, "model_name", None)
    model = _BY_NAME.get((kind, folded(name)))
    if model is None:
        return
    wanted = getattr(request, "model_version", None) or None
    version = next((known for known in model.versions if folded(known) == folded(wanted)), None)
    if wanted is not None and version is None:
        return
    for field, fact in _facts_for(model, version, asked).items():
        in_force = field in asked and ("scene_type" not in asked or field in _IN_A_SCENE)
        if in_force and not fact.accepts.takes(asked[field]):
            named = f"{model.name} {version}" if version else model.name
            yield Finding(field, _shown(field, asked[field]), named, fact.words, fact.source or model.source)


def _facts_for(model: Model, version: str | None, asked: Asked) -> dict[str, Fact]:
    """The facts in force, by field: the last one that holds, so that the model's own stand before its kind's."""
    facts = (*KIND_WIDE[model.kind], *model.facts)
    if version is None:
        differing = {fact.field for fact in model.facts if fact.versions}
        held = [fact for fact in facts if fact.field not in differing]
    else:
        held = [fact for fact in facts if not fact.versions or version in fact.versions]
    return {fact.field: fact for fact in held if fact.when is None or fact.when.holds(asked)}


_BY_NAME: Final[Mapping[tuple[str | None, object], Model]] = {
    (model.kind, folded(model.name)): model for model in MODELS
}


# --- requests → what they ask -----------------------------------------------------------------------------------------


def kind_of(request: object) -> ModelKind | None:
    """The kind of one task's request; None for anything else."""
    return next((_KINDS[cls.__name__] for cls in type(request).__mro__ if cls.__name__ in _KINDS), None)


def asked_by(request: object) -> Asked:
    """What a request sets, field → value; a False asks for nothing.

    >>> from mps_aigc_async import VideoRequest
    >>> asked_by(VideoRequest(prompt="waves", duration=5, images=("https://a/1.png",), enable_audio=False))
    {'prompt': 5, 'duration': 5, 'images': 1}
    """
    asked: dict[str, object] = {"prompt": len(getattr(request, "prompt", None) or "")}
    asked |= {field: getattr(request, field, None) for field in _PLAIN}
    asked |= {field: "given" if getattr(request, field, None) else None for field in _FRAMES}
    asked |= {field: len(getattr(request, field, None) or ()) for field in _LISTS}
    asked |= {"additional_parameters.size": _size(getattr(request, "additional_parameters", None))}
    asked |= _kinds_of_videos(getattr(request, "videos", None) or ())
    return {field: value for field, value in asked.items() if value not in (None, "", 0, False)}


def _kinds_of_videos(videos: tuple[str | ReferenceVideo, ...]) -> dict[str, int]:
    """How many are to be edited, and of how many it is not said what they are for."""
    types = [video.refer_type if isinstance(video, ReferenceVideo) else None for video in videos]
    return {
        "base_videos": sum(folded(kind) == "base" for kind in types),
        "plain_videos": sum(not kind for kind in types),
    }


def _size(additional: object) -> tuple[int, int] | None:
    """`{"size": "1024x1024"}` as numbers; None for whatever else stands there."""
    size = cast("dict[object, object]", additional).get("size") if isinstance(additional, dict) else None
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _shown(field: str, value: object) -> str:
    """A value in a message: short, and on one line."""
    if value is True:
        return "true"
    if isinstance(value, tuple):
        return "x".join(str(side) for side in value)
    text = str(value)
    text = text if text.isprintable() and len(text) <= _LONGEST else f"{text[:_LONGEST]!r}…"
    return text + _UNITS.get(field, "")
