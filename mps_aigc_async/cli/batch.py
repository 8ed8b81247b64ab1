"""A batch file, read twice: once to tell everything that is wrong with it, once lazily to carry it out."""

import json
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..engine.request_ids import RequestIds
from ..model.errors import ConfigError, InvalidRequest
from ..model.parsing import parse
from ..model.plain_text import visible_line
from ..model.requests import Request
from ..model.states import Kind
from .asked import AskedJobs, job_ids

MOST_TOLD: Final = 20
"""Faulty lines told one by one; beyond them the file as a whole is wrong, and more lines would scroll these away."""


class BadBatch(InvalidRequest):
    """The batch file cannot be carried out as written. The message has a line for each faulty line."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch file that has been read through and found good. Iterating reads it again, line by line."""

    path: Path
    jobs: AskedJobs
    """The jobs that it asks for, by the ids that the run gives them."""

    @property
    def totals(self) -> Mapping[Kind, int]:
        """How many tasks it asks for."""
        return self.jobs.totals

    def __iter__(self) -> Iterator[Request]:
        for number, line in _lines(self.path):
            try:
                yield _request(line)
            except InvalidRequest as error:
                raise BadBatch(f"line {number}: {error.message} (the file has changed since it was read)") from None


def check_batch(path: Path, check: Callable[[Request], None]) -> Batch:
    """Read a batch file through, with the client's own `check` for each request.

    Raises BadBatch that names every faulty line (the first ones, if there are many).
    """
    jobs, request_ids = AskedJobs(), RequestIds()
    faults: list[str] = []
    more = 0
    with closing(_Ids()) as ids:
        for number, line in _lines(path):
            try:
                request = _request(line)
                ids.claim(request.id, number)
                check(request)
            except InvalidRequest as error:
                if len(faults) < MOST_TOLD:
                    faults.append(f"  line {number}: {visible_line(error.message)}")
                else:
                    more += 1
            else:
                for job_id, kind in job_ids(request_ids.id_for(request), request):
                    jobs.add(job_id, kind)
    if faults:
        told = "\n".join([*faults, *([f"  and {more} more"] if more else [])])
        raise BadBatch(f"the batch cannot be run, nothing was sent; fix these lines:\n{told}")
    if not jobs.totals:
        raise BadBatch('the batch is empty: write one request per line, such as {"image": {"prompt": "a lake"}}')
    return Batch(path, jobs)


@contextmanager
def as_file(given: Path) -> Iterator[Path]:
    """A batch as a file that can be read twice: stdin (`-`) and pipes are copied into a temporary one first."""
    from_stdin = str(given) == "-"
    if not from_stdin and (given.is_file() or given.is_dir() or not given.exists()):
        yield given  # what is no file is told by whoever opens it
        return
    with tempfile.TemporaryDirectory(prefix="mps-aigc-") as folder:
        copy = Path(folder, "batch.jsonl")
        with copy.open("wb") as target:
            if from_stdin:
                if sys.stdin is None:  # it was closed when this program began
                    raise ConfigError("cannot read the batch from stdin: it is closed")
                shutil.copyfileobj(sys.stdin.buffer, target)
            else:
                with given.open("rb") as source:
                    shutil.copyfileobj(source, target)
        yield copy


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    # Windows editors begin a UTF-8 file with a mark.
                    yield number, (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).rstrip()
    except OSError as error:
        raise ConfigError(f"cannot read the batch {path}: {error.strerror}") from error


def _request(line: bytes) -> Request:
    try:
        decoded = json.loads(line.decode(), parse_constant=_no_constant, object_pairs_hook=_no_key_twice)
    except UnicodeDecodeError:
        raise InvalidRequest("not UTF-8: save the batch file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"not valid JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"not valid JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise InvalidRequest(f'expected an object such as {{"image": {{"prompt": "…"}}}}, got {_shown(decoded)}')
    return parse(decoded)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON value")


MOST_SHOWN: Final = 40
"""Most characters of a key that a message shows."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would take the last of two: a prompt that was meant would be lost without a word."""
    decoded = dict(pairs)
    if len(decoded) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:MOST_SHOWN]!r} stands there twice")
    return decoded


def _shown(value: Any) -> str:  # noqa: ANN401 — whatever the JSON decoder made
    return {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number or a boolean")


class _Ids:
    """The ids seen, with their lines: in a temporary database, because a million of them need not be in memory."""

    def __init__(self) -> None:
        # An empty name is SQLite's private file that spills to disk and is gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def claim(self, request_id: str | None, line: int) -> None:
        """Raises InvalidRequest that names the line which has the id already."""
        if request_id is None:
            return
        if self._database.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (request_id, line)).rowcount == 0:
            known = self._database.execute("SELECT line FROM ids WHERE id = ?", (request_id,)).fetchone()
            raise InvalidRequest(f"id {request_id!r} is on line {known[0]} already: give each request its own")

    def close(self) -> None:
        self._database.close()
