"""`models`: the documented abilities of models, as a table."""

from collections.abc import Iterator
from typing import Annotated, Final, get_args

import typer
from rich import box
from rich.table import Table

from ..catalog import KIND_WIDE, MODELS, Fact, Model, ModelKind, Source
from ..model.errors import InvalidRequest
from .screen import console, on_terminal, say

HEADINGS: Final = ("kind", "model", "versions", "field", "accepts", "source")
Row = tuple[str, str, str, str, str, str]


def models(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="image, video or audio.", show_default="all of them")
    ] = None,
) -> None:
    """List the documented abilities of each model, with the documents' dates (needs no keys and no network).

    The first rows of a kind hold for each of its models without a row for the same field. A field without a row is
    not documented, and not checked: see `catalog` in the config. In a pipe each row is a line, with tabs between its
    columns.
    """
    kinds = get_args(ModelKind)
    if kind is not None and kind not in kinds:
        raise InvalidRequest(f"{kind!r} is no kind of model: {', '.join(kinds[:-1])} or {kinds[-1]}")
    chosen = [one for one in kinds if kind in (None, one)]
    if not on_terminal():
        for row in (HEADINGS, *(row for one in chosen for row in _rows(one))):
            say("\t".join(row))
        return
    for one in chosen:
        console().print(_table(one))


def _table(kind: ModelKind) -> Table:
    """The table for a terminal. A name or a source that is the same as in the row above is left out."""
    table = Table(box=box.SIMPLE, title=kind, title_justify="left")
    for heading in HEADINGS[1:]:
        table.add_column(heading, overflow="fold")
    name = last_source = ""
    for _, model, versions, field, accepts, source in _rows(kind):
        if model != name:
            table.add_section()
            last_source = ""
        table.add_row(model if model != name else "", versions, field, accepts, source if source != last_source else "")
        name, last_source = model, source
    return table


def _rows(kind: ModelKind) -> Iterator[Row]:
    for fact in KIND_WIDE[kind]:
        yield kind, "any model", "", *_columns(fact, fact.source)
    for model in (model for model in MODELS if model.kind == kind):
        yield kind, model.name, " ".join(model.versions), "", "", str(model.source)
        for fact in model.facts:
            yield kind, model.name, _versions(model, fact), *_columns(fact, fact.source or model.source)


def _versions(model: Model, fact: Fact) -> str:
    return " ".join(version for version in model.versions if version in fact.versions) or "all"


def _columns(fact: Fact, source: Source | None) -> tuple[str, str, str]:
    default = "" if fact.default is None else f"; default {fact.default}"
    return fact.field, f"{fact.words}{default}", str(source or "")
