"""The door of the service: notes when each request arrives, and writes bytes that nobody asked for on idle connections.

    the batch → Door → FaultProxy → Emulator

The door changes nothing that passes. When a whole answer has passed and its connection is idle, the door may
send an earlier answer once more, or a 408 as gateways do; on a new connection, too, before the first request. A client
that takes such bytes for an answer has mixed up its jobs.
"""

import asyncio
import json
import select
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final, Self
from urllib.parse import urlsplit

from mps_aigc_async.emulator.server.listening import stop_accepting
from mps_aigc_async.testing.fault_proxy import HOST, _Connection
from mps_aigc_async.testing.http_messages import HEAD_END, Head, Message, message

MEDIA: Final = "Media"
BEAT_S: Final = 0.005
_PIECE: Final = 1 << 16
_IDLE_S: Final = (0.005, 0.15)
"""How long a connection is idle before something is written on it."""
_CROSSING_S: Final = 0.05
"""A request that arrives sooner than this after unasked bytes may have crossed them on the way: no client can help
that."""
_REPEATS: Final = 32
"""The latest answers from which one is repeated."""


class Unasked(StrEnum):
    """Bytes that are written on an idle connection."""

    REPEATED = "an earlier answer again"
    TIMEOUT = "408"
    TIMEOUT_AND_END = "408, then closed"
    TIMEOUT_AT_ONCE = "408 before the first request"


_WHEN_IDLE: Final = (Unasked.REPEATED, Unasked.REPEATED, Unasked.TIMEOUT, Unasked.TIMEOUT_AND_END)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request. Times are the emulator's Unix seconds."""

    action: str
    job: str
    """The first word of a create's prompt."""
    at: float
    not_before: float
    """The loop's last look at its sockets before `at`: the bytes arrived later, and the loop noted them at `at`."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A request on a connection on which unasked bytes were lying: their sender's next answer belongs to another."""

    action: str
    unasked: Unasked
    after_s: float
    """How long they had been lying there, at the least: below 0 if the request may have come first."""
    written: bytes = field(repr=False)

    @property
    def in_good_time(self) -> bool:
        """Whether its sender had the time to notice: sooner, it may have crossed them on the way."""
        return self.after_s > _CROSSING_S


@dataclass(slots=True)
class _State:
    """The unasked bytes of a connection."""

    written: Unasked | None = None
    written_at: float = 0.0
    unasked: bytes = b""
    action: str = ""
    """The latest request's action."""
    answer: bytes = b""
    """The latest one, if it can be repeated."""


class Door:
    """Stands before a proxy, from `async with` to its end. `probability` is that of unasked bytes, each time that a
    connection is idle; it may be changed at any time."""

    def __init__(self, behind: str, now: Callable[[], float], seed: int) -> None:
        self.arrivals: list[Arrival] = []
        self.unasked: Counter[Unasked] = Counter()
        self.taken: list[Taken] = []
        self.probability = 0.0
        self.worst_s = 0.0
        """The longest that this loop did not look."""
        self._behind = urlsplit(behind)
        self._now = now
        self._random = Random(seed)
        self._recent: dict[bool, deque[bytes]] = {media: deque(maxlen=_REPEATS) for media in (False, True)}
        self._looked: deque[float] = deque([now()] * 3, maxlen=3)
        self._server: asyncio.Server | None = None
        self._beating: asyncio.Task[None] | None = None
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._begin), HOST, 0, backlog=1000)
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._beating is not None
        await stop_accepting(self._server.sockets)
        self._server.close()
        self._beating.cancel()
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        await asyncio.gather(self._beating, *(one.service for one in connections), return_exceptions=True)
        await self._server.wait_closed()

    async def _beat(self) -> None:
        """Note when the loop has looked at its sockets: bytes that arrive later are seen later."""
        while True:
            now = self._now()
            self.worst_s = max(self.worst_s, now - self._looked[-1])
            self._looked.append(now)
            await asyncio.sleep(BEAT_S)

    # A client's connection

    def _begin(self, connection: _Connection) -> asyncio.Task[None]:
        self._connections.add(connection)
        task = asyncio.create_task(self._serve(connection))
        task.add_done_callback(lambda _: self._connections.discard(connection))
        return task

    async def _serve(self, client: _Connection) -> None:
        to_service: asyncio.StreamWriter | None = None
        state = _State()
        try:
            while (request := await self._next_request(client, state)) is not None:
                if self._note(request, state):
                    client.reset()
                    return
                if to_service is None:
                    service, to_service = await asyncio.open_connection(self._behind.hostname, self._behind.port)
                to_service.write(request.encode())
                answer = await _relay(request, service, client.writer)
                if answer is None:
                    return
                self._remember(answer, state)
        except ConnectionError:
            client.reset()
        except (EOFError, ValueError, asyncio.LimitOverrunError):  # an end stopped halfway, or does not speak HTTP
            pass
        finally:
            client.writer.close()
            if to_service is not None:
                to_service.transport.abort()
            with suppress(OSError):
                await client.writer.wait_closed()

    def _note(self, request: Message, state: _State) -> bool:
        """Note an arrival; return whether it may have crossed unasked bytes on the way.

        Such a request goes no further: its fate, and that of later requests on this connection, would be the door's
        doing and not the client's."""
        action, now = _action(request.head), self._now()
        self.arrivals.append(Arrival(action, _job(action, request.body), now, self._looked[0]))
        state.action = action
        if state.written is not None:
            self.taken.append(Taken(action, state.written, self._looked[0] - state.written_at, state.unasked))
        return state.written is not None and not self.taken[-1].in_good_time

    def _remember(self, answer: bytes, state: _State) -> None:
        if answer.startswith(b"HTTP/1.1 200 ") and len(answer) < _PIECE:
            state.answer = answer
            self._recent[state.action == MEDIA].append(answer)

    # Unasked bytes

    async def _next_request(self, client: _Connection, state: _State) -> Message | None:
        """Return the next request; the door may write unasked bytes before it. None if the door has ended the
        connection with those."""
        reading = asyncio.create_task(_read(client.reader))
        try:
            if state.written is None and self._random.random() < self.probability:
                await asyncio.wait({reading}, timeout=self._random.uniform(*_IDLE_S))
                if not reading.done() and not _has_sent(client):
                    self._write_unasked(client, state)
                    if state.written is Unasked.TIMEOUT_AND_END:
                        return None
            return await reading
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    def _write_unasked(self, client: _Connection, state: _State) -> None:
        if not state.action:
            what = Unasked.TIMEOUT_AT_ONCE
        elif state.answer:
            what = self._random.choice(_WHEN_IDLE)
        else:
            what = Unasked.TIMEOUT
        others = self._recent[state.action == MEDIA]
        if what is not Unasked.REPEATED:
            unasked = _TIMED_OUT
        elif others and self._random.random() < 0.5:
            unasked = self._random.choice(others)  # of another connection: an answer that went astray
        else:
            unasked = state.answer
        client.writer.write(unasked)
        state.written, state.written_at, state.unasked = what, self._now(), unasked
        self.unasked[what] += 1


_TIMED_OUT: Final = (
    message("HTTP/1.1 408 Request Timeout", "text/html", b"<h1>408 Request Time-out</h1>")
    .with_header("Connection", "close")
    .encode()
)


def _has_sent(client: _Connection) -> bool:
    """Whether bytes of the client have come that were not read: of a request on its way, or its end."""
    if client.reader._buffer or client.reader.at_eof() or client.writer.is_closing():  # type: ignore[attr-defined] # there is no other way to ask
        return True
    readable, _, _ = select.select([client.writer.get_extra_info("socket")], [], [], 0)
    return bool(readable)


async def _read(reader: asyncio.StreamReader) -> Message:
    head = Head.parse(await reader.readuntil(HEAD_END))
    return Message(head, await reader.readexactly(head.length or 0))


async def _relay(request: Message, service: asyncio.StreamReader, client: asyncio.StreamWriter) -> bytes | None:
    """Pass an answer as it comes. Return it if the connection can go on after it; None if it ended with it."""
    raw = await service.readuntil(HEAD_END)
    client.write(raw)
    head = Head.parse(raw)
    left = 0 if request.head.method == "HEAD" or head.status in (204, 304) else head.length
    pieces = [raw]
    while left != 0:
        piece = await service.read(_PIECE if left is None else min(left, _PIECE))
        if not piece:
            return None
        pieces.append(piece)
        left = None if left is None else left - len(piece)
        client.write(piece)
        await client.drain()
    doubled = sum(line.lower().startswith(b"content-length:") for line in head.lines) > 1
    return b"".join(pieces) if head.keeps_alive and not doubled else None


def _action(request: Head) -> str:
    return MEDIA if request.method == "GET" else request.get("X-TC-Action")


def _job(action: str, body: bytes) -> str:
    return str(json.loads(body).get("Prompt", "")).partition(" ")[0] if action.startswith("Create") else ""
