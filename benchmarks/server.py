"""The emulator in a process of its own, so that the client measured has its loop to itself."""

import asyncio
import gc
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from mps_aigc_async import Config
from mps_aigc_async.emulator import Arrival, Emulator, Statistics

KEYS = ("AKIDEXAMPLE", "KEYEXAMPLE")
"""The emulator's own."""


def account(endpoint: str) -> Mapping[str, str]:
    """The config's section with the keys."""
    return {"secretId": KEYS[0], "secretKey": KEYS[1], "endpoint": endpoint}


@dataclass(frozen=True)
class Report:
    """The server's observations."""

    statistics: Statistics
    arrivals: Sequence[Arrival]
    lives: Mapping[str, tuple[float, float]]
    """By TaskId: when the task began and ended at the service (Unix seconds)."""
    prompts: Mapping[str, str]
    """The prompts, by TaskId."""


class Server:
    """The parent's handle."""

    def __init__(self, url: str, pipe: "Connection[str, Any]") -> None:
        self.url = url
        self._pipe = pipe

    async def report(self) -> Report:
        self._pipe.send("report")
        report = await asyncio.to_thread(self._pipe.recv)
        assert isinstance(report, Report)
        return report

    def config(self, images: int, videos: int, poll_ms: int, limits: Mapping[str, float] | None = None) -> Config:
        concurrency = {"maxImageTasks": images, "maxVideoTasks": videos, "pollIntervalMs": poll_ms}
        return Config.parse({"tencentCloud": account(self.url), "concurrency": concurrency, "limits": limits or {}})


Front = Callable[[Emulator], AbstractAsyncContextManager[str]]
"""A front before the emulator, with its URL. A function of a module, since the other process imports it."""


@asynccontextmanager
async def nothing_before(emulator: Emulator) -> AsyncIterator[str]:
    yield emulator.url


@asynccontextmanager
async def serving(front: Front = nothing_before, **settings: Any) -> AsyncIterator[Server]:  # noqa: ANN401 — Emulator's own parameters
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, front, settings), daemon=True)
    process.start()
    theirs.close()  # so that a server that dies is an EOFError here, not a wait for ever
    try:
        yield Server(await asyncio.to_thread(ours.recv), ours)
        ours.send("stop")
    finally:
        ours.close()
        await asyncio.to_thread(process.join)


def _main(pipe: "Connection[Any, str]", front: Front, settings: dict[str, Any]) -> None:
    with suppress(PermissionError):
        os.nice(-10)  # a server that waits for a core, on a busy machine, notes arrivals late: up to 200 ms were seen
    asyncio.run(_serve(pipe, front, settings))


async def _serve(pipe: "Connection[Any, str]", front: Front, settings: dict[str, Any]) -> None:
    async with Emulator(**settings) as emulator, front(emulator) as url:
        gc.collect()
        gc.freeze()  # a collection of all that was imported stops the server for 40 ms: more than the pace allows for
        pipe.send(url)
        while await asyncio.to_thread(pipe.recv) == "report":
            tasks = emulator.service._tasks  # noqa: SLF001 — the truth that no client may see
            lives = {task_id: (task.created_at, task.ends_at) for task_id, task in tasks.items()}
            prompts = {task_id: task.order.prompt for task_id, task in tasks.items()}
            pipe.send(Report(emulator.statistics(), emulator.arrivals, lives, prompts))
