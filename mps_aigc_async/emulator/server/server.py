"""The shell: `Service` on a loopback port, by aiohttp, with the socket, the clock, the fetches and the thread."""

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
"""Seconds for answers in progress at closing. A test's teardown should not wait longer."""


class Emulator:
    """The services on loopback, from `async with` to its end.

        async with Emulator(speed=60, seed=7) as emulator:
            config = {"tencentCloud": {"endpoint": emulator.url, …}}

    `port` 0 takes a free port. The other parameters are those of `Settings`, which explains each.
    """

    def __init__(self, *, port: int = 0, **settings: Unpack[SettingsFields]) -> None:
        self.service = Service(Settings(**settings))
        self._port = port
        self._gallery = Gallery(media=self.service.settings.media)
        self._fetches: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._closing = asyncio.Event()
        # Wall time without steps: a clock set back in the middle of a second would break the rate limit.
        self._epoch = time.time() - time.monotonic()

    def __repr__(self) -> str:
        return f"Emulator({self.url!r}, {self.service.settings!r})"

    @property
    def url(self) -> str:
        """The emulator's URL, without a final slash. With `port=0`, enter the emulator before reading it."""
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
        """A snapshot of the counts."""
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
            # Handlers are cancelled with their connection: a call that hangs must end when its client gives up.
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
        # More than the service allows, so that the service and not aiohttp refuses a request that is too large.
        application = web.Application(client_max_size=2 * MAX_BODY)
        application.router.add_get("/media/{piece:.+}", self._media)
        application.router.add_get("/_emulator/statistics", self._statistics)
        application.router.add_route("*", "/{path:.*}", self._call)
        return application

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        # A request has arrived when its last byte has. There is no await from here to the judgement.
        reply = self.service.handle(request.method, request.path, request.headers, body, self.now())
        if reply.frames is not None:
            self._fetch(reply.frames)
        return await self._perform(request, reply)

    async def _perform(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        """Carry out the core's reply on the connection."""
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
        piece = self.service.media(request.path, request.query_string, self.now())
        if isinstance(piece, Reply):
            return await self._perform(request, piece)
        if piece.delay:
            await asyncio.sleep(piece.delay)
        try:
            body = await self._gallery.get(piece)
        except MissingExtraError as error:
            return _response(not_rendered(str(error)))
        match piece.conduct:
            case Conduct.ANSWER:
                headers = {name.lower(): value for name, value in request.headers.items()}
                return _response(file_reply(body, piece.content_type, headers))
            case Conduct.HANG | Conduct.RESET:
                return await self._break_off(request, piece, body)

    async def _break_off(self, request: web.Request, piece: Piece, body: bytes) -> web.StreamResponse:
        """Send half the file, then hang or reset the connection."""
        response = web.StreamResponse(headers={"Content-Type": piece.content_type, "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if piece.conduct is Conduct.HANG:
            await self._closing.wait()
        _reset(request)
        return response

    # Frames

    def _fetch(self, frames: Frames) -> None:
        task = asyncio.create_task(self._fetch_and_report(frames))
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)

    async def _fetch_and_report(self, frames: Frames) -> None:
        """Fetch the frames and report success or failure to the service, since the video's task waits for it."""
        order = frames.order
        try:
            first, last = await self._images(order)
        except (FrameError, UnreadableImageError) as error:
            self.service.frames_failed(frames.task_id, str(error), self.now())
        else:
            self.service.frames_ready(frames.task_id, self.now(), first, last)

    async def _images(self, order: VideoOrder) -> tuple[bytes, bytes]:
        """A film's frames. Without the extra no film is rendered: then there are no frames, and chains still work.
        Raises FrameError and UnreadableImageError."""
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
    """Reset the connection by an RST, unlike the orderly end of a server that has finished."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, reason=reply.reason, headers=reply.headers, body=reply.body)
