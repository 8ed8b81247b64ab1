"""Several processes that call one service at once: the members of `shared`, each saturating its actions."""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from limits import RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from psycopg_pool import ConnectionPool
from pyrate_limiter import Duration, Limiter, PostgresBucket, Rate, SQLiteBucket

from mps_aigc_async import AigcClient, Config
from mps_aigc_async.wire.mps import LIMITS

from .limiters import ANSWERED_WITHIN_S, bare
from .server import account

PROCESSES: Final = 4


@dataclass(frozen=True)
class Order:
    """The work of one process of a crowd."""

    number: int
    url: str
    seconds: float
    store: str
    """The config's `limitStore`, or the place where a peer counts."""
    params: Mapping[str, Mapping[str, object]]
    """The parameters of each action that is called."""
    jitter_ms: int = 25
    clock_error_s: float = 0.0
    """How far this process's wall clock is ahead."""


@dataclass(frozen=True)
class Part:
    """The report of one process of a crowd."""

    accepted: Counter[str] = field(default_factory=Counter)
    """Calls that were accepted, by action."""
    cpu_s: float = 0.0


Member = Callable[[Order, Counter[str]], Coroutine[Any, Any, None]]
"""Calls as often as it allows itself to, and counts, until it is cancelled."""


def crowd(member: Member, orders: Sequence[Order]) -> list[Part]:
    """Run a process for each order, at the same time. Blocking."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in orders]
    processes = [
        context.Process(target=_main, args=(theirs, member, order), daemon=True)
        for (_, theirs), order in zip(pipes, orders, strict=True)
    ]
    for process, (_, theirs) in zip(processes, pipes, strict=True):
        process.start()
        theirs.close()
    for ours, _ in pipes:
        ours.recv()  # it has imported all that it needs
    for ours, _ in pipes:
        ours.send("go")
    parts = [ours.recv() for ours, _ in pipes]
    for process in processes:
        process.join()
    return parts


def _main(pipe: "Connection[Any, Any]", member: Member, order: Order) -> None:
    pipe.send("ready")
    pipe.recv()
    accepted = Counter[str]()
    before = time.process_time()
    asyncio.run(_for(order.seconds, member(order, accepted)))
    pipe.send(Part(accepted, time.process_time() - before))


async def _for(seconds: float, calling: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await calling


async def _saturate(order: Order, accepted: Counter[str], call: Callable[[str], Coroutine[Any, Any, bool]]) -> None:
    async def caller(action: str) -> None:
        while True:
            is_accepted = await call(action)
            accepted[action] += is_accepted  # read after the wait: other callers count meanwhile

    async with asyncio.TaskGroup() as group:
        for action in order.params:
            for _ in range(int(LIMITS[action]) * ANSWERED_WITHIN_S // PROCESSES):
                group.create_task(caller(action))


async def ours(order: Order, accepted: Counter[str]) -> None:
    config = Config.parse(
        {
            "tencentCloud": account(order.url),
            "limitStore": order.store,
            "pacing": {"jitterMs": order.jitter_ms},
            "concurrency": {"pollIntervalMs": 60_000},
        }
    )

    async with AigcClient(config, wall=lambda: time.time() + order.clock_error_s) as client:

        async def call(action: str) -> bool:
            await client.call(action, order.params[action])
            return True

        await _saturate(order, accepted, call)


async def with_pyrate_limiter(order: Order, accepted: Counter[str]) -> None:
    """pyrate-limiter with the bucket that its README has for several processes on a host, or for hosts."""
    (action,) = order.params
    rates = [Rate(int(LIMITS[action]), Duration.SECOND)]
    if order.store.startswith("postgresql://"):
        bucket = PostgresBucket(ConnectionPool(order.store, open=True), "creates", rates)
    else:
        bucket = SQLiteBucket.init_from_file(rates, db_path=order.store, use_file_lock=True)
    limiter = Limiter(bucket)
    async with bare(order.url) as post:

        async def call(_: str) -> bool:
            await limiter.try_acquire_async("create")
            return await post()

        await _saturate(order, accepted, call)


async def with_limits(order: Order, accepted: Counter[str]) -> None:
    """limits with its strictest strategy in Redis. It refuses and does not wait: `get_window_stats` says when to ask
    again."""
    (action,) = order.params
    rate = RateLimitItemPerSecond(int(LIMITS[action]))
    limiter = MovingWindowRateLimiter(storage_from_string(f"async+{order.store}"))
    async with bare(order.url) as post:

        async def call(_: str) -> bool:
            while not await limiter.hit(rate, "create"):
                window = await limiter.get_window_stats(rate, "create")
                await asyncio.sleep(max(0.0, window.reset_time - time.time()))
            return await post()

        await _saturate(order, accepted, call)
