"""A table's rows as the lines of a batch, by its header row. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..catalog import MODELS
from ..model.errors import FieldFault, InvalidRequest
from ..model.plain_text import visible_line
from ..model.states import Kind
from .cells import Cell, CellFault, value_of
from .columns import Column, column_of, hint_for, is_note

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_VERSIONS: Final = {
    (model.kind, model.name.casefold()): frozenset(
        version for one in MODELS if (one.kind, one.name) == (model.kind, model.name) for version in one.all_versions
    )
    for model in MODELS
}

Line = Mapping[str, object]
"""A line of a batch file, as decoded JSON."""


def letter_of(index: int) -> str:
    """A column's letters in a spreadsheet, by its index from 0.

    >>> letter_of(0), letter_of(25), letter_of(26), letter_of(701), letter_of(702)
    ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    letters, number = "", index + 1
    while number:
        number, rest = divmod(number - 1, len(_ALPHABET))
        letters = _ALPHABET[rest] + letters
    return letters


@dataclass(frozen=True, slots=True)
class Header:
    """The header row of a table."""

    columns: Mapping[int, Column]
    """The columns that are fields of requests, by their index."""
    notes: frozenset[int]
    """The indices of the columns that are for people."""
    labels: Mapping[str, str]
    """For each field's name, the column as its user sees it: `D (视频时长)`."""

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> "Header":
        """Read the header row. Raises InvalidRequest that names all columns at fault."""
        columns: dict[int, Column] = {}
        labels: dict[str, str] = {}
        notes: set[int] = set()
        faults: list[str] = []
        for index, cell in enumerate(cells):
            text = "" if cell is None else str(cell).strip()
            label = f"{letter_of(index)} ({visible_line(text)})"
            if not text:
                continue
            if is_note(text):
                notes.add(index)
            elif (column := column_of(text)) is None:
                hint = hint_for(text)
                faults.append(f"column {label} is no field{f': {hint}' if hint else ''}")
            elif column.name in labels:
                faults.append(f"columns {labels[column.name]} and {label} are the same field")
            else:
                columns[index], labels[column.name] = column, label
        if not columns:
            raise InvalidRequest(
                "the first row names no field: begin the table with a header row such as id, image.prompt, "
                "video.prompt, video.duration (编号, 图片提示词, 视频提示词, 视频时长)"
            )
        if faults:
            raise InvalidRequest(f"{'; '.join(faults)}; begin the name of a column of your own with #, or call it 备注")
        return cls(columns, frozenset(notes), labels)

    def line(self, cells: Sequence[Cell]) -> Line | None:
        """A row as a batch file's line; None for an empty row. Raises InvalidRequest that names all cells at fault."""
        line: dict[str, object] = {}
        faults: list[FieldFault] = []
        for index, cell in enumerate(cells):
            if cell is None or cell == "" or index in self.notes:
                continue
            column = self.columns.get(index)
            if column is None:
                faults.append(FieldFault("", f"column {letter_of(index)} has a value, and no name in the first row"))
                continue
            try:
                value = value_of(cell, column)
            except CellFault as fault:
                faults.append(FieldFault(column.name, str(fault)))
            else:
                if value is not None:
                    _put(line, column.path, value)
        if faults:
            raise self.in_columns(InvalidRequest.of_fields("", faults))
        for kind in Kind:
            _complete_version(kind, line.get(kind))
        return line or None

    def in_columns(self, error: InvalidRequest) -> InvalidRequest:
        """An error of a line, in the words of the table: its faults name the columns."""
        if not error.faults:
            return error
        faults = [fault._replace(where=self._label_of(fault.where)) for fault in error.faults]
        return InvalidRequest.of_fields("", faults)

    def _label_of(self, where: str) -> str:
        """The column of a field's path; of a field that no column has, the path: `video.prompt`."""
        label = next((self.labels[name] for name in _prefixes(where) if name in self.labels), "")
        return f"column {label}" if label else where


def _prefixes(where: str) -> list[str]:
    """
    >>> _prefixes("image.images.0")
    ['image.images.0', 'image.images', 'image']
    """
    parts = where.split(".")
    return [".".join(parts[:number]) for number in range(len(parts), 0, -1)]


def _put(line: dict[str, object], path: tuple[str, ...], value: object) -> None:
    *parents, name = path
    for parent in parents:
        inner = line.setdefault(parent, {})
        assert isinstance(inner, dict)  # noqa: S101 — no column's path is the beginning of another's
        line = inner
    line[name] = value


def _complete_version(kind: Kind, step: object) -> None:
    """Spell a version as its model does: a spreadsheet keeps 3.0 as the number 3."""
    if not isinstance(step, dict) or not isinstance(version := step.get("model_version"), str):
        return
    versions = _VERSIONS.get((kind.value, str(step.get("model_name", "")).casefold()), frozenset())
    if version not in versions and f"{version}.0" in versions:
        step["model_version"] = f"{version}.0"
