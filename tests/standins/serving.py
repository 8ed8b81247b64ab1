"""A stand-in on a socket: in this process (`serving`), or in a process of its own that outlives killed processes
(`running`)."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from aiohttp import web

from .book import Book, Manners, Seen
from .calls import Call, Lost, Reply
from .mps import Mps
from .relay import Relay
from .vod import Vod

ROOT: Final = Path(__file__).parents[2]

PNG: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0" + b"\x3a\x7e\x9b\x55"
MP4: Final = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2\0\0\0\x08free"
_MEDIA: Final = {"image": (PNG, "image/png"), "video": (MP4, "video/mp4")}


class Service(Protocol):
    """A stand-in without its socket."""

    base_url: str

    @property
    def book(self) -> Book: ...

    def answer(self, call: Call) -> Reply: ...


SERVICES: Final[Mapping[str, type[Mps] | type[Vod] | type[Relay]]] = {"mps": Mps, "vod": Vod, "relay": Relay}


class StandIn:
    """A stand-in that is reachable at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def seen(self) -> Seen:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/_seen") as answer:
            return Seen.of(await answer.json())


@asynccontextmanager
async def serving(name: str, manners: Manners | None = None) -> AsyncIterator[StandIn]:
    """The stand-in of this name (`SERVICES`), on this loop."""
    service = SERVICES[name](manners or Manners())
    app = web.Application(client_max_size=16 << 20)
    app.router.add_route("*", "/{path:.*}", partial(_handle, service))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    try:
        await web.SockSite(runner, listening).start()
        service.base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield StandIn(service.base_url)
    finally:
        await _stop_accepting(listening)
        await runner.cleanup()


async def _stop_accepting(listening: socket.socket) -> None:
    """Stop accepting first, since a connection accepted in the turn of the close would stay open. A stand-in does not
    share the emulator's `server.listening`, which does the same."""
    asyncio.get_running_loop().remove_reader(listening)
    for _ in range(4):
        await asyncio.sleep(0)


async def _handle(service: Service, request: web.Request) -> web.StreamResponse:
    body = await request.read()
    if request.path == "/_seen":
        return web.json_response(service.book.told())
    if request.path.startswith("/media/"):
        return _media(service, request.path)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        reply = service.answer(Call(request.method, request.path, headers, body, time.time()))
    except Lost as lost:
        if lost.status is not None:
            page = f"<html><body><h1>{lost.status} Gateway Time-out</h1></body></html>"
            return web.Response(status=lost.status, text=page, content_type="text/html")
        if request.transport is not None:
            request.transport.close()
        return web.Response()
    await asyncio.sleep(reply.delay_s)
    # Without a charset, as the services send it: beside one the official SDK does not see an error.
    told = {**reply.headers, "Content-Type": "application/json"}
    return web.Response(body=json.dumps(reply.content).encode(), status=reply.status, headers=told)


def _media(service: Service, path: str) -> web.Response:
    _, _, kind, task_id = path.split("/")
    task = service.book.tasks.get(task_id)
    if task is None or task.kind != kind or time.time() < task.ends_at:
        return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
    content, content_type = _MEDIA[kind]
    return web.Response(body=content, content_type=content_type)


@asynccontextmanager
async def running(name: str, manners: Manners | None = None) -> AsyncIterator[StandIn]:
    """The stand-in of this name, in a process of its own that ends with its standard input."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.standins", name, json.dumps(asdict(manners or Manners()))]
    # Without Python's development mode, which the code under test is in: it would make the service slow.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield StandIn((await process.stdout.readline()).decode().strip())
    finally:
        process.stdin.close()
        await process.communicate()
