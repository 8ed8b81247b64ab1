"""The sources of a batch: a file of JSON lines, or a table. A source is read twice, and is the same both times."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..model.errors import ConfigError, InvalidRequest
from ..model.json_text import no_constant, no_key_twice
from ..model.parsing import parse
from ..model.requests import Request
from ..tables.reading import Table, is_table, open_table
from ..tables.rows import Header
from .refusals import BadBatch

Entry = tuple[int, Callable[[], Request]]
"""The number of a line or a row, and its reading, which raises InvalidRequest."""


class Source(Protocol):
    """A batch as its user wrote it."""

    @property
    def unit(self) -> str:
        """The user's word for an entry: line, or row."""
        ...

    def entries(self) -> Iterator[Entry]:
        """The entries that are not blank."""
        ...


@contextmanager
def batch_source(path: Path) -> Iterator[Source]:
    """The batch at a path; `-` is stdin. Raises BadBatch for a table that cannot be read, and ConfigError."""
    with tempfile.TemporaryDirectory(prefix="mps-aigc-") as folder:
        if str(path) != "-" and is_table(path):
            yield _copy_of(path, Path(folder, "table.jsonl"))
        elif str(path) != "-" and (path.is_file() or path.is_dir() or not path.exists()):
            yield JsonLines(path)  # the reader reports a folder and a missing file
        else:
            copy = Path(folder, "batch.jsonl")
            _copy_stream(path, copy)
            yield JsonLines(copy)


def _copy_stream(path: Path, copy: Path) -> None:
    """Copy stdin or a pipe, which can be read only once."""
    with copy.open("wb") as target:
        if str(path) != "-":
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, target)
        elif sys.stdin is None:  # stdin was closed when this program began
            raise ConfigError("cannot read the batch from stdin: it is closed")
        else:
            shutil.copyfileobj(sys.stdin.buffer, target)


# --- JSON lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A file with one JSON object a line."""

    path: Path
    unit = "line"

    def entries(self) -> Iterator[Entry]:
        """The lines that are not blank, with their numbers from 1. Raises ConfigError."""
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        # Windows editors begin a UTF-8 file with a mark.
                        text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).rstrip()
                        yield number, lambda text=text: _request(text)  # type: ignore[misc] # bound here
        except OSError as error:
            raise ConfigError(f"cannot read the batch {self.path}: {error.strerror}") from error


def _request(line: bytes) -> Request:
    try:
        value = json.loads(line.decode(), parse_constant=no_constant, object_pairs_hook=no_key_twice)
    except UnicodeDecodeError:
        raise InvalidRequest("not UTF-8: save the batch file as UTF-8") from None
    except json.JSONDecodeError as error:
        why = f"not valid JSON: {error.msg} at column {error.colno}"
        raise InvalidRequest(f"{why}: write each object on one line, without commas between lines") from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f'expected an object such as {{"image": {{"prompt": "…"}}}}, got {_type_name(value)}')
    return parse(value)


def _type_name(value: Any) -> str:  # noqa: ANN401 — any decoded JSON
    """A JSON type, for a message."""
    return {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number or a boolean")


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TableCopy:
    """A table's rows, copied into a file of JSON lines: a spreadsheet is slow to read, and may be saved meanwhile."""

    copy: Path
    header: Header
    unit = "row"

    def entries(self) -> Iterator[Entry]:
        """The rows that are not empty, with their numbers as a spreadsheet shows them."""
        with self.copy.open(encoding="utf-8") as file:
            for text in file:
                number, line, fault = json.loads(text)
                yield number, lambda line=line, fault=fault: self._request(line, fault)  # type: ignore[misc] # bound here

    def _request(self, line: dict[str, Any] | None, fault: str) -> Request:
        if line is None:
            raise InvalidRequest(fault)
        try:
            return parse(line)
        except InvalidRequest as error:
            raise self.header.in_columns(error) from None


def _copy_of(path: Path, copy: Path) -> TableCopy:
    """Copy a table. Raises BadBatch for a table that cannot be read, and ConfigError."""
    try:
        table = open_table(path)
        _write(table, copy)
    except InvalidRequest as error:
        raise BadBatch(f"the table {path}: {error.message}: nothing was sent") from None
    return TableCopy(copy, table.header)


def _write(table: Table, copy: Path) -> None:
    with copy.open("w", encoding="utf-8") as target:
        for row in table:
            line, fault = (None, row.line.message) if isinstance(row.line, InvalidRequest) else (row.line, "")
            target.write(json.dumps([row.number, line, fault]) + "\n")
