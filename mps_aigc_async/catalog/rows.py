"""The facts as rows of words, for `mps-aigc models` and for docs/models.md."""

from collections.abc import Iterator
from typing import NamedTuple

from .facts import Backend, Fact, Model, ModelKind, Source
from .models import KIND_WIDE, MODELS

ANY_MODEL = "any model"
"""The name in a row that holds for each model of its kind without a row for the same field."""


class Row(NamedTuple):
    """One fact; or, without a field, the versions that one source lists for a model."""

    kind: str
    model: str
    versions: str
    field: str
    accepts: str
    source: str
    backend: str
    standing: str
    """`documented` or `reported`."""
    effect: str
    """The service's answer to any other value, if it silently accepts the value."""


def rows(backend: Backend, kind: ModelKind) -> Iterator[Row]:
    """Write the facts of a kind at a backend: those of every model, then each model with its own."""
    for fact in KIND_WIDE[backend][kind]:
        if fact.source:
            yield Row(kind, ANY_MODEL, "", *_columns(fact, fact.source, backend))
    for model in MODELS:
        if (model.backend, model.kind) == (backend, kind):
            yield from _of_model(model)


def _of_model(model: Model) -> Iterator[Row]:
    yield Row(model.kind, model.name, " ".join(model.versions), "", "", *_standing(model.source, model.backend), "")
    if model.live_versions and model.live_source:
        versions = " ".join(model.live_versions)
        yield Row(model.kind, model.name, versions, "", "", *_standing(model.live_source, model.backend), "")
    for fact in model.facts:
        columns = _columns(fact, model.source_of(fact), model.backend)
        yield Row(model.kind, model.name, _versions(model, fact), *columns)


def _versions(model: Model, fact: Fact) -> str:
    return " ".join(version for version in model.all_versions if version in fact.versions) or "all"


def _columns(fact: Fact, source: Source, backend: Backend) -> tuple[str, str, str, str, str, str]:
    default = "" if fact.default is None else f"; default {fact.default}"
    return fact.field, f"{fact.words}{default}", *_standing(source, backend), fact.effect


def _standing(source: Source, backend: Backend) -> tuple[str, str, str]:
    return str(source), backend, source.standing
