"""A request that breaks a fact, and requests that keep it, made from the fact itself."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mps_aigc_async import AudioRequest, ImageRequest, ReferenceVideo, Subject, VideoRequest
from mps_aigc_async.catalog import KIND_WIDE, MODELS, Fact, Model, Source
from mps_aigc_async.catalog.facts import (
    MISSING,
    UNSET,
    Between,
    Condition,
    Differ,
    Given,
    OneOf,
    Pixels,
    Required,
    Unless,
    With,
    Without,
    fold_case,
)
from mps_aigc_async.catalog.flat import flatten
from mps_aigc_async.model.requests import Step

from .requests import FILM, SONG, URL

CLASSES: dict[str, type[Step]] = {"image": ImageRequest, "video": VideoRequest, "audio": AudioRequest}
BOARD = "additional_parameters.multi_prompt"


FLAGS = dict.fromkeys(("enable_audio", "off_peak", "logo_add"), True)
NUMBERS = {"duration": 7, "images": 2, "videos": 1, "output_count": 2, "prompt": 3, "subjects.images": 1}
UNBOUNDED: dict[str, object] = {**FLAGS, **NUMBERS, "subjects.videos": 1, BOARD: 2, f"{BOARD}.duration": 9}
"""A value of each field whose facts name no bounds; "given" for all others."""


class Case(NamedTuple):
    """A fact, with a model and a version of which it is true."""

    backend: str
    model: Model
    version: str | None
    fact: Fact
    source: Source

    def request(self, value: object) -> Step:
        """Return a request with this value in the fact's field, under the fact's condition."""
        fields: dict[str, Any] = {"prompt": "x", "model_name": self.model.name, "model_version": self.version}
        fields |= _for_condition(self.fact.when)
        if self.fact.field == "last_frame" and not isinstance(self.fact.when, Without) and "videos" not in fields:
            fields["first_frame"] = URL
        if self.model.kind == "audio" and self.fact.field == "model_version":
            fields["model_version"] = None if value == MISSING else value
        return CLASSES[self.model.kind](**fields | _fields(self.fact.field, value))


def cases() -> Iterator[Case]:
    """Yield every fact of the catalog with each version of which it is true; a fact of a whole kind once, if it can."""
    for model in MODELS:
        for fact in model.facts:
            source = fact.source or model.source
            for version in fact.versions or _general(model, fact):
                yield Case(model.backend, model, version, fact, source)
    for backend, by_kind in KIND_WIDE.items():
        for kind, facts in by_kind.items():
            for fact in facts:
                assert fact.source
                model = _without_own(backend, kind, fact)
                yield Case(backend, model, next(iter(model.versions), None), fact, fact.source)


def _general(model: Model, fact: Fact) -> tuple[str | None, ...]:
    """Return a version without a fact of its own about the field, for a fact about all versions."""
    specific = {version for other in model.facts if other.field == fact.field for version in other.versions}
    general = [version for version in model.all_versions if version not in specific]
    return (*general, *model.all_versions, None)[:1]


def _without_own(backend: str, kind: str, fact: Fact) -> Model:
    """Return a model for which the kind's fact counts."""
    standing = fact.source.standing if fact.source else ""
    return next(
        model
        for model in MODELS
        if (model.backend, model.kind) == (backend, kind)
        and model.source.standing == standing
        and not any(own.field == fact.field and model.source_of(own).standing == standing for own in model.facts)
    )


def broken_value(fact: Fact) -> object:
    """Return a value that the fact does not take."""
    match fact.accepts:
        case Between(most=most):
            return most + 1
        case OneOf(values=values) if isinstance(values[0], int):
            return max(value for value in values if isinstance(value, int)) + 2
        case OneOf():
            return "none of these"
        case Pixels():
            return (9999, 9999)
        case Required():
            return MISSING
        case _:
            return UNBOUNDED.get(fact.field, "given")


def kept_values(fact: Fact) -> list[object]:
    """Return values at the bounds of the fact."""
    match fact.accepts:
        case Between(least=least, most=most):
            return [value for value in (least, most) if value]
        case OneOf(values=values):
            return [*values, *(fold_case(value) for value in values)]
        case Required():
            return ["given"]
        case other:
            return [MISSING] if other is UNSET else []


def _fields(field: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 — a field's value
    """Return the request's fields for a flat value."""
    if value == MISSING:
        return {}
    top, _, part = field.partition(".")
    match top, part:
        case "model_version", _:
            return {}
        case "subjects", _:
            return {"subjects": (_subject(part, value),)}
        case "additional_parameters", "size":
            return {top: {"size": "x".join(map(str, value))}}
        case "additional_parameters", _:
            return {top: {"multi_prompt": _shots(part.removeprefix("multi_prompt").removeprefix("."), value)}}
    return {field: PLAIN[field](value) if field in PLAIN else value}


PLAIN: dict[str, Callable[[Any], object]] = {
    "prompt": lambda length: "x" * length,
    "images": lambda number: (URL,) * number,
    "videos": lambda number: (FILM,) * number,
    "audios": lambda _: (SONG,),
    "first_frame": lambda _: URL,
    "last_frame": lambda _: URL,
}
"""Values of a request for the values of a flat one, where the two differ."""


def _subject(part: str, value: Any) -> Subject:  # noqa: ANN401 — as above
    whole = {"id": "1", "name": "a"}
    match part:
        case "id" | "name":
            del whole[part]
            return Subject(**whole)
        case "images" | "videos":
            return Subject(**whole, **{part: (URL,) * value})
    return Subject(**whole, **{part: value})


def _shots(part: str, value: Any) -> list[dict[str, object]]:  # noqa: ANN401 — as above
    shot: dict[str, object] = {"index": 1, "prompt": "x", "duration": 1}
    match part:
        case "prompt":
            return [shot | {"prompt": "x" * value}]
        case "duration":
            return [shot | {"duration": value}]
    return [shot] * value


def _for_condition(when: Condition | None) -> dict[str, Any]:
    """Return the fields under which a condition holds."""
    match when:
        case Given(fields=("videos", *_)):
            return {"videos": (ReferenceVideo(url=FILM, refer_type="feature"),)}
        case Given(fields=fields) if "base_videos" in fields:
            return {"videos": (ReferenceVideo(url=FILM, refer_type="base"),)}
        case Given(fields=("images",)):
            return {"images": (URL,)}
        case Given():
            return {"first_frame": URL}
        case Unless():
            return {"resolution": "720P"}
        case With(field=field, values=values):
            return {field: values[0]}
        case Differ():
            return {"duration": 5}
        case _:
            return {}


def flat_fields() -> set[str]:
    """Return every field that some sample sets."""
    return {field for case in cases() for field in flatten(case.request(broken_value(case.fact)))}
