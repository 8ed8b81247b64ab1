"""The models of each backend, as Markdown: `python -m tests.model_tables` writes docs/models.md; the test compares."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, get_args

from mps_aigc_async.catalog import Backend, ModelKind
from mps_aigc_async.catalog.rows import Row, rows

PAGE: Final = Path(__file__).parents[1] / "docs" / "models.md"

OPENING: Final = """\
# Models

The abilities of each model, by backend and kind, as `mps-aigc models` lists them. The page is
written from the code, and a test compares the two.

- The rows of "any model" hold for each model of the table without a row for the same field. A field without a row is
  stated nowhere, and never judged. Facts of one backend judge no request to another backend.
- *documented*: by the service's own documents. `"catalog": "strict"` refuses a request that breaks such a fact.
- *reported*: by other people, who state it as tested. A request that breaks such a fact is sent, and causes a
  warning, in `"strict"` too.
- A model or version that no table lists is sent and never judged. A name close to a listed one causes a warning.

[Configuration](configuration.md#catalog) explains `catalog`.

## Silent costs

The service accepts any other value of these fields, and serves none. The warning names the consequence.
"""
SOURCES: Final = """\
## Sources

- official SDK 3.1.194, 2026-10: descriptions of the parameters of MPS's creates (API 2019-06-12), and of VOD's (API
  2018-07-17);
- AIGC guide, 2026-05-29: 「AIGC 创作接入教程」 of MPS;
- CreateAigcImageTask's page, 2025-12-31: an older page of MPS, with models that the newer list lacks;
- QuickRouter's page of `aigc-image`, which has no date, as read in 2026-11;
- reports: facts that publishers of other clients state as tested (of MPS in 2026-08), gathered on 2026-11-26; and of
  PixVerse, by other services that sell it, 2026-04-24.
"""


def page() -> str:
    """Write the page."""
    tables = {
        (backend, kind): tuple(rows(backend, kind)) for kind in get_args(ModelKind) for backend in get_args(Backend)
    }
    parts = [OPENING, _money(row for table in tables.values() for row in table)]
    parts += [f"## {kind.title()}, {backend}\n\n{_table(table)}" for (backend, kind), table in tables.items() if table]
    return "\n".join([*parts, SOURCES])


def _money(table: Iterable[Row]) -> str:
    cells = [
        (row.kind, row.backend, row.model, row.versions, f"`{row.field}`", row.accepts, row.effect, row.standing)
        for row in table
        if row.effect
    ]
    return _lines(("kind", "backend", "model", "versions", "field", "accepts", "any other value", "class"), cells)


def _table(table: tuple[Row, ...]) -> str:
    cells = [
        (row.model, row.versions, f"`{row.field}`" if row.field else "", row.accepts, row.standing, row.source)
        for row in table
    ]
    return _lines(("model", "versions", "field", "accepts", "class", "source"), cells)


def _lines(headings: tuple[str, ...], cells: Iterable[tuple[str, ...]]) -> str:
    return "\n".join([*_header(headings), *(f"| {' | '.join(row)} |" for row in cells), ""])


def _header(headings: tuple[str, ...]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
