"""The shell: `Service` on a loopback port, by aiohttp, with the socket, the clock, the fetches and the thread."""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self, Unpack

import aiohttp
from aiohttp import web

from ..media.frames import USER_AGENT, FrameError, fetch
from ..media.gallery import Gallery
from ..media.rendering import UnreadableImageError, missing_packages
from ..services.accounts import Accounts
from ..services.gateway import MAX_BODY
from ..services.records import Arrival, Statistics
from ..services.service import Service
from ..services.settings import Settings, SettingsFields
from ..tasks.faults import Faults
from ..tasks.orders import VideoOrder
from ..tasks.reply import Frames
from .answers import Answers
from .cos import CosServer
from .listening import stop_accepting

HOST = "127.0.0.1"

_SHUTDOWN_S = 1.0
"""Seconds for answers in progress at closing. A test's teardown should not wait longer."""


class Emulator:
    """The services on loopback, from `async with` to its end.

        async with Emulator(speed=60, seed=7) as emulator:
            config = {"tencentCloud": {"endpoint": emulator.url, …}}

    `port` 0 takes a free port; `cos_port` is COS's. `accounts` are further accounts, a SecretKey by each SecretId: each
    has limits, tasks, faults and counts of its own, in `account(SECRET_ID)`. COS has the first account's buckets alone.
    The other parameters are those of `Settings`, which explains each.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        cos_port: int = 0,
        accounts: Mapping[str, str] | None = None,
        **settings: Unpack[SettingsFields],
    ) -> None:
        self.service = Service(Settings(**settings))
        first = self.service.settings
        further = [  # a seed of its own: no TaskId is in two accounts
            Service(replace(first, secret_id=secret_id, secret_key=key, relay_key=key, seed=first.seed + number))
            for number, (secret_id, key) in enumerate((accounts or {}).items(), start=1)
        ]
        self._accounts = Accounts([self.service, *further])
        self._port = port
        self._cos_port = cos_port
        self._gallery = Gallery(media=self.service.settings.media)
        self._fetches: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._closing = asyncio.Event()
        self._answers = Answers(self._gallery, self._closing)
        # Wall time without steps: a clock set back in the middle of a second would break the rate limit.
        self._epoch = time.time() - time.monotonic()

    def __repr__(self) -> str:
        return f"Emulator({self.url!r}, {self.service.settings!r})"

    @property
    def url(self) -> str:
        """The emulator's URL, without a final slash. With `port=0`, enter the emulator before reading it."""
        return f"http://{HOST}:{self._port}"

    @property
    def cos_url(self) -> str:
        """The URL of COS, without a final slash: an object is at `/BUCKET/KEY`. As for `url`, enter the emulator first.

        COS has a port of its own, so that the path of an object's URL, which a signature covers, has nothing else.
        """
        return f"http://{HOST}:{self._cos_port}"

    def account(self, secret_id: str) -> Service:
        """The services of the account with this SecretId, with its `faults`, `arrivals` and `statistics()`."""
        return self._accounts.of(secret_id)

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

    def issue(self, secret_id: str, secret_key: str, token: str, until: float) -> None:
        """Accept temporary keys as well, before `until` (Unix seconds of `now`): by MPS, VOD and COS."""
        self.service.issue(secret_id, secret_key, token, until)

    def now(self) -> float:
        """The emulator's time, in Unix seconds."""
        return self._epoch + time.monotonic()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._gallery.close)
            session = aiohttp.ClientSession(headers={"User-Agent": USER_AGENT})
            self._session = await stack.enter_async_context(session)
            stack.push_async_callback(self._stop_fetching)
            cos = CosServer(self.service, self._answers, self.now)
            self._port = await _listen(stack, self._application(), self._port)
            self._cos_port = await _listen(stack, cos.application(), self._cos_port)
            stack.callback(self._closing.set)
            self._accounts.place_results(self.url)
            self.service.buckets.base_url = self.cos_url
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
        application.router.add_get("/account-{number}/media/{piece:.+}", self._media)
        application.router.add_get("/_emulator/statistics", self._statistics)
        application.router.add_route("*", "/{path:.*}", self._call)
        return application

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        # A request has arrived when its last byte has. There is no await from here to the judgement.
        service = self._accounts.of_call(request.headers)
        reply = service.handle(request.method, request.path, request.headers, body, self.now())
        if reply.frames is not None:
            self._fetch(service, reply.frames)
        return await self._answers.perform(request, reply)

    async def _statistics(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self.statistics()))

    # Results

    async def _media(self, request: web.Request) -> web.StreamResponse:
        service = self._accounts.of_result(f"{self.url}{request.path}") or self.service
        path = f"/media/{request.match_info['piece']}"
        return await self._answers.send(request, service.media(path, request.query_string, self.now()))

    # Frames

    def _fetch(self, service: Service, frames: Frames) -> None:
        task = asyncio.create_task(self._fetch_and_report(service, frames))
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)

    async def _fetch_and_report(self, service: Service, frames: Frames) -> None:
        """Fetch the frames and report success or failure to the service, since the video's task waits for it."""
        order = frames.order
        try:
            first, last = await self._images(order)
        except (FrameError, UnreadableImageError) as error:
            service.frames_failed(frames.task_id, str(error), self.now())
        else:
            service.frames_ready(frames.task_id, self.now(), first, last)

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


async def _listen(stack: AsyncExitStack, application: web.Application, port: int) -> int:
    """Serve until the stack closes; return the port, which is free if it was 0."""
    # Handlers are cancelled with their connection: a call that hangs must end when its client gives up.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    listening = socket.create_server((HOST, port))
    stack.push_async_callback(stop_accepting, [listening])
    await web.SockSite(runner, listening).start()
    return int(listening.getsockname()[1])
