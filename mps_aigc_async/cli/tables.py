"""Tables of a few columns. On a screen that is too narrow, each row becomes a heading and lines `name: value`."""

import os
import shutil
from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from .screen import TABLE_WIDTH, console, on_terminal, say

Row = Sequence[str | int]


def print_table(headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows; the first cell of each is its name. In the narrow form the zeros are left out."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    if _width(cells) > screen_width():
        for line in _lines(cells):
            say(line)
        return
    table = Table(box=box.SIMPLE)
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for row in cells[1:]:
        table.add_row(*row)
    console().print(table)


def screen_width() -> int:
    """Columns of the terminal. In a file or a pipe, where lines may have any length, as many as a table needs."""
    return shutil.get_terminal_size().columns if on_terminal() or os.environ.get("COLUMNS") else TABLE_WIDTH


def _width(cells: Sequence[Sequence[str]]) -> int:
    return 2 + sum(2 + max(map(len, column)) for column in zip(*cells, strict=True))


def _lines(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    headings, *rows = cells
    for name, *values in rows:
        yield name
        yield from (
            f"  {heading}: {value}" for heading, value in zip(headings[1:], values, strict=True) if value != "0"
        )
