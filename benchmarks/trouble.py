"""Trouble for a paced client: each sort is a front before the emulator, a change to the client's loop, or both.

- jitter: each request is delivered 0 to 20 ms late, on its own.
- slow connections: a new connection takes 0.3 s (the loop's `sock_connect`, which every aiohttp connector calls; on
  loopback the kernel would be done at once), and is closed after 100 answers, as nginx did by default until 1.19.10.
- hiccup: for 4 s in every 20 no answer comes. The calls arrive all the same, since the front holds the answers only:
  the client alone decides when calls arrive. The answers come within the second after it: several hundred in one moment
  would keep the server's own loop from noting arrivals in time.
- blocked loop: the user's own code holds the client's loop for 100 ms every second or two.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final
from unittest.mock import patch
from urllib.parse import urlsplit

from mps_aigc_async.emulator import Emulator
from mps_aigc_async.testing.http_messages import HEAD_END, Head, Message

from .server import Front, nothing_before

JITTER_S: Final = 0.02
HANDSHAKE_S: Final = 0.3
ANSWERS_PER_CONNECTION: Final = 100
HICCUP_EVERY_S, HICCUP_FROM_S, HICCUP_S, CATCHES_UP_S = 20.0, 4.0, 4.0, 1.0
BLOCKED_S, BLOCKED_EVERY_S = 0.1, (1.0, 2.0)

_random = Random(7)

Pause = Callable[[], Coroutine[None, None, object]]


@asynccontextmanager
async def _nothing_here() -> AsyncIterator[None]:
    yield


@dataclass(frozen=True)
class Condition:
    name: str
    front: Front = nothing_before
    here: Callable[[], AbstractAsyncContextManager[None]] = _nothing_here
    """Around the client, in its loop."""


# Before the emulator, in its process


@dataclass(frozen=True)
class _Passage:
    """The trouble of each exchange."""

    to: str
    request: Pause
    answer: Pause
    answers: float = float("inf")
    """A connection's; then it is closed."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client's connection, with a connection of its own to the emulator."""
        address = urlsplit(self.to)
        from_service, to_service = await asyncio.open_connection(address.hostname, address.port)
        try:
            with suppress(EOFError, ConnectionError):
                for number in count(1):
                    request = await _message(reader)
                    await self.request()
                    to_service.write(request.encode())
                    answer = await _message(from_service)
                    await self.answer()
                    last = number >= self.answers
                    writer.write((answer.with_header("Connection", "close") if last else answer).encode())
                    if last:
                        break
        finally:
            to_service.close()
            writer.close()


async def _message(reader: asyncio.StreamReader) -> Message:
    head = Head.parse(await reader.readuntil(HEAD_END))
    return Message(head, await reader.readexactly(head.length or 0))


@asynccontextmanager
async def _standing(passage: _Passage) -> AsyncIterator[str]:
    tasks = set[asyncio.Task[None]]()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task := asyncio.create_task(passage.serve(reader, writer)))
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _at_once() -> None:
    pass


def late_by(emulator: Emulator, most_s: float) -> AbstractAsyncContextManager[str]:
    """A front that delivers each request up to so many seconds late."""

    async def a_little_later() -> None:
        await asyncio.sleep(_random.uniform(0.0, most_s))

    return _standing(_Passage(emulator.url, a_little_later, _at_once))


def jittery(emulator: Emulator) -> AbstractAsyncContextManager[str]:
    return late_by(emulator, JITTER_S)


def short_lived(emulator: Emulator) -> AbstractAsyncContextManager[str]:
    return _standing(_Passage(emulator.url, _at_once, _at_once, ANSWERS_PER_CONNECTION))


def hiccuping(emulator: Emulator) -> AbstractAsyncContextManager[str]:
    began = time.monotonic()

    async def answer() -> None:
        into = (time.monotonic() - began) % HICCUP_EVERY_S - HICCUP_FROM_S
        if 0 <= into < HICCUP_S:
            await asyncio.sleep(HICCUP_S - into + _random.uniform(0.0, CATCHES_UP_S))

    return _standing(_Passage(emulator.url, _at_once, answer))


# In the client's loop


@asynccontextmanager
async def slow_to_open() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def slowly(*where: object) -> None:
        await asyncio.sleep(HANDSHAKE_S)
        await connect(*where)  # type: ignore[arg-type] # as they came

    with patch.object(loop, "sock_connect", slowly):
        yield


@asynccontextmanager
async def blocked() -> AsyncIterator[None]:
    async def block() -> None:
        while True:
            await asyncio.sleep(_random.uniform(*BLOCKED_EVERY_S))
            time.sleep(BLOCKED_S)  # noqa: ASYNC251 — that is the trouble

    blocking = asyncio.create_task(block())
    try:
        yield
    finally:
        blocking.cancel()
        await asyncio.wait({blocking})


CONDITIONS: Final = (
    Condition("clean"),
    Condition("20 ms of jitter", jittery),
    Condition("connections take 0.3 s", short_lived, slow_to_open),
    Condition("hiccups of 4 s", hiccuping),
    Condition("loop blocked for 0.1 s", here=blocked),
)
