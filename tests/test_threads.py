"""Threads and loops of one process are one account to the service: its rate and its cap hold for all of them."""

import asyncio
from collections.abc import Sequence

from mps_aigc_async import AigcClient, Config, ImageRequest, Outcome
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch import BatchItem

from .support import KEYS

CAP = 6


def config_for(emulator: Emulator, cap: int) -> Config:
    """The emulator's thread and those of the clients share one interpreter: arrivals are judged late now and then."""
    caps = {"maxImageTasks": cap, "pollIntervalMs": 100}
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
        config = config_for(emulator, cap=100)
        threads = [asyncio.to_thread(in_a_loop_of_its_own, config, f"thread-{number}", 8) for number in range(8)]
        judged(emulator, await asyncio.gather(*threads), 64)


async def test_eight_threads_with_a_loop_each_keep_the_cap_together() -> None:
    async with Emulator(speed=600, max_running={"image": CAP}) as emulator:
        config = config_for(emulator, CAP)
        threads = [asyncio.to_thread(in_a_loop_of_its_own, config, f"thread-{number}", 6) for number in range(8)]
        judged(emulator, await asyncio.gather(*threads), 48)
        assert emulator.statistics().most_running["image"] <= CAP


async def test_loops_one_after_another_remember_the_sends_of_those_before() -> None:
    async with Emulator(speed=6000) as emulator:
        config = config_for(emulator, cap=100)
        outcomes = [await asyncio.to_thread(in_a_loop_of_its_own, config, f"loop-{number}", 12) for number in range(6)]
        judged(emulator, outcomes, 72)


async def test_loops_one_after_another_wait_only_until_the_tasks_have_ended_that_those_before_left() -> None:
    """Each loop leaves tasks that fill the cap. Without polls they would keep their slots for half an hour."""

    async def fill(config: Config, name: str) -> None:
        async with AigcClient(config) as client:
            for number in range(CAP):
                await client.submit(ImageRequest(id=f"{name}-{number}", prompt="a lake"))

    async with Emulator(speed=100, max_running={"image": CAP}, image_seconds=(50.0, 50.0)) as emulator:
        config = config_for(emulator, CAP)
        for number in range(6):
            async with asyncio.timeout(60):
                await asyncio.to_thread(asyncio.run, fill(config, f"loop-{number}"))
        statistics = emulator.statistics()
        assert statistics.created["image"] == 6 * CAP
        assert statistics.most_running["image"] <= CAP
        assert statistics.refused == {}
