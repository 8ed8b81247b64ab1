"""The emulator without a socket: a transport that hands each request to `emulator.Service` in the same loop."""

import asyncio
from collections.abc import Callable

from ..callbacks import ignore
from ..emulator import Conduct, Service
from ..errors import TransportError
from ..states import Ending
from ..transport import Gate, Sent, Timeouts
from ..wire.dialect import HttpAnswer, HttpRequest


class InMemoryTransport:
    """Judged by the same rules as over HTTP; with virtual time, hours of batch in milliseconds.

    `latency_s` is spent half on the way there and half on the way back.
    """

    def __init__(self, service: Service, wall: Callable[[], float], *, latency_s: float = 0.0) -> None:
        self._service = service
        self._wall = wall
        self._latency_s = latency_s

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        await asyncio.sleep(self._latency_s / 2)
        reply = self._service.handle(request.method, request.path, request.headers, request.body, self._wall())
        await asyncio.sleep(reply.delay + self._latency_s / 2)
        if reply.conduct is Conduct.HANG:
            await asyncio.sleep(Timeouts().read)
        if reply.conduct is not Conduct.ANSWER:
            raise TransportError(f"no answer: {reply.conduct.name.lower()}", ending=Ending.UNKNOWN)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return HttpAnswer(reply.status, headers, reply.body)

    async def close(self) -> None:
        """Nothing to close."""
