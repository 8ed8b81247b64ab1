"""A connection that arrives in any turn of the loop before its server's end is closed with it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
from yarl import URL

from mps_aigc_async.emulator import Emulator
from mps_aigc_async.testing import FaultProxy

from ...listening import listening


@asynccontextmanager
async def emulator() -> AsyncIterator[URL]:
    async with Emulator() as served:
        yield URL(served.url)


@asynccontextmanager
async def proxy() -> AsyncIterator[URL]:
    async with Emulator() as behind, FaultProxy(behind) as served:
        yield URL(served.url)


@asynccontextmanager
async def own() -> AsyncIterator[URL]:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(talk) as url:
        yield url


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("serving", [emulator, proxy, own])
async def test_a_connection_made_as_its_server_closes_is_closed_too(
    serving: Callable[[], AbstractAsyncContextManager[URL]], turns: int
) -> None:
    async with serving() as url:
        client = socket.create_connection(("127.0.0.1", url.port or 0))
        for _ in range(turns):
            await asyncio.sleep(0)
    with client, suppress(ConnectionError):
        client.settimeout(5)  # on a connection that was left open nothing would ever come
        assert client.recv(1) == b""
