"""`save_unsaved`: what a ledger knows as paid for is polled to its end and saved, and nothing is created."""

import asyncio
import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    Config,
    ConfigError,
    ImageRequest,
    ImageToVideo,
    JobRecord,
    JobState,
    Outcome,
    ResultExpired,
    TaskFailed,
    VideoRequest,
)
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.results import ImageResult, Result
from mps_aigc_async.model.states import Kind

from ..support import KEYS

CHAIN = ImageToVideo(id="x/y", image=ImageRequest(prompt="a"), video=VideoRequest(prompt="forbidden-content"))


def config_for(emulator: Emulator) -> Config:
    caps = {"maxImageTasks": 4, "maxVideoTasks": 4, "pollIntervalMs": 100}
    return Config.parse({"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": caps})


async def saved(client: AigcClient, folder: Path) -> dict[str, Outcome[JobRecord, Result]]:
    """The outcomes, by the jobs' ids. No job has two."""
    outcomes = [one async for one in client.save_unsaved(save_to=folder)]
    by_id = {one.job_id: one for one in outcomes}
    assert len(by_id) == len(outcomes)
    return by_id


async def test_what_is_done_and_what_runs_is_saved_and_what_is_planned_stays_planned(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "jobs.db", tmp_path / "out"
    async with Emulator(speed=1000) as emulator:
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            await client.generate(ImageRequest(id="done", prompt="a"))
            await client.generate(ImageRequest(id="saved", prompt="a"), save_to=folder)
            [outcome] = [one async for one in client.run([CHAIN])]
            assert outcome.error is not None
            await client.retry_failed(only=lambda _: True)  # its video is planned by now
            await client.submit(ImageRequest(id="running", prompt="a"))
        created = dict(emulator.statistics().created)
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            outcomes = await saved(client, folder)
            assert set(outcomes) == {"done/image", "x/y/image", "running/image"}
            for one in outcomes.values():
                assert one.ok
                assert one.request.state in (JobState.DONE, JobState.SUBMITTED)
                assert one.result is not None
            assert {file.name for file in folder.iterdir()} == {"done.png", "saved.png", "x%2Fy.png", "running.png"}
            assert await client.counts() == {JobState.SAVED: 4, JobState.PLANNED: 1}
            arrivals = len(emulator.arrivals)
            assert await saved(client, folder) == {}
            assert len(emulator.arrivals) == arrivals, "nothing is sent for what is saved"
        assert dict(emulator.statistics().created) == created


async def test_only_chooses_and_a_ledger_in_memory_will_do(tmp_path: Path) -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator)) as client:
        for name in "ab":
            await client.generate(ImageRequest(id=name, prompt="a"))
        outcomes = [
            one async for one in client.save_unsaved(save_to=tmp_path, only=lambda job: job.job_id == "b/image")
        ]
        assert [one.job_id for one in outcomes] == ["b/image"]
        assert [file.name for file in tmp_path.iterdir()] == ["b.png"]


async def test_a_task_that_fails_and_a_result_that_is_gone_are_outcomes(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "jobs.db", tmp_path / "out"
    async with Emulator(speed=1000) as emulator:
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            gone = await client.generate(ImageRequest(id="gone", prompt="a"))
            await client.generate(ImageRequest(id="kept", prompt="a"))
            await client.submit(ImageRequest(id="bad", prompt="fail-later"))
        _expire(ledger, "gone/image", f"{emulator.url}/media/x/0.png?expires=1&sign=SIGNATURE")
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            outcomes = await saved(client, folder)
            assert outcomes["kept/image"].ok
            assert isinstance(outcomes["bad/image"].error, TaskFailed)
            lost = outcomes["gone/image"].error
            assert isinstance(lost, ResultExpired)
            assert (lost.job_id, lost.task_id) == ("gone/image", gone.task_id)
            assert "SIGNATURE" not in str(lost)
            assert await client.counts() == {JobState.SAVED: 1, JobState.FAILED: 1, JobState.DONE: 1}


def _expire(ledger: Path, job_id: str, url: str) -> None:
    """Let a job's result be long expired, at a URL that the service refuses."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        database.execute(
            "UPDATE jobs SET urls = ?, ended_at = 1, expires_at = 2 WHERE job_id = ?", (json.dumps([url]), job_id)
        )


async def test_an_unusable_folder_is_raised_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator)) as client:
        await client.generate(ImageRequest(id="a", prompt="a"))
        with pytest.raises(ConfigError):
            await anext(client.save_unsaved(save_to=tmp_path / "file" / "out"))
        assert await client.counts() == {JobState.DONE: 1}


@pytest.mark.parametrize("action", ["Media", "DescribeAigcImageTask"])
async def test_a_cancelled_saving_leaves_the_ledger_right(tmp_path: Path, action: str) -> None:
    ledger, folder = tmp_path / "jobs.db", tmp_path / "out"
    async with Emulator(speed=1000) as emulator:
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            request = ImageRequest(id="a", prompt="a")
            await (client.generate(request) if action == "Media" else client.submit(request))
        emulator.faults.add(action=action, fault="hang", times=1000)
        (fault,) = emulator.faults.rules
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            saving = asyncio.create_task(saved(client, folder))
            async with asyncio.timeout(10):
                while fault.times == 1000:  # noqa: ASYNC110 — the emulator, in this loop, has no event for it
                    await asyncio.sleep(0)
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving
        emulator.faults.clear()
        with open_snapshot(ledger) as snapshot:  # before a client resumes the job
            state = JobState.DONE if action == "Media" else JobState.SUBMITTED
            assert [*snapshot.states()] == [("a/image", Kind.IMAGE, state)]
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            assert (await saved(client, folder))["a/image"].ok
            assert await client.counts() == {JobState.SAVED: 1}
        assert emulator.statistics().created["image"] == 1


async def test_the_batch_and_the_saving_of_one_job_fetch_it_once(tmp_path: Path) -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator), ledger=tmp_path / "l.db") as client:
        request = ImageRequest(id="a", prompt="a")
        await client.generate(request)
        outcomes, [ran] = await asyncio.gather(saved(client, tmp_path), _run(client, request, tmp_path))
        assert ran.ok
        assert all(one.ok for one in outcomes.values())
        assert sorted(file.name for file in tmp_path.glob("*.png")) == ["a.png"]


async def _run(client: AigcClient, request: ImageRequest, folder: Path) -> list[Outcome[ImageRequest, ImageResult]]:
    return [one async for one in client.run([request], save_to=folder)]
