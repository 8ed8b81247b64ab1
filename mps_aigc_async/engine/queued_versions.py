"""The versions of queued requests, many at a time: from the rows of the ledger's jobs, of all accounts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ..ledger import JobRecord
from ..ledger.postgres.rows import record_of
from ..ledger.record import request_of
from ..ledger.versions import Version, name_of, versions_of
from ..model.states import Kind
from ..sharing.connection import Row

ReadJobs = Callable[[Sequence[str]], Awaitable[Sequence[Row]]]
"""Reads the own jobs of versions, by their names (`RequestStatements.jobs`)."""


async def versions_in_rows(read: ReadJobs, names: Sequence[str]) -> Mapping[str, Sequence[Version]]:
    """The versions of each request, the first one first. There is always one: perhaps without jobs. Reads once more
    than there are versions. Raises DamagedRow."""
    own_rows: dict[str, list[Mapping[Kind, JobRecord]]] = {name: [] for name in names}
    number, left = 1, list(own_rows)
    while left:
        jobs = _by_version(await read([name_of(name, number) for name in left]))
        left = [name for name in left if name_of(name, number) in jobs]
        for name in left:
            own_rows[name].append(jobs[name_of(name, number)])
        number += 1
    return {name: versions_of(name, rows) for name, rows in own_rows.items()}


def _by_version(rows: Sequence[Row]) -> Mapping[str, Mapping[Kind, JobRecord]]:
    jobs: dict[str, dict[Kind, JobRecord]] = {}
    for job in map(record_of, rows):
        jobs.setdefault(request_of(job.job_id), {})[job.kind] = job
    return jobs
