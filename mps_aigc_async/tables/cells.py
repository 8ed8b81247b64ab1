"""The value of a cell for its column: a spreadsheet's habits are understood, or refused with the fix. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from math import isfinite
from typing import Final

from ..model.json_text import no_constant, no_key_twice
from .columns import Column, Content, plain

Cell = str | int | float | bool | datetime | date | time | timedelta | None
"""A cell as openpyxl reads one. A cell of a CSV file is a text."""

Json = str | int | float | bool | list[object] | dict[str, object]

_NUMBER: Final = re.compile(r"([+-]?\d+)(?:\.0+)?\s*(?:s|秒|张)?", re.IGNORECASE)
_RATIO: Final = re.compile(r"0*(\d+)\s*[:比x×*/]\s*0*(\d+)(?::00)?", re.IGNORECASE)
_ERRORS: Final = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"})
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""The escape of control characters in an XLSX file (ECMA-376, ST_Xstring), which openpyxl leaves as it is."""
_BLANKS: Final = "\ufeff\u200b \t\r\n\v\f\u00a0\u3000"
_AS_TEXT: Final = "format the column as text, and write it again"

FLAGS: Final = {
    **dict.fromkeys(("yes", "true", "y", "on", "1", "是", "有", "开", "√", "✓"), True),
    **dict.fromkeys(("no", "false", "n", "off", "0", "否", "无", "关", "×", "✗"), False),
}


class CellFault(Exception):
    """The reason why a cell has no value for its column, with the fix."""


def value_of(cell: Cell, column: Column) -> Json | None:
    """The value of a cell; None for an empty cell. Raises CellFault with the reason and the fix."""
    if isinstance(cell, str):
        cell = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), cell).replace("\r\n", "\n").strip(_BLANKS)
        if cell in _ERRORS:
            raise CellFault(f"is the error {cell} of a formula: correct the formula, or write the value")
    if cell is None or cell == "":
        return None
    if isinstance(cell, float) and not isfinite(cell):
        raise CellFault("is no number")
    return _READERS[column.content](cell, column)


def _prose(cell: Cell, _column: Column) -> str:
    return cell if isinstance(cell, str) else _number_as_text(cell)


def _word(cell: Cell, column: Column) -> str:
    if column.path[-1] == "aspect_ratio":
        return _ratio(cell)
    return plain(cell) if isinstance(cell, str) else _number_as_text(cell)


def _ratio(cell: Cell) -> str:
    """A ratio: Excel takes 16:9 for nine minutes past four."""
    match cell:
        case timedelta():
            hours, seconds = divmod(round(cell.total_seconds()), 3600)
            return f"{hours}:{seconds // 60}"
        case datetime() if cell.year == 1900:  # a time of more than a day
            return f"{24 * cell.day + cell.hour}:{cell.minute}"
        case time():
            return f"{cell.hour}:{cell.minute}"
        case str() if match := _RATIO.fullmatch(plain(cell)):
            return f"{match[1]}:{match[2]}"
        case str():
            return plain(cell)
        case _:
            return _number_as_text(cell)


def _number_as_text(cell: Cell) -> str:
    """A number in a column of texts. Raises CellFault for a date or a yes: nobody knows how it was written."""
    match cell:
        case bool():
            raise CellFault(f"is a yes or no in the spreadsheet: {_AS_TEXT}")
        case int() | float():
            return f"{cell:.15g}"
        case _:
            raise CellFault(f"is a date or a time in the spreadsheet: {_AS_TEXT}")


def _whole(cell: Cell, _column: Column) -> int:
    match cell:
        case bool():
            raise CellFault("expected a whole number, got a yes or no")
        case int():
            return cell
        case float() if cell.is_integer():
            return int(cell)
        case str() if match := _NUMBER.fullmatch(plain(cell)):
            return int(match[1])
        case float() | str():
            raise CellFault(f"expected a whole number, got {cell!r}")
        case _:
            raise CellFault("expected a whole number, got a date or a time: format the column as a number")


def _flag(cell: Cell, _column: Column) -> bool:
    flag = FLAGS.get(plain(str(int(cell) if isinstance(cell, float) else cell)).casefold())
    if flag is None:
        raise CellFault(f"expected yes or no (是 or 否), got {str(cell)[:60]!r}")
    return flag


def _source(cell: Cell, _column: Column) -> str:
    if not isinstance(cell, str):
        raise CellFault(f"expected a URL or a path, got a {type(cell).__name__}")
    if "\n" in cell:
        raise CellFault("expected one URL or path, got several lines")
    return cell


def _sources(cell: Cell, column: Column) -> list[object]:
    if not isinstance(cell, str):
        return [_source(cell, column)]
    parts = [part.strip(_BLANKS) for part in re.split(r"[\n；]", cell)]
    return [part for part in parts if part]


def _json(cell: Cell, _column: Column) -> Json:
    if not isinstance(cell, str):
        raise CellFault("expected an object or a list as JSON, got a number")
    try:
        value: Json = json.loads(cell, parse_constant=no_constant, object_pairs_hook=no_key_twice)
    except (ValueError, RecursionError) as error:
        raise CellFault(f"expected an object or a list as JSON: {error}") from None
    if not isinstance(value, list | dict):
        raise CellFault("expected an object or a list as JSON")
    return value


_READERS: Final[Mapping[Content, Callable[[Cell, Column], Json]]] = {
    Content.PROSE: _prose,
    Content.WORD: _word,
    Content.WHOLE: _whole,
    Content.FLAG: _flag,
    Content.SOURCE: _source,
    Content.SOURCES: _sources,
    Content.JSON: _json,
}
