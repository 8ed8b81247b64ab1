"""A proxy on loopback between a client and the emulator, which breaks connections and answers like a bad network.

The emulator's own faults are the service's; the proxy's faults are the network's. `proxy_faults` has their table.
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
from .proxy_faults import NOT_FORWARDED, OVERSIZED, ProxyFault, ProxyFaults, ProxyRule, action_of, spoil, stand_in

HOST: Final = "127.0.0.1"

_PIECE: Final = 1 << 16


class FaultProxy:
    """A proxy before an open emulator; it listens inside its `async with`.

        async with Emulator(speed=1000) as emulator, FaultProxy(emulator) as proxy:
            proxy.add("reset_after", action="CreateAigcImageTask")
            config = Config.parse({"tencentCloud": {**keys, "endpoint": proxy.url}, …})

    All other traffic passes byte for byte, the Host included. While the proxy is open, the emulator's result URLs lead
    through it: a client's download has the action "Media", the emulator's own fetch of a video's frame "Frame".
    """

    def __init__(self, emulator: Emulator, *, seed: int = 7) -> None:
        self.forwarded: Counter[str] = Counter()
        """Requests sent on to the emulator, by action."""
        self.befallen: Counter[tuple[str, ProxyFault]] = Counter()
        """Requests that met a fault, by action and fault. Refused connections have no action and are not counted."""
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
        """The proxy's URL, without a final slash. Its port is known inside `async with`."""
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
        """Plan `fault` for the next `times` calls of `action`. None stands for every action that the fault fits, except
        downloads.

        The first rule that matches and wins its draw happens. With a `probability`, each call draws (seeded) until the
        fault has happened `times` times; `times=None` means for ever. `seconds` delays any fault, `size` belongs to
        `oversized`. Raises ValueError for a fault that does not fit the action.
        """
        self._faults.add(fault, action, times, probability, seconds, size)

    def clear(self) -> None:
        """Forget all rules; faults under way go on."""
        self._faults.clear()

    async def refuse(self) -> None:
        """Reset all connections, and refuse new ones from now on. Idempotent.

        The emulator's fetches of frames are refused too: a video fails if its frame would come through the proxy.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        await stop_accepting(server.sockets)
        server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        await asyncio.gather(*(connection.service for connection in connections), return_exceptions=True)
        await server.wait_closed()

    async def accept(self) -> None:
        """Listen again, on the same port. Idempotent."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        # Bound before it listens: a connection at a port without a listener would be reset.
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

    # --- towards a client ---

    def _connection(self) -> "_Connection":
        return _Connection(self._begin)

    def _begin(self, connection: "_Connection") -> asyncio.Task[None]:
        self._connections.add(connection)
        task = asyncio.create_task(self._serve(connection))
        task.add_done_callback(lambda _: self._connections.discard(connection))
        return task

    async def _serve(self, connection: "_Connection") -> None:
        """Serve a connection, request by request, until either side ends it."""
        if self._server is None:  # the connection was accepted just before `refuse`
            connection.reset()
            return
        try:
            while await self._exchange(connection):
                pass
        except ConnectionError:  # most likely the emulator's, by a fault of its own: passed on as a reset
            connection.reset()
        except (EOFError, ValueError, asyncio.LimitOverrunError):  # an end stopped halfway, or does not speak HTTP
            pass
        finally:
            connection.writer.close()
            with suppress(OSError):
                await connection.writer.wait_closed()

    async def _exchange(self, connection: "_Connection") -> bool:
        """Serve a request; return whether another may follow on this connection."""
        request = await _read_request(connection.reader)
        action = action_of(request.head)
        rule = self._faults.draw(action) if action else None
        if rule is None:
            keeps_alive = await self._pass(action, request, connection.writer)
        else:
            self.befallen[action, rule.fault] += 1
            keeps_alive = await self._break(rule, action, request, connection)
        return keeps_alive and request.head.keeps_alive

    async def _pass(self, action: str, request: Message, client: asyncio.StreamWriter) -> bool:
        """Pass the emulator's answer on, piece by piece, so that the client sees an answer that breaks off or hangs."""
        async with self._forward(action, request) as (head, emulator):
            client.write(head.encode())
            async with aclosing(_body(emulator, _body_length(request.head, head))) as pieces:
                async for piece in pieces:
                    client.write(piece)
                    await client.drain()
        return _ends_by_itself(head)

    async def _break(self, rule: ProxyRule, action: str, request: Message, connection: "_Connection") -> bool:
        """Serve a request with the rule's fault; return whether another may follow on this connection."""
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
                connection.writer.write(spoil(rule, action, answer).encode())
        await connection.writer.drain()
        return _ends_by_itself(answer.head)

    # --- towards the emulator ---

    async def _answer(self, action: str, request: Message) -> Message:
        async with self._forward(action, request) as (head, emulator):
            length = _body_length(request.head, head)
            return Message(head, b"".join([piece async for piece in _body(emulator, length)]))

    @asynccontextmanager
    async def _forward(self, action: str, request: Message) -> AsyncIterator[tuple[Head, asyncio.StreamReader]]:
        """Send a request to the emulator; yield the head of its answer, and the reader for the body.

        Each request has a new connection: an idle one might have ended, and on loopback a new one costs little.
        """
        address = urlsplit(self._emulator.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(request.encode())
            await writer.drain()
            if action:
                self.forwarded[action] += 1
            head = await _read_head(reader)
            while head.status < 200:  # 100 Continue: the client has sent its body already
                head = await _read_head(reader)
            yield head, reader
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


class _Connection(asyncio.StreamReaderProtocol):
    """A client's end of a connection, served by a task of its own.

    The task ends when the client leaves. Streams alone would report that only to a task that reads.
    """

    def __init__(self, begin: Callable[["_Connection"], asyncio.Task[None]]) -> None:
        super().__init__(asyncio.StreamReader(), self._opened)
        self._begin = begin

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.service = self._begin(self)

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # no half-closed connections: a client that stops sending has left

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.service.cancel()

    def reset(self) -> None:
        """Send an RST, not the orderly end of a server that has finished."""
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
    """Yield a body in pieces as they come; without a length, to the connection's end. Raises EOFError if the end comes
    too soon."""
    while length != 0:
        piece = await reader.read(_PIECE if length is None else min(length, _PIECE))
        if not piece:
            if length is None:
                return
            raise EOFError
        length = None if length is None else length - len(piece)
        yield piece


def _body_length(request: Head, answer: Head) -> int | None:
    """Return the length of an answer's body. Answers to HEAD, 204 and 304 have no body despite their Content-Length
    (RFC 9112, section 6.3)."""
    return 0 if request.method == "HEAD" or answer.status in (204, 304) else answer.length


def _ends_by_itself(answer: Head) -> bool:
    """Whether the connection can go on after this answer: it has a length, and is not the last."""
    return answer.keeps_alive and answer.length is not None
