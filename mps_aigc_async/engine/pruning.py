"""Removing old requests from a ledger in PostgreSQL, so that it does not grow for ever."""

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ..ledger.postgres.patience import PatientConnection
from ..ledger.postgres.pruning import ENDED, EndedJob, PruneStatements, ended_jobs_of, ended_requests_of
from ..ledger.postgres.requests import TIME
from ..ledger.postgres.schema import require_this_version, require_version, version_in
from ..model.errors import InvalidRequest, LedgerError
from ..model.states import JobState
from ..sharing.connection import Connection, Lost, Refused, Row
from ..sharing.database_url import DatabaseUrl
from ..sharing.reading import reading
from .ledgers import database_of, ledger_place

LEAST_AGE: Final = timedelta(days=2)
"""The least age of a request that is removed. Results live for 12 hours on MPS, and a create may be settled for 6
minutes; a user needs a day to notice."""

PORTION: Final = 1000
"""Requests that are removed in one transaction."""

TASK: Final = "mps_aigc_async.request"
"""`request_queue.TASK`, whose module needs an extra."""


@dataclass(frozen=True, slots=True)
class PruneCount:
    """The numbers of rows that `prune` removes from a ledger, and those that it keeps."""

    requests: int
    """Requests that are removed."""
    jobs: int
    """Jobs that are removed with them."""
    kept: Mapping[JobState, int]
    """Jobs that were planned before the time and are not *saved* or *failed*: their requests are kept."""
    orphans: int
    """Tasks that no job could take: they are kept."""


def preview(ledger: str, before: datetime) -> PruneCount:
    """Count the rows that `prune` would remove now. Reads the whole ledger, and blocks until it is read.

    Raises the errors of `prune`.
    """
    url, statements = _place(ledger, before)
    try:
        with reading(url) as reader:
            require_version(url, version_in(reader))
            _require_age(before, list(reader.rows(*TIME)))
            [(requests, jobs)] = reader.rows(*statements.old_requests())
            kept, orphans = list(reader.rows(*statements.kept_jobs())), list(reader.rows(*statements.orphans()))
    except Lost as loss:
        raise LedgerError(str(loss)) from None
    return PruneCount(requests, jobs, _by_state(kept), len(orphans))


async def prune(ledger: str, before: datetime) -> PruneCount:
    """Remove the requests from a ledger (`postgresql://…?ledger=NAME`) that ended before a time, at least 2 days ago,
    and whose jobs are all *saved* or *failed* since then; return the numbers.

    The ledger forgets their ids: a batch with the same ids would be created, and paid for, again. Others may use the
    ledger meanwhile. Removing goes in portions of 1000 requests; if it is cancelled, the same call goes on later.

    Raises InvalidRequest for a time that is too late or has no time zone, ConfigError for a ledger in a file, and
    LedgerError.
    """
    url, statements = _place(ledger, before)
    connection = Connection(url)
    try:
        await require_this_version(connection)
        [now] = await connection.run(TIME)
        _require_age(before, now)
        return await _prune(PatientConnection(connection), statements)
    except (Lost, Refused) as error:
        raise LedgerError(str(error)) from None
    finally:
        await connection.close()


async def _prune(database: PatientConnection, statements: PruneStatements) -> PruneCount:
    requests = jobs = 0
    async with aclosing(_portions(database, statements)) as portions:
        async for names in portions:
            *_, [(request_count, job_count)] = await database.run(*statements.remove(names))
            requests, jobs = requests + request_count, jobs + job_count
    await _remove_items(database, statements)
    _, kept, orphans = await database.run(statements.remove_members(), statements.kept_jobs(), statements.orphans())
    return PruneCount(requests, jobs, _by_state(kept), len(orphans))


async def _portions(database: PatientConnection, statements: PruneStatements) -> AsyncGenerator[Sequence[str], None]:
    """The names of requests that may be old, in portions: first the queued ones, then those that some `run` made."""
    number, is_old = 0, True
    while is_old:
        [rows] = await database.run(statements.ended_requests(number, PORTION))
        requests = ended_requests_of(rows)
        yield [request.name for request in requests if request.is_old]
        is_old = any(request.is_old for request in requests)
        number = max((request.number for request in requests), default=number)
    for state in ENDED:
        after = EndedJob("", -math.inf, 0)
        while True:
            [rows] = await database.run(statements.ended_jobs(state, after, PORTION))
            jobs = ended_jobs_of(rows)
            if not jobs:
                break
            yield sorted({job.request for job in jobs})
            after = jobs[-1]


async def _remove_items(database: PatientConnection, statements: PruneStatements) -> None:
    [[(has_items,)]] = await database.run(statements.has_items())
    after: int | None = 0 if has_items else None
    while after is not None:
        [[(after,)]] = await database.run(statements.remove_items(TASK, after, PORTION))


def _place(ledger: str, before: datetime) -> tuple[DatabaseUrl, PruneStatements]:
    url = database_of(ledger_place(ledger))
    if before.tzinfo is None:
        raise InvalidRequest("`before` needs a time zone: datetime.now(UTC) - timedelta(days=90)")
    return url, PruneStatements(url.ledger, before.timestamp())


def _require_age(before: datetime, now: Sequence[Row]) -> None:
    """Raise InvalidRequest unless the time is early enough by the server's clock, which dated the ends."""
    [(server,)] = now
    latest = datetime.fromtimestamp(server, UTC) - LEAST_AGE
    if before > latest:
        raise InvalidRequest(
            f"{before:%Y-%m-%d %H:%M %z} is too late: requests are removed {LEAST_AGE.days} days after their end at "
            f"the earliest; give a time before {latest:%Y-%m-%d %H:%M} UTC"
        )


def _by_state(rows: Sequence[Row]) -> dict[JobState, int]:
    """Damaged states are left out: `status` logs them."""
    return {JobState(state): int(count) for state, count in rows if state in set(JobState)}
