"""The jobs that a batch asks for, each with how it stands, in a few bytes: a batch may have a million."""

from array import array
from bisect import bisect_left
from collections import Counter
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from ..model.requests import Request, steps_of
from ..model.states import Kind

SHELVES: Final = 256
"""A job that is added moves those behind it on its shelf: of a million jobs, 4000 are on one shelf (32 kB)."""

DIGEST_BYTES: Final = 8
"""Two of a million jobs share a digest of 64 bits once in 40 million batches. They would be counted as one job."""


class Stand(IntEnum):
    """How one job stands. Each job has exactly one of these, so that no counts of a batch can contradict each other."""

    OPEN = 0
    """Nothing is known yet, or nothing was sent."""
    RUNNING = 1
    """Its task is at the service."""
    LATE = 2
    """Its task is at the service, and this run waits for it no more."""
    DONE = 3
    UNSAVED = 4
    """Done, and this run could not save it."""
    SAVED = 5
    FAILED = 6
    REFUSED = 7
    """The request was refused here, before anything was sent for it. The ledger may have another job under the id."""
    UNKNOWN = 8


def job_ids(name: str, request: Request) -> list[tuple[str, Kind]]:
    """The ids and kinds of a request's jobs.

    >>> from mps_aigc_async.model.requests import ImageRequest
    >>> job_ids("a/image", ImageRequest(prompt="a cat"))
    [('a/image/image', <Kind.IMAGE: 'image'>)]
    """
    return [(f"{name}/{step.kind}", step.kind) for step in steps_of(request)]


class AskedJobs:
    """A table of jobs by their ids' digests: 9 bytes for each, beside the room to grow."""

    def __init__(self) -> None:
        self._shelves = [_Shelf() for _ in range(SHELVES)]
        self.totals: Counter[Kind] = Counter()
        """Jobs by kind."""

    def add(self, job_id: str, kind: Kind) -> None:
        """Enter a job that is open; one that is there already stays as it is."""
        digest = _digest(job_id)
        if self._shelves[digest % SHELVES].add(digest):
            self.totals[kind] += 1

    def get(self, job_id: str) -> Stand | None:
        """How a job stands; None for one that the batch does not ask for."""
        digest = _digest(job_id)
        return self._shelves[digest % SHELVES].get(digest)

    def put(self, job_id: str, stand: Stand) -> None:
        """Note how a job stands that the batch asks for."""
        digest = _digest(job_id)
        self._shelves[digest % SHELVES].put(digest, stand)


class _Shelf:
    """Digests in order, and beside each its job's stand."""

    __slots__ = ("_digests", "_stands")

    def __init__(self) -> None:
        self._digests = array("Q")
        self._stands = bytearray()

    def add(self, digest: int) -> bool:
        """Whether it is new."""
        at = bisect_left(self._digests, digest)
        if self._has(digest, at):
            return False
        self._digests.insert(at, digest)
        self._stands.insert(at, Stand.OPEN)
        return True

    def get(self, digest: int) -> Stand | None:
        at = bisect_left(self._digests, digest)
        return Stand(self._stands[at]) if self._has(digest, at) else None

    def put(self, digest: int, stand: Stand) -> None:
        at = bisect_left(self._digests, digest)
        if not self._has(digest, at):
            raise KeyError(digest)
        self._stands[at] = stand

    def _has(self, digest: int, at: int) -> bool:
        return at < len(self._digests) and self._digests[at] == digest


def _digest(job_id: str) -> int:
    return int.from_bytes(blake2b(job_id.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest(), "big")
