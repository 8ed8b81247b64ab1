"""Connections that never deliver another request's answer.

HTTP/1.1 has no number that ties an answer to its request: the next bytes on a connection are the answer. If a server or
gateway repeats an answer, or sends a time-out (408), on an idle connection, the next request reads those bytes as its
own answer; aiohttp reuses such a connection (measured with 3.14). So bytes that arrive on an idle connection are never
parsed: they close it. Each connection is also checked once more right before it is used.
"""

import asyncio
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from ..concurrency.callbacks import ignore
from ..concurrency.home import Home

OnPiece = Callable[[], None]


class UnusableConnection(aiohttp.ClientConnectionError):
    """The connection was closed, or received unrequested bytes, before anything was written on it.

    aiohttp repeats a GET after some of its own connection errors, but not after this one.
    """


class _Line(ResponseHandler):
    """A connection that knows whether an answer is due. A new connection is not idle: aiohttp may ask a proxy for a
    tunnel on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.rests = False
        self._on_piece: OnPiece = ignore

    def rest(self) -> None:
        """Become idle: no answer is due from now on."""
        self.rests = True
        self._on_piece = ignore
        if self._parser is not None and _has_begun_another(self._parser):
            self.force_close()

    def ask(self, on_piece: OnPiece) -> None:
        """Expect an answer: a request is about to be written. `on_piece` is called for each piece of its answer."""
        self.rests = False
        self._on_piece = on_piece

    def data_received(self, data: bytes) -> None:
        if data and self.rests:
            self.force_close()
            if self.transport is not None:
                self.transport.close()
            return
        if data:  # aiohttp calls this without data when it resumes reading
            self._on_piece()
        super().data_received(data)


class _Parser(Protocol):
    """The part of aiohttp's parsers that is used here; aiohttp makes a parser for each request."""

    def feed_eof(self) -> object: ...


def _has_begun_another(parser: _Parser) -> bool:
    """Whether the beginning of another answer came in one piece with the last answer. Only the parser saw those bytes.

    The end of its input does no harm: the next request has another parser."""
    try:
        # aiohttp's parser in Python, its substitute for the compiled parser, does not report half a line.
        return bool(getattr(parser, "_tail", b"")) or parser.feed_eof() is not None
    except Exception:  # noqa: BLE001 — an exception of any class means that half an answer is there
        return True


class QuietConnector(aiohttp.TCPConnector):
    """Hands out only connections that have received no unrequested bytes."""

    def __init__(
        self, *, limit: int = 100, keepalive_timeout: float = 15.0, resolver: AbstractResolver | None = None
    ) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout, resolver=resolver)
        loop = asyncio.get_running_loop()
        # Private, and the only way in: aiohttp's own check, `should_close`, misses a stray answer that has arrived
        # only in part. tests/network/test_connections.py fails if aiohttp stops using `_factory`.
        self._factory = partial(self._line, loop)
        self.home = Home.here()
        self._lines: WeakSet[_Line] = WeakSet()

    def _line(self, loop: asyncio.AbstractEventLoop) -> ResponseHandler:
        line = _Line(loop)
        self._lines.add(line)
        return line

    def drop(self) -> None:
        """Close the connections without their loop, which is closed, or runs in the parent of this forked process."""
        for line in tuple(self._lines):
            if line.transport is not None:
                _drop(line.transport, is_inherited=self.home.is_of_another_process)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await self.quiet_connection(req, traces, timeout)
        return lend(connection)

    async def quiet_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return a usable connection, idle or new, and close each unusable idle connection on the way.

        Raises UnusableConnection if a new connection is unusable: a server that speaks first would spoil the next
        connection as well."""
        while True:
            connection = await super().connect(req, traces, timeout)
            line = connection.protocol
            is_fresh = not (isinstance(line, _Line) and line.rests)
            if isinstance(line, _Line):
                line.rest()
            try:
                await require_usable(connection)
            except UnusableConnection:
                if is_fresh:
                    raise
            else:
                return connection


async def close_session(session: aiohttp.ClientSession) -> None:
    """Close a session that has a QuietConnector, also from outside its loop if that loop can close nothing any more."""
    connector = session.connector
    if not isinstance(connector, QuietConnector) or connector.home.is_here:
        await session.close()
        return
    connector.drop()
    with suppress(RuntimeError):  # nothing can be scheduled in that loop
        await session.close()
    session.detach()


def _drop(transport: asyncio.BaseTransport, *, is_inherited: bool) -> None:
    """Close a transport's socket without its loop.

    asyncio has no public way: a transport asks its loop for a turn, in which it closes the socket. So this function
    makes that turn's call. Otherwise the socket would stay open until its collection, with a ResourceWarning.

    An inherited socket is the parent's as well. First its descriptor becomes another file's, which closes the child's
    copy alone: no TLS farewell is sent in the parent's name, and the parent's selector loses no entry.
    """
    sock = transport.get_extra_info("socket")
    if is_inherited and sock is not None and sock.fileno() >= 0:
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), sock.fileno(), inheritable=False)
    below = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport  # below TLS
    if isinstance(transport, asyncio.WriteTransport):
        with suppress(Exception):  # at least RuntimeError, after the transport is marked as closing
            transport.abort()
    end = getattr(below, "_call_connection_lost", None)  # other loops than asyncio's close their sockets themselves
    if callable(end):
        with suppress(Exception):  # the protocol may raise: the socket is closed by then
            end(None)


async def require_usable(connection: Connection) -> None:
    """Raise UnusableConnection, and close the connection, if it has received bytes or has ended."""
    try:
        unread = _has_unread(connection)
        if unread:
            # In the first turn the loop finds the socket readable and queues its reader behind this task; by the second
            # turn the reader has run. (Windows' proactor and uvloop deliver the bytes in the first turn.)
            # A TLS connection may turn out to be usable: a session ticket is not part of an answer.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            unread = _has_unread(connection)  # still true if the transport has paused reading
    except BaseException:
        connection.close()
        raise
    protocol = connection.protocol
    if unread or protocol is None or not protocol.is_connected() or protocol.should_close:
        connection.close()
        raise UnusableConnection


def lend(connection: Connection, on_piece: OnPiece = ignore) -> Connection:
    """Lend the connection to one request: its next bytes are the answer, until aiohttp has the whole answer."""
    line = connection.protocol
    if isinstance(line, _Line):
        line.ask(on_piece)
        connection.add_callback(line.rest)
    return connection


def _has_unread(connection: Connection) -> bool:
    """Whether the kernel holds bytes that the loop has not read yet: they may have arrived while the loop was blocked.

    The check costs 2 µs; two turns of the loop cost 15 µs, and delay the request if the loop is busy."""
    transport = connection.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True  # closed; over TLS the protocol learns this one turn later
    if sys.platform == "win32":
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()  # unlike select.select, it accepts descriptors above 1023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
