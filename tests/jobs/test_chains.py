"""Requests to outcomes: defaults, names, chains, and the limits that hold over a whole batch."""

import asyncio
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import (
    AccountError,
    AigcClient,
    AudioRequest,
    AudioResult,
    CreateOutcomeUnknown,
    DownloadError,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ImageToVideoResult,
    InvalidRequest,
    JobRecord,
    JobState,
    Kind,
    ResultExpired,
    TaskFailed,
    VideoRequest,
    VideoResult,
    VideoToAudioResult,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.jobs.chains import chain_result, link, partial_of
from mps_aigc_async.jobs.lookahead import NEAR_END_S, chains_ahead, is_near_end
from mps_aigc_async.model.defaults import Defaults, ImageDefaults, VideoDefaults
from mps_aigc_async.model.results import Partial, Result, StepResult, steps_made
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, forget_limits, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..limits.crowded import Crowded, CrowdedTransport
from ..support import accepted, client_of, configured, in_memory, statistics

KLING = Defaults(
    image=ImageDefaults(model_name="Hunyuan", model_version="3.0"),
    video=VideoDefaults(model_name="Kling", model_version="3.0", duration=5, enable_audio=True),
)


def chain(number: int = 1, video: str = "it moves") -> ImageToVideo:
    return ImageToVideo(
        id=f"shot-{number:03}", image=ImageRequest(prompt=f"picture {number}"), video=VideoRequest(prompt=video)
    )


def test_defaults_fill_what_a_request_leaves_open() -> None:
    filled = KLING.apply(VideoRequest(prompt="x", duration=10))
    assert isinstance(filled, VideoRequest)
    assert (filled.model_name, filled.model_version, filled.duration, filled.enable_audio) == ("Kling", "3.0", 10, True)
    image = KLING.apply(ImageRequest(prompt="x"))
    assert (image.model_name, image.model_version) == ("Hunyuan", "3.0")


def test_a_request_with_its_own_model_takes_no_default() -> None:
    own = VideoRequest(prompt="x", model_name="Vidu")
    assert KLING.apply(own) == own


def test_an_explicit_false_is_not_overwritten() -> None:
    filled = KLING.apply(VideoRequest(prompt="x", enable_audio=False))
    assert isinstance(filled, VideoRequest)
    assert filled.enable_audio is False


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_disabled_kind_is_refused_with_the_key_to_change(kind: str) -> None:
    disabled = Defaults(image=ImageDefaults(enabled=kind != "image"), video=VideoDefaults(enabled=kind != "video"))
    with pytest.raises(InvalidRequest, match=rf"mps\.{kind}Generation\.enabled"):
        disabled.check(chain())


IMAGE_JOB = JobRecord(
    job_id="shot/image",
    kind=Kind.IMAGE,
    content="{}",
    planned_at=0.0,
    state=JobState.DONE,
    task_id="task",
    urls=("https://host/image.png",),
    expires_at=10_000.0,
)


@pytest.mark.parametrize(
    ("expires_at", "now", "expected"),
    [
        (None, 10_000.0, False),
        (10_000.0, 10_000.0 - NEAR_END_S, False),
        (10_000.0, 10_000.0 - NEAR_END_S + 1, True),
        (10_000.0, 20_000.0, True),
    ],
)
def test_a_url_is_near_its_end_10_minutes_before_it(expires_at: float | None, now: float, expected: bool) -> None:
    assert is_near_end(replace(IMAGE_JOB, expires_at=expires_at), now) is expected


def test_a_step_takes_the_first_url_of_the_result_before_it() -> None:
    video = link(VideoRequest(prompt="it moves"), IMAGE_JOB, now=0.0)
    assert isinstance(video, VideoRequest)
    assert video.first_frame == "https://host/image.png"
    video_job = replace(IMAGE_JOB, job_id="shot/video", kind=Kind.VIDEO, urls=("https://host/video.mp4",))
    audio = link(AudioRequest(prompt="waves"), video_job, now=0.0)
    assert isinstance(audio, AudioRequest)
    assert audio.videos == ("https://host/video.mp4",)


def test_a_url_near_its_end_is_not_paid_for_again() -> None:
    with pytest.raises(
        ResultExpired, match=r"the image's URL expires at 1970-01-01 02:46 UTC, .*video was not created"
    ):
        link(VideoRequest(prompt="it moves"), IMAGE_JOB, now=9_999.0)


IMAGE_RESULT = ImageResult(task_id="i", request_id="r", urls=("u",), expires_at=None)
VIDEO_RESULT = VideoResult(task_id="v", request_id="r", urls=("u",), expires_at=None)
AUDIO_RESULT = AudioResult(task_id="a", request_id="r", urls=("u",), expires_at=None)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([IMAGE_RESULT, VIDEO_RESULT], ImageToVideoResult(image=IMAGE_RESULT, video=VIDEO_RESULT)),
        (
            [IMAGE_RESULT, VIDEO_RESULT, AUDIO_RESULT],
            ImageToVideoResult(image=IMAGE_RESULT, video=VIDEO_RESULT, audio=AUDIO_RESULT),
        ),
        ([VIDEO_RESULT, AUDIO_RESULT], VideoToAudioResult(video=VIDEO_RESULT, audio=AUDIO_RESULT)),
    ],
)
def test_the_results_of_all_steps_are_the_chain_s(results: list[StepResult], expected: Result) -> None:
    assert chain_result(results) == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], None),
        ([IMAGE_RESULT], IMAGE_RESULT),
        ([VIDEO_RESULT], VIDEO_RESULT),
        ([IMAGE_RESULT, VIDEO_RESULT], ImageToVideoResult(image=IMAGE_RESULT, video=VIDEO_RESULT)),
    ],
)
def test_the_results_before_the_last_step_are_the_partial_result(
    results: list[StepResult], expected: Partial | None
) -> None:
    assert partial_of(results) == expected


@pytest.mark.parametrize(("crowded_kind", "crowded_chains"), [("image", 60), ("video", 60), ("image", 100)])
def test_chains_that_wait_for_a_crowded_model_let_others_pass(crowded_kind: str, crowded_chains: int) -> None:
    """30 chains may run ahead, and 40 more are read: neither is filled by chains whose model runs one task at once."""

    def of(crowded: tuple[str, ...], number: int) -> ImageToVideo:
        models = {kind: "H3" if kind in crowded else "02" for kind in ("image", "video")}
        return ImageToVideo(
            id=f"{'crowded' if crowded else 'free'}-{number}",
            image=ImageRequest(prompt="x", model_name="Hailuo", model_version=models["image"]),
            video=VideoRequest(prompt="x", model_name="Hailuo", model_version=models["video"]),
        )

    async def main() -> None:
        service = Crowded(wall, {"Hailuo H3": 1}, rate=20)
        config = configured(images=20, videos=10, catalog="off")
        began, ends = wall(), list[float]()
        async with AigcClient(config, transport=lambda: CrowdedTransport(service), wall=wall) as client:
            batch = [*(of((crowded_kind,), n) for n in range(crowded_chains)), *(of((), n) for n in range(20))]
            async with client.run(batch) as outcomes:
                async for outcome in outcomes:
                    assert outcome.ok, outcome.error
                    ends += [wall() - began] * outcome.job_id.startswith("free")
                    if len(ends) == 20:
                        break
        assert max(ends) < 400  # 20 images and 2 rounds of 10 videos, of a minute each, and one that is in the way

    run(main())


def test_a_chain_becomes_an_image_and_the_video_that_begins_with_it() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            result = await client.generate(chain())
            assert isinstance(result, ImageToVideoResult)
            created = [arrival.action for arrival in service.arrivals if arrival.action.startswith("Create")]
            assert created == ["CreateAigcImageTask", "CreateAigcVideoTask"]
            assert await client.counts() == {JobState.DONE: 2}

    run(main())


def test_one_video_slot_and_two_image_slots_are_never_exceeded_and_never_deadlock() -> None:
    """The documented default caps, 40 chains: holding one kind's slot while waiting for the other's would stop it."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=2, videos=1)) as client:
            outcomes = [outcome async for outcome in client.run(chain(number) for number in range(40))]
        assert all(outcome.ok for outcome in outcomes)
        seen = service.statistics(wall())
        assert seen.most_running == {"image": 2, "video": 1, "audio": 0}
        assert seen.created == {"image": 40, "video": 40, "audio": 0}
        assert seen.refused == {}

    run(main())


def test_a_chain_gives_its_place_back_when_its_video_is_accepted_and_not_when_it_ends() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(10, 10), video_seconds=(1500, 1500))
        slots = dict.fromkeys(Kind, 1)
        places = chains_ahead(Kind.VIDEO, slots, 1, 12 * 3600)
        async with client_of(service, configured(images=1, videos=1)) as client:
            outcomes = client.run(chain(number) for number in range(10))
            waiting = asyncio.create_task(anext(outcomes))
            await asyncio.sleep(1000)
            assert not waiting.done()
            assert statistics(service) == {"image": places + 1, "video": 1, "audio": 0}
            assert (await waiting).ok
            await outcomes.aclose()

    run(main())


def test_no_first_frame_is_older_than_its_url() -> None:
    """One video slot, 200 chains of five minutes each: 17 hours, longer than an image's URL lives."""

    async def main() -> None:
        service = in_memory(video_seconds=(290, 300))
        async with client_of(service, configured(images=10, videos=1, poll_ms=30_000)) as client:
            outcomes = [outcome async for outcome in client.run(chain(number) for number in range(200))]
        assert all(outcome.ok for outcome in outcomes)
        images = [a.at for a in service.arrivals if a.action == "CreateAigcImageTask"]
        videos = [a.at for a in service.arrivals if a.action == "CreateAigcVideoTask"]
        assert videos[-1] - videos[0] > 12 * 3600
        assert max(video - image for image, video in zip(images, videos, strict=True)) < 1.5 * 3600

    run(main())


def test_images_wait_for_the_videos_that_the_service_really_takes() -> None:
    """The config hopes for 60 videos at once; the service takes one. No image is paid for and outlived."""

    async def main() -> None:
        service = in_memory(video_seconds=(290, 300), max_running={"video": 1})
        async with client_of(service, configured(images=200, videos=60, poll_ms=60_000)) as client:
            outcomes = [outcome async for outcome in client.run(chain(number) for number in range(100))]
        assert all(outcome.ok for outcome in outcomes)
        assert service.statistics(wall()).created == {"image": 100, "video": 100, "audio": 0}

    run(main())


def test_a_video_refused_while_its_image_cannot_be_saved_holds_up_no_other_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=2, videos=1)) as client:
            assert client._engine is not None
            monkeypatch.setattr(client._engine.downloads, "save", _never_saved)
            refused = [asyncio.create_task(client.generate(bad, save_to=tmp_path)) for bad in map(_bad, range(4))]
            await asyncio.sleep(3600)
            assert (await client.generate(chain())).video.urls
            for task in refused:
                task.cancel()
            await asyncio.wait(refused)

    run(main())


async def _never_saved(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


def _bad(number: int) -> ImageToVideo:
    return chain(100 + number, video="forbidden-content")


def test_a_failed_video_leaves_the_paid_image_in_partial() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            (outcome,) = [outcome async for outcome in client.run([chain(video="fail-later")])]
            assert isinstance(outcome.error, TaskFailed)
            assert isinstance(outcome.partial, ImageResult)
            assert outcome.partial.urls
            assert outcome.job_id == "shot-001"
            with pytest.raises(TaskFailed) as caught:
                await client.generate(chain(video="fail-later"))
            assert caught.value.partial == outcome.partial

    run(main())


class Failing(Downloads):
    """Fetches without a network; the results of some steps cannot be fetched."""

    steps: frozenset[Kind] = frozenset()

    async def save(self, url: str, target: Path, kind: Kind, **_: object) -> Path:
        await asyncio.sleep(1)
        step = Kind.AUDIO if target.name.endswith("+sound") else kind  # the video that a sound was put on is its own
        if step in self.steps:
            raise DownloadError(f"no {kind} from {url}")
        file = target.with_suffix(".saved" + kind)
        await asyncio.to_thread(file.write_bytes, b"made")
        return file


@pytest.mark.parametrize("task_fails", [False, True])
@pytest.mark.parametrize("with_sound", [False, True])
@pytest.mark.parametrize("failing", [kinds for size in range(4) for kinds in combinations(Kind, size)])
def test_whichever_saves_fail_the_others_are_saved_and_the_first_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[Kind, ...], with_sound: bool, task_fails: bool
) -> None:
    """The first failure is the last step's: earlier steps' saves are awaited after it. `partial` has the steps before
    the last one, with their files, whether the last step failed or only its save did."""
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Failing)
    monkeypatch.setattr(Failing, "steps", frozenset(failing))
    kinds = list(Kind)[: 3 if with_sound else 2]
    last, earlier = kinds[-1], kinds[:-1]
    request = chain(video="fail-later" if task_fails and not with_sound else "it moves")
    if with_sound:
        request = request.model_copy(update={"audio": AudioRequest(prompt="fail-later" if task_fails else "rain")})
    bad_saves = [kind for kind in (last, *earlier) if kind in failing]

    async def main() -> None:
        async with client_of(in_memory()) as client:
            (outcome,) = [outcome async for outcome in client.run([request], save_to=tmp_path)]
        if task_fails:
            assert isinstance(outcome.error, TaskFailed)
        elif bad_saves:
            assert isinstance(outcome.error, DownloadError)
            assert outcome.error.job_id == f"shot-001/{bad_saves[0]}"
        else:
            assert outcome.ok
        made = steps_made(outcome.partial if outcome.error else outcome.result)
        assert [step.kind for step in made] == (earlier if outcome.error else kinds)
        assert [bool(step.files) for step in made] == [step.kind not in failing for step in made]

    run(main())


def test_an_error_that_knows_no_job_names_its_request() -> None:
    async def main() -> None:
        disabled = configured(mps={"videoGeneration": {"enabled": False}})
        async with client_of(in_memory(), disabled) as client:
            (outcome,) = [outcome async for outcome in client.run([VideoRequest(id="film", prompt="x")])]
            assert isinstance(outcome.error, InvalidRequest)
            assert outcome.error.job_id == "film"

    run(main())


def test_a_failed_image_pays_for_no_video() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            request = ImageToVideo(image=ImageRequest(prompt="fail-later"), video=VideoRequest(prompt="x"))
            with pytest.raises(TaskFailed):
                await client.generate(request)
            assert client.statistics().slots[Kind.VIDEO].taken == 0
        assert service.statistics(wall()).created == {"image": 1, "video": 0, "audio": 0}

    run(main())


def test_an_image_too_old_is_not_made_into_a_video_and_says_that_nothing_was_paid(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        ledger = tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger) as client:
            service.faults.add(action="CreateAigcVideoTask", fault="error", code="FailedOperation.UserArrears", times=1)
            with pytest.raises(AccountError):
                await client.generate(chain())
        await asyncio.sleep(11.9 * 3600)
        async with client_of(service, ledger=ledger) as client:
            with pytest.raises(ResultExpired, match="nothing was paid for it") as caught:
                await client.generate(chain())
            assert caught.value.partial is not None
        assert service.statistics(wall()).created == {"image": 1, "video": 0, "audio": 0}

    run(main())


def test_a_real_bucket_is_named_in_every_create_of_a_chain() -> None:
    bodies: list[dict[str, Any]] = []

    class Overheard(InMemoryTransport):
        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
            if request.headers["X-TC-Action"].startswith("Create"):
                bodies.append(json.loads(request.body))
            return await super().exchange(request, gate, sent)

    async def main() -> None:
        service = in_memory()
        bucket = {"bucket": "mine-1250000000", "region": "ap-guangzhou", "outputDir": "/shots/"}
        transport = Overheard(service, wall)
        async with client_of(service, configured(cosOutput=bucket), transport=lambda: transport) as client:
            await client.generate(chain())

    run(main())
    stored = {"CosBucketName": "mine-1250000000", "CosBucketRegion": "ap-guangzhou", "CosBucketPath": "/shots/"}
    assert [body["StoreCosParam"] for body in bodies] == [stored, stored]


def test_a_batch_continues_where_another_process_left_it(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        ledger, batch = tmp_path / "ledger.db", [chain(number) for number in range(12)]
        done = 0
        for _ in range(100):  # each "process" lives ten minutes
            async with client_of(service, configured(images=2, videos=2), ledger=ledger) as client:
                try:
                    async with asyncio.timeout(600):
                        done = len([outcome async for outcome in client.run(batch) if outcome.ok])
                except TimeoutError:
                    continue
                break
        assert done == 12
        assert service.statistics(wall()).created == {"image": 12, "video": 12, "audio": 0}

    run(main())


def test_a_restart_keeps_the_cap_although_new_requests_come_first(tmp_path: Path) -> None:
    """What an earlier process left running has its slots before anything new is created."""

    async def main() -> None:
        service = in_memory(image_seconds=(170, 180))
        ledger = tmp_path / "ledger.db"
        old = [ImageRequest(id=f"old-{n}", prompt="x") for n in range(3)]
        async with client_of(service, configured(images=3), ledger=ledger) as client:
            for request in old:
                await client.submit(request)
        forget_limits()  # a new process knows nothing
        new = [ImageRequest(id=f"new-{n}", prompt="x") for n in range(3)]
        async with client_of(service, configured(images=3), ledger=ledger) as client:
            outcomes = [outcome async for outcome in client.run([*new, *old])]
        assert all(outcome.ok for outcome in outcomes)
        assert service.statistics(wall()).most_running["image"] == 3
        assert service.statistics(wall()).created["image"] == 6

    run(main())


def test_a_restart_polls_what_nobody_asks_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger) as client:
            await client.submit(ImageRequest(id="x", prompt="x"))
        async with client_of(service, ledger=ledger) as client:
            await asyncio.sleep(300)
            assert await client.counts() == {JobState.DONE: 1}

    run(main())


def test_what_has_begun_is_not_judged_again(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        request = VideoRequest(id="x", prompt="x")
        async with client_of(service, ledger=ledger) as client:
            await client.submit(request)
        disabled = configured(mps={"videoGeneration": {"enabled": False}})
        async with client_of(service, disabled, ledger=ledger) as client:
            assert (await client.generate(request)).urls
            with pytest.raises(InvalidRequest, match="disabled"):
                await client.generate(VideoRequest(id="y", prompt="x"))

    run(main())


def test_unknown_creates_in_a_batch_are_outcomes_and_not_repeated(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="reset_after", probability=0.2, times=100)
        batch = [ImageRequest(prompt=f"{number}") for number in range(60)]
        ledger = tmp_path / "ledger.db"
        for _ in range(3):
            async with client_of(service, configured(images=10), ledger=ledger) as client:
                outcomes = [outcome async for outcome in client.run(batch)]
                unknown = [outcome for outcome in outcomes if isinstance(outcome.error, CreateOutcomeUnknown)]
                assert 3 <= len(unknown) <= 30
                assert len(await client.unknown()) == len(unknown)
                assert sum(outcome.ok for outcome in outcomes) == 60 - len(unknown)
        assert accepted(service, "CreateAigcImageTask") == 60

    run(main())
