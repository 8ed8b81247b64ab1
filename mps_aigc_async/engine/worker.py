"""A worker: runs the queued requests of a ledger, each as `run` does.

A worker that dies, or is stopped, gives its requests back: the ledger has the jobs that had begun, and the next worker
goes on with them.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..concurrency.alongside import running_alongside
from ..concurrency.cancellation import is_being_cancelled
from ..ledger.claims import ForeignJob
from ..ledger.postgres import prepare_database
from ..ledger.postgres.batch_view import BatchViewStatements
from ..ledger.postgres.patience import PatientConnection
from ..ledger.postgres.requests import TIME, QueueItem, RequestStatements, counts_of, failure_mark
from ..model.budget import Budget
from ..model.error_records import to_record
from ..model.errors import AigcError, BudgetReached, ClientClosed, ConfigError, InvalidRequest, LedgerError
from ..model.plain_text import visible_line
from ..model.unexpected import as_aigc_error
from ..sharing.connection import CLOSE_S, Connection, Refused, Row, Step
from ..sharing.database_url import DatabaseUrl
from ..sharing.member import Member
from .assembly import Engine
from .batch import BatchRun
from .batch_progress import rows_of
from .request_ids import RequestIds
from .request_queue import GivenBack, RequestQueue

if TYPE_CHECKING:
    from procrastinate.worker import Worker as QueueWorker

_log: Final = logging.getLogger("mps_aigc_async")

WATCH_S: Final = 2.0
"""Seconds between two looks of a worker for the items of dead workers, and for the order to end."""


@dataclass(slots=True, eq=False)
class _Work:
    """A request that runs here."""

    task: "asyncio.Task[object]"
    has_begun: bool = False
    """Whether its first create is sent, or its jobs had begun before."""

    def begin(self) -> None:
        self.has_begun = True


class Worker:
    """Runs the queued requests of a ledger. Use `AigcClient.worker`."""

    def __init__(
        self,
        engine: Engine,
        url: DatabaseUrl,
        save_to: str | Path | None = None,
        concurrency: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        if concurrency is not None and concurrency < 1:
            raise ConfigError(f"concurrency is {concurrency!r}: give the number of requests at once, 1 or more")
        self._url = url
        self._batch = BatchRun(engine, url, save_to, RequestIds(), budget)
        self._concurrency = concurrency or 2 * sum(engine.capacities.values())
        self._statements = RequestStatements(url.ledger)
        self._connection = Connection(url)
        self._database = PatientConnection(self._connection)
        self._works: set[_Work] = set()
        self._preparing: asyncio.Task[None] | None = None
        self._request_queue: RequestQueue | None = None
        self._queue_worker: QueueWorker | None = None
        self._failure: AigcError | None = None
        self._is_ending = False
        self._began = 0.0
        """The server's time when it began to run."""

    def __repr__(self) -> str:
        return f"<Worker of {self._url.ledger}, {len(self._works)} requests>"

    async def run(self) -> None:
        """Run requests until `stop`, or until the batch is drained. Cancelling this gives the requests back, too.

        Raises AccountError, Unreachable or LedgerError for a failure that concerns all requests: the requests are given
        back then. Raises BudgetReached once the requests that had begun have ended; the others are given back. Raises
        ConfigError for a folder that cannot be written, and ClientClosed for a second run.
        """
        if self._preparing is not None:
            raise ClientClosed("this worker has run already: make another one by client.worker()")
        try:
            if await self._is_prepared():
                async with RequestQueue(self._url) as request_queue:
                    self._request_queue = request_queue
                    await self._serve(request_queue)
        finally:
            await self._connection.close()
        if self._failure is not None:
            raise self._failure

    async def _is_prepared(self) -> bool:
        """Make the ledger's tables and the folder. False if the worker was stopped meanwhile."""
        self._preparing = asyncio.create_task(self._prepare())
        try:
            await self._preparing
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
        return not self._is_ending

    async def _prepare(self) -> None:
        [(self._began,)] = await rows_of(self._connection, TIME)  # a lost database is told at once
        await prepare_database(self._url)
        await self._batch.prepare()

    async def _serve(self, request_queue: RequestQueue) -> None:
        """Run the items. A cancelled worker of procrastinate's would wait for the ends of those that run: minutes, or
        hours; and a cancelled statement waits 10 s for a silent server. So they are not cancelled: `stop` ends them."""
        serving = asyncio.create_task(self._take_requests(request_queue), name="queue worker")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self.stop()
            with suppress(LedgerError):  # the database is lost
                await serving
            raise
        except LedgerError:
            if not self._is_ending:
                raise

    async def _take_requests(self, request_queue: RequestQueue) -> None:
        await request_queue.make_tables()
        queue_worker = self._queue_worker = request_queue.worker(self._work, self._concurrency)
        async with running_alongside(self._watch(request_queue, queue_worker)):
            if not self._is_ending:  # its `run` begins by forgetting an earlier `stop`
                await queue_worker.run()  # type: ignore[no-untyped-call] # procrastinate's

    def stop(self) -> None:
        """Take no request any more, and give those that run back. Their tasks run on at the service."""
        self._end(lambda _: True)
        if self._preparing is not None:
            self._preparing.cancel()
        self._connection.hurry(CLOSE_S)
        if self._request_queue is not None:
            self._request_queue.hurry()

    def drain(self) -> None:
        """Take no request any more, and end when those that have begun have ended."""
        self._end(lambda work: not work.has_begun)

    def _end(self, is_given_back: Callable[[_Work], bool]) -> None:
        self._is_ending = True
        if self._queue_worker is not None:
            self._queue_worker.stop()  # type: ignore[no-untyped-call] # procrastinate's
        for work in self._works:
            if is_given_back(work):
                work.task.cancel()

    async def _work(self, item: QueueItem) -> None:
        if self._is_ending:  # the item was on its way here
            raise GivenBack
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 — procrastinate runs each item in a task
        work = _Work(task)
        self._works.add(work)
        try:
            await self._end_request(item, work)
        except (GivenBack, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 — the queue would drop the item, and nobody would run the request
            self._fail(as_aigc_error(error, f"working on {item.name}"))
            raise GivenBack from None
        finally:
            self._works.discard(work)

    async def _end_request(self, item: QueueItem, work: _Work) -> None:
        """Run a request to its end, and write the end. Raises GivenBack."""
        rows = await self._rows_of(self._statements.line(item.name))
        if not rows:  # its row was removed
            return
        [(line, has_versions)] = rows
        fields = json.loads(line)
        if item.retries:
            await self._batch.retry(fields, item.name, lambda job: failure_mark(job) in item.retries)
        outcome = await self._batch.work(fields, work.begin, partial(self._require_line, item.name, line))
        error = outcome.error
        if isinstance(error, ClientClosed):
            raise GivenBack
        if isinstance(error, ForeignJob):  # given back, it would end each worker of this account
            error = LedgerError(error.message)
        elif isinstance(error, BudgetReached):
            self._failure = self._failure or error
            self._end(lambda _: False)  # each has room for its next create, or is refused too, and given back
            raise GivenBack
        elif error is not None and self._batch.stops(outcome) is not None:
            self._fail(error)
            raise GivenBack
        if has_versions:
            await self._batch.save_versions(item.name, but=outcome.job_id)
        record = None if error is None else json.dumps(to_record(error), ensure_ascii=False)
        if await self._rows_of(*self._statements.note_end(item.name, line, record)) == [(False,)]:
            raise GivenBack  # the request was queued again with other content
        if error is not None:
            _log.warning("%s failed: %s", item.name, visible_line(str(error)))

    async def _require_line(self, name: str, line: str) -> None:
        """Raise InvalidRequest for a request that was queued again with other content."""
        if await self._rows_of(self._statements.has_line(name, line)) == [(False,)]:
            raise InvalidRequest("the request was queued again with other content, which is made instead", job_id=name)

    def _fail(self, error: AigcError) -> None:
        """End this worker by an error that concerns all requests."""
        self._failure = self._failure or error
        self.stop()

    async def _rows_of(self, *steps: Step) -> list[Row]:
        """The rows of the last step of a transaction. Raises LedgerError."""
        try:
            *_, rows = await self._database.run(*steps)
        except Refused as refusal:
            raise LedgerError(str(refusal)) from None
        return rows

    async def _enter(self, worker: int) -> None:
        """Tell `progress_of` where this worker is."""
        here = Member.here()
        await self._rows_of(*BatchViewStatements(self._url.ledger).enter(worker, here.host, here.pid))

    async def _watch(self, request_queue: RequestQueue, queue_worker: "QueueWorker") -> None:
        """Give the requests of dead workers back, go on with those whose create is known by now, and end once the batch
        is drained."""
        try:
            entered = None
            while not await self._is_drained():
                await request_queue.give_back(queue_worker)
                await request_queue.reopen()
                if queue_worker.worker_id not in (None, entered):  # by now it has registered itself
                    entered = queue_worker.worker_id
                    await self._enter(entered)
                await asyncio.sleep(WATCH_S)
            self.drain()
        except AigcError as error:  # without the watch, requests of dead workers would wait for ever
            self._fail(error)

    async def _is_drained(self) -> bool:
        """Whether workers were told since this one began to take no request any more."""
        counts = counts_of(await self._rows_of(self._statements.counts()))
        return counts is not None and counts.drained_at > self._began
