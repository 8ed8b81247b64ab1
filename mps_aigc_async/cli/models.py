"""`models`: the abilities of models at each backend, as a table."""

from typing import Final, get_args

from rich import box
from rich.table import Table

from ..catalog import Backend, ModelKind
from ..catalog.rows import Row, rows
from ..model.errors import InvalidRequest
from .screen import TABLE_WIDTH, complain, console, on_terminal, say, say_json
from .tables import screen_width

HEADINGS: Final = Row._fields


def models(*, kind: str | None, backend: str | None, as_json: bool) -> None:
    """List the abilities of each model at each backend, with sources and dates (needs no keys and no network)."""
    kinds = [one for one in get_args(ModelKind) if kind in (None, one)]
    backends = [one for one in get_args(Backend) if backend in (None, one)]
    _require_choice(kind, kinds, "kind of model: image, video or audio")
    _require_choice(backend, backends, "backend: mps, vod or relay")
    tables = [tuple(rows(of_backend, of_kind)) for of_backend in backends for of_kind in kinds]
    if as_json:
        say_json([row._asdict() for table in tables for row in table])
        return
    if not any(tables):
        complain(f"note: no source states a fact about {kind} models of {backend}, so no request is judged by one")
    if not on_terminal():
        for row in (HEADINGS, *(row for table in tables for row in table)):
            say("\t".join(row))
        return
    if screen_width() < TABLE_WIDTH:
        for row in (row for table in tables for row in table):
            say(" ".join(part for part in (row.backend, row.kind, row.model, row.versions) if part))
            say(f"  {row.field}: {row.accepts}\n  {row.source}")
        return
    for table in tables:
        if table:
            console().print(_table(table))


def _require_choice(name: str | None, chosen: list[str], choices: str) -> None:
    if not chosen:
        raise InvalidRequest(f"{name!r} is no {choices}")


def _table(table: tuple[Row, ...]) -> Table:
    """The table for a terminal. A name or a source that is the same as in the row above is left out."""
    lines = Table(box=box.SIMPLE, title=f"{table[0].kind}, {table[0].backend}", title_justify="left")
    for heading in ("model", "versions", "field", "accepts", "source"):
        lines.add_column(heading, overflow="fold")
    name = last_source = ""
    for row in table:
        if row.model != name:
            lines.add_section()
            last_source = ""
        accepts = "; otherwise ".join(part for part in (row.accepts, row.effect) if part)
        source = row.source if row.source != last_source else ""
        lines.add_row(row.model if row.model != name else "", row.versions, row.field, accepts, source)
        name, last_source = row.model, row.source
    return lines
