"""A queued batch as anybody with its database sees it: the outcomes of its requests, its progress, and its end."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ..concurrency.alongside import running_alongside
from ..jobs.chains import chain_result, partial_of
from ..ledger import JobRecord
from ..ledger.postgres.batch_view import (
    BatchViewStatements,
    WorkerView,
    jobs_of,
    rate_of,
    sends_of,
    workers_of,
)
from ..ledger.postgres.open_members import in_words
from ..ledger.postgres.patience import PatientConnection
from ..ledger.postgres.requests import ENDS, BatchCounts, RequestEnd, RequestStatements, counts_of, ends_of
from ..ledger.versions import Contents, Version, contents_of, version_of
from ..model.error_records import from_record
from ..model.errors import AigcError, InvalidRequest, LedgerError
from ..model.outcomes import Failure, Outcome, Success
from ..model.parsing import parse
from ..model.requests import Request, steps_of
from ..model.results import Result, StepResult
from ..model.states import JobState, Kind
from ..sharing.connection import Connection, Lost, Refused, Row, Step
from ..sharing.database_url import DatabaseUrl
from ..sharing.listener import listen
from .batch import BatchItem
from .queued_versions import versions_in_rows

PORTION: Final = 200
"""Ended requests that are read at a time."""

LATEST: Final = 200
"""The latest ends, from which the rate is told."""

LOOK_S: Final = 2.0
"""Seconds between two looks, where no notice arrives (behind a pooler)."""

Database = Connection | PatientConnection


async def outcomes_of(url: DatabaseUrl) -> AsyncIterator[Outcome[BatchItem, Result]]:
    """The outcomes of a ledger's queued requests, in the order in which they ended. Ends once all have ended.

    A request that ended twice, such as one that was queued again after it failed, may come twice. Raises LedgerError
    for a database that cannot be reached at the beginning, and for a ledger in which nothing was queued. A database
    that is lost later is waited for. A line that this version cannot read is an outcome with its error, too.
    """
    connection, statements, after = Connection(url), RequestStatements(url.ledger), 0
    news, patient = asyncio.Event(), PatientConnection(connection)
    try:
        await _counts(connection)
        async with running_alongside(listen(url, ENDS, lambda _: news.set())):
            while True:
                news.clear()
                counts = await _counts(patient)
                ends = ends_of(await rows_of(patient, statements.ends_after(after, PORTION)))
                versions = await _versions(patient, [end.name for end in ends])
                for end in ends:
                    yield _outcome(end, versions[end.name])
                    after = end.number
                if ends:
                    continue
                if counts.ends >= counts.requests:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await news.wait()
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Progress:
    """A queued batch at a moment, over all workers."""

    requests: int
    """The number of requests that were queued."""
    ends: int
    """The number of requests that have ended."""
    failures: int
    """The number of requests that have ended with an error."""
    unknown: int
    """The number of failures whose create is unknown, up to 10,000 (`MOST`): `settle` decides them."""
    running: int
    """The number of requests that workers run."""
    per_second: float
    """Requests that ended per second lately; 0 if it is not known."""
    jobs: Mapping[JobState, int]
    """The ledger's jobs that are *planned*, *intent* or *submitted*, up to 10,000 (`MOST`) of each."""
    creates_per_second: Mapping[Kind, float]
    """The creates per second of the ledger's jobs, in the latest 10 s."""
    workers: Sequence[WorkerView]
    members: Sequence[str]
    """Other programs that have the ledger open: each with its process id and host."""

    @property
    def waiting(self) -> int:
        """The number of requests that wait in the queue."""
        return max(0, self.requests - self.ends - self.running)

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the last request ends, at this rate; None if it is not known."""
        return (self.requests - self.ends) / self.per_second if self.per_second else None


async def progress_of(url: DatabaseUrl) -> Progress:
    """The progress of a ledger's queued requests. Raises LedgerError, also if nothing was queued."""
    connection = Connection(url)
    try:
        return await _progress(connection)
    finally:
        await connection.close()


async def later_progress_of(url: DatabaseUrl) -> Progress:
    """As `progress_of`, for one who has seen the progress before: waits for a database that was lost since."""
    connection = Connection(url)
    try:
        return await _progress(PatientConnection(connection))
    finally:
        await connection.close()


async def _progress(database: Database) -> Progress:
    counts, view = await _counts(database), BatchViewStatements(database.url.ledger)
    rate, [(unknown,)], jobs, sends, [(running,)], workers, members = await rows_of_each(
        database, view.rate(LATEST), view.unknown(), view.jobs(), view.sends(), view.running(), view.workers(),
        view.members(),
    )  # fmt: skip
    at_work = workers_of(workers)
    processes = {(worker.host, worker.pid) for worker in at_work}
    return Progress(
        requests=counts.requests,
        ends=counts.ends,
        failures=counts.failures,
        unknown=unknown,
        running=running,
        per_second=rate_of(rate),
        jobs=jobs_of(jobs),
        creates_per_second=sends_of(sends),
        workers=at_work,
        members=in_words([row for row in members if (row[2], row[1]) not in processes]),
    )


async def _counts(database: Database) -> BatchCounts:
    counts = counts_of(await rows_of(database, RequestStatements(database.url.ledger).counts()))
    if counts is None:
        raise nothing_queued(database.url)
    return counts


def nothing_queued(url: DatabaseUrl) -> LedgerError:
    """The error for a ledger without a queue."""
    return LedgerError(
        f"nothing was queued in the ledger {url.ledger} of {url}: `mps-aigc queue BATCH --ledger URL` does it"
    )


async def rows_of(database: Database, *steps: Step) -> list[Row]:
    """The rows of the last step of a transaction on queued requests. Raises LedgerError, also if there is no queue."""
    *_, rows = await rows_of_each(database, *steps)
    return rows


async def rows_of_each(database: Database, *steps: Step) -> list[list[Row]]:
    """The rows of each step of such a transaction. Raises LedgerError as above."""
    try:
        return await database.run(*steps)
    except Refused as refusal:
        raise (nothing_queued(database.url) if refusal.lacks_table else LedgerError(str(refusal))) from None
    except Lost as loss:
        raise LedgerError(str(loss)) from None


async def _versions(database: Database, names: Sequence[str]) -> Mapping[str, Sequence[Version]]:
    statements = RequestStatements(database.url.ledger)
    return await versions_in_rows(lambda versions: rows_of(database, statements.jobs(versions)), names)


def _outcome(end: RequestEnd, versions: Sequence[Version]) -> Outcome[BatchItem, Result]:
    """The outcome of a request. A row that cannot be used is its error."""
    line = json.loads(end.line)
    try:
        request = parse(line)
    except InvalidRequest as unknown:  # another version has queued the line
        return Failure(job_id=end.name, request=line, error=unknown.with_context(job_id=end.name))
    version = _version_of(end, versions, contents_of(request))
    results: list[StepResult] = []
    try:
        results.extend(_results(request, version.jobs))
        if end.error is None:
            return Success(job_id=version.name, request=request, result=_whole(request, results))
        error = from_record(json.loads(end.error), job_id=version.name, task_id=None)
    except AigcError as damage:
        error = damage
    return Failure(
        job_id=version.name, request=request, error=error, partial=partial_of(results[: len(steps_of(request)) - 1])
    )


def _version_of(end: RequestEnd, versions: Sequence[Version], contents: Contents) -> Version:
    """The version that a line means. A version that was planned after the line's end is not meant yet; without a
    version of this content, the first one without jobs."""
    made = [version for version in versions if all(_has_made(version, kind, text) for kind, text in contents.items())]
    if end.error is None and made:
        return made[-1]
    return version_of(versions, contents) or Version(1, end.name, {})


def _has_made(version: Version, kind: Kind, content: str) -> bool:
    job = version.jobs.get(kind)
    return job is not None and job.content == content and job.done_at is not None


def _results(request: Request, jobs: Mapping[Kind, JobRecord]) -> Iterator[StepResult]:
    """The results of a request's steps, up to the first step without one."""
    for step in steps_of(request):
        job = jobs.get(step.kind)
        if job is None or job.done_at is None:
            return
        yield job.result()


def _whole(request: Request, results: Sequence[StepResult]) -> Result:
    missing = len(steps_of(request)) - len(results)
    if missing:
        raise LedgerError(f"the ledger has no result of {missing} of the request's steps: its rows were removed")
    return results[0] if len(results) == 1 else chain_result(results)
