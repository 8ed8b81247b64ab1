"""Going on with a ledger's requests as its latest batch has them."""

from pathlib import Path

from mps_aigc_async import Budget, ImageRequest, ImageToVideo, VideoRequest, VideoResult
from mps_aigc_async.testing import run

from ..support import client_of, in_memory, statistics


def test_a_step_that_an_edit_has_left_out_is_not_made_and_holds_no_room(tmp_path: Path) -> None:
    service, ledger = in_memory(), tmp_path / "jobs.db"
    picture = ImageRequest(prompt="a lake")
    chain = ImageToVideo(id="a", image=picture, video=VideoRequest(prompt="ripples", duration=5))

    async def main() -> None:
        async with client_of(service, ledger=ledger) as client:
            assert [one.ok async for one in client.run([chain], budget=Budget(images=0))] == [False]
            assert [one.ok async for one in client.run([picture.model_copy(update={"id": "a"})])] == [True]
            assert await client.resume() == []
            assert statistics(service) == {"image": 1, "video": 0, "audio": 0}

            other = chain.model_copy(update={"id": "b"})
            bound = Budget(images=2, video_seconds=5)
            assert [one.error async for one in client.run([other], budget=bound)] == [None]
            assert [one.error async for one in client.run([chain])] == [None]  # the step is back
        assert statistics(service) == {"image": 2, "video": 2, "audio": 0}

    run(main())


def test_a_first_step_that_an_edit_has_left_out_is_not_made_either(tmp_path: Path) -> None:
    service, ledger = in_memory(), tmp_path / "jobs.db"
    chain = ImageToVideo(id="a", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="rain", duration=5))
    film = VideoRequest(id="a", prompt="rain", duration=5)

    async def main() -> None:
        async with client_of(service, ledger=ledger) as client:
            assert [one.ok async for one in client.run([chain], budget=Budget(images=0))] == [False]
            assert [one.ok async for one in client.run([film])] == [True]
            assert await client.resume() == []
            assert isinstance(await (await client.job("a")).result(), VideoResult)
            assert [one.ok async for one in client.run([film])] == [True]
            assert await client.new_version("a") == "a@2"
            assert statistics(service) == {"image": 0, "video": 1, "audio": 0}

    run(main())


def test_a_refused_step_that_an_edit_has_left_out_is_not_retried(tmp_path: Path) -> None:
    service, ledger = in_memory(), tmp_path / "jobs.db"
    chain = ImageToVideo(
        id="a", image=ImageRequest(prompt="forbidden-content"), video=VideoRequest(prompt="rain", duration=5)
    )

    async def main() -> None:
        async with client_of(service, ledger=ledger) as client:
            assert [one.ok async for one in client.run([chain])] == [False]
            assert [one.ok async for one in client.run([VideoRequest(id="a", prompt="rain", duration=5)])] == [True]
            await client.retry_failed(only=lambda _: True)
            assert await client.resume() == []
            assert statistics(service) == {"image": 0, "video": 1, "audio": 0}

    run(main())
