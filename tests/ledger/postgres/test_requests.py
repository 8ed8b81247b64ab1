"""The rows of queued requests: added once, ended once, and counted."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from mps_aigc_async.ledger.postgres import prepare_database
from mps_aigc_async.ledger.postgres.requests import (
    BatchCounts,
    QueuedRequest,
    RequestEnd,
    RequestStatements,
    changed_of,
    counts_of,
    ends_of,
)
from mps_aigc_async.sharing.connection import Connection
from mps_aigc_async.sharing.database_url import database_url

A, B = QueuedRequest("a", '{"id":"a"}'), QueuedRequest("b", '{"id":"b"}')


@dataclass
class Requests:
    connection: Connection
    statements: RequestStatements

    async def add(self, *requests: QueuedRequest) -> list[str]:
        """Return the names of those that were queued before with other content."""
        *_, rows = await self.connection.run(*self.statements.add(requests))
        known = [one for one in requests if (one.name,) not in rows]
        return changed_of((await self.connection.run(self.statements.known(known)))[0])

    async def end(self, name: str, error: str | None = None) -> None:
        await self.connection.run(*self.statements.note_end(name, error))

    async def ended(self, after: int = 0, most: int = 9) -> list[RequestEnd]:
        [rows] = await self.connection.run(self.statements.ends_after(after, most))
        return ends_of(rows)

    async def counts(self) -> tuple[int, int, int]:
        [rows] = await self.connection.run(self.statements.counts())
        counts = counts_of(rows)
        assert counts is not None
        return counts.requests, counts.ends, counts.failures


@pytest.fixture
async def requests(database: str) -> AsyncIterator[Requests]:
    url = database_url(database)
    await prepare_database(url)
    requests = Requests(Connection(url), RequestStatements("spring"))
    yield requests
    await requests.connection.close()


async def test_a_request_is_queued_once_and_other_content_is_told(requests: Requests) -> None:
    assert await requests.add(A, B) == []
    assert await requests.add(QueuedRequest("c", "{}"), B, QueuedRequest("a", '{"id":"a","image":{}}')) == ["a"]
    assert await requests.counts() == (3, 0, 0)
    [rows] = await requests.connection.run(requests.statements.line("a"))
    assert rows == [(A.line,)]


async def test_ledgers_of_one_database_are_apart(requests: Requests) -> None:
    await requests.add(A)
    other = Requests(requests.connection, RequestStatements("summer"))
    assert counts_of((await requests.connection.run(other.statements.counts()))[0]) is None
    assert await other.add(A) == []
    await other.end("a")
    assert (await requests.counts(), await other.counts()) == ((1, 0, 0), (1, 1, 0))
    assert await requests.ended() == []


async def test_ends_have_their_order_and_count_once(requests: Requests) -> None:
    await requests.add(A, B)
    await requests.end("b", '{"type":"TaskFailed"}')
    await requests.end("a")
    first, second = await requests.ended()
    assert (first.name, first.error, second.name, second.error) == ("b", '{"type":"TaskFailed"}', "a", None)
    assert await requests.ended(first.number) == [second]
    assert await requests.ended(most=1) == [first]
    await requests.end("a")  # two workers ran it
    assert await requests.ended() == [first, second]
    assert await requests.counts() == (2, 2, 1)
    await requests.end("b")  # it was run again, and succeeded
    latest = (await requests.ended(second.number))[0]
    assert (latest.name, latest.error) == ("b", None)
    assert await requests.counts() == (2, 2, 0)
    await requests.end("gone")
    assert await requests.counts() == (2, 2, 0)


async def test_ends_become_visible_in_the_order_of_their_numbers(requests: Requests) -> None:
    """A reader goes on after the last number that it has seen: a smaller one that came later would be lost."""
    names = [str(number) for number in range(40)]
    await requests.add(*(QueuedRequest(name, "{}") for name in names))
    writers = [Requests(Connection(requests.connection.url), requests.statements) for _ in range(4)]

    async def write(writer: Requests, own: list[str]) -> None:
        for name in own:
            await writer.end(name)

    writing = asyncio.gather(*(write(writer, names[number::4]) for number, writer in enumerate(writers)))
    seen: list[RequestEnd] = []
    while len(seen) < len(names):
        seen += await requests.ended(seen[-1].number if seen else 0, most=50)
    await writing
    assert sorted(one.name for one in seen) == sorted(names)
    for writer in writers:
        await writer.connection.close()


async def test_a_drain_is_told_to_the_batch_alone(requests: Requests) -> None:
    *_, told = await requests.connection.run(*requests.statements.drain())
    assert told == []
    await requests.add(A)
    *_, [(drained_at,)] = await requests.connection.run(*requests.statements.drain())
    [rows] = await requests.connection.run(requests.statements.counts())
    assert counts_of(rows) == BatchCounts(1, 0, 0, drained_at)
