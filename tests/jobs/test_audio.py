"""Audio from request to file: by itself, as the sound of a video, and as the last of a chain's three steps."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import (
    AigcClient,
    Attach,
    AudioRequest,
    AudioResult,
    Config,
    CreateOutcomeUnknown,
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
    TaskFilter,
    VideoRequest,
    VideoResult,
    VideoToAudio,
    VideoToAudioResult,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Emulator, Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.ledger import SqliteLedger
from mps_aigc_async.model.results import steps_made
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.network.media import USUAL_SUFFIX
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..support import accepted, client_of, configured, in_memory, statistics

WALTZ = AudioRequest(id="waltz", prompt="a slow waltz", scene_type="music")


def three(number: int = 1, *, video: str = "it moves", audio: str = "rain") -> ImageToVideo:
    return ImageToVideo(
        id=f"shot-{number:03}",
        image=ImageRequest(prompt=f"picture {number}"),
        video=VideoRequest(prompt=video),
        audio=AudioRequest(prompt=audio),
    )


def two(number: int = 1, *, audio: str = "rain") -> VideoToAudio:
    return VideoToAudio(
        id=f"film-{number:03}", video=VideoRequest(prompt=f"film {number}"), audio=AudioRequest(prompt=audio)
    )


class Overheard(InMemoryTransport):
    """Keeps the creates' bodies; answers what `instead` has for an action."""

    def __init__(self, service: Service, instead: Mapping[str, object] | None = None) -> None:
        super().__init__(service, wall)
        self.instead = instead or {}
        self.bodies: list[tuple[str, dict[str, Any]]] = []

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        action = request.headers["X-TC-Action"]
        if not action.endswith("Task") or action.startswith("Create"):
            self.bodies.append((action, json.loads(request.body)))
        answer = await super().exchange(request, gate, sent)
        if action in self.instead:
            return replace(answer, body=json.dumps({"Response": self.instead[action]}).encode())
        return answer


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_an_audio_by_itself() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            made = await client.generate(WALTZ)
            assert isinstance(made, AudioResult)
            assert made.task_id.startswith("4-AigcAudio-")
            assert made.urls
            assert made.duration
            task = await client.submit(AudioRequest(prompt="a march", scene_type="music"))
            assert (task.kind, (await task.wait()).kind) == (Kind.AUDIO, Kind.AUDIO)
            again = await client.attach("audio", made.task_id).wait()
            assert (again.urls, again.expires_at) == (made.urls, None)
            assert (await client.attach(Kind.AUDIO, made.task_id).status()).urls == made.urls
            assert client.statistics().slots[Kind.AUDIO].capacity == 1
        assert statistics(service)["audio"] == 2

    run(main())


def test_the_configs_model_is_an_audios_default_and_a_disabled_kind_is_paid_for_in_no_part() -> None:
    async def main() -> None:
        service = in_memory()
        transport = Overheard(service)
        named = configured(mps={"audioGeneration": {"modelName": "GL", "modelVersion": "3.0-clip"}})
        async with client_of(service, named, transport=lambda: transport) as client:
            await client.generate(WALTZ)
        ((_, body),) = transport.bodies
        assert body == {
            "ModelName": "GL", "ModelVersion": "3.0-clip", "SceneType": "music", "Prompt": "a slow waltz",
        }  # fmt: skip
        disabled = configured(mps={"audioGeneration": {"enabled": False}})
        async with client_of(service, disabled) as client:
            for request in (three(), two()):
                with pytest.raises(InvalidRequest, match=r"mps\.audioGeneration\.enabled"):
                    await client.generate(request)
        assert accepted(service, "CreateAigcImageTask") == accepted(service, "CreateAigcVideoTask") == 0

    run(main())


def test_an_audio_whose_create_was_not_answered_is_settled_like_any_other() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            service.faults.add(action="CreateAigcAudioTask", fault="reset_after")
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(WALTZ)
            (task_id,) = [one.task_id for one in service.arrivals if one.action == "CreateAigcAudioTask"]
            assert task_id is not None
            await client.settle("waltz/audio", Attach(task_id))
            assert (await client.generate(WALTZ)).task_id == task_id
        assert statistics(service)["audio"] == 1

    run(main())


# --- chains -----------------------------------------------------------------------------------------------------------


def test_a_chain_of_three_goes_on_from_step_to_step() -> None:
    async def main() -> None:
        service = in_memory()
        transport = Overheard(service)
        async with client_of(service, transport=lambda: transport) as client:
            made = await client.generate(three())
            assert isinstance(made, ImageToVideoResult)
            assert made.audio is not None
            assert [step.kind for step in steps_made(made)] == list(Kind)
            assert await client.counts() == {JobState.DONE: 3}
        (image, _), (video, video_body), (audio, audio_body) = transport.bodies
        assert (image, video, audio) == ("CreateAigcImageTask", "CreateAigcVideoTask", "CreateAigcAudioTask")
        assert video_body["ImageUrl"] == made.image.urls[0]
        film = {"VideoUrl": made.video.urls[0]}
        assert audio_body == {"Prompt": "rain", "SceneType": "sfx", "VideoInfos": [film]}

    run(main())


def test_a_video_and_its_sound() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            made = await client.generate(two())
            assert isinstance(made, VideoToAudioResult)
            assert made.audio.task_id != made.video.task_id
            by_hand = await client.generate(AudioRequest(prompt="wind", videos=(made.video,)))
            assert by_hand.urls
        assert dict(statistics(service)) == {"image": 0, "video": 1, "audio": 2}

    run(main())


def test_chains_of_every_sort_keep_every_cap_and_never_wait_for_each_other() -> None:
    """Holding one kind's slot, or a place ahead, while waiting for another's would stop it."""

    async def main() -> None:
        service = in_memory(audio_seconds=(100, 300))
        requests: list[BatchItem] = []
        for number in range(24):
            plain = three(number + 100).model_copy(update={"audio": None})
            requests += [
                three(number),
                two(number),
                plain,
                AudioRequest(id=f"song-{number}", prompt="la", scene_type="music"),
            ]
        async with client_of(service, configured(images=2, videos=1, audios=1, poll_ms=20_000)) as client:
            outcomes = [outcome async for outcome in client.run(requests)]
            assert {kind: slots.taken for kind, slots in client.statistics().slots.items()} == dict.fromkeys(Kind, 0)
        assert [outcome.error for outcome in outcomes if not outcome.ok] == []
        seen = service.statistics(wall())
        assert seen.most_running == {"image": 2, "video": 1, "audio": 1}
        assert seen.created == {"image": 48, "video": 72, "audio": 72}
        assert seen.refused == {}

    run(main())


@pytest.mark.parametrize("request_of", [three, two], ids=["three", "two"])
def test_no_video_is_older_than_its_url_when_its_sound_is_made(request_of: Any) -> None:  # noqa: ANN401 — either maker
    """One audio slot, 200 chains of five minutes each: 17 hours, longer than a video's URL lives."""

    async def main() -> None:
        service = in_memory(audio_seconds=(290, 300))
        async with client_of(service, configured(images=10, videos=10, audios=1, poll_ms=60_000)) as client:
            outcomes = [outcome async for outcome in client.run(request_of(number) for number in range(200))]
        assert all(outcome.ok for outcome in outcomes)
        created = {
            action: [arrival.at for arrival in service.arrivals if arrival.action == f"CreateAigc{action}Task"]
            for action in ("Image", "Video", "Audio")
        }
        assert created["Audio"][-1] - created["Audio"][0] > 12 * 3600
        first = "Image" if created["Image"] else "Video"
        waited = [audio - begun for begun, audio in zip(created[first], created["Audio"], strict=True)]
        assert max(waited) < 3 * 3600

    run(main())


def test_a_failed_sound_leaves_what_is_paid_for_in_partial_and_alone_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        batch: list[BatchItem] = [three(audio="fail-later"), two(audio="fail-later")]
        async with client_of(service, ledger=ledger) as client:
            outcomes = {outcome.job_id: outcome async for outcome in client.run(batch)}
            assert all(isinstance(outcome.error, TaskFailed) for outcome in outcomes.values())
            pair, film = outcomes["shot-001"].partial, outcomes["film-001"].partial
            assert isinstance(pair, ImageToVideoResult)
            assert pair.audio is None
            assert isinstance(film, VideoResult)
            with pytest.raises(TaskFailed) as caught:
                await client.generate(three(audio="fail-later"))
            assert caught.value.partial == pair
        async with client_of(service, ledger=ledger) as client:
            planned = await client.retry_failed()
            assert sorted(job.job_id for job in planned) == ["film-001/audio", "shot-001/audio"]
            again = [outcome async for outcome in client.run(batch)]
            assert {outcome.job_id: outcome.partial for outcome in again} == {"shot-001": pair, "film-001": film}
        assert dict(statistics(service)) == {"image": 1, "video": 2, "audio": 4}

    run(main())


def test_a_failed_video_gets_no_sound() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            (outcome,) = [outcome async for outcome in client.run([three(video="fail-later")])]
            assert isinstance(outcome.error, TaskFailed)
            assert isinstance(outcome.partial, ImageResult)
        assert accepted(service, "CreateAigcAudioTask") == 0

    run(main())


def test_a_video_too_old_gets_no_sound_and_says_that_nothing_was_paid(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger) as client:
            await client.generate(VideoRequest(id="film-001", prompt="film 1"))
        await asyncio.sleep(11.9 * 3600)
        async with client_of(service, ledger=ledger) as client:
            with pytest.raises(ResultExpired, match=r"the video's URL expires .* audio was not created \(nothing"):
                await client.generate(two())
        assert accepted(service, "CreateAigcAudioTask") == 0

    run(main())


def test_a_chain_may_get_its_sound_later_and_that_is_judged_as_new(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger) as client:
            silent = await client.generate(three().model_copy(update={"audio": None}))
            sound = await client.generate(three())
            assert isinstance(sound, ImageToVideoResult)
            assert (sound.image, sound.video) == (silent.image, silent.video)
        disabled = configured(mps={"audioGeneration": {"enabled": False}})
        async with client_of(service, disabled, ledger=ledger) as client:
            assert await client.generate(three()) == sound  # paid for
            await client.generate(three(2).model_copy(update={"audio": None}))
            with pytest.raises(InvalidRequest, match="disabled"):
                await client.generate(three(2))
        async with client_of(service, ledger=ledger) as client:
            with pytest.raises(InvalidRequest, match="image: left out now"):
                await client.generate(WALTZ.model_copy(update={"id": "shot-002"}))
        assert dict(statistics(service)) == {"image": 2, "video": 2, "audio": 1}

    run(main())


def test_a_batch_of_threes_continues_where_another_process_left_it(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger, done = in_memory(), tmp_path / "ledger.db", 0
        batch: list[BatchItem] = [request for number in range(6) for request in (three(number), two(number))]
        for _ in range(100):  # each "process" lives ten minutes
            async with client_of(service, configured(videos=2, audios=2), ledger=ledger) as client:
                try:
                    async with asyncio.timeout(600):
                        done = len([outcome async for outcome in client.run(batch) if outcome.ok])
                except TimeoutError:
                    continue
                break
        assert done == 12
        assert dict(statistics(service)) == {"image": 6, "video": 12, "audio": 12}

    run(main())


# --- scenes -----------------------------------------------------------------------------------------------------------


def test_a_scene_that_is_missing_is_asked_for_before_anything_is_paid_for() -> None:
    async def main() -> None:
        service = in_memory()
        sound = two().model_copy(update={"audio": AudioRequest(prompt="a door", model_name="Tomorrow")})
        async with client_of(service) as client:
            for request in (AudioRequest(prompt="a march"), sound):
                with pytest.raises(InvalidRequest, match=r"scene_type is missing.*`sfx`.*`music`.*`tts`"):
                    client.check(request)
                with pytest.raises(InvalidRequest, match="scene_type is missing"):
                    await client.generate(request)
            outcomes = [outcome async for outcome in client.run([sound, two(7)])]
            assert sorted(outcome.ok for outcome in outcomes) == [False, True]
        assert dict(statistics(service)) == {"image": 0, "video": 1, "audio": 1}

    run(main())


def test_a_row_without_a_scene_goes_on_in_every_state(tmp_path: Path) -> None:
    """Rows of an earlier version: its user wrote no scene, and the service took the create all the same."""
    ledger = tmp_path / "ledger.db"
    older = {name: AudioRequest(id=name, prompt=f"a march, {name}") for name in ("done", "running", "fail-later")}

    async def main() -> None:
        service = in_memory(task_seconds={"a march, running": 1000.0})
        async with client_of(service, configured(audios=3), ledger=ledger) as client:
            running, failing = [
                older[name].model_copy(update={"scene_type": "sfx"}) for name in ("running", "fail-later")
            ]
            await client.submit(running)
            await client.generate(older["done"].model_copy(update={"scene_type": "sfx"}))
            with pytest.raises(TaskFailed):
                await client.generate(failing)
        with closing(sqlite3.connect(ledger)) as rows, rows:
            rows.execute("UPDATE jobs SET content = json_remove(content, '$.scene_type'), filled_in = '{}'")
        async with client_of(service, configured(audios=3), ledger=ledger) as client:
            for name in ("done", "running"):
                assert (await client.generate(older[name])).urls
            with pytest.raises(TaskFailed):
                await client.generate(older["fail-later"])
            await client.retry_failed()
            with pytest.raises(InvalidRequest, match="scene_type is missing"):
                await client.generate(older["fail-later"])
        assert statistics(service)["audio"] == 3

    run(main())


def test_murekas_audios_are_all_kept_with_their_lengths(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        songs = AudioRequest(
            id="songs", prompt="a waltz", model_name="Mureka", lyrics="la la", additional_parameters={"n": 3}
        )
        transport = Overheard(service)
        for _ in range(2):  # by its answer, and by its row
            async with client_of(service, ledger=ledger, transport=lambda: transport) as client:
                made = await client.generate(songs)
                assert (len(made.urls), made.durations, made.duration) == (3, (3, 3, 3), 3)
        ((_, body),) = transport.bodies
        assert json.loads(body["AdditionalParameters"]) == {"n": 3, "lyrics": "la la"}
        assert body["SceneType"] == "music"

    run(main())


# --- files and rows ---------------------------------------------------------------------------------------------------


async def test_every_step_is_saved_and_a_file_that_is_missing_is_fetched_again(tmp_path: Path) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
    async with Emulator(speed=1000) as emulator:
        config = {"tencentCloud": {**keys, "endpoint": emulator.url}, "concurrency": {"pollIntervalMs": 100}}
        for _ in range(2):
            async with AigcClient(Config.parse(config), ledger=tmp_path / "ledger.db") as client:
                outcomes = [one async for one in client.run([three(), two(), WALTZ], save_to=tmp_path)]
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
            files = [file for one in outcomes for step in steps_made(one.result) for file in step.files]
            assert all(file.stat().st_size for file in files)
            stems = sorted((file.stem, file.suffix in {".png", ".mp4"}) for file in files if "+" not in file.stem)
            assert stems == [
                ("film-001", False), ("film-001", True),
                ("shot-001", False), ("shot-001", True), ("shot-001", True),
                ("waltz", False),
            ]  # fmt: skip
            files[0].unlink()
        created = emulator.statistics().created
        assert (created["image"], created["video"], created["audio"]) == (1, 2, 3)


class FromNowhere(Downloads):
    """Writes a file for each URL, without a network."""

    async def save(self, url: str, target: Path, kind: Kind, **_: Any) -> Path:  # noqa: ANN401 — nothing here needs them
        file = target.with_name(f"{target.name}{USUAL_SUFFIX[kind]}")
        file.write_text(url)
        return file


@pytest.mark.parametrize("song", [[], [{"Url": "https://a/song.mp3", "Duration": 9}]], ids=["film", "both"])
def test_a_video_with_the_sound_on_it_is_a_result_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: list[dict[str, object]]
) -> None:
    """With the audio or in its place; and it has a name beside the silent one's."""
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", FromNowhere)
    film = {"Url": "https://a/dubbed.mp4", "Duration": 5}
    dubbed = {"Status": "DONE", "AudioInfos": song, "VideoInfos": [film], "RequestId": "r-1"}

    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        transport = Overheard(service, {"DescribeAigcAudioTask": dubbed})
        for _ in range(2):  # by its answer, and by its row
            async with client_of(service, ledger=ledger, transport=lambda: transport) as client:
                made = await client.generate(two(), save_to=tmp_path)
                audio = made.audio
                assert (audio.urls, audio.videos) == (tuple(one["Url"] for one in song), ("https://a/dubbed.mp4",))
                assert audio.duration == (9 if song else 5)
                assert (audio.durations, audio.video_durations) == ((9,) if song else (), (5,))
                names = [*(["film-001.mp3"] if song else []), "film-001+sound.mp4"]
                assert [file.name for file in audio.files] == names
                assert audio.files[-1].read_text() == "https://a/dubbed.mp4"
                assert [file.name for file in made.video.files] == ["film-001.mp4"]

    run(main())


async def test_no_url_of_an_audio_is_lost_in_a_row(tmp_path: Path) -> None:
    planned = JobRecord(job_id="a/audio", kind=Kind.AUDIO, content='{"prompt":"x"}', planned_at=1.0)
    submitted = planned.moved(JobState.INTENT, intent_at=1.0).moved(JobState.SUBMITTED, task_id="4-1", submitted_at=2.0)
    urls, films = ("https://a/1.mp3", "https://a/2.mp3"), ("https://a/1.mp4",)
    belongs_to = {"account": "tests"}
    for number, (duration, videos) in enumerate(((None, ()), (12.5, ()), (None, films), (12, films))):
        job = replace(submitted, job_id=f"{number}/audio").moved(
            JobState.DONE, urls=urls, duration=duration, videos=videos, request_id="r-1", expires_at=1_767_225_600.0
        )
        ledger = await SqliteLedger.open(tmp_path / "ledger.db", belongs_to)
        await ledger.put(job)
        await ledger.close()
        ledger = await SqliteLedger.open(tmp_path / "ledger.db", belongs_to)
        kept = await ledger.get(job.job_id)
        await ledger.close()
        assert kept == job
        assert kept.result() == AudioResult(
            task_id="4-1",
            request_id="r-1",
            urls=urls,
            expires_at=datetime(2026, 1, 1, tzinfo=UTC),
            duration=duration,
            videos=videos,
        )


# --- the other scenes' tasks ------------------------------------------------------------------------------------------


def test_the_other_scenes_tasks_are_asked_about_in_types() -> None:
    listed = {"Total": 1, "PageNum": 2, "PageSize": 5, "Tasks": [{"TaskId": "t-1", "TaskStatus": "RUNNING"}]}
    details = {"TaskId": "t-1", "TaskStatus": "FINISHED", "OutputUrl": "https://a/1.mp4", "RequestId": "r-1"}

    async def main() -> None:
        answers = {"DescribeAigcTaskList": listed, "DescribeAigcTaskStatus": details}
        transport = Overheard(in_memory(), answers)
        async with client_of(in_memory(), transport=lambda: transport) as client:
            page = await client.task_list(2, 5, only=TaskFilter(status="RUNNING"))
            task = await client.task_details(page.tasks[0].task_id)
            assert {"DescribeAigcTaskList", "DescribeAigcTaskStatus"} == set(client.statistics().paces)
        assert (page.total, page.tasks[0].status) == (1, "RUNNING")
        assert (task.status, task.output_url) == ("FINISHED", "https://a/1.mp4")
        assert transport.bodies == [
            ("DescribeAigcTaskList", {"PageNum": 2, "PageSize": 5, "QueryTaskFilter": {"TaskStatus": "RUNNING"}}),
            ("DescribeAigcTaskStatus", {"TaskId": "t-1"}),
        ]

    run(main())
