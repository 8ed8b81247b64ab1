"""The jobs of a batch, each with its standing, in a few bytes a job: a batch may have a million."""

from collections import Counter
from enum import IntEnum

from ..engine.digest_table import DigestTable, Width, digest_of
from ..model.requests import Request, steps_of
from ..model.states import Kind


class Standing(IntEnum):
    """How far one job is. A job has exactly one standing, so that no counts of a batch can contradict each other."""

    OPEN = 0
    """Unknown to this run so far, or not sent."""
    RUNNING = 1
    """Its task is at the service."""
    LATE = 2
    """Its task is at the service, and this run has stopped waiting for it."""
    DONE = 3
    UNSAVED = 4
    """Done, and this run could not save it."""
    SAVED = 5
    FAILED = 6
    REFUSED = 7
    """The request was refused here, before anything was sent for it. The ledger may have another job under the id."""
    UNKNOWN = 8
    BLOCKED = 9
    """Not sent: a step of its chain before it failed, or is unknown."""


def job_ids(request_id: str, request: Request) -> list[tuple[str, Kind]]:
    """The ids and kinds of a request's jobs.

    >>> from mps_aigc_async.model.requests import ImageRequest
    >>> job_ids("a/image", ImageRequest(prompt="a cat"))
    [('a/image/image', <Kind.IMAGE: 'image'>)]
    """
    return [(f"{request_id}/{step.kind}", step.kind) for step in steps_of(request)]


class BatchJobs:
    """The standing of each job of a batch, by the digest of the job's id."""

    def __init__(self) -> None:
        self._standings = DigestTable(Width.BYTE)
        self.totals: Counter[Kind] = Counter()
        """Jobs by kind."""

    def add(self, job_id: str, kind: Kind) -> None:
        """Enter an open job. A job that is entered already keeps its standing."""
        if self._standings.add(digest_of(job_id), Standing.OPEN):
            self.totals[kind] += 1

    def get(self, job_id: str) -> Standing | None:
        """The job's standing; None for a job that is not the batch's."""
        number = self._standings.get(digest_of(job_id))
        return None if number is None else Standing(number)

    def put(self, job_id: str, standing: Standing) -> None:
        """Change the standing of a job of the batch. Raises KeyError for any other job."""
        self._standings.put(digest_of(job_id), standing)
