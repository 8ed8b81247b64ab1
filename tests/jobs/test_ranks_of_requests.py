"""The order of the creates of a batch: that of its requests, whatever each has to do before."""

from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, Budget, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.requests import Request
from mps_aigc_async.testing import run

from ..support import client_of, configured, in_memory


def chain(number: int) -> ImageToVideo:
    image, video = ImageRequest(prompt=f"c{number}"), VideoRequest(prompt=f"v{number}", duration=5)
    return ImageToVideo(id=f"chain-{number}", image=image, video=video)


def image(number: int) -> ImageRequest:
    return ImageRequest(id=f"image-{number}", prompt=f"i{number}")


MIXED: list[BatchItem] = [
    image(0),
    chain(0),
    image(1),
    {"image": {"promt": ""}},
    chain(1),
    chain(2),
    *map(image, range(2, 9)),
]
IN_ORDER = ["i0", "c0", "i1", "c1", "c2", *(f"i{number}" for number in range(2, 9))]


def images_of(service: Service) -> list[str]:
    return [task.prompt for task in service.statistics().tasks if not task.prompt.startswith("v")]


async def run_all(client: AigcClient, budget: Budget | None = None) -> list[str]:
    return [outcome.job_id async for outcome in client.run(MIXED, budget=budget) if outcome.ok]


@pytest.mark.parametrize("with_file", [False, True])
@pytest.mark.parametrize("caps", [3, 20])
def test_images_are_created_in_the_order_of_the_batch(tmp_path: Path, with_file: bool, caps: int) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db" if with_file else None
        async with client_of(service, configured(images=caps, videos=1), ledger=ledger) as client:
            assert len(await run_all(client)) == len(IN_ORDER)
        assert images_of(service) == IN_ORDER

    run(main())


def test_a_bound_makes_the_first_requests_of_the_batch(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=9, videos=9), ledger=tmp_path / "jobs.db") as client:
            assert sorted(await run_all(client, Budget(images=4))) == ["chain-0", "chain-1", "image-0", "image-1"]
            assert sorted(await run_all(client, Budget(images=6))) == [
                "chain-0", "chain-1", "chain-2", "image-0", "image-1", "image-2",
            ]  # fmt: skip
        assert images_of(service) == IN_ORDER[:6]

    run(main())


def test_enqueued_requests_are_created_in_their_order() -> None:
    async def main() -> None:
        service = in_memory()
        requests: list[Request] = [image(0), chain(0), chain(1), *map(image, range(1, 9))]
        async with client_of(service, configured(images=2, videos=1)) as client:
            for job in [client.enqueue(request) for request in requests]:
                await job.result()
        assert images_of(service) == ["i0", "c0", "c1", *(f"i{number}" for number in range(1, 9))]

    run(main())


def test_requests_that_wait_for_something_else_hold_up_nobody() -> None:
    """The second and third chain wait for the video slot, and the images pass: 3 images run at once all the time."""

    async def main() -> None:
        service = in_memory(image_seconds=(60, 60), video_seconds=(1500, 1500))
        async with client_of(service, configured(images=3, videos=1)) as client:
            requests: list[BatchItem] = [*map(chain, range(8)), *map(image, range(12))]
            async for outcome in client.run(requests):
                if len(images_of(service)) == 20:
                    break
                assert outcome.ok
        ends = [task.created_at for task in service.statistics().tasks if task.prompt.startswith("i")]
        assert max(ends) - min(ends) < 12 * 60, "before the first video has ended"

    run(main())
