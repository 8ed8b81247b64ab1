"""Going on with a ledger's requests as its latest batch has them."""

from pathlib import Path

from mps_aigc_async import Budget, ImageRequest, ImageToVideo, VideoRequest
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
