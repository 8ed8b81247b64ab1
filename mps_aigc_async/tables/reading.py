"""A table as the lines of a batch: `.csv`, `.tsv`, `.txt` and `.xlsx`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..model.errors import ConfigError, InvalidRequest
from .cells import Cell
from .csv_file import csv_records
from .rows import Header, Line

CSV: Final = frozenset({".csv", ".tsv", ".txt"})
XLSX: Final = frozenset({".xlsx", ".xlsm"})
SUFFIXES: Final = CSV | XLSX


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row that is not empty."""

    number: int
    """As a spreadsheet counts them: the header row is row 1."""
    line: Line | InvalidRequest
    """The row as a line of a batch, or why it is none."""


class Table:
    """A table whose header row has been read. Iterating reads the rows, once."""

    def __init__(self, header: Header, first: int, records: Iterator[Sequence[Cell]]) -> None:
        self.header = header
        self._first = first
        self._records = records

    def __iter__(self) -> Iterator[TableRow]:
        for number, cells in enumerate(self._records, start=self._first):
            line: Line | InvalidRequest | None
            try:
                line = self.header.line(cells)
            except InvalidRequest as error:
                line = error
            if line is not None:
                yield TableRow(number, line)


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def open_table(path: Path) -> Table:
    """Open a table. Raises InvalidRequest for a file that is none, and ConfigError for one that cannot be read."""
    records = _records(path)
    for number, cells in enumerate(records, start=1):
        if any(cell is not None and str(cell).strip() for cell in cells):
            return Table(Header.of(cells), number + 1, records)
    raise InvalidRequest("the table is empty: it needs a header row and a row for each request")


def read_table(path: str | Path) -> Iterator[Line]:
    """The rows of a table as lines for `client.run`, such as `{"id": "1", "image": {"prompt": "a lake"}}`.

    Raises InvalidRequest that names the row and the column at fault, and ConfigError for a file that cannot be read.
    """
    for row in open_table(Path(path)):
        if isinstance(row.line, InvalidRequest):
            raise InvalidRequest(f"row {row.number}: {row.line.message}")
        yield row.line


def _records(path: Path) -> Iterator[Sequence[Cell]]:
    """The records of a table; OSError becomes ConfigError."""
    try:
        if path.suffix.lower() in XLSX:
            from .xlsx_file import xlsx_records  # noqa: PLC0415 — an extra

            yield from xlsx_records(path)
        else:
            yield from csv_records(path)
    except OSError as error:
        raise ConfigError(f"cannot read the table {path}: {error.strerror}") from error
