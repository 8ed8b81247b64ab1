"""The records of an XLSX file's first visible sheet, by openpyxl, and what openpyxl's reader passes over in silence:
merged cells, and formulas that no program has calculated."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import join, normpath
from typing import IO, Final, cast
from xml.etree import ElementTree

from ..model.errors import ConfigError, InvalidRequest
from .cells import Cell

try:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException
except ImportError:
    raise ConfigError(
        "an XLSX table needs its extra: pip install '.[tables]' in a clone of mps-aigc-async; or save the table as CSV"
    ) from None

_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The beginning of an OLE file: an encrypted workbook (MS-OFFCRYPTO), or an old .xls."""

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
"""Names in a workbook's XML (ECMA-376, part 1)."""

_CHUNK: Final = 1 << 20
_MERGED: Final = re.compile(rb'<mergeCell [^>]*ref="([A-Z]+[0-9]+:[A-Z]+[0-9]+)"')
_NOT_CALCULATED: Final = re.compile(
    rb'<c [^>]*?r="([A-Z]+[0-9]+)"[^>]*>\s*<f\b[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)


def xlsx_records(path: Path) -> Iterator[Sequence[Cell]]:
    """The records of the first visible sheet, the empty ones included. Raises InvalidRequest and OSError."""
    _require_workbook(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, SyntaxError) as error:
        raise InvalidRequest(f"is no whole XLSX file ({type(error).__name__}): save it anew") from None
    try:
        sheet = next((one for one in book.worksheets if one.sheet_state == "visible"), None)
        if sheet is None:
            raise InvalidRequest("has no visible sheet")
        _require_plain_cells(path, sheet.title)
        # With `data_only` no cell is a formula.
        yield from cast("Iterator[Sequence[Cell]]", sheet.iter_rows(values_only=True))
    finally:
        book.close()


def _require_workbook(path: Path) -> None:
    """Raise InvalidRequest for a file that only looks like an XLSX file."""
    with path.open("rb") as file:
        if file.read(8).startswith(_COMPOUND):
            raise InvalidRequest("is encrypted, or an old .xls: save it as XLSX without a password")
    if not zipfile.is_zipfile(path):
        raise InvalidRequest("is no XLSX file: save it as an Excel workbook (.xlsx) or as CSV")


def _require_plain_cells(path: Path, title: str) -> None:
    """Raise InvalidRequest for cells whose value openpyxl would leave out."""
    with zipfile.ZipFile(path) as archive, archive.open(_part_of(archive, title)) as sheet:
        for found, pattern in _scan(sheet):
            if pattern is _MERGED:
                raise InvalidRequest(
                    f"cells {found} are merged, and only the first of them has a value: unmerge them, and fill each"
                )
            raise InvalidRequest(
                f"cell {found} is a formula without a value: open the file in a spreadsheet program and save it"
            )


def _part_of(archive: zipfile.ZipFile, title: str) -> str:
    """The part of a workbook that has the sheet of this title."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 — openpyxl has parsed it before
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314 — as above
    ids = {sheet.get("name"): sheet.get(_RELATION) for sheet in book.iter(f"{_MAIN}sheet")}
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    target = targets[ids[title]]
    return target.removeprefix("/") if target.startswith("/") else normpath(join("xl", target))


def _scan(sheet: IO[bytes]) -> Iterator[tuple[str, re.Pattern[bytes]]]:
    """The places in a sheet's XML that match one of the patterns. No cell is longer than a few 10 kB."""
    rest = b""
    while chunk := sheet.read(_CHUNK):
        text = rest + chunk
        for pattern in (_NOT_CALCULATED, _MERGED):
            for match in pattern.finditer(text):
                yield match[1].decode(), pattern
        rest = text[max(text.rfind(b"<c "), text.rfind(b"<mergeCell "), 0) :]
