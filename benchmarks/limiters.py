"""The contestants of `pacing` at one action, CreateAigcImageTask: each limiter as its own documentation shows it.

All but ours stand around the same bare call: aiohttp's session with its defaults, signed by our tc3. As many callers
ask as 20 a second can keep busy for 6 s; without a limiter, 20, or the server would do nothing else.

- aiolimiter 1.3: `AsyncLimiter(20, 1)`, entered around each call, as in its README.
- aiometer 1.0: `run_on_each` with `max_per_second` (and `max_at_once`, the number of callers).
- pyrate-limiter 4.5: `Limiter` over a `BucketAsyncWrapper(InMemoryBucket)`, its README's way in asyncio.
- throttled-py 3.5: `Throttled` from `throttled.asyncio` with GCRA, a burst as large as the rate and a timeout of 1 s
  ("Wait & Retry" in its README).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import aiometer
from aiolimiter import AsyncLimiter
from pydantic import SecretStr
from pyrate_limiter import BucketAsyncWrapper, Duration, InMemoryBucket, Limiter, Rate
from throttled.asyncio import RateLimiterType, Throttled

from mps_aigc_async import AigcClient
from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.wire.mps import LIMITS, Mps

from .server import KEYS, Server

ACTION: Final = "CreateAigcImageTask"
PARAMS: Final = {"Prompt": "x"}
RATE: Final = int(LIMITS[ACTION])
ANSWERED_WITHIN_S: Final = 6
"""There are callers enough to use the whole rate while answers take this long."""
CALLERS: Final = ANSWERED_WITHIN_S * RATE

Post = Callable[[], Coroutine[None, None, bool]]
"""A bare call, which returns whether it was accepted."""

Contestant = Callable[[Server], Coroutine[None, None, None]]
"""Calls as often as it allows itself to, until it is cancelled."""


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Post]:
    dialect = Mps(host=url.removeprefix("http://"))
    credentials = Credentials(KEYS[0], SecretStr(KEYS[1]))
    call = dialect.call(ACTION, PARAMS)
    async with aiohttp.ClientSession() as session:

        async def post() -> bool:
            request = dialect.sign(call, credentials, int(time.time()))
            async with session.post(url, data=request.body, headers=dict(request.headers)) as response:
                return "Error" not in (await response.json())["Response"]

        yield post


async def ours(server: Server) -> None:
    async with AigcClient(server.config(images=1, videos=1, poll_ms=60_000)) as client:
        await _keep_calling(lambda: client.call(ACTION, PARAMS))


async def with_aiolimiter(server: Server) -> None:
    limiter = AsyncLimiter(RATE, 1)
    async with bare(server.url) as post:

        async def call() -> None:
            async with limiter:
                await post()

        await _keep_calling(call)


async def with_aiometer(server: Server) -> None:
    async with bare(server.url) as post:

        async def call(_: int) -> None:
            await post()

        await aiometer.run_on_each(call, range(10_000), max_at_once=CALLERS, max_per_second=RATE)


async def with_pyrate_limiter(server: Server) -> None:
    limiter = Limiter(BucketAsyncWrapper(InMemoryBucket([Rate(RATE, Duration.SECOND)])))
    async with bare(server.url) as post:

        async def call() -> None:
            await limiter.try_acquire_async("create")
            await post()

        await _keep_calling(call)


async def with_throttled(server: Server) -> None:
    throttle = Throttled(using=RateLimiterType.GCRA.value, quota=f"{RATE}/s burst {RATE}", timeout=1)
    async with bare(server.url) as post:

        async def call() -> None:
            if not (await throttle.limit("create")).limited:
                await post()

        await _keep_calling(call)


async def with_nothing(server: Server) -> None:
    async with bare(server.url) as post:
        await _keep_calling(post, RATE)


CONTESTANTS: Final[Mapping[str, Contestant]] = {
    "ours": ours,
    "aiolimiter": with_aiolimiter,
    "aiometer": with_aiometer,
    "pyrate-limiter": with_pyrate_limiter,
    "throttled-py": with_throttled,
    "no limiter": with_nothing,
}


async def _keep_calling(call: Callable[[], Coroutine[None, None, object]], callers: int = CALLERS) -> None:
    async def caller() -> None:
        while True:
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
