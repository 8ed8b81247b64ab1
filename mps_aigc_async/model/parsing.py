"""Requests from JSON: a batch file's lines, and contents that a ledger stores."""

from collections.abc import Mapping
from typing import Any, Final

from .errors import FieldFault, InvalidRequest
from .requests import (
    AudioRequest,
    ImageRequest,
    ImageToVideo,
    Request,
    Step,
    VideoRequest,
    VideoToAudio,
    check,
    steps_of,
)
from .spelling import closest
from .states import Kind

_CLASSES: Final[Mapping[frozenset[str], type[Request]]] = {
    frozenset({"image"}): ImageRequest,
    frozenset({"video"}): VideoRequest,
    frozenset({"audio"}): AudioRequest,
    frozenset({"image", "video"}): ImageToVideo,
    frozenset({"image", "video", "audio"}): ImageToVideo,
    frozenset({"video", "audio"}): VideoToAudio,
}
"""The request for the steps of a line."""


def parse(line: Mapping[str, Any]) -> Request:
    """Read a batch file's object as a request: `{"id": …, "image": {…}, "video": {…}, "audio": {…}}`.

    A single step is a request for one task; several steps are a chain. Raises InvalidRequest naming the field.

    >>> parse({"id": "shot-001", "video": {"prompt": "she turns", "duration": 5}}).id
    'shot-001'
    """
    unknown = sorted(repr(key) for key in line if key not in ("id", *Kind))
    if unknown:
        close = closest(unknown[0], ("id", *Kind))
        hint = f"; is `{close}` meant?" if close else ""
        raise InvalidRequest(f"unknown key {unknown[0]}: a line has `id`, `image`, `video` and `audio`{hint}")
    steps = _steps_in(line)
    try:
        return check(_of_steps(line, steps))
    except InvalidRequest as error:
        if not error.faults:
            raise
        step = next(iter(steps)) if len(steps) == 1 else ""
        faults = [_in_line(fault, step) for fault in error.faults]
    raise InvalidRequest.of_fields("", faults)


def step_of(kind: Kind, fields: Mapping[str, Any]) -> Step:
    """Read a request for one task from its fields, as `content` and `beyond` write them. Raises InvalidRequest.

    >>> step_of(Kind.IMAGE, {"prompt": "a cat", "model_name": "Hunyuan"}) == ImageRequest(
    ...     prompt="a cat", model_name="Hunyuan"
    ... )
    True
    """
    (step,) = steps_of(_of_steps({}, {kind.value: fields}))
    return step


def _steps_in(line: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the steps of a line, by their kinds. Raises InvalidRequest if no request has such steps."""
    steps = {kind.value: line[kind] for kind in Kind if line.get(kind) is not None}
    for name, step in steps.items():
        if why := _unreadable(step):
            raise InvalidRequest.of_fields("", [FieldFault(name, why)])
    if not steps:
        raise InvalidRequest("a line needs an `image`, a `video`, an `audio`, or more")
    if frozenset(steps) not in _CLASSES:
        raise InvalidRequest("a line needs a `video` between its `image` and its `audio`")
    return steps


def _unreadable(step: object) -> str:
    """Return the reason why a step's value has no fields; empty if it has."""
    if not isinstance(step, Mapping):
        return f"expected an object with the request's fields, got {type(step).__name__}"
    odd_keys = [key for key in step if not isinstance(key, str)]
    return f"{odd_keys[0]!r} is no field's name" if odd_keys else ""


def _of_steps(line: Mapping[str, Any], steps: Mapping[str, Any]) -> Request:
    cls = _CLASSES[frozenset(steps)]
    if len(steps) > 1:
        return cls(id=line.get("id"), **steps)
    (step,) = steps.values()
    if "id" in step:
        raise InvalidRequest.of_fields("", [FieldFault("id", "it stands beside the step, not inside it")])
    return cls(id=line.get("id"), **step)


def _in_line(fault: FieldFault, step: str) -> FieldFault:
    """Name a fault by its place in the line: `duration` of a lone video is `video.duration` there.

    A chain's fault has its step's name already, and a line's `id` stands beside its step.
    """
    if fault.where == "id":
        return fault
    return fault._replace(where=".".join(part for part in (step, fault.where) if part))
