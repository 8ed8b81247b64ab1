"""A run within bounds: creating stops before them, over all runs of a ledger, and goes on with larger ones."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    AudioRequest,
    Budget,
    BudgetReached,
    Config,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobState,
    VideoRequest,
)
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.testing import run

from ..support import client_of, configured, in_memory, statistics

PRICES = {"image": [{"each": 0.2}], "video": [{"second": 0.5}]}


def priced(images: int = 4, videos: int = 2) -> Config:
    return configured(images, videos, prices=PRICES)


def chain(number: int) -> ImageToVideo:
    video = VideoRequest(prompt="wind", duration=5)
    return ImageToVideo(id=f"shot-{number}", image=ImageRequest(prompt="a lake"), video=video)


CHAINS = [chain(number) for number in range(12)]


async def ends(client: AigcClient, batch: list[BatchItem], budget: Budget) -> Mapping[str, int]:
    """Run a batch; count the outcomes by their error."""
    ends = Counter[str]()
    async for outcome in client.run(batch, budget=budget):
        ends[type(outcome.error).__name__] += 1
    return ends


def made(service: Service) -> tuple[int, int]:
    created = statistics(service)
    return created["image"], created["video"]


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "jobs.db" if request.param == "file" else None


@pytest.mark.parametrize(
    ("budget", "whole"),
    [
        (Budget(images=3), 3),
        (Budget(video_seconds=24), 4),  # no image is made whose video has no room
        (Budget(cost=2.7), 1),
        (Budget(cost=2.69), 0),
        (Budget(images=5, video_seconds=100, cost=10), 3),
        (Budget(images=0), 0),
        (Budget(), 12),
    ],
)
def test_chains_are_made_whole_up_to_the_bound(ledger: Path | None, budget: Budget, whole: int) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, priced(), ledger=ledger) as client:
            assert (await ends(client, [*CHAINS], budget))["NoneType"] == whole
            assert made(service) == (whole, whole)
            counts = await client.counts()
            assert counts.get(JobState.PLANNED, 0) == 2 * (12 - whole)

    run(main())


def test_a_larger_bound_goes_on_where_the_smaller_one_ended(ledger: Path | None) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, priced(), ledger=ledger) as client:
            for most in (2, 2, 7):
                assert await ends(client, [*CHAINS], Budget(images=most)) == {
                    "NoneType": most, "BudgetReached": 12 - most,
                }  # fmt: skip
                assert made(service) == (most, most)

    run(main())


def test_the_bound_counts_what_an_earlier_process_has_made(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, priced(), ledger=tmp_path / "jobs.db") as client:
            await client.generate(ImageRequest(id="single", prompt="a lake"))
            await client.redo("single")
        async with client_of(service, priced(), ledger=tmp_path / "jobs.db") as client:
            assert (await ends(client, [*CHAINS], Budget(images=3)))["NoneType"] == 1

    run(main())


def test_prices_that_came_later_are_counted_for_what_is_made(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(4, 2), ledger=tmp_path / "jobs.db") as client:
            await ends(client, [*CHAINS[:2]], Budget())
        async with client_of(service, priced(), ledger=tmp_path / "jobs.db") as client:
            assert (await ends(client, [*CHAINS], Budget(cost=8.1)))["NoneType"] == 3

    run(main())


def test_a_task_that_ran_on_is_counted_too(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(4, 2), ledger=tmp_path / "jobs.db") as client:
            await client.submit(VideoRequest(id="film", prompt="wind", duration=5))
        async with client_of(service, priced(), ledger=tmp_path / "jobs.db") as client:
            assert (await ends(client, [*CHAINS], Budget(cost=5.2)))["NoneType"] == 1

    run(main())


def test_a_failed_task_is_not_billed_and_not_counted() -> None:
    async def main() -> None:
        service = in_memory()
        failing = [ImageRequest(prompt=f"fail-later {number}") for number in range(3)]
        async with client_of(service, priced()) as client:
            assert await ends(client, [*failing], Budget(images=3)) == {"TaskFailed": 3}
            assert (await ends(client, [*CHAINS], Budget(images=3)))["NoneType"] == 3

    run(main())


@pytest.mark.parametrize(
    ("request_", "budget", "why"),
    [
        (VideoRequest(prompt="x", model_name="Hunyuan", model_version="1.5"), Budget(video_seconds=9), "`duration`"),
        (AudioRequest(prompt="x", model_name="GL"), Budget(cost=9), "GL has no price"),
    ],
)
def test_an_amount_that_nobody_knows_is_refused_before_it_is_paid(
    request_: BatchItem, budget: Budget, why: str
) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, priced()) as client:
            [outcome] = [outcome async for outcome in client.run([request_], budget=budget)]
            assert isinstance(outcome.error, InvalidRequest)
            assert why in str(outcome.error)
            assert sum(statistics(service).values()) == 0

    run(main())


def test_the_refusal_names_the_job_and_the_way_on() -> None:
    async def main() -> None:
        async with client_of(in_memory(), priced()) as client:
            [outcome] = [outcome async for outcome in client.run([CHAINS[0]], budget=Budget(images=0))]
            assert isinstance(outcome.error, BudgetReached)
            assert outcome.error.job_id == "shot-0/image"
            assert "larger bound" in str(outcome.error)

    run(main())


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "LimitExceeded.TooManyTasks"])
def test_a_begun_chain_keeps_the_room_for_its_video_though_that_is_refused_for_now(code: str) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(20, 20), video_seconds=(30, 30))
        service.faults.add(action="CreateAigcVideoTask", fault="error", code=code, times=1)
        async with client_of(service, priced()) as client:
            assert (await ends(client, [*CHAINS], Budget(video_seconds=10)))["NoneType"] == 2
            assert made(service) == (2, 2)

    run(main())


def test_a_request_that_was_refused_for_now_keeps_its_room() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcVideoTask", fault="error", code="RequestLimitExceeded", times=1)
        film = VideoRequest(id="film", prompt="wind", duration=5)
        async with client_of(service, priced()) as client:
            batch: list[BatchItem] = [film, *CHAINS]
            assert (await ends(client, batch, Budget(video_seconds=5)))["NoneType"] == 1
            assert made(service) == (0, 1)

    run(main())


def test_a_run_that_was_stopped_finishes_the_chains_that_it_had_begun(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(20, 20), video_seconds=(30, 30))
        budget = Budget(video_seconds=10)
        async with client_of(service, priced(), ledger=tmp_path / "jobs.db") as client:
            async with client.run(CHAINS, budget=budget):
                await asyncio.sleep(10)
            assert made(service) == (2, 0)
        async with client_of(service, priced(), ledger=tmp_path / "jobs.db") as client:
            batch: list[BatchItem] = [*reversed(CHAINS)]  # new ones first
            assert (await ends(client, batch, budget))["NoneType"] == 2
            assert made(service) == (2, 2)

    run(main())
