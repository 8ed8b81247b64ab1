"""The shell: `Service` on a loopback port, by aiohttp. It owns the socket, the clock, the fetches and the thread."""

import asyncio
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Self, Unpack

import aiohttp
from aiohttp import web

from ..media.frames import USER_AGENT, FrameError, fetch
from ..media.gallery import Gallery
from ..media.rendering import MissingExtraError, UnreadableImageError, missing_packages
from ..services.gateway import MAX_BODY
from ..services.records import Arrival, Statistics
from ..services.service import Service
from ..services.settings import Settings, SettingsFields
from ..tasks.faults import Faults
from ..tasks.orders import VideoOrder
from ..tasks.reply import Conduct, Frames, Reply, not_rendered
from ..tasks.storage import Piece
from .listening import stop_accepting
from .ranges import file_reply

HOST = "127.0.0.1"

_SHUTDOWN_S = 1.0
"""Seconds that closing gives to answers being written; nothing is worth waiting longer for in a test's teardown."""


class Emulator:
    """The services on loopback, from `async with` to its end.

        async with Emulator(speed=60, seed=7) as emulator:
            config = {"tencentCloud": {"endpoint": emulator.url, …}}

    `port` 0 takes a free one. The other parameters are those of `Settings`, where each is explained.
    """

    def __init__(self, *, port: int = 0, **settings: Unpack[SettingsFields]) -> None:
        self.service = Service(Settings(**settings))
        self._port = port
        self._gallery = Gallery(media=self.service.settings.media)
        self._fetches: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._closing = asyncio.Event()
        # Wall time that never steps: a clock set back in the middle of a second would make the rate limit lie.
        self._epoch = time.time() - time.monotonic()

    def __repr__(self) -> str:
        return f"Emulator({self.url!r}, {self.service.settings!r})"

    @property
    def url(self) -> str:
        """Where it listens, without a final slash. With `port=0`, known only once it has been entered."""
        return f"http://{HOST}:{self._port}"

    @property
    def faults(self) -> Faults:
        """The planned faults: `emulator.faults.add(action="CreateAigcImageTask", fault="error", …)`."""
        return self.service.faults

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """The log of calls, oldest first."""
        return self.service.arrivals

    def statistics(self) -> Statistics:
        """A snapshot of what has been seen."""
        return self.service.statistics(self.now())

    def now(self) -> float:
        """The emulator's time, in Unix seconds."""
        return self._epoch + time.monotonic()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._gallery.close)
            session = aiohttp.ClientSession(headers={"User-Agent": USER_AGENT})
            self._session = await stack.enter_async_context(session)
            stack.push_async_callback(self._stop_fetching)
            # Cancelled with their connection: a call that hangs must not outlive the client that gave it up.
            runner = web.AppRunner(
                self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
            )
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            listening = socket.create_server((HOST, self._port))
            stack.push_async_callback(stop_accepting, [listening])
            await web.SockSite(runner, listening).start()
            stack.callback(self._closing.set)
            self._port = int(listening.getsockname()[1])
            self.service.storage.base_url = self.url
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _application(self) -> web.Application:
        # More than the service allows: it, and not aiohttp, says that a request is too large.
        application = web.Application(client_max_size=2 * MAX_BODY)
        application.router.add_get("/media/{piece:.+}", self._media)
        application.router.add_get("/_emulator/statistics", self._statistics)
        application.router.add_route("*", "/{path:.*}", self._call)
        return application

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        # A request has arrived when its last byte has; from here to the verdict nothing is awaited.
        reply = self.service.handle(request.method, request.path, request.headers, body, self.now())
        if reply.frames is not None:
            self._fetch(reply.frames)
        return await self._performed(request, reply)

    async def _performed(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        """What the core decided, done to the connection."""
        if reply.delay:
            await asyncio.sleep(reply.delay)
        match reply.conduct:
            case Conduct.HANG:
                await self._closing.wait()
                _reset(request)
            case Conduct.RESET:
                _reset(request)
            case Conduct.ANSWER:
                pass
        return _response(reply)

    async def _statistics(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self.statistics()))

    # Results

    async def _media(self, request: web.Request) -> web.StreamResponse:
        found = self.service.media(request.path, request.query_string, self.now())
        if isinstance(found, Reply):
            return await self._performed(request, found)
        if found.delay:
            await asyncio.sleep(found.delay)
        try:
            body = await self._gallery.get(found)
        except MissingExtraError as error:
            return _response(not_rendered(str(error)))
        match found.conduct:
            case Conduct.ANSWER:
                headers = {name.lower(): value for name, value in request.headers.items()}
                return _response(file_reply(body, found.content_type, headers))
            case Conduct.HANG | Conduct.RESET:
                return await self._broken_off(request, found, body)

    async def _broken_off(self, request: web.Request, piece: Piece, body: bytes) -> web.StreamResponse:
        """Half the file, and then nothing, or a reset."""
        response = web.StreamResponse(headers={"Content-Type": piece.content_type, "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if piece.conduct is Conduct.HANG:
            await self._closing.wait()
        _reset(request)
        return response

    # Frames

    def _fetch(self, frames: Frames) -> None:
        task = asyncio.create_task(self._fetched(frames))
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)

    async def _fetched(self, frames: Frames) -> None:
        """Ends by telling the service, whatever happened: its task waits for that."""
        order = frames.order
        try:
            first, last = await self._images(order)
        except (FrameError, UnreadableImageError) as error:
            self.service.frames_failed(frames.task_id, str(error), self.now())
        else:
            self.service.frames_ready(frames.task_id, self.now(), first, last)

    async def _images(self, order: VideoOrder) -> tuple[bytes, bytes]:
        """A film's frames; none where no film can be rendered: they are taken for granted, so that chains work without
        the extra. Raises FrameError and UnreadableImageError."""
        renders = self.service.settings.media is None
        if renders and missing_packages():
            return b"", b""
        first = await fetch(self._session, order.first_url)
        last = await fetch(self._session, order.last_url)
        return await self._gallery.fit(order, first, last) if renders else (b"", b"")

    async def _stop_fetching(self) -> None:
        for task in self._fetches:
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)


def _reset(request: web.Request) -> None:
    """Resets the connection: an RST, not the orderly end of a server that has finished."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, reason=reply.reason, headers=reply.headers, body=reply.body)
