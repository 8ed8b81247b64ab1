"""A proxy on loopback between a client and the emulator, which spoils what passes as a network does.

The emulator's own faults are the service's; these are of what lies between. `proxy_faults` has their table.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from ..emulator import Emulator
from ..emulator.server.listening import stop_accepting
from .http_messages import HEAD_END, Head, Message
from .proxy_faults import NOT_FORWARDED, OVERSIZED, ProxyFault, ProxyFaults, ProxyRule, action_of, spoilt, stand_in

HOST: Final = "127.0.0.1"

_PIECE: Final = 1 << 16


class FaultProxy:
    """Stands before an emulator that has been entered, from `async with` to its end.

        async with Emulator(speed=1000) as emulator, FaultProxy(emulator) as proxy:
            proxy.add("reset_after", action="CreateAigcImageTask")
            config = Config.parse({"tencentCloud": {**keys, "endpoint": proxy.url}, …})

    What is not spoilt passes byte for byte, the Host included. While the proxy is open, the emulator's result URLs lead
    through it: a client's download is spoken of as the action "Media", the emulator's own fetch of a video's frame
    as "Frame".
    """

    def __init__(self, emulator: Emulator, *, seed: int = 7) -> None:
        self.forwarded: Counter[str] = Counter()
        """By action: what was sent on to the emulator."""
        self.befallen: Counter[tuple[str, ProxyFault]] = Counter()
        """By action and fault: what went wrong. Refused connections have no action and are not counted."""
        self._emulator = emulator
        self._faults = ProxyFaults(seed)
        self._port = 0
        self._results_at = ""
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    def __repr__(self) -> str:
        listening = "" if self._server else ", refusing"
        return f"FaultProxy({self.url!r} → {self._emulator.url!r}{listening})"

    @property
    def url(self) -> str:
        """Where it listens, without a final slash. Known once it has been entered."""
        return f"http://{HOST}:{self._port}"

    def add(
        self,
        fault: ProxyFault,
        *,
        action: str | None = None,
        times: int | None = 1,
        probability: float = 1.0,
        seconds: float = 0.0,
        size: int = OVERSIZED,
    ) -> None:
        """Arranges for `fault` to befall the next `times` calls of `action` (None: any that it can befall, downloads
        left out).

        The first rule that matches and wins its draw happens. With a `probability`, each call draws (seeded) until it
        has happened `times` times; `times=None` is for ever. `seconds` delays any fault, `size` belongs to `oversized`.
        Raises ValueError for a fault that cannot befall the action.
        """
        self._faults.add(fault, action, times, probability, seconds, size)

    def clear(self) -> None:
        """Forgets all rules; what is under way stays spoilt."""
        self._faults.clear()

    async def refuse(self) -> None:
        """From now on connections are refused, and those that there are have been reset. Idempotent.

        The emulator's fetches of frames meet the same: a video whose frame was to come through here fails.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        await stop_accepting(server.sockets)
        server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        await asyncio.gather(*(connection.served for connection in connections), return_exceptions=True)
        await server.wait_closed()

    async def accept(self) -> None:
        """Listens again, on the same port. Idempotent."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        # Named before it listens: a connection made while nobody listens would be reset.
        self._server = await loop.create_server(self._connection, HOST, self._port, start_serving=False)
        self._port = self._server.sockets[0].getsockname()[1]
        await self._server.start_serving()

    async def __aenter__(self) -> Self:
        if urlsplit(self._emulator.url).port == 0:
            raise RuntimeError(
                "enter the emulator first: async with Emulator() as emulator, FaultProxy(emulator) as proxy"
            )
        await self.accept()
        storage = self._emulator.service.storage
        self._results_at, storage.base_url = storage.base_url, self.url
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._emulator.service.storage.base_url = self._results_at
        await self.refuse()

    # One client's connection

    def _connection(self) -> "_Connection":
        return _Connection(self._begin)

    def _begin(self, connection: "_Connection") -> asyncio.Task[None]:
        self._connections.add(connection)
        task = asyncio.create_task(self._serve(connection))
        task.add_done_callback(lambda _: self._connections.discard(connection))
        return task

    async def _serve(self, connection: "_Connection") -> None:
        """Request by request, until either side ends it."""
        if self._server is None:  # accepted just before it began to refuse
            connection.reset()
            return
        try:
            while await self._exchange(connection):
                pass
        except ConnectionError:  # of the emulator's, most likely, by a fault of its own: handed on as it is
            connection.reset()
        except (EOFError, ValueError, asyncio.LimitOverrunError):  # one end stopped halfway, or it is not HTTP
            pass
        finally:
            connection.writer.close()
            with suppress(OSError):
                await connection.writer.wait_closed()

    async def _exchange(self, connection: "_Connection") -> bool:
        """One request and what comes of it; whether another may follow on this connection."""
        request = await _read_request(connection.reader)
        action = action_of(request.head)
        rule = self._faults.draw(action) if action else None
        if rule is None:
            keeps_alive = await self._passed(action, request, connection.writer)
        else:
            self.befallen[action, rule.fault] += 1
            keeps_alive = await self._befallen(rule, action, request, connection)
        return keeps_alive and request.head.keeps_alive

    async def _passed(self, action: str, request: Message, client: asyncio.StreamWriter) -> bool:
        """Handed on as it comes, so that what the emulator breaks off arrives broken off, and what hangs, hanging."""
        async with self._forwarded(action, request) as (head, emulator):
            client.write(head.encode())
            async with aclosing(_body(emulator, _body_length(request.head, head))) as pieces:
                async for piece in pieces:
                    client.write(piece)
                    await client.drain()
        return _ends_by_itself(head)

    async def _befallen(self, rule: ProxyRule, action: str, request: Message, connection: "_Connection") -> bool:
        answer = stand_in(rule.fault) if rule.fault in NOT_FORWARDED else await self._answer(action, request)
        await asyncio.sleep(rule.seconds)
        match rule.fault:
            case "reset_before" | "reset_after":
                connection.reset()
                return False
            case "hang":
                await asyncio.Event().wait()
            case "cut_short":
                connection.writer.write(answer.head.encode() + answer.body[: len(answer.body) // 2])
                return False
            case _:
                connection.writer.write(spoilt(rule, action, answer).encode())
        await connection.writer.drain()
        return _ends_by_itself(answer.head)

    # Towards the emulator

    async def _answer(self, action: str, request: Message) -> Message:
        async with self._forwarded(action, request) as (head, emulator):
            length = _body_length(request.head, head)
            return Message(head, b"".join([piece async for piece in _body(emulator, length)]))

    @asynccontextmanager
    async def _forwarded(self, action: str, request: Message) -> AsyncIterator[tuple[Head, asyncio.StreamReader]]:
        """The head of the emulator's answer, and what its body is read from.

        On a connection of its own each: a kept one might have ended since, and on loopback a new one costs little.
        """
        address = urlsplit(self._emulator.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(request.encode())
            await writer.drain()
            if action:
                self.forwarded[action] += 1
            head = await _read_head(reader)
            while head.status < 200:  # 100 Continue: of no use to a client whose body has come already
                head = await _read_head(reader)
            yield head, reader
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


class _Connection(asyncio.StreamReaderProtocol):
    """A client's end of a connection, served by a task of its own.

    The client's leaving ends that task: streams by themselves would tell it only to whoever is reading.
    """

    def __init__(self, begin: Callable[["_Connection"], asyncio.Task[None]]) -> None:
        super().__init__(asyncio.StreamReader(), self._opened)
        self._begin = begin

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.served = self._begin(self)

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # no half-closed connections: who stops sending has left

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.served.cancel()

    def reset(self) -> None:
        """An RST, not the orderly end of a server that has finished."""
        connection: socket.socket | None = self.writer.get_extra_info("socket")
        if connection is not None and not self.writer.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def _read_head(reader: asyncio.StreamReader) -> Head:
    return Head.parse(await reader.readuntil(HEAD_END))


async def _read_request(reader: asyncio.StreamReader) -> Message:
    head = await _read_head(reader)
    if head.get("Transfer-Encoding"):
        raise ValueError("a body without a Content-Length")
    return Message(head, await reader.readexactly(head.length or 0))


async def _body(reader: asyncio.StreamReader, length: int | None) -> AsyncGenerator[bytes, None]:
    """In pieces as they come; without a length, to the connection's end. Raises EOFError if that is too soon."""
    while length != 0:
        piece = await reader.read(_PIECE if length is None else min(length, _PIECE))
        if not piece:
            if length is None:
                return
            raise EOFError
        length = None if length is None else length - len(piece)
        yield piece


def _body_length(request: Head, answer: Head) -> int | None:
    """RFC 9112, section 6.3: these have no body, whatever their Content-Length says."""
    return 0 if request.method == "HEAD" or answer.status in (204, 304) else answer.length


def _ends_by_itself(answer: Head) -> bool:
    """Whether the connection can go on after this answer: it says where it ends, and not that it is the last."""
    return answer.keeps_alive and answer.length is not None
