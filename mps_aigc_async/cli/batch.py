"""A batch, read twice: first as a whole to report every fault, then entry by entry to run it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ..engine.batch import Placed
from ..engine.digest_table import DigestTable, Width, digest_of
from ..engine.request_ids import RequestIds
from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from ..model.requests import Request, session_of, steps_of
from ..model.states import Kind
from .batch_jobs import BatchJobs, job_ids
from .batch_source import Source
from .choice import EVERYTHING, Choice
from .refusals import BadBatch

MOST_FAULTS: Final = 20
"""Faulty lines that a message names. With more of them the file as a whole is wrong, and more lines would scroll these
away."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch without a fault. Iterating reads it again, entry by entry."""

    source: Source
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
        for position, (number, read) in enumerate(self.source.entries()):
            try:
                request = chosen.request(read())
            except InvalidRequest as error:
                place = f"{self.source.unit} {number}"
                raise BadBatch(f"{place}: {error.message} (the file has changed since it was read)") from None
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


def check_batch(source: Source, check: Callable[[Request], None], choice: Choice = EVERYTHING) -> Batch:
    """Read a batch through, with the client's own `check` for each request. Only the chosen ones have jobs.

    Raises BadBatch that names every faulty entry (the first MOST_FAULTS of them).
    """
    jobs, request_ids, chosen = BatchJobs(), RequestIds(), _Chosen(choice)
    ids, sessions = _Places("id", source.unit), _Places("session id", source.unit)
    faults: list[str] = []
    other_faults = count = 0
    for number, read in source.entries():
        count += 1
        try:
            request = read()
            ids.claim(request.id, number)
            for step in steps_of(request):
                sessions.claim(session_of(step) or None, number)
            check(request)
        except InvalidRequest as error:
            if len(faults) < MOST_FAULTS:
                faults.append(f"  {source.unit} {number}: {visible_line(error.message)}")
            else:
                other_faults += 1
        else:
            name = request_ids.id_for(request)
            if chosen.request(request) is not None:
                for job_id, kind in job_ids(name, request):
                    jobs.add(job_id, kind)
    if faults:
        lines = "\n".join([*faults, *([f"  and {other_faults} more"] if other_faults else [])])
        raise BadBatch(f"the batch cannot be run, nothing was sent; fix these {source.unit}s:\n{lines}")
    _require_some(jobs, choice, count, source.unit)
    return Batch(source, jobs, choice=choice)


def _require_some(jobs: BatchJobs, choice: Choice, count: int, unit: str) -> None:
    """Raise BadBatch if nothing is to be run."""
    if not jobs.totals and count:
        raise BadBatch(f"no request of the batch matches --only {' '.join(choice.only)}: nothing was sent")
    if not jobs.totals:
        raise BadBatch(
            "the batch is empty: write one request per row, below the header"
            if unit == "row"
            else 'the batch is empty: write one request per line, such as {"image": {"prompt": "a lake"}}'
        )


class _Places:
    """The line or row of each id in the batch, by the id's digest. `name` is the sort of ids, for messages."""

    def __init__(self, name: str, unit: str) -> None:
        self._name = name
        self._unit = unit
        self._numbers = DigestTable(Width.INT)

    def claim(self, text: str | None, number: int) -> None:
        """Enter an id. Raises InvalidRequest that names the place which has the id already."""
        if text is None:
            return
        digest = digest_of(text)
        if not self._numbers.add(digest, number):
            first = self._numbers.get(digest)
            raise InvalidRequest(f"{self._name} {text!r} is on {self._unit} {first} already: give each request its own")
