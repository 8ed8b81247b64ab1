"""A batch file, read twice: first as a whole to report every fault, then line by line to run it."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..engine.batch import Placed
from ..engine.digest_table import DigestTable, Width, digest_of
from ..engine.request_ids import RequestIds
from ..model.errors import ConfigError, InvalidRequest
from ..model.json_text import no_constant, no_key_twice
from ..model.parsing import parse
from ..model.plain_text import visible_line
from ..model.requests import Request, session_of, steps_of
from ..model.states import Kind
from .batch_jobs import BatchJobs, job_ids
from .choice import EVERYTHING, Choice
from .refusals import BadBatch

MOST_FAULTS: Final = 20
"""Faulty lines that a message names. With more of them the file as a whole is wrong, and more lines would scroll these
away."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch file without a fault. Iterating reads it again, line by line."""

    path: Path
    jobs: BatchJobs
    """Its jobs, by the ids that the run gives them."""
    stand_ins: Mapping[str, Request] = field(default_factory=dict)
    """Requests of the ledger that stand for the lines of these ids."""
    choice: Choice = EVERYTHING
    """The part of the file that is run."""
    has_places: bool = True
    """Whether its lines stand in the user's order; the requests of a command line have no places of their own."""

    @property
    def totals(self) -> Mapping[Kind, int]:
        """Its jobs by kind."""
        return self.jobs.totals

    def __iter__(self) -> Iterator[Request]:
        return (item.request for item in self.items())

    def items(self) -> Iterator[Placed]:
        """The chosen requests, with their places in the file."""
        chosen = _Chosen(self.choice)
        for position, (number, line) in enumerate(_lines(self.path)):
            try:
                request = chosen.request(_request(line))
            except InvalidRequest as error:
                raise BadBatch(f"line {number}: {error.message} (the file has changed since it was read)") from None
            if request is not None:
                stand_in = request if request.id is None else self.stand_ins.get(request.id, request)
                yield Placed(stand_in, position if self.has_places else None)


class _Chosen:
    """Chooses among the requests of a file, one after the other."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._ids = RequestIds()
        self._count = 0

    def request(self, request: Request) -> Request | None:
        """The request, if it is chosen. Of a part, each has its id: a derived one depends on the lines before."""
        if self._choice.is_everything:
            return request
        name = self._ids.id_for(request)
        if not self._choice.has(name) or self._count == self._choice.limit:
            return None
        self._count += 1
        return request.model_copy(update={"id": name})


def check_batch(path: Path, check: Callable[[Request], None], choice: Choice = EVERYTHING) -> Batch:
    """Read a batch file through, with the client's own `check` for each request. Only the chosen ones have jobs.

    Raises BadBatch that names every faulty line (the first MOST_FAULTS of them).
    """
    jobs, request_ids, chosen = BatchJobs(), RequestIds(), _Chosen(choice)
    ids, sessions = _Lines("id"), _Lines("session id")
    faults: list[str] = []
    other_faults = number_of_lines = 0
    for number, line in _lines(path):
        number_of_lines = number
        try:
            request = _request(line)
            ids.claim(request.id, number)
            for step in steps_of(request):
                sessions.claim(session_of(step) or None, number)
            check(request)
        except InvalidRequest as error:
            if len(faults) < MOST_FAULTS:
                faults.append(f"  line {number}: {visible_line(error.message)}")
            else:
                other_faults += 1
        else:
            name = request_ids.id_for(request)
            if chosen.request(request) is not None:
                for job_id, kind in job_ids(name, request):
                    jobs.add(job_id, kind)
    if faults:
        lines = "\n".join([*faults, *([f"  and {other_faults} more"] if other_faults else [])])
        raise BadBatch(f"the batch cannot be run, nothing was sent; fix these lines:\n{lines}")
    _require_some(jobs, choice, number_of_lines)
    return Batch(path, jobs, choice=choice)


def _require_some(jobs: BatchJobs, choice: Choice, number_of_lines: int) -> None:
    """Raise BadBatch if nothing is to be run."""
    if not jobs.totals and number_of_lines:
        raise BadBatch(f"no request of the batch matches --only {' '.join(choice.only)}: nothing was sent")
    if not jobs.totals:
        raise BadBatch('the batch is empty: write one request per line, such as {"image": {"prompt": "a lake"}}')


@contextmanager
def as_file(source: Path) -> Iterator[Path]:
    """A batch as a file that can be read twice: stdin (`-`) and pipes are copied into a temporary one first."""
    from_stdin = str(source) == "-"
    if not from_stdin and (source.is_file() or source.is_dir() or not source.exists()):
        yield source  # the reader reports a folder and a missing file
        return
    with tempfile.TemporaryDirectory(prefix="mps-aigc-") as folder:
        copy = Path(folder, "batch.jsonl")
        with copy.open("wb") as target:
            if from_stdin:
                if sys.stdin is None:  # stdin was closed when this program began
                    raise ConfigError("cannot read the batch from stdin: it is closed")
                shutil.copyfileobj(sys.stdin.buffer, target)
            else:
                with source.open("rb") as pipe:
                    shutil.copyfileobj(pipe, target)
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


class _Lines:
    """The line of each id in the file, by the id's digest. `name` is the sort of ids, for messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = DigestTable(Width.INT)

    def claim(self, text: str | None, line: int) -> None:
        """Enter an id. Raises InvalidRequest that names the line which has the id already."""
        if text is None:
            return
        digest = digest_of(text)
        if not self._lines.add(digest, line):
            first = self._lines.get(digest)
            raise InvalidRequest(f"{self._name} {text!r} is on line {first} already: give each request its own")
