"""Threads and loops of one process are one account to the service: its rate holds for all of them."""

import asyncio
from collections.abc import Sequence

from mps_aigc_async import AigcClient, Config, ImageRequest, Outcome
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch import BatchItem

from .support import KEYS


def config_for(emulator: Emulator) -> Config:
    """The emulator's thread and those of the clients share one interpreter: arrivals are judged late now and then."""
    caps = {"maxImageTasks": 100, "pollIntervalMs": 100}
    cloud = {**KEYS, "endpoint": emulator.url}
    return Config.parse({"tencentCloud": cloud, "concurrency": caps, "pacing": {"jitterMs": 300}})


async def batch(config: Config, name: str, count: int) -> list[Outcome[BatchItem]]:
    requests = [ImageRequest(id=f"{name}-{number}", prompt="a lake") for number in range(count)]
    async with AigcClient(config) as client:
        return [outcome async for outcome in client.run(requests)]


def in_a_loop_of_its_own(config: Config, name: str, count: int) -> list[Outcome[BatchItem]]:
    return asyncio.run(batch(config, name, count))


def judged(emulator: Emulator, outcomes: Sequence[Sequence[Outcome[BatchItem]]], expected: int) -> None:
    assert [outcome.error for one in outcomes for outcome in one] == [None] * expected
    statistics = emulator.statistics()
    assert statistics.created["image"] == expected
    assert statistics.refused == {}


async def test_eight_threads_with_a_loop_each_keep_the_rate_together() -> None:
    async with Emulator(speed=600) as emulator:
        config = config_for(emulator)
        threads = [asyncio.to_thread(in_a_loop_of_its_own, config, f"thread-{number}", 8) for number in range(8)]
        judged(emulator, await asyncio.gather(*threads), 64)


async def test_loops_one_after_another_remember_the_sends_of_those_before() -> None:
    async with Emulator(speed=6000) as emulator:
        config = config_for(emulator)
        outcomes = [await asyncio.to_thread(in_a_loop_of_its_own, config, f"loop-{number}", 12) for number in range(6)]
        judged(emulator, outcomes, 72)
