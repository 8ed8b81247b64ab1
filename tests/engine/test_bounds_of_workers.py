"""Workers within bounds: together they stay below them, begin no chain without room for its end, and lose nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import NoneType

import pytest

from mps_aigc_async import AigcClient, Budget, BudgetReached, Config, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.engine.batch_progress import progress_of
from mps_aigc_async.engine.workers import queue
from mps_aigc_async.model.errors import ResultExpired
from mps_aigc_async.model.states import JobState
from mps_aigc_async.sharing.connection import Connection
from mps_aigc_async.sharing.database_url import DatabaseUrl

from ..support import KEYS
from .test_workers import VIDEO, created, images, items, outcomes, text_of, url, working

__all__ = ["url"]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=600) as emulator:
        yield emulator


def chains(number: int) -> list[ImageToVideo]:
    video = VideoRequest(prompt="wind", duration=5)
    return [ImageToVideo(id=f"chain-{n}", image=ImageRequest(prompt=f"lake {n}"), video=video) for n in range(number)]


def client_of(emulator: Emulator, url: DatabaseUrl) -> AigcClient:
    concurrency = {"maxImageTasks": 3, "maxVideoTasks": 3, "pollIntervalMs": 100}
    prices = {"image": [{"each": 0.2}], "video": [{"second": 0.5}]}
    config = {"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": concurrency, "prices": prices}
    return AigcClient(Config.parse(config), ledger=text_of(url))


async def work_within(emulator: Emulator, url: DatabaseUrl, budget: Budget, workers: int = 1) -> None:
    """Let workers with clients of their own run requests until each has reached the bound."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(emulator, url)) for _ in range(workers)]
        ends = await asyncio.gather(*(client.worker(budget=budget).run() for client in clients), return_exceptions=True)
    assert [type(end) for end in ends] == workers * [BudgetReached]


async def test_a_worker_ends_at_its_bound_and_its_other_requests_wait(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(6), text_of(url))
    await work_within(emulator, url, Budget(images=2))
    assert created(emulator) == {"image": 2}
    progress = await progress_of(url)
    assert (progress.ends, progress.failures, progress.waiting) == (2, 0, 4)
    assert await items(url) == {"todo": 4}
    await work_within(emulator, url, Budget(images=5))
    assert created(emulator) == {"image": 5}
    async with working(emulator, url):
        assert Counter(type(end).__name__ for end in (await outcomes(url)).values()) == {"ImageResult": 6}
    assert created(emulator) == {"image": 6}


@pytest.mark.parametrize(
    ("budget", "whole"), [(Budget(images=5), 5), (Budget(video_seconds=24), 4), (Budget(cost=8.2), 3)]
)
async def test_workers_with_one_bound_make_whole_chains_up_to_it(
    emulator: Emulator, url: DatabaseUrl, budget: Budget, whole: int
) -> None:
    await queue(chains(12), text_of(url))
    await work_within(emulator, url, budget, workers=3)
    assert created(emulator) == {"image": whole, "video": whole}
    progress = await progress_of(url)
    assert (progress.ends, progress.failures) == (whole, 0)
    assert progress.jobs.get(JobState.SUBMITTED, 0) == 0


@pytest.mark.parametrize("first", [Budget(video_seconds=9), None], ids=["within the bound", "without a bound"])
async def test_a_chain_that_a_worker_has_left_keeps_its_room(
    emulator: Emulator, url: DatabaseUrl, first: Budget | None
) -> None:
    """Its image is paid for; a worker with the same bound that begins later must leave the video's seconds to it."""
    await queue(chains(1), text_of(url))
    async with client_of(emulator, url) as client:
        worker = client.worker(budget=first)
        running = asyncio.create_task(worker.run())
        while not created(emulator):  # noqa: ASYNC110 — the emulator tells nobody
            await asyncio.sleep(0)
        worker.stop()
        await running
    assert created(emulator) == {"image": 1}
    await queue(
        [*chains(1), *(VideoRequest(id=f"film-{n}", prompt="wind", duration=5) for n in range(3))], text_of(url)
    )
    await work_within(emulator, url, Budget(video_seconds=9), workers=2)
    ends = await progress_of(url)
    assert (ends.ends, ends.failures) == (1, 0)
    assert created(emulator) == {"image": 1, "video": 1}
    async with working(emulator, url):
        assert {type(end).__name__ for end in (await outcomes(url)).values()} == {"ImageToVideoResult", "VideoResult"}


@pytest.mark.parametrize("is_queued", [True, False])
async def test_a_chain_whose_image_has_expired_keeps_no_room(
    emulator: Emulator, url: DatabaseUrl, is_queued: bool
) -> None:
    """Its video stays planned."""
    budget, films = Budget(video_seconds=5), [VideoRequest(id=f"film-{n}", prompt="wind", duration=5) for n in range(2)]
    await queue(chains(1), text_of(url))
    async with client_of(emulator, url) as client:
        worker = client.worker(budget=budget)
        running = asyncio.create_task(worker.run())
        while not created(emulator):  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        worker.stop()
        await running
        while not (await client.counts()).get(JobState.DONE):  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
    connection = Connection(url)
    await connection.run(("UPDATE mps_aigc_ledger.jobs SET expires_at = 1 WHERE state = 'done'", {}))
    await connection.close()
    if is_queued:
        await queue([*chains(1), *films], text_of(url))
        for _ in range(2):  # the first one may have reached its bound before the chain failed
            await work_within(emulator, url, budget)
        assert (await progress_of(url)).ends == 2
    else:
        async with client_of(emulator, url) as client:
            batches: list[list[BatchItem]] = [[*chains(1)], [*films]]
            ends = [type(one.error) for batch in batches async for one in client.run(batch, budget=budget)]
        assert Counter(ends) == {ResultExpired: 1, NoneType: 1, BudgetReached: 1}
    assert created(emulator) == {"image": 1, "video": 1}


async def test_a_chain_whose_video_was_refused_keeps_no_room(emulator: Emulator, url: DatabaseUrl) -> None:
    emulator.faults.add(action=VIDEO, fault="error", code="InvalidParameterValue.Prompt", times=1)
    await queue(chains(1), text_of(url))
    async with client_of(emulator, url) as client:
        worker = client.worker(budget=Budget(video_seconds=5))
        running = asyncio.create_task(worker.run())
        await outcomes(url)
        await queue(chains(3), text_of(url))
        with pytest.raises(BudgetReached):
            await running
    assert created(emulator) == {"image": 2, "video": 1}
    assert (await progress_of(url)).ends == 2


async def test_a_worker_without_a_bound_goes_on(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(12), text_of(url))
    async with client_of(emulator, url) as client:
        worker = client.worker(concurrency=1)
        running = asyncio.create_task(worker.run())
        await work_within(emulator, url, Budget(images=0))
        assert len(await outcomes(url)) == 12
        worker.drain()
        await running
    assert created(emulator) == {"image": 12}
