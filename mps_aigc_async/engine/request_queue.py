"""The queue of requests for workers: the tables of procrastinate, beside the ledger of the same database.

A request's row (`ledger.postgres.requests`) and its item in the queue are written in one transaction. The item names
the request alone. An item that two workers run at once costs nothing: the ledger lets one of them drive each job.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

from ..ledger.postgres.batch_view import BatchViewStatements
from ..ledger.postgres.requests import QueuedRequest, QueueItem, RequestStatements, items_of
from ..model.errors import ConfigError
from ..sharing.connection import Row, Step, driver
from ..sharing.database_url import DatabaseUrl
from .queued_edits import Conflict, find_edits, refusal_of

try:
    import procrastinate
    from procrastinate.exceptions import ConnectorException
    from procrastinate.job_context import JobContext
    from procrastinate.jobs import DeleteJobCondition, Job
    from procrastinate.retry import BaseRetryStrategy, RetryDecision
    from procrastinate.worker import Worker as QueueWorker

    from . import queue_schema
    from .queue_connection import QueueConnector
except ImportError:
    raise ConfigError("a queue needs its extra: pip install '.[workers]' in a clone of mps-aigc-async") from None

TASK: Final = "mps_aigc_async.request"

HEARTBEAT_S: Final = 2.0
STALLED_S: Final = 8.0
"""Seconds after its last heartbeat for which a worker counts as alive. The items of a worker that was taken for gone
too early are run twice, which costs nothing."""

NEVER_S: Final = 10 * 365 * 86400
"""Seconds after which procrastinate forgets a silent worker. It would forget those of other programs, too, and take
their items from them; `give_back` forgets ours alone."""

OTHER_VERSION_S: Final = 10
"""Seconds for which an item that this version cannot run waits for a worker of another version."""

LOOK_S: Final = 1.0
"""Seconds between two looks for new items, where no notice arrives (behind a pooler)."""

MOST_NAME: Final = 39
"""Bytes of a queue's name: procrastinate's channel `procrastinate_queue_v1#NAME` must be below 64 (PostgreSQL)."""

PORTION: Final = 100
"""Requests that are queued again in one transaction."""


_DEFER: Final = """
    SELECT procrastinate_defer_jobs_v1(array_agg(
        ROW(%(queue)s, %(task)s, 0, NULL, NULL, args::jsonb, NULL)::procrastinate_job_to_defer_v1 ORDER BY position
    )) FROM unnest(%(args)s::text[]) WITH ORDINALITY AS given (args, position)
"""
"""procrastinate's own function, from SQL: its Python takes 0.15 ms for each item (measured 2026-11)."""


_ENTER: Final = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker)s) ON CONFLICT DO NOTHING
"""
"""Another program's worker may have forgotten this one, while it stood still: procrastinate's do so after 30 s."""

_FORGET: Final = """
    DELETE FROM procrastinate_workers
    WHERE id = ANY(%(workers)s) AND last_heartbeat < now() - make_interval(secs => %(silent_s)s)
"""


class GivenBack(Exception):
    """This worker does not end the request: another one runs it."""


class _Return(BaseRetryStrategy):
    """Puts the item of a request that did not end back into the queue, at its former place. An item that another
    version has queued may have an argument that this one lacks."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:  # noqa: ARG002 — procrastinate's
        is_given_back = isinstance(exception, GivenBack | asyncio.CancelledError)
        return RetryDecision(retry_in={"seconds": 0 if is_given_back else OTHER_VERSION_S})


@dataclass(frozen=True, slots=True)
class QueueCount:
    """The numbers of requests that `queue` read."""

    new: int = 0
    earlier: int = 0
    """The number of requests that were queued before, and were left as they were."""
    edits: int = 0
    """The number of requests that were queued before, and wait with other content now."""
    repeats: int = 0
    """The number of requests that were queued before, and wait to be run again."""

    def __add__(self, other: "QueueCount") -> "QueueCount":
        return QueueCount(
            self.new + other.new,
            self.earlier + other.earlier,
            self.edits + other.edits,
            self.repeats + other.repeats,
        )


class RequestQueue:
    """The queued requests of one ledger, from `async with`."""

    def __init__(self, url: DatabaseUrl) -> None:
        """Raises ConfigError for a ledger whose name is too long for a queue."""
        if len(url.ledger.encode()) > MOST_NAME:
            raise ConfigError(
                f"the ledger's name {url.ledger} is too long for a queue: {MOST_NAME} bytes at most (a letter beyond "
                "ASCII takes 2 to 4); name another ledger"
            )
        self._url = url
        self._statements = RequestStatements(url.ledger)
        self._connector = QueueConnector(url)
        self._app = procrastinate.App(connector=self._connector)
        self._held: set[int] = set()
        """The items that run here."""
        self._stray: set[int] = set()
        """The items that the last look found at our worker, and that do not run here."""

    async def __aenter__(self) -> Self:
        await self._app.open_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._app.close_async()

    def hurry(self) -> None:
        """Do not wait for a lost database any more: the worker is stopped. Others take the items that it could not give
        back."""
        self._connector.hurry()

    async def make_tables(self) -> None:
        """Make procrastinate's tables, or bring them to its installed version (`queue_schema`). Several workers may
        begin at once. Raises LedgerError."""
        while await self._connector.patiently(self._advance):
            pass

    async def _advance(self) -> bool:
        async with self._transaction() as rows_of:
            return await queue_schema.advance(rows_of, self._url)

    async def add(self, requests: Sequence[QueuedRequest], again: Collection[str] = ()) -> QueueCount:
        """Queue requests, each once. A request that was queued before with other content gets the new content and waits
        again, if the former one has cost nothing or is a version's; `again` has the names of requests that wait again
        in any case.

        Raises InvalidRequest, and queues none of them, if one may be paid for with other content. Raises LedgerError.
        """
        return await self._connector.patiently(lambda: self._add(requests, again))

    async def conflicts(self, requests: Sequence[QueuedRequest]) -> Sequence[Conflict]:
        """The requests that `add` would refuse. Raises LedgerError."""
        return await self._connector.patiently(lambda: self._conflicts(requests))

    async def _conflicts(self, requests: Sequence[QueuedRequest]) -> Sequence[Conflict]:
        async with self._transaction() as rows_of:
            return (await find_edits(rows_of, self._url.ledger, requests)).conflicts

    async def _add(self, requests: Sequence[QueuedRequest], again: Collection[str]) -> QueueCount:
        async with self._transaction() as rows_of:
            *_, rows = [await rows_of(step) for step in self._statements.add(requests)]  # holds the batch's row, too
            new = {name for (name,) in rows}
            former = {one.name: one for one in requests if one.name not in new}
            edits = await find_edits(rows_of, self._url.ledger, list(former.values()), is_locked=True)
            if edits.conflicts:
                raise refusal_of(edits.conflicts)  # the transaction is rolled back
            for plan in edits.plans:
                await rows_of(plan)
            names = {one.name for one in edits.requests}
            repeats = [one for name, one in former.items() if name in again and name not in names]
            waiting = new | {one.name for one in repeats} | await self._renew(rows_of, [*edits.requests, *repeats])
            in_order = dict.fromkeys(one.name for one in requests)
            await self._defer(rows_of, [QueueItem(name) for name in in_order if name in waiting])
            number = len(requests) - len(new)
            return QueueCount(len(new), number - len(names) - len(repeats), len(names), len(repeats))

    async def _renew(self, rows_of: queue_schema.RowsOf, requests: Sequence[QueuedRequest]) -> set[str]:
        """Write the lines of requests, which wait again. Return the names of those that had ended: the others have an
        item in the queue."""
        if not requests:
            return set()
        *_, rows = [await rows_of(step) for step in self._statements.renew(requests)]
        return {name for (name,) in rows}

    async def reopen(self) -> int:
        """Queue requests again whose create was unknown and is known by now; return their number."""
        return await self._queue_again(self._statements.reopen(PORTION))

    async def retry(self, names: Sequence[str], after: int, until: int) -> int:
        """Queue failed requests again whose ends have numbers above `after` and up to `until`; return how many there
        still are. Raises LedgerError."""
        return await self._queue_again(self._statements.retry(names, after, until))

    async def _queue_again(self, steps: Sequence[Step]) -> int:
        """Queue the requests that the last step returns; return their number."""

        async def act() -> int:
            async with self._transaction() as rows_of:
                *_, rows = [await rows_of(step) for step in steps]
                await self._defer(rows_of, items_of(rows))
                return len(rows)

        return await self._connector.patiently(act)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[queue_schema.RowsOf]:
        try:
            async with self._connector.pool.connection() as connection:

                async def rows_of(step: Step) -> list[Row]:
                    statement, values = step
                    cursor = await connection.execute(statement.encode(), values or None)  # None: many statements
                    return await cursor.fetchall() if cursor.description else []

                yield rows_of
        except driver().Error as error:
            raise ConnectorException from error  # as procrastinate's own methods do

    async def _defer(self, rows_of: queue_schema.RowsOf, items: Sequence[QueueItem]) -> None:
        if items:
            args = [
                json.dumps({"name": item.name} | ({"retries": item.retries} if item.retries else {})) for item in items
            ]
            await rows_of((_DEFER, {"queue": self._url.ledger, "task": TASK, "args": args}))

    def worker(self, work: Callable[[QueueItem], Awaitable[None]], concurrency: int) -> QueueWorker:
        """A worker of procrastinate's, which runs `work` with each item, so many at once. `work` raises GivenBack for a
        request that it did not end."""

        async def run(context: JobContext, name: str, retries: Sequence[str] = ()) -> None:
            assert context.job.id is not None  # noqa: S101 — an item that was fetched has an id
            self._held.add(context.job.id)
            try:
                await work(QueueItem(name, retries))
            finally:
                self._held.discard(context.job.id)

        self._app.task(name=TASK, queue=self._url.ledger, retry=_Return(), pass_context=True)(run)
        return QueueWorker(
            self._app,
            queues=[self._url.ledger],
            concurrency=concurrency,
            fetch_job_polling_interval=LOOK_S,
            delete_jobs=DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=NEVER_S,
        )

    async def running(self) -> int:
        """The number of items that workers run."""
        return await self._connector.patiently(self._running)

    async def _running(self) -> int:
        async with self._transaction() as rows_of:
            [(number,)] = await rows_of(BatchViewStatements(self._url.ledger).running())
            return int(number)

    async def give_back(self, worker: QueueWorker | None = None) -> int:
        """Put the items of workers that are gone back into the queue, and those that `worker` fetched without hearing
        the answer; return their number. Two workers may do so at once: the second one finds an item that is in the
        queue already, or runs again."""
        manager = self._app.job_manager
        strays = list(await manager.get_stalled_jobs(queue=self._url.ledger, seconds_since_heartbeat=STALLED_S))
        silent = {job.worker_id for job in strays if job.worker_id is not None}
        if worker is not None and worker.worker_id is not None:
            await self._connector.execute_query_async(_ENTER, worker=worker.worker_id)
            ours = await manager.list_jobs_async(queue=self._url.ledger, status="doing", worker_id=worker.worker_id)
            before, self._stray = self._stray, {job.id for job in ours if job.id} - self._held
            strays += [job for job in ours if job.id in self._stray & before]
        for job in strays:
            await manager.retry_job(job)
        if silent:
            await self._connector.execute_query_async(_FORGET, workers=sorted(silent), silent_s=STALLED_S)
        return len(strays)
