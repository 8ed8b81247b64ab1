"""A batch beside its ledger: the version that each request means, and the requests whose content has changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..ledger import JobRecord
from ..ledger.versions import Contents, Version, contents_of, name_of, parted, version_of, versions_of
from ..model.budget import Amount
from ..model.requests import Request
from ..model.states import JobState, Kind
from .digest_table import DigestTable, Width, digest_of
from .request_ids import RequestIds

_STATES: Final = tuple(JobState)


class Rows(Protocol):
    """The rows of a ledger at one moment (`ledger.snapshot`)."""

    def states(self) -> Iterator[tuple[str, Kind, JobState]]: ...

    def contents(self) -> Iterator[tuple[str, str]]: ...

    def of_request(self, name: str) -> Mapping[Kind, JobRecord]: ...

    def total(self) -> Amount:
        """The total of all creates that may be paid for; infinite where a row lacks its size or its price."""
        ...

    def task_seconds(self) -> Mapping[Kind, float]:
        """The mean duration of the latest tasks that ended, by kind."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """A request of a batch beside the ledger."""

    request: Request
    name: str
    """The request's own name."""
    contents: Contents
    version: Version | None
    """The version that the request means; None if it may have been paid for with other content. A request that the
    ledger has as it is, or lacks, has a first version without rows."""
    latest: Version
    """The latest version."""


def compare(requests: Iterable[Request], rows: Rows, ids: RequestIds | None = None) -> Iterator[Compared]:
    """Find the version that each request means. Of the ledger it reads the contents once, and all rows of the requests
    that differ from theirs, or have later versions."""
    contents_in_ledger, ids = _ContentsInLedger(rows), ids or RequestIds()
    for request in requests:
        name, contents = ids.id_for(request), contents_of(request)
        version = Version(1, name, {})
        if contents_in_ledger.has_as_it_is(name, contents):
            yield Compared(request, name, contents, version, version)
        else:
            versions = versions_in(rows, name)
            yield Compared(request, name, contents, version_of(versions, contents), versions[-1])


def versions_in(rows: Rows, name: str) -> Sequence[Version]:
    """The versions of a request, the first one first. There is always one: perhaps without jobs."""
    own_rows: list[Mapping[Kind, JobRecord]] = []
    while own := rows.of_request(name_of(name, len(own_rows) + 1)):
        own_rows.append(own)
    return versions_of(name, own_rows)


class States:
    """The state of each job in a ledger, by its digest: a ledger may have a million jobs."""

    def __init__(self, rows: Rows) -> None:
        self._states = DigestTable(Width.BYTE)
        for job_id, _, state in rows.states():
            self._states.add(digest_of(job_id), _STATES.index(state))

    def get(self, job_id: str) -> JobState | None:
        """The state of a job; None for a job that the ledger lacks."""
        number = self._states.get(digest_of(job_id))
        return None if number is None else _STATES[number]


class _ContentsInLedger:
    """The contents of a ledger, by digests."""

    def __init__(self, rows: Rows) -> None:
        self._ids, self._contents = DigestTable(Width.BYTE), DigestTable(Width.BYTE)
        self._later: set[str] = set()
        """The requests that have later versions."""
        for job_id, content in rows.contents():
            self._ids.add(digest_of(job_id), 1)
            self._contents.add(digest_of(f"{job_id}\0{content}"), 1)
            base, number = parted(job_id.rpartition("/")[0])
            if number > 1:
                self._later.add(base)

    def has_as_it_is(self, name: str, contents: Contents) -> bool:
        """Whether the ledger has no other content of a request than this, and no later version."""
        return name not in self._later and all(
            self._ids.get(digest_of(job_id := f"{name}/{kind}")) is None
            or self._contents.get(digest_of(f"{job_id}\0{contents.get(kind, '')}")) is not None
            for kind in Kind
        )
