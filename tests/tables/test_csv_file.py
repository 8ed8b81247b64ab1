"""CSV files as spreadsheets write them."""

from pathlib import Path

import pytest

from mps_aigc_async import InvalidRequest
from mps_aigc_async.tables.csv_file import MOST_IN_A_CELL, csv_records, encoding_of

TEXT = "编号,图片提示词\r\n镜头·1,湖\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_are_told_apart(tmp_path: Path, encoding: str, delimiter: str) -> None:
    file = tmp_path / "batch.csv"
    file.write_bytes(TEXT.replace(",", delimiter).encode(encoding))
    assert list(csv_records(file)) == [["编号", "图片提示词"], ["镜头·1", "湖"]]


def test_a_cell_may_have_lines_quotes_and_delimiters(tmp_path: Path) -> None:
    file = tmp_path / "batch.csv"
    file.write_bytes(b'id,image.prompt\n\n1,"a ""lake"",\nby; night"\n')
    assert list(csv_records(file)) == [["id", "image.prompt"], [], ["1", 'a "lake",\nby; night']]


def test_utf_8_that_ends_in_mid_letter_at_a_chunk_is_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "batch.csv"
    file.write_bytes(b"id,image.prompt\n1," + "湖".encode() * 500_000)
    assert encoding_of(file) == "utf-8"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no text in UTF-8 or GB18030"),
        (b"id,image.prompt\n1,\xff\xff\xff", "is no text in UTF-8 or GB18030"),
        (b'id,image.prompt\n1,"a lake\n', "line 2 is no CSV"),
        (b'id,image.prompt\n1,"a "lake\n', "line 2 is no CSV"),
        (b'id,image.prompt\n1,"' + b"x" * (MOST_IN_A_CELL + 1), "field larger than field limit"),
        (b"\xff\xfei\0d\0,\0x", "is no whole text in utf-16"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "batch.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=reason):
        list(csv_records(file))
