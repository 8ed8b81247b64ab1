"""A service for tests, written from the reports on MPS: some models take few tasks at once, and refuse more with
RequestLimitExceeded, the code for too many calls per second. `Crowded` decides; the two doors answer in virtual time
and over a socket.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

SILENT = "Your current request frequency exceeds the frequency limit."
TELLING = "The task has reached the maximum concurrency of the model, please try again later."


@dataclass
class Crowded:
    """Answers calls. Times are those of `clock`."""

    clock: Callable[[], float]
    most_at_once: Mapping[str, int]
    """The tasks that may run at once, by model (name and version)."""
    rate: int = 10
    task_s: float = 60.0
    message: str = SILENT
    code: str = "RequestLimitExceeded"
    retry_after: str = ""
    """The Retry-After of each refusal."""
    creates: list[tuple[float, str]] = field(default_factory=list)
    """The accepted creates: the time and the model."""
    refusals: list[tuple[float, str]] = field(default_factory=list)
    """The creates refused because too many tasks ran: the time and the model."""
    over_rate: int = 0
    """The number of creates refused for their rate."""
    _ends: dict[str, tuple[str, float]] = field(default_factory=dict)
    _arrivals: deque[float] = field(default_factory=deque)

    def answer(self, action: str, params: Mapping[str, str]) -> dict[str, object]:
        return self._created(params) if action.startswith("Create") else self._status(params["TaskId"])

    def _created(self, params: Mapping[str, str]) -> dict[str, object]:
        now, model = self.clock(), f"{params['ModelName']} {params['ModelVersion']}"
        while self._arrivals and self._arrivals[0] <= now - 1:
            self._arrivals.popleft()
        if len(self._arrivals) >= self.rate:
            self.over_rate += 1
            return self._refusal(SILENT)
        self._arrivals.append(now)
        at_once = sum(1 for other, end in self._ends.values() if other == model and end > now)
        if at_once >= self.most_at_once.get(model, 1000):
            self.refusals.append((now, model))
            return self._refusal(self.message)
        task_id = f"4-{len(self._ends)}"
        self._ends[task_id] = (model, now + self.task_s)
        self.creates.append((now, model))
        return {"TaskId": task_id}

    def _refusal(self, message: str) -> dict[str, object]:
        return {"Error": {"Code": self.code, "Message": message}}

    def _status(self, task_id: str) -> dict[str, object]:
        if self._ends[task_id][1] > self.clock():
            return {"Status": "RUN"}
        url = f"https://files.example/{task_id}"
        return {"Status": "DONE", "VideoUrls": [f"{url}.mp4"], "ImageUrls": [f"{url}.png"], "Message": "ok"}

    def open_to_all(self) -> None:
        """Take any number of tasks from now on."""
        self.most_at_once = {}

    @property
    def tasks_by_model(self) -> Counter[str]:
        """Accepted creates by model."""
        return Counter(model for _, model in self.creates)


class CrowdedTransport:
    """The service's door in virtual time."""

    def __init__(self, service: Crowded, latency_s: float = 0.1) -> None:
        self._service = service
        self._latency_s = latency_s

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        await asyncio.sleep(self._latency_s / 2)
        body = self._service.answer(request.headers["X-TC-Action"], json.loads(request.body))
        await asyncio.sleep(self._latency_s / 2)
        headers = {"retry-after": self._service.retry_after} if "Error" in body else {}
        return HttpAnswer(200, headers, json.dumps({"Response": {**body, "RequestId": "r-1"}}).encode())

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def serving(answer: Callable[[web.Request, bytes], web.Response]) -> AsyncIterator[str]:
    """Serve on a real socket; yield the URL."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request, await request.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
