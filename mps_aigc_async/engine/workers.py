"""Batches over many workers: requests wait in a queue beside the ledger, and any number of workers run them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from typing import Final

from ..concurrency.alongside import running_alongside
from ..concurrency.callbacks import ignore
from ..ledger.postgres import prepare_database
from ..ledger.postgres.patience import PatientConnection
from ..ledger.postgres.requests import QueuedRequest, RequestStatements
from ..model.contents import line_of
from ..model.errors import InvalidRequest
from ..model.requests import Request
from ..sharing.connection import Connection
from ..sharing.database_url import DatabaseUrl
from .batch import BatchItem, as_request
from .batch_progress import nothing_queued, rows_of
from .digest_table import DigestTable, Width, digest_of
from .ledgers import database_of, ledger_place
from .queued_edits import Conflict, refusal_of
from .request_ids import RequestIds
from .request_queue import QueueCount, RequestQueue

CHUNK: Final = 1000
"""Requests that are queued in one transaction."""

TURN: Final = 50
"""Requests that are read before the loop turns."""

DRAIN_S: Final = 2.0
"""Seconds between two looks of `drain` for requests that still run."""


async def queue(
    requests: Iterable[BatchItem] | AsyncIterable[BatchItem],
    ledger: str,
    *,
    check: Callable[[Request], None] = ignore,
    again: Collection[str] = (),
) -> QueueCount:
    """Queue requests in a ledger (`postgresql://…?ledger=NAME`), for its workers. The input is read lazily.

    Queueing the same batch again goes on after an interruption: a request that was queued before stays as it is. Other
    content takes its place if the former content has cost nothing, or if a version has the new content
    (`AigcClient.new_version`). `again` has the ids of requests that are run again though they have ended: they have a
    new version of the same content.

    `check` raises InvalidRequest for a request that no worker could send, as `AigcClient.check` does.

    Raises InvalidRequest for the first item that is no request, that `check` refuses, or whose id the batch has twice;
    and for requests that may be paid for with other content. The requests of the chunks of 1000 before them are queued
    (`require_unchanged` tells before). Raises LedgerError.
    """
    url = database_of(ledger_place(ledger))
    await make_tables(url)
    count = QueueCount()
    async with RequestQueue(url) as request_queue, aclosing(_rows(requests, check)) as rows:
        chunk = await _next_chunk(rows)
        while chunk:
            async with running_alongside(request_queue.add(chunk, again)) as adding:
                try:  # the next chunk is read while the server works
                    following = await _next_chunk(rows)
                finally:
                    count += await adding
            chunk = following
    return count


async def require_unchanged(requests: Iterable[BatchItem] | AsyncIterable[BatchItem], ledger: str) -> None:
    """Raise InvalidRequest, with the changes of all requests that may be paid for with other content: `queue` would
    stop at the first chunk with one, after it has queued the chunks before. Reads the input once. Raises
    LedgerError."""
    url = database_of(ledger_place(ledger))
    await make_tables(url)
    conflicts: list[Conflict] = []
    async with RequestQueue(url) as request_queue, aclosing(_rows(requests, ignore)) as rows:
        while chunk := await _next_chunk(rows):
            conflicts += await request_queue.conflicts(chunk)
    if conflicts:
        raise refusal_of(conflicts)


async def retry_failed(ledger: str, *, only: Callable[[str], bool] = lambda _: True) -> int:
    """Queue the failed requests of a ledger again whose names `only` accepts; return their number.

    The worker that gets such a request retries the jobs that had failed (`AigcClient.retry_failed`), each once, and
    runs the request. Requests whose create is unknown wait for `settle`, and dropped ones stay dropped. Requests that
    fail while this runs are left. Interrupted, it may be called again. Raises LedgerError, also if nothing was queued.
    """
    url = database_of(ledger_place(ledger))
    connection, statements = Connection(url), RequestStatements(url.ledger)
    patient = PatientConnection(connection)
    try:
        last = await rows_of(connection, statements.last_end())
        if not last:
            raise nothing_queued(url)
        await make_tables(url)
        number = 0
        async with RequestQueue(url) as request_queue:
            for after in range(0, last[0][0], CHUNK):
                until = min(after + CHUNK, last[0][0])
                names = [name for (name,) in await rows_of(patient, statements.failed(after, until)) if only(name)]
                number += await request_queue.retry(names, after, until) if names else 0
    finally:
        await connection.close()
    return number


async def _rows(
    requests: Iterable[BatchItem] | AsyncIterable[BatchItem], check: Callable[[Request], None]
) -> AsyncGenerator[QueuedRequest, None]:
    ids, names, lines = RequestIds(), DigestTable(Width.BYTE), DigestTable(Width.BYTE)
    async for item in _each(requests):
        request = as_request(item)
        check(request)
        name = ids.id_for(request)
        line = line_of(name, request)
        if lines.add(digest_of(line), 1) and not names.add(digest_of(name), 1):  # the second would replace the first
            raise InvalidRequest("the batch has this id twice, with different content", job_id=name)
        yield QueuedRequest(name, line)


async def _each(requests: Iterable[BatchItem] | AsyncIterable[BatchItem]) -> AsyncGenerator[BatchItem, None]:
    if isinstance(requests, AsyncIterable):
        async for item in requests:
            yield item
        return
    for number, item in enumerate(requests):
        if number % TURN == 0:
            await asyncio.sleep(0)  # the transaction of the chunk before goes on
        yield item


async def _next_chunk(rows: AsyncGenerator[QueuedRequest, None]) -> Sequence[QueuedRequest]:
    chunk = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            break
    return chunk


async def make_tables(url: DatabaseUrl) -> None:
    """Make the tables of the ledger and of its queue, or bring them to this version. Raises LedgerError."""
    await prepare_database(url)
    async with RequestQueue(url) as request_queue:
        await request_queue.make_tables()


async def drain(ledger: str) -> None:
    """Tell the workers of a ledger that run now to take no request any more; return once none of them runs one.

    Requests whose first create is not sent yet go back into the queue. Workers that are started later take requests
    again. Raises LedgerError, also if nothing was queued.
    """
    url = database_of(ledger_place(ledger))
    connection = Connection(url)
    try:
        rows = await rows_of(connection, *RequestStatements(url.ledger).drain())
    finally:
        await connection.close()
    if not rows:
        raise nothing_queued(url)
    async with RequestQueue(url) as request_queue:
        while await request_queue.running():
            await request_queue.give_back()
            await asyncio.sleep(DRAIN_S)
