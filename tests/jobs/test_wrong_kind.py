"""A task is of one kind: asked about as another it is not found, and never that kind's result."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    AudioRequest,
    ImageRequest,
    InvalidRequest,
    JobState,
    Kind,
    TaskNotFound,
    VideoRequest,
    VideoToAudio,
)
from mps_aigc_async.testing import run, wall

from ..queues import Queues

IMAGE = ImageRequest(id="x", prompt="x", model_name="Hunyuan", model_version="3.0")
VIDEO = VideoRequest(id="x", prompt="x", model_name="Kling", model_version="3.0")


def opened(service: Queues, ledger: Path | None = None) -> AigcClient:
    """A client of the stand-in."""
    return AigcClient(
        service.config(), endpoint="http://127.0.0.1:80", ledger=ledger, transport=lambda: service, wall=wall
    )


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
def test_a_poll_of_the_wrong_kind_ends_soon_and_says_what_to_check(backend: str) -> None:
    """MPS answers it with a bare ResourceNotFound, which no table names; VOD answers with the other task."""

    async def main() -> None:
        service = Queues(backend, run_s=10_000)
        async with opened(service) as client:
            task, began = await client.submit(IMAGE), wall()
        async with opened(service) as client:
            with pytest.raises(
                TaskNotFound, match=r"polled 3 times as a task of kind video.*account, region"
            ) as caught:
                await client.attach("video", task.task_id).wait()
            assert caught.value.task_id == task.task_id
            assert wall() - began < 120
            assert client.statistics().slots[Kind.VIDEO].taken == 0

    run(main())


def test_a_bare_resource_not_found_twice_is_asked_about_again() -> None:
    """A create's answer may be ahead of the service's readers."""

    class Behind(Queues):
        left = 2

        def _polled(self, task_id: str, kind: str = "") -> dict[str, object]:
            self.left -= 1
            return super()._polled(task_id if self.left < 0 else "nobody", kind)

    async def main() -> None:
        async with opened(Behind("mps")) as client:
            assert (await client.generate(IMAGE)).urls

    run(main())


def test_a_resource_of_another_name_that_is_not_found_ends_no_polling() -> None:
    class Missing(Queues):
        left = 5

        def _polled(self, task_id: str, kind: str = "") -> dict[str, object]:
            self.left -= 1
            error = {"Code": "ResourceNotFound.Word", "Message": "no"}
            return super()._polled(task_id, kind) if self.left < 0 else {"Response": {"Error": error}}

    async def main() -> None:
        for backend in ("mps", "vod"):
            async with opened(Missing(backend)) as client:
                assert (await client.generate(IMAGE)).urls

    run(main())


def test_a_job_whose_task_is_not_found_is_asked_about_again_and_not_paid_for_twice(tmp_path: Path) -> None:
    class Gone(Queues):
        known = False

        def _polled(self, task_id: str, kind: str = "") -> dict[str, object]:
            return super()._polled(task_id if self.known else "nobody", kind)

    async def main() -> None:
        service = Gone("mps")
        async with opened(service, tmp_path / "jobs.db") as client:
            with pytest.raises(TaskNotFound, match="check that kind"):
                await client.generate(IMAGE)
            service.known = True
            (job,) = await client.retry_failed()
            assert job.state is JobState.SUBMITTED
            assert (await client.generate(IMAGE)).urls
        assert len(service.tasks) == 1

    run(main())


def test_a_kind_that_the_backend_does_not_make_is_refused_at_once_and_nothing_is_sent() -> None:
    """The relay has no audio: also a chain that ends with one is refused before its video is paid for."""

    async def main() -> None:
        service = Queues("relay")
        async with opened(service) as client:
            audio = AudioRequest(prompt="rain", model_name="GL", model_version="3.0-clip")
            with pytest.raises(InvalidRequest, match="audio"):
                client.attach("audio", "1-AigcAudio-1")
            with pytest.raises(InvalidRequest, match="audio"):
                await client.status("audio", "1-AigcAudio-1")
            with pytest.raises(InvalidRequest, match="audio"):
                await client.submit(audio)
            with pytest.raises(InvalidRequest, match="audio"):
                await client.generate(audio)
            with pytest.raises(InvalidRequest, match="audio"):
                client.check(audio)
            chain = VideoToAudio(video=VIDEO.model_copy(update={"id": None}), audio=audio)
            for outcome in [outcome async for outcome in client.run([audio, chain])]:
                assert isinstance(outcome.error, InvalidRequest)
                assert "audio: the relay makes images and videos only" in str(outcome.error)
        assert (service.polls, service.tasks) == ([], {})

    run(main())


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
def test_what_is_no_kind_and_no_task_id_is_refused_at_once(backend: str) -> None:
    async def main() -> None:
        async with opened(Queues(backend)) as client:
            with pytest.raises(InvalidRequest, match="'film' is no kind"):
                client.attach("film", "1")
            with pytest.raises(InvalidRequest, match="'film' is no kind"):
                await client.status("film", "1")
            with pytest.raises(InvalidRequest, match="no TaskId"):
                client.attach("image", " ")

    run(main())


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
@pytest.mark.parametrize("first", ["image", "video"])
def test_two_who_attach_to_one_task_as_two_kinds_get_no_result_of_each_other(backend: str, first: str) -> None:
    async def main() -> None:
        service = Queues(backend, run_s=300)
        async with opened(service) as client:
            task_id = (await client.submit(IMAGE)).task_id
        async with opened(service) as client:
            kinds = [first, "video" if first == "image" else "image"]
            waits = {kind: asyncio.create_task(client.attach(kind, task_id).wait()) for kind in kinds}
            assert (await waits["image"]).task_id == task_id
            with pytest.raises(TaskNotFound):
                await waits["video"]
            assert {slots.taken for slots in client.statistics().slots.values()} == {0}

    run(main())


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
@pytest.mark.parametrize("running", [True, False])
def test_a_task_that_the_ledger_has_as_an_image_is_no_video(backend: str, running: bool, tmp_path: Path) -> None:
    async def main() -> None:
        service = Queues(backend)
        async with opened(service, tmp_path / "jobs.db") as client:
            task = await client.submit(IMAGE)
            if not running:
                await task.wait()
            polls = len(service.polls)
            with pytest.raises(InvalidRequest, match=r"no video: the ledger has it as the image of x/image"):
                await client.attach("video", task.task_id).wait()
            assert len(service.polls) == polls
            assert (await client.attach("image", task.task_id).wait()).urls
            assert (await task.wait()).urls

    run(main())


def test_a_ledger_that_has_a_kind_which_its_backend_does_not_make_polls_nothing_for_hours(tmp_path: Path) -> None:
    """A row that a hand or another version wrote: it is left, and told, at once."""
    ledger = tmp_path / "jobs.db"

    async def main() -> None:
        service = Queues("relay")
        async with opened(service, ledger) as client:
            task = await client.submit(VIDEO)
        with sqlite3.connect(ledger) as rows:
            rows.execute("UPDATE jobs SET kind = 'audio', job_id = 'x/audio'")
        rows.close()
        async with opened(service, ledger) as client:
            await asyncio.sleep(60)
            assert client.statistics().polling == 0
            assert await client.counts() == {JobState.SUBMITTED: 1}
            assert task.task_id in service.tasks

    run(main())
