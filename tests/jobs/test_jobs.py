"""One job's life: each way a create can end, cancellation at each of its awaits, and what the ledger then holds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mps_aigc_async import (
    DownloadError,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobState,
    Kind,
    VideoRequest,
)
from mps_aigc_async.engine.batch import READ_AHEAD
from mps_aigc_async.limits import LEAD_S
from mps_aigc_async.model import events
from mps_aigc_async.network.download_retries import Fault
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.testing import run, wall

from ..support import Heard, accepted, client_of, configured, in_memory
from .support import CAT, row_of


class Unfetchable(Downloads):
    """Every attempt fails after a second; `times` of them, then there is a file."""

    times = 10**6

    async def _attempt(self, url: str, part: object, target: Path, *_: object) -> Path:  # noqa: ARG002 — as overridden
        await asyncio.sleep(1)
        self.times -= 1
        if self.times >= 0:
            raise Fault(f"cannot fetch {url.partition('?')[0]}: HTTP 503")
        target.touch()
        return target


def test_a_job_goes_through_its_states_and_says_so() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            heard = Heard(client)
            result = await client.generate(CAT)
            assert heard.names("cat/image") == ["Planned", "Paced", "Submitted", "Done"]
            assert result.urls
            assert result.expires_at is not None
            # Never later than the truth: the URL lives 12 h from the task's end, which a poll saw at most 5 s later.
            left = result.expires_at.timestamp() - wall()
            assert 12 * 3600 - 11 < left <= 12 * 3600
            assert await client.counts() == {JobState.DONE: 1}
        assert service.statistics(wall()).created == {"image": 1, "video": 0, "audio": 0}

    run(main())


def test_the_ledger_knows_what_was_sent_and_where_the_time_went() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        service.faults.add(fault="error", code="RequestLimitExceeded", times=2)
        config = configured(mps={"imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"}})
        async with client_of(service, config, latency_s=0.1) as client:
            await client.generate(CAT)
            job = await row_of(client, "cat/image")
        created = [arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
        assert job.attempts == len(created) == 3
        assert job.filled_in == {"model_name": "Hunyuan", "model_version": "3.0"}
        # 50 ms on the way there, 50 ms back.
        assert job.sent_at == pytest.approx(created[-1] - 0.05, abs=0.01)
        assert job.submitted_at == pytest.approx(created[-1] + 0.05, abs=0.01)
        # A tenth of the 60 s in the queue; polled every 5 s.
        assert job.running_at == pytest.approx(created[-1] + 10, abs=1)
        assert job.unfinished_at == pytest.approx(created[-1] + 57.5, abs=3)
        assert job.ended_at == pytest.approx((job.unfinished_at or 0) + 5, abs=0.3)

    run(main())


def test_a_chains_first_frame_is_among_what_was_filled_in() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            chain = ImageToVideo(id="a", image=ImageRequest(prompt="a"), video=VideoRequest(prompt="b"))
            both = await client.generate(chain)
            assert (await row_of(client, "a/video")).filled_in == {"first_frame": both.image.urls[0]}
            assert (await row_of(client, "a/image")).filled_in == {}

    run(main())


@pytest.mark.parametrize("on_disk", [False, True])
def test_few_requests_are_read_before_the_first_create_whatever_the_caps(tmp_path: Path, on_disk: bool) -> None:
    async def main() -> None:
        service, read, read_at_creates, enough = in_memory(), list[int](), list[int](), asyncio.Event()

        def requests() -> Iterator[ImageRequest]:
            for number in range(100_000):
                read.append(number)
                yield ImageRequest(prompt=f"picture {number}")

        def note(event: events.Event) -> None:
            if isinstance(event, events.Submitted):
                read_at_creates.append(len(read))
                if len(read_at_creates) == 100:
                    enough.set()

        ledger = tmp_path / "jobs.db" if on_disk else None
        async with client_of(service, configured(images=10_000, videos=10_000), ledger=ledger) as client:
            client.on_event(note)
            begun_at = wall()
            async with client.run(requests()):
                await enough.wait()
            first = next(arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask")
        assert first - begun_at < 0.3
        on_the_way = int(20 * LEAD_S) + 2  # creates that have their send time, and those that are sent and not answered
        assert all(
            number <= created + on_the_way + READ_AHEAD for created, number in enumerate(read_at_creates, start=1)
        )

    run(main())


def test_requests_of_one_id_do_not_stop_the_reading_while_one_of_them_is_made() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60), video_seconds=(600, 600))
        same = [VideoRequest(id="same", prompt="a film")] * (2 * READ_AHEAD)
        others = [ImageRequest(prompt=str(number)) for number in range(2)]
        async with client_of(service) as client:
            outcomes = [outcome async for outcome in client.run([*same, *others])]
            assert all(outcome.error is None for outcome in outcomes)
            assert {type(outcome.request) for outcome in outcomes[: len(others)]} == {ImageRequest}
        assert accepted(service, "CreateAigcVideoTask") == 1

    run(main())


def test_tasks_of_an_earlier_run_do_not_stop_the_reading_while_they_run(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(60, 60), video_seconds=(1500, 1500)), tmp_path / "jobs.db"
        begun = [VideoRequest(id=f"film-{number}", prompt="a film") for number in range(2 * READ_AHEAD)]
        config = configured(videos=len(begun), poll_ms=60_000)
        async with client_of(service, config, ledger=ledger) as client:
            await asyncio.gather(*(client.submit(film) for film in begun))
        async with client_of(service, config, ledger=ledger) as client, client.run([*begun, CAT]) as outcomes:
            assert (await anext(outcomes)).job_id == "cat"

    run(main())


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.3, 1.0, 30.0, 58.0])
def test_a_caller_that_leaves_leaks_nothing_and_loses_nothing(after_s: float) -> None:
    """Cancelled at any time; the same id again finishes the same task, and exactly one was ever created."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), latency_s=0.5) as client:
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(after_s)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert (await client.generate(CAT)).urls
            await asyncio.sleep(400)
            assert client.statistics().slots[Kind.IMAGE].taken == 0
            assert client.statistics().polling == 0
        assert accepted(service, "CreateAigcImageTask") == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_a_result_is_tried_to_be_saved_as_long_as_its_url_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Unfetchable)

    async def main() -> None:
        async with client_of(in_memory()) as client:
            heard = Heard(client)
            with pytest.raises(DownloadError, match=r"HTTP 503 \[job cat/image, task 4-Aigc"):
                await client.generate(CAT, save_to=tmp_path)
            done = next(event.at for event in heard.events if isinstance(event, events.Done))
            assert wall() - done == pytest.approx(12 * 3600, abs=70)
            assert heard.names("cat/image").count("Retried") > 600  # at most a minute apart
            assert "its URL expires in 58 minutes" in caplog.text  # in good time, and not before
            assert "its URL expires in 62 minutes" not in caplog.text

    run(main())


def test_the_time_to_save_can_be_shorter_and_ends_nothing_but_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Unfetchable)
    monkeypatch.setattr(Unfetchable, "times", 8)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(timeouts={"saveSeconds": 20})) as client:
            with pytest.raises(DownloadError):
                await client.generate(CAT, save_to=tmp_path)
            assert await client.counts() == {JobState.DONE: 1}
            monkeypatch.setattr(Unfetchable, "times", 0)
            assert client._engine is not None
            client._engine.downloads.times = 0  # type: ignore[attr-defined] # as patched
            assert (await client.generate(CAT, save_to=tmp_path)).files == (tmp_path / "cat",)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_saved_file_is_found_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Unfetchable)
    monkeypatch.setattr(Unfetchable, "times", 0)
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with client_of(in_memory()) as client:
            saved = await client.generate(CAT, save_to="out")
            assert saved.files == (tmp_path / "out" / "cat",)
            monkeypatch.chdir("/")
            await asyncio.sleep(13 * 3600)
            assert await client.generate(CAT, save_to=tmp_path / "out") == saved

    run(main())


def test_two_callers_of_one_id_share_one_task() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            one, other = await asyncio.gather(client.generate(CAT), client.generate(CAT))
            assert one == other
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_one_id_with_other_content_is_refused_by_name() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            with pytest.raises(InvalidRequest, match=r"id is taken.*a cat.*a dog"):
                await client.generate(ImageRequest(id="cat", prompt="a dog"))
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_two_requests_of_the_same_words_are_two_tasks() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await asyncio.gather(*(client.generate(ImageRequest(prompt="a cat")) for _ in range(3)))
        assert accepted(service, "CreateAigcImageTask") == 3

    run(main())
