"""Audios on VOD. Their creates have no session: one without an answer is *unknown*, and never sent again by itself."""

import asyncio
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mps_aigc_async import (
    Attach,
    AudioRequest,
    AudioResult,
    Config,
    CreateAgain,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageToVideo,
    ImageToVideoResult,
    InvalidRequest,
    JobState,
    Kind,
    TaskFailed,
    VideoRequest,
    VideoToAudio,
    VideoToAudioResult,
    VodOptions,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..session_services import KIND, VodService
from ..support import KEYS, Heard, accepted, client_of, in_memory, statistics
from .test_sessions import client_of as session_client
from .test_sessions import killed, vod_config

CREATE = "vod:CreateAigcAudioTask"
RAIN = AudioRequest(id="rain", prompt="rain on a roof", scene_type="sfx")
UNANSWERED: list[dict[str, Any]] = [
    {"fault": "reset_after"},
    {"fault": "http_status", "status": 502, "accepted": True},
    {"fault": "http_status", "status": 504, "accepted": True},
    {"fault": "not_json", "accepted": True},
    {"fault": "error", "code": "InternalError", "accepted": True},
]


def config(**more: Any) -> Config:  # noqa: ANN401 — JSON
    models = {
        "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
        "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0"},
    }
    return Config.parse({"backend": "vod", "tencentCloud": KEYS, "mps": models, "catalog": "off", **more})


class Bodies(InMemoryTransport):
    """Keeps the bodies of the creates, by action."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, wall)
        self.bodies: list[tuple[str, dict[str, Any]]] = []

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        action = request.headers["X-TC-Action"]
        if action.startswith("Create"):
            self.bodies.append((action, json.loads(request.body)))
        return await super().exchange(request, gate, sent)


def film(audio: AudioRequest | None = None) -> VideoToAudio:
    return VideoToAudio(
        id="film", video=VideoRequest(prompt="a parade"), audio=audio or AudioRequest(prompt="a brass band")
    )


# --- results ----------------------------------------------------------------------------------------------------------


def test_an_audio_by_itself_has_its_length_and_is_attached_by_its_id() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config()) as client:
            made = await client.generate(RAIN.model_copy(update={"duration": 7, "output_format": "wav"}))
            assert isinstance(made, AudioResult)
            assert (made.duration, made.durations, made.videos) == (7.0, (7.0,), ())
            assert made.expires_at is not None
            again = await client.attach("audio", made.task_id).wait()
            assert again.urls == made.urls
        assert statistics(service)["audio"] == 1

    run(main())


def test_chains_with_sound_go_from_step_to_step_and_only_the_audio_has_no_session() -> None:
    async def main() -> None:
        service = in_memory()
        transport = Bodies(service)
        three = ImageToVideo(
            id="three",
            image=ImageRequest(prompt="a street"),
            video=VideoRequest(prompt="cars pass"),
            audio=AudioRequest(prompt="rain", model_name="Kling"),
        )
        async with client_of(service, config(), transport=lambda: transport) as client:
            both = await client.generate(film())
            made = await client.generate(three)
        assert isinstance(both, VideoToAudioResult)
        assert isinstance(made, ImageToVideoResult)
        assert made.audio is not None
        assert (both.audio.videos, both.audio.video_durations) != ((), ())
        assert len(made.audio.durations) == len(made.audio.urls) == 1
        sessions = [(action.removeprefix("CreateAigc"), "SessionId" in body) for action, body in transport.bodies]
        assert sessions == [
            ("VideoTask", True), ("AudioTask", False), ("ImageTask", True), ("VideoTask", True), ("AudioTask", False),
        ]  # fmt: skip
        (first, last) = (body for action, body in transport.bodies if action == "CreateAigcAudioTask")
        given_film = {"Type": "Url", "Url": both.video.urls[0]}
        assert first == {"Prompt": "a brass band", "SceneType": "sfx", "VideoInfos": [given_film]}
        assert (last["ModelName"], last["SceneType"]) == ("Kling", "sfx")

    run(main())


def test_a_video_that_vod_stores_without_a_url_gets_its_sound_by_its_id() -> None:
    async def main() -> None:
        service = in_memory(vod_file_urls=False)
        transport = Bodies(service)
        video = VideoRequest(prompt="a parade", vod=VodOptions(storage_mode="Permanent"))
        request = VideoToAudio(
            video=video, audio=AudioRequest(prompt="a band", vod=VodOptions(storage_mode="Permanent"))
        )
        async with client_of(service, config(), transport=lambda: transport) as client:
            made = await client.generate(request)
        assert isinstance(made, VideoToAudioResult)
        assert transport.bodies[-1][1]["VideoInfos"] == [{"Type": "File", "FileId": made.video.file_ids[0]}]
        assert (made.audio.urls, made.audio.never_expires, len(made.audio.bare_file_ids)) == ((), True, 2)

    run(main())


def test_an_audio_that_the_model_had_no_room_for_is_created_again_and_any_other_failure_is_not() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATE, fault="fail_later", code="RequestLimitExceeded")
        service.faults.add(action=CREATE, fault="fail_later", code="ModelGenerateFailed")
        async with client_of(service, config()) as client:
            with pytest.raises(TaskFailed, match="ModelGenerateFailed"):
                await client.generate(RAIN)
        assert statistics(service)["audio"] == 2

    run(main())


def test_what_vod_does_not_know_is_refused_before_the_video_is_paid_for() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config()) as client:
            with pytest.raises(InvalidRequest, match="resource_id: VOD does not support it"):
                await client.generate(film(AudioRequest(prompt="x", resource_id="5")))
            with pytest.raises(InvalidRequest, match="lyrics: Kling takes none"):
                await client.generate(film(AudioRequest(prompt="x", model_name="Kling", lyrics="la")))
        assert dict(statistics(service)) == {"image": 0, "video": 0, "audio": 0}

    run(main())


# --- no session, so nothing is sent again -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", UNANSWERED, ids=lambda fault: str(fault.get("status") or fault["fault"]))
def test_a_create_without_an_answer_is_unknown_and_has_one_task(tmp_path: Path, fault: dict[str, Any]) -> None:
    """In this process, in the next one, and days later; the user's word alone makes another task."""

    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        service.faults.add(action=CREATE, **fault)
        for pause_s in (0.0, 60.0, 4 * 86_400.0):
            await asyncio.sleep(pause_s)
            async with client_of(service, config(), ledger=ledger) as client:
                heard = Heard(client)
                with pytest.raises(CreateOutcomeUnknown, match="it is not sent again") as caught:
                    await client.generate(RAIN)
                assert caught.value.job_id == "rain/audio"
                (job,) = await client.unknown()
                assert (job.state, job.session_id, job.attempts) == (JobState.UNKNOWN, "", 1)
                assert "Retried" not in heard.names("rain/audio")
        assert service.statistics(wall()).arrivals[CREATE] == accepted(service, CREATE) == 1
        assert service.statistics(wall()).arrivals.get("vod:DescribeTasks", 0) == 0, (
            "a list finds no task of no session"
        )
        async with client_of(service, config(), ledger=ledger) as client:
            await client.settle("rain/audio", CreateAgain())
            assert (await client.generate(RAIN)).urls
        assert accepted(service, CREATE) == 2

    run(main())


def test_images_and_videos_keep_their_sessions() -> None:
    async def main() -> None:
        service = in_memory()
        for kind in ("Image", "Video", "Audio"):
            service.faults.add(action=f"vod:CreateAigc{kind}Task", fault="reset_after")
        async with client_of(service, config()) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(film())
            (job,) = await client.unknown()
        assert job.kind is Kind.AUDIO
        created = {kind: accepted(service, f"vod:CreateAigc{kind}Task") for kind in ("Image", "Video", "Audio")}
        assert created == {"Image": 1, "Video": 1, "Audio": 1}
        assert service.statistics(wall()).arrivals["vod:CreateAigcVideoTask"] == 2, "sent again with its session"

    run(main())


def test_the_task_of_an_unknown_audio_is_attached_by_hand(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATE, fault="reset_after")
        async with client_of(service, config(), ledger=tmp_path / "jobs.db") as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(RAIN)
            (task_id,) = [one.task_id for one in service.arrivals if one.action == CREATE]
            assert task_id is not None
            await client.settle("rain/audio", Attach(task_id))
            assert (await client.generate(RAIN)).task_id == task_id
        assert accepted(service, CREATE) == 1

    run(main())


def test_a_process_that_is_killed_after_acceptance_leaves_one_task_and_an_unknown_job(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        service.faults.add(action=CREATE, fault="hang")
        async with client_of(service, config(), ledger=ledger) as client:
            paced = asyncio.Event()
            client.on_event(lambda event: paced.set() if type(event).__name__ == "Paced" else None)
            caller = asyncio.create_task(client.generate(RAIN))
            await paced.wait()
            await asyncio.sleep(1)
            assert accepted(service, CREATE) == 1
            killed(ledger)
            caller.cancel()
        async with client_of(service, config(), ledger=tmp_path / "killed" / "jobs.db") as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(RAIN)
            (job,) = await client.unknown()
            assert (job.job_id, job.session_id) == ("rain/audio", "")
            assert client.statistics().slots[Kind.AUDIO].taken == 1, "the task may be running"
        assert service.statistics(wall()).arrivals[CREATE] == 1

    run(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["answer", "drop", "504", "no id", "page", "RequestLimitExceeded"]), max_size=5))
def test_no_script_of_answers_makes_a_second_task(fates: list[str]) -> None:
    """Three processes with one ledger, against a VOD that refuses a session in an audio's create."""

    async def main(ledger: Path) -> None:
        service, config = VodService(fates=list(fates)), vod_config()
        for _ in range(3):
            async with session_client(service, config, ledger) as client:
                with suppress(CreateOutcomeUnknown):
                    await client.generate(RAIN)
        reached = [fate for fate in fates[: len(service.bodies)] if fate != "RequestLimitExceeded"]
        assert len(service.tasks) == 1
        assert len(reached) <= 1, "the first create that was not refused is the last one"
        assert all(body[KIND] == "CreateAigcAudioTask" and "SessionId" not in body for body in service.bodies)
        assert service.looks == 0

    with tempfile.TemporaryDirectory() as folder:
        run(main(Path(folder, "jobs.db")))
