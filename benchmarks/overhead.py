"""The cost of a call: the client's CPU for one signed and paced create, from the request's model to the result's.

All contestants send the same create to a server that costs nothing, over plain HTTP and connections kept alive, the
rounds taking turns. The yardstick is `aiohttp` alone: a POST of bytes that are ready, and `json.loads` of the answer.
The official clients are set up as in their README, with its `keepAlive = True`.
"""

import asyncio
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Final

import aiohttp
from pydantic import SecretStr
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.mps.v20190612 import models
from tencentcloud.mps.v20190612.mps_client import MpsClient
from tencentcloud.mps.v20190612.mps_client_async import MpsClient as AsyncMpsClient

from mps_aigc_async import AigcClient, Config, Credentials, ImageRequest
from mps_aigc_async.credentials.keyring import KeyRing
from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.process.account import AccountLimits
from mps_aigc_async.network.calls import Calls
from mps_aigc_async.network.clock import ServiceClock
from mps_aigc_async.network.transport import AiohttpTransport, parse_endpoint
from mps_aigc_async.wire.mps import Mps

from .free_server import free_server
from .record import keep
from .server import KEYS, account
from .table import show

CALLS: Final = 400
ROUNDS: Final = 15
AT_ONCE: Final = 20
UNLIMITED: Final = 1e6
"""Calls per second: the pace is passed as always, and never has to wait."""
MOST_CONFIGURED: Final = 10_000
"""The same where a config names it: the most that it may."""

PROMPT: Final = "a lake by moonlight"
ACTION: Final = "CreateAigcImageTask"

Create = Callable[[], Awaitable[object]]

BARE: Final = "bare aiohttp, json.loads"
CONTESTANTS: Final = (BARE, "ours", "ours, client.call", "ours, client.submit", "official, async", "official, sync")


async def main() -> None:
    # The tasks are left running, which closing warns of.
    logging.getLogger("mps_aigc_async").setLevel(logging.ERROR)
    async with free_server() as url, contestants(url) as creates:
        alone = await _measured(creates, at_once=1)
        together = await _measured({name: creates[name] for name in CONTESTANTS[:-1]}, at_once=AT_ONCE)
    _show(f"CPU per create, one after the other, µs: {ROUNDS} rounds of {CALLS}", alone)
    _show(f"CPU per create, {AT_ONCE} at once, µs: {ROUNDS} rounds of {CALLS}", together)
    keep("overhead", {"alone_us": alone, f"at_once_{AT_ONCE}_us": together})


# --- calls ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def contestants(url: str) -> AsyncIterator[Mapping[str, Create]]:
    """Each one's create, by its name in CONTESTANTS."""
    async with AsyncExitStack() as stack:
        creates = (
            await _bare(url, stack),
            await _calls(url, stack),
            *await _client(url, stack),
            await _official_async(url, stack),
            _official_sync(url),
        )
        yield dict(zip(CONTESTANTS, creates, strict=True))


async def _bare(url: str, stack: AsyncExitStack) -> Create:
    session = await stack.enter_async_context(aiohttp.ClientSession())
    body = json.dumps({"Prompt": PROMPT}).encode()

    async def create() -> object:
        async with session.post(url, data=body) as response:
            return json.loads(await response.read())

    return create


async def _calls(url: str, stack: AsyncExitStack) -> Create:
    endpoint = parse_endpoint(url)
    dialect = Mps(host=endpoint.authority)
    transport = AiohttpTransport(endpoint)
    stack.push_async_callback(transport.close)
    keys = KeyRing(Credentials(KEYS[0], SecretStr(KEYS[1])), time.time)
    clock = ServiceClock(time.time, time.monotonic)
    calls = Calls(
        dialect,
        transport,
        keys,
        AccountLimits(Rates(UNLIMITED), {}, key=LimitsKey("mps", url, "bench")),
        clock=clock,
    )
    request = ImageRequest(prompt=PROMPT)
    return lambda: calls.send(dialect.create(request, None))


async def _client(url: str, stack: AsyncExitStack) -> tuple[Create, Create]:
    config = Config.parse(
        {
            "tencentCloud": account(url),
            "concurrency": {"maxImageTasks": 1_000_000, "pollIntervalMs": 3_600_000},
            "limits": {ACTION: MOST_CONFIGURED},
        }
    )
    client = await stack.enter_async_context(AigcClient(config))
    return (
        lambda: client.call(ACTION, {"Prompt": PROMPT}),
        lambda: client.submit(ImageRequest(prompt=PROMPT)),
    )


async def _official_async(url: str, stack: AsyncExitStack) -> Create:
    client = AsyncMpsClient(Credential(*KEYS), "ap-guangzhou", _profile(url))
    await stack.enter_async_context(client)
    return lambda: client.CreateAigcImageTask(_official_request())


def _official_sync(url: str) -> Create:
    client = MpsClient(Credential(*KEYS), "ap-guangzhou", _profile(url))

    async def create() -> object:
        return client.CreateAigcImageTask(_official_request())

    return create


def _profile(url: str) -> ClientProfile:
    return ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=url.removeprefix("http://"), keepAlive=True))


def _official_request() -> models.CreateAigcImageTaskRequest:
    request = models.CreateAigcImageTaskRequest()
    request.Prompt = PROMPT
    return request


async def _measured(creates: Mapping[str, Create], at_once: int) -> dict[str, list[float]]:
    """Microseconds of CPU per create, by contestant and round."""
    for create in creates.values():
        await _cpu_us(create, at_once)
    gc.collect()
    gc.freeze()  # the collector's walk over imports must cost no contestant anything
    costs: dict[str, list[float]] = {name: [] for name in creates}
    for _ in range(ROUNDS):
        for name, create in creates.items():
            costs[name].append(await _cpu_us(create, at_once))
    return costs


async def _cpu_us(create: Create, at_once: int) -> float:
    async def one_after_the_other() -> None:
        for _ in range(CALLS // at_once):
            await create()

    began = time.process_time()
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return 1e6 * (time.process_time() - began) / CALLS


def _show(title: str, costs: Mapping[str, list[float]]) -> None:
    bare = costs[BARE]
    rows = []
    for name, figures in costs.items():
        ratio = median(cost / base for cost, base in zip(figures, bare, strict=True))
        rows.append((name, f"{median(figures):.0f}", f"{min(figures):.0f}", f"{ratio:.2f}"))
    show(title, ("", "median", "least", "ratio to bare"), rows)
