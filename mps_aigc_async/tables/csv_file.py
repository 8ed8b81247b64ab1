"""The records of a CSV file, as spreadsheets write it: in UTF-8, UTF-16 or GB18030, with commas, semicolons or tabs."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from ..model.errors import InvalidRequest
from .columns import column_of

_CHUNK: Final = 1 << 20
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS: Final = (",", ";", "\t", "，")

MOST_IN_A_CELL: Final = 1 << 20
"""Characters of a cell: Excel allows 32,767, and a longer one is a quotation mark that nobody closed."""


def csv_records(path: Path) -> Iterator[Sequence[str]]:
    """The records of a CSV file, the empty ones included. Raises InvalidRequest and OSError."""
    encoding = encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        try:
            yield from _records(file)
        except UnicodeError:
            raise InvalidRequest(f"is no whole text in {encoding}: save the table as CSV again") from None


def _records(file: TextIO) -> Iterator[Sequence[str]]:
    csv.field_size_limit(MOST_IN_A_CELL)
    head = file.readline()
    file.seek(0)
    reader = csv.reader(file, delimiter=_delimiter_of(head), strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise InvalidRequest(f"line {reader.line_num} is no CSV ({error}): save the table as CSV again") from None


def encoding_of(path: Path) -> str:
    """The encoding of a text file: by its mark; else UTF-8 if all of it is UTF-8; else GB18030, which Excel writes in
    China. Raises InvalidRequest for a file that is none of them."""
    with path.open("rb") as file:
        head = file.read(4)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return encoding
        for encoding in ("utf-8", "gb18030"):
            file.seek(0)
            if _is_text(iter(lambda: file.read(_CHUNK), b""), encoding):
                return encoding
    raise InvalidRequest("is no text in UTF-8 or GB18030: save the table as CSV UTF-8, or as XLSX")


def _is_text(chunks: Iterator[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        has_zero = any("\0" in decoder.decode(chunk) for chunk in chunks)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return not has_zero


def _delimiter_of(head: str) -> str:
    """The delimiter with which most cells of the first line are fields."""

    def fields(delimiter: str) -> int:
        return sum(column_of(cell.strip().strip('"')) is not None for cell in head.split(delimiter))

    return max(_DELIMITERS, key=fields)
