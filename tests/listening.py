"""Servers of the tests' own: bytes over real sockets, by a coroutine for each connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp.test_utils import TestServer
from yarl import URL

from mps_aigc_async.emulator.server.listening import stop_accepting

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Speaks on one connection, which is closed when it returns."""


@asynccontextmanager
async def listening(talk: Talk, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[URL]:
    """Serve each connection with `talk` on a port of its own.

    At the end every connection is closed and every `talk` has ended: asyncio leaves both to the server's user, and the
    garbage collector reports them in some later test.
    """
    writers: list[asyncio.StreamWriter] = []
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client has gone
                await talk(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.create_task(serve(reader, writer))
        talks.add(task)
        task.add_done_callback(talks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, backlog=256)
    try:
        yield URL(f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    finally:
        await stop_accepting(server.sockets)
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()


class AppServer(TestServer):
    """aiohttp's server for tests, which leaves no connection open."""

    async def close(self) -> None:
        if self.runner is not None and not self.closed:
            for site in self.runner.sites:
                assert isinstance(site._server, asyncio.Server)
                await stop_accepting(site._server.sockets)
        await super().close()
