"""Notices of PostgreSQL, on a real server."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.listener import MISSED, listen

from ..postgres_server import PostgresServer


async def test_notices_are_heard(database: str) -> None:
    heard = asyncio.Queue[str]()
    listening = asyncio.create_task(listen(database_url(database), "news", heard.put_nowait))
    assert await heard.get() == MISSED
    with psycopg.connect(database) as connection:
        connection.execute("SELECT pg_notify('news', 'a change')")
    assert await heard.get() == "a change"
    listening.cancel()


async def test_no_session_of_a_pooler_is_left_listening(postgres: PostgresServer, database: str) -> None:
    """PgBouncer logged a warning for each notice to each connection of its pool."""
    async with pooler(postgres.port) as (port, ended):
        url = database_url(database.replace(f":{postgres.port}/", f":{port}/"))
        listening = asyncio.create_task(listen(url, "news", lambda _: ended.set_result(b"a LISTEN")))
        sent = await ended
        listening.cancel()
        assert b"pg_backend_pid" in sent, "it has looked, and holds no connection"


@asynccontextmanager
async def pooler(port: int) -> AsyncIterator[tuple[int, asyncio.Future[bytes]]]:
    """A way to the server that numbers its connections by itself, as poolers do. The future has what a client has
    sent, once it has closed its connection."""
    ended = asyncio.get_running_loop().create_future()
    pipes = set[asyncio.Task[bytes]]()

    async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> bytes:
        sent = b""
        while data := await source.read(65536):
            sent += data
            target.write(re.sub(rb"(K\0\0\0\x0c)....", rb"\1pool", data, flags=re.DOTALL))  # BackendKeyData
        target.close()
        return sent

    def told(task: asyncio.Task[bytes]) -> None:
        if not ended.done():
            ended.set_result(task.result())

    async def accept(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", port)
        asked, answered = asyncio.create_task(pipe(source, requests)), asyncio.create_task(pipe(answers, target))
        pipes.update((asked, answered))
        asked.add_done_callback(told)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], ended
    finally:
        server.close()
        await asyncio.gather(*pipes)
