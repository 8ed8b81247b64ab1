"""The inputs of a request: where each stands, and the request with other URLs in their places."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar, cast

from .inputs import ReferenceImage, ReferenceVideo, Subject
from .requests import Step
from .results import TaskResult
from .value import Value

StepT = TypeVar("StepT", bound=Step)
InputUrl = str | TaskResult
"""A URL, or a result that stands for its first URL."""

_FIELDS: Final = ("first_frame", "last_frame", "images", "videos", "audios", "subjects")
_PARTS: Final = {ReferenceImage: ("image",), ReferenceVideo: ("url",), Subject: ("images", "videos")}
"""The fields that hold inputs, of a request and of its inputs' own parts."""


def inputs_of(step: Step) -> Iterator[tuple[str, InputUrl | Path]]:
    """All inputs of a request, each with its place.

    >>> from mps_aigc_async import VideoRequest
    >>> subjects = ({"name": "a", "images": ("https://a/1.png",)},)
    >>> [place for place, _ in inputs_of(VideoRequest(first_frame="https://a/0.png", subjects=subjects))]
    ['first_frame', 'subjects.0.images.0']
    """
    for name in _FIELDS:
        yield from _inputs_in(name, getattr(step, name, None))


def _inputs_in(place: str, value: object) -> Iterator[tuple[str, InputUrl | Path]]:
    match value:
        case str() | Path() | TaskResult():
            yield place, value
        case tuple():
            for number, one in enumerate(cast("tuple[object, ...]", value)):
                yield from _inputs_in(f"{place}.{number}", one)
        case Value():
            parts = _PARTS.get(type(value), ())
            for name in parts:  # the only part has its owner's place: `images.0`
                yield from _inputs_in(place if len(parts) == 1 else f"{place}.{name}", getattr(value, name))


def with_inputs(step: StepT, change: Callable[[InputUrl], InputUrl]) -> StepT:
    """The request with each of its inputs changed. Fields that stay the same stay unset if they were unset."""
    return cast("StepT", _with_fields(step, _FIELDS, change))


def _with_fields(value: Value, names: tuple[str, ...], change: Callable[[InputUrl], InputUrl]) -> Value:
    before = {name: getattr(value, name) for name in names if name in value.model_fields_set}
    after = {name: _changed(field, change) for name, field in before.items()}
    return value.model_copy(update={name: field for name, field in after.items() if field is not before[name]})


def _changed(value: object, change: Callable[[InputUrl], InputUrl]) -> object:
    match value:
        case str() | TaskResult():
            return change(value)
        case tuple():
            before = cast("tuple[object, ...]", value)
            after = tuple(_changed(one, change) for one in before)
            return before if all(new is old for new, old in zip(after, before, strict=True)) else after
        case Value():
            return _with_fields(value, _PARTS.get(type(value), ()), change)
        case _:
            return value
