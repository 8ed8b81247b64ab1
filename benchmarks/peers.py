"""The contestants of `compare`: each as its own documentation shows it, in the loop that a user writes around it.

- Ours: `AigcClient.run`, as in the README, with the ledger in memory: the others remember nothing either. Durable: the
  same with the ledger in a file, as the README has it first.
- Semaphore: the official SDK's async client as its README has it ("异步调用": `async with`, one client for all calls),
  with the `keepAlive = True` of the same README ("详细版"), so that connections are used again. The service caps the
  tasks that run at once, so its user holds a semaphore from the create until DONE.
- StandardRetryer: the same with `retry_async.StandardRetryer(max_attempts=3)`, as the SDK's README and its async
  example (examples/cvm/v20170312/describe_instances_async.py) set it; the backoff is its own, 2ⁿ s.
- aiolimiter: semaphore, and `AsyncLimiter(limit, 1)` around each action's calls, as aiolimiter's README shows.
- aiolimiter, no bursts: the same with `AsyncLimiter(1, 1 / limit)`, which aiolimiter's documentation ("Bursting") has
  for who doesn't want to permit bursts.

An exception ends the job that it befell and no other; nothing of ours helps a peer.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiolimiter import AsyncLimiter
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.common.retry_async import StandardRetryer
from tencentcloud.mps.v20190612 import models
from tencentcloud.mps.v20190612.mps_client_async import MpsClient

from mps_aigc_async import AigcClient, Event, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.model import events
from mps_aigc_async.model.results import steps_made
from mps_aigc_async.wire.mps import LIMITS

from .server import KEYS, Server

POLL_S = 1.0


@dataclass(frozen=True)
class Work:
    """The work of a contestant: images, or chains of an image and the video that begins with it."""

    jobs: int
    chains: bool
    images: int
    """At most so many at once; the same for `videos`."""
    videos: int = 1


Seen = dict[str, float]
"""By TaskId: when the caller was told that the task is done (Unix seconds)."""

Contestant = Callable[[Server, Work, Seen], Coroutine[None, None, int]]
"""Does the work and returns how many jobs' results the caller has in the end."""

Limits = Mapping[str, AsyncLimiter]
"""By action."""


async def ours(server: Server, work: Work, notes: Seen) -> int:
    return await _ours(server, work, notes, ledger=None)


async def ours_durable(server: Server, work: Work, notes: Seen) -> int:
    with TemporaryDirectory() as folder:
        return await _ours(server, work, notes, ledger=Path(folder) / "jobs.db")


async def _ours(server: Server, work: Work, notes: Seen, *, ledger: Path | None) -> int:
    def hear(event: Event) -> None:
        if isinstance(event, events.Done):
            notes[event.task_id] = time.time()

    successes = 0
    config = server.config(work.images, work.videos, int(POLL_S * 1000))
    async with AigcClient(config, ledger=ledger) as client:
        client.on_event(hear)  # a chain's image ends before there is an outcome
        async for outcome in client.run(_request(number, work) for number in range(work.jobs)):
            if (result := outcome.result) is not None:
                last = steps_made(result)[-1]
                notes[last.task_id] = time.time()  # a little after its event: now it is in the caller's hands
                successes += 1
    return successes


def _request(number: int, work: Work) -> ImageRequest | ImageToVideo:
    image = ImageRequest(prompt=f"picture {number}")
    return ImageToVideo(image=image, video=VideoRequest(prompt=f"film {number}")) if work.chains else image


async def with_semaphore(server: Server, work: Work, notes: Seen) -> int:
    return await _official(server, work, notes)


async def with_retryer(server: Server, work: Work, notes: Seen) -> int:
    return await _official(server, work, notes, retryer=StandardRetryer(max_attempts=3))


async def with_limiter(server: Server, work: Work, notes: Seen) -> int:
    limits = {action: AsyncLimiter(limit, 1) for action, limit in LIMITS.items()}
    return await _official(server, work, notes, limits=limits)


async def with_limiter_without_bursts(server: Server, work: Work, notes: Seen) -> int:
    limits = {action: AsyncLimiter(1, 1 / limit) for action, limit in LIMITS.items()}
    return await _official(server, work, notes, limits=limits)


CONTESTANTS: Mapping[str, Contestant] = {
    "ours": ours,
    "ours, durable": ours_durable,
    "official SDK, semaphore": with_semaphore,
    "… + its StandardRetryer": with_retryer,
    "… + aiolimiter": with_limiter,
    "… + aiolimiter, no bursts": with_limiter_without_bursts,
}


async def _official(
    server: Server, work: Work, notes: Seen, *, retryer: StandardRetryer | None = None, limits: Limits | None = None
) -> int:
    http = HttpProfile(protocol="http", endpoint=server.url.removeprefix("http://"), keepAlive=True)
    profile = ClientProfile(httpProfile=http, retryer=retryer)
    async with MpsClient(Credential(*KEYS), "ap-guangzhou", profile) as client:
        user = _User(client, work, notes, limits or {})
        jobs = [user.job(number) for number in range(work.jobs)]
        ends = await asyncio.gather(*jobs, return_exceptions=True)
    return sum(not isinstance(end, BaseException) for end in ends)


class _User:
    """The code of a user of the official SDK: create under a semaphore, then sleep and poll until DONE."""

    def __init__(self, client: MpsClient, work: Work, notes: Seen, limits: Limits) -> None:
        self._client = client
        self._chains = work.chains
        self._seen = notes
        self._limits = limits
        self._images = asyncio.Semaphore(work.images)
        self._videos = asyncio.Semaphore(work.videos)

    async def job(self, number: int) -> None:
        image = models.CreateAigcImageTaskRequest()
        image.Prompt = f"picture {number}"
        async with self._images:
            made = await self._made("Image", image)
        if self._chains:
            video = models.CreateAigcVideoTaskRequest()
            video.Prompt, video.ImageUrl = f"film {number}", made.ImageUrls[0]
            async with self._videos:
                await self._made("Video", video)

    async def _made(self, kind: str, create: Any) -> Any:  # noqa: ANN401 — the SDK has no types
        task = getattr(models, f"DescribeAigc{kind}TaskRequest")()
        task.TaskId = (await self._call(f"CreateAigc{kind}Task", create)).TaskId
        while True:
            await asyncio.sleep(POLL_S)
            description = await self._call(f"DescribeAigc{kind}Task", task)
            if description.Status == "DONE":
                self._seen[task.TaskId] = time.time()
                return description

    async def _call(self, action: str, request: Any) -> Any:  # noqa: ANN401 — as above
        limit: AbstractAsyncContextManager[None] = self._limits.get(action, nullcontext())
        async with limit:
            return await getattr(self._client, action)(request)
