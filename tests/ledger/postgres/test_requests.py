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
    counts_of,
    ends_of,
)
from mps_aigc_async.sharing.connection import Connection, Row
from mps_aigc_async.sharing.database_url import database_url

from ..ledgers import job, opened_postgres

A, B = QueuedRequest("a", '{"id":"a"}'), QueuedRequest("b", '{"id":"b"}')


@dataclass
class Requests:
    connection: Connection
    statements: RequestStatements

    async def add(self, *requests: QueuedRequest) -> list[str]:
        """Return the names of those that were queued before with other content."""
        *_, rows = await self.connection.run(*self.statements.add(requests))
        known = [one for one in requests if (one.name,) not in rows]
        [rows] = await self.connection.run(self.statements.edited(known))
        return [str(name) for (name,) in rows]

    async def end(self, name: str, error: str | None = None, line: str | None = None) -> list[Row]:
        """Return whether the request still has its line."""
        *_, rows = await self.connection.run(*self.statements.note_end(name, line or f'{{"id":"{name}"}}', error))
        return rows

    async def renew(self, *requests: QueuedRequest) -> list[str]:
        *_, rows = await self.connection.run(*self.statements.renew(requests))
        return [str(name) for (name,) in rows]

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
    assert rows == [(A.line, False)]


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
    await requests.add(*(QueuedRequest(name, f'{{"id":"{name}"}}') for name in names))
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


async def test_a_renewed_request_waits_again_and_the_end_of_its_former_line_is_not_written(requests: Requests) -> None:
    await requests.add(A, B)
    edited, other = QueuedRequest("a", '{"id":"a","image":{}}'), QueuedRequest("b", '{"id":"b","image":{}}')
    await requests.end("a", '{"type":"InvalidRequest"}')
    assert await requests.counts() == (2, 1, 1)
    assert await requests.renew(edited, other) == ["a"]
    assert await requests.counts() == (2, 0, 0)
    for one, former in ((edited, A), (other, B)):
        assert await requests.end(one.name, line=former.line) == [(False,)]
        assert await requests.ended() == []
        [rows] = await requests.connection.run(requests.statements.has_line(one.name, former.line))
        assert rows == [(False,)]
    assert await requests.end("a", line=edited.line) == [(True,)]
    assert [end.line for end in await requests.ended()] == [edited.line]
    assert await requests.counts() == (2, 1, 0)


async def test_a_line_is_read_with_the_existence_of_later_versions(requests: Requests) -> None:
    """`a@home` is another request, whose name begins as the versions of `a` do."""
    names = ["a", "a@home", "a-b", "b"]
    await requests.add(*(QueuedRequest(name, "{}") for name in names))
    async with opened_postgres(f"{requests.connection.url.dsn}?ledger=spring") as ledger:
        for version in ("a", "a@home", "a@home@2", "a-b", "a-b@2", "b"):
            await ledger.plan(job(f"{version}/image"))
    read = [(await requests.connection.run(requests.statements.line(name)))[0][0] for name in names]
    assert [has_versions for _, has_versions in read] == [False, True, True, False]
