"""XLSX files by openpyxl, and what its reader would pass over."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from mps_aigc_async import InvalidRequest
from mps_aigc_async.tables.xlsx_file import xlsx_records

ROWS: list[list[Any]] = [["id", "image.prompt"], [1, "a lake"], [None, None], [2, "rain\nand fog"]]


def workbook(file: Path, change: Callable[[Any], None] = lambda _: None) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in ROWS:
        sheet.append(row)
    change(book)
    book.save(file)
    return file


def test_the_first_visible_sheet_is_read(tmp_path: Path) -> None:
    def change(book: Any) -> None:  # noqa: ANN401 — a workbook
        book.create_sheet("first", 0).sheet_state = "hidden"
        book.create_sheet("last").append(["notes"])
        book.active = 2

    assert [list(record) for record in xlsx_records(workbook(tmp_path / "a.xlsx", change))] == ROWS


def test_merged_cells_and_uncalculated_formulas_are_refused_by_their_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cells B2:B4 are merged"):
        list(xlsx_records(workbook(tmp_path / "a.xlsx", lambda book: book.active.merge_cells("B2:B4"))))

    def put_formula(book: Any) -> None:  # noqa: ANN401 — as above
        book.active["B2"] = '=CONCATENATE("a ","lake")'

    with pytest.raises(InvalidRequest, match="cell B2 is a formula without a value"):
        list(xlsx_records(workbook(tmp_path / "b.xlsx", put_formula)))


def test_merged_cells_of_another_sheet_are_nobodys_business(tmp_path: Path) -> None:
    def change(book: Any) -> None:  # noqa: ANN401 — as above
        sheet = book.create_sheet("explanations")
        sheet["A1"] = "read this first"
        sheet.merge_cells("A1:C1")

    assert len(list(xlsx_records(workbook(tmp_path / "a.xlsx", change)))) == len(ROWS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an OLE file", "is encrypted, or an old .xls"),
        (b"id,image.prompt", "is no XLSX file"),
        (b"", "is no XLSX file"),
        (b"PK\x03\x04 cut", "is no XLSX file"),
    ],
)
def test_what_only_has_the_suffix_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "a.xlsx"
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=reason):
        list(xlsx_records(file))


def test_an_archive_of_other_things_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.xlsx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(InvalidRequest, match="is no whole XLSX file"):
        list(xlsx_records(file))
