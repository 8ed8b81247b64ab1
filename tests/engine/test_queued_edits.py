"""Edited batches in the queue: free content is replaced, content that is paid for is a conflict, and versions are run.

A worker that runs the request meanwhile makes one of the two contents, never both without the user's word.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from mps_aigc_async import ImageRequest, ImageResult, ImageToVideo, InvalidRequest, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch import BatchItem, BatchRun
from mps_aigc_async.engine.batch_progress import outcomes_of, progress_of
from mps_aigc_async.engine.request_queue import QueueCount
from mps_aigc_async.engine.worker import Worker
from mps_aigc_async.engine.workers import queue, require_unchanged, retry_failed
from mps_aigc_async.model.errors import CreateOutcomeUnknown, JobDropped, TaskFailed
from mps_aigc_async.model.requests import Request
from mps_aigc_async.model.settlement import Drop
from mps_aigc_async.sharing.connection import Connection
from mps_aigc_async.sharing.database_url import DatabaseUrl

from .test_workers import CREATE, VIDEO, client_of, created, images, items, text_of, url, working

__all__ = ["url"]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=600) as emulator:
        yield emulator


def shot(prompt: str, number: int = 0) -> ImageRequest:
    return ImageRequest(id=f"shot-{number}", prompt=prompt)


def chain(prompt: str, move: str) -> ImageToVideo:
    return ImageToVideo(id="shot-0", image=ImageRequest(prompt=prompt), video=VideoRequest(prompt=move))


async def ends(url: DatabaseUrl) -> Mapping[str, object]:
    """The results or errors by the names of the versions."""
    return {outcome.job_id: outcome.result or outcome.error async for outcome in outcomes_of(url)}


async def made(emulator: Emulator, url: DatabaseUrl, save_to: Path | None = None) -> Mapping[str, object]:
    """Let a worker run all that waits."""
    async with working(emulator, url, save_to):
        return await ends(url)


async def contents(url: DatabaseUrl) -> Mapping[str, tuple[str, str]]:
    """The state and the content of each job."""
    connection = Connection(url)
    [rows] = await connection.run(("SELECT job_id, state, content FROM mps_aigc_ledger.jobs ORDER BY job_id", {}))
    await connection.close()
    return {job_id: (state, content) for job_id, state, content in rows}


async def test_a_request_that_waits_takes_its_new_content(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(2), text_of(url))
    assert await queue([shot("a hill"), *images(1, 1)], text_of(url)) == QueueCount(earlier=1, edits=1)
    await made(emulator, url)
    assert created(emulator) == {"image": 2}
    assert (await contents(url))["shot-0/image"][1] == '{"prompt":"a hill"}'


async def test_a_request_that_was_refused_waits_again_with_its_new_content(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    emulator.faults.add(action=CREATE, fault="error", code="InvalidParameterValue.Prompt", times=1)
    await queue(images(1), text_of(url))
    await made(emulator, url)
    assert (await progress_of(url)).failures == 1
    assert await queue(images(1), text_of(url)) == QueueCount(earlier=1)
    assert await queue([shot("a hill")], text_of(url)) == QueueCount(edits=1)
    waiting = await progress_of(url)
    assert (waiting.ends, waiting.failures, waiting.waiting) == (0, 0, 1)
    assert isinstance((await made(emulator, url))["shot-0"], ImageResult)
    assert created(emulator) == {"image": 1}


async def test_all_conflicts_are_told_at_once_and_nothing_is_queued(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(2), text_of(url))
    await made(emulator, url)
    edited = [shot("new", 2), shot("a hill"), shot("a bay", 1)]
    for refuse in (queue, require_unchanged):
        with pytest.raises(InvalidRequest) as refusal:
            await refuse(edited, text_of(url))
        assert refusal.value.message.startswith(
            '2 ids are taken: the ledger has them with other content: shot-0 (image.prompt: "scene 0" → "a hill"), '
            'shot-1 (image.prompt: "scene 1" → "a bay"); make new versions'
        )
    with pytest.raises(InvalidRequest, match=r"the id is taken: .*\(image.prompt: \"scene 0\" → \"a hill\"\)"):
        await queue([shot("a hill")], text_of(url))
    await require_unchanged(images(3), text_of(url))
    assert (await progress_of(url)).requests == 2


async def test_a_new_version_is_made_and_an_edit_that_is_undone_costs_nothing(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path
) -> None:
    await queue(images(2), text_of(url))
    await made(emulator, url, tmp_path)
    async with client_of(emulator, url) as client:
        assert await client.new_version("shot-0", shot("a hill")) == "shot-0@2"
    assert {*(await ends(url))} == {"shot-0", "shot-1"}, "the line means the first version until it is queued"
    assert await queue([shot("a hill")], text_of(url)) == QueueCount(edits=1)
    assert {*(await made(emulator, url, tmp_path))} == {"shot-0@2", "shot-1"}
    assert created(emulator) == {"image": 3}
    assert {file.name for file in tmp_path.glob("*.png")} == {"shot-0.png", "shot-0@2.png", "shot-1.png"}
    assert await queue(images(1), text_of(url)) == QueueCount(edits=1)
    assert {*(await made(emulator, url, tmp_path))} == {"shot-0", "shot-1"}
    assert created(emulator) == {"image": 3}


async def test_a_request_is_run_again_for_its_new_version(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(2), text_of(url))
    first = await made(emulator, url)
    async with client_of(emulator, url) as client:
        await client.new_version("shot-0", None)
    assert await ends(url) == first
    assert await queue(images(2), text_of(url), again={"shot-0"}) == QueueCount(earlier=1, repeats=1)
    assert await queue(images(2), text_of(url), again={"shot-0"}) == QueueCount(earlier=1, repeats=1)
    again = await made(emulator, url)
    assert {*again} == {"shot-0@2", "shot-1"}
    assert again["shot-0@2"] != first["shot-0"]
    assert created(emulator) == {"image": 3}


async def test_a_step_of_a_chain_is_edited_while_the_step_before_is_made(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path
) -> None:
    await queue([chain("a lake", "rain")], text_of(url))
    async with working(emulator, url, tmp_path):
        while not created(emulator):  # noqa: ASYNC110 — the emulator tells nobody
            await asyncio.sleep(0)
        assert await queue([chain("a lake", "snow")], text_of(url)) == QueueCount(edits=1)
        assert {*(await ends(url))} == {"shot-0"}
    assert created(emulator) == {"image": 1, "video": 1}
    assert (await contents(url))["shot-0/video"] == ("saved", '{"prompt":"snow"}')
    assert {file.name for file in tmp_path.iterdir()} == {"shot-0.png", "shot-0.mp4"}


FORMS: Mapping[str, tuple[Request, Request]] = {
    "image": (shot("a lake"), shot("a hill")),
    "chain": (chain("a lake", "rain"), chain("a hill", "rain")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("moment", ["before the plan", "before the create"])
async def test_a_worker_that_runs_the_request_makes_the_new_content_alone(
    emulator: Emulator, url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch, moment: str, form: str
) -> None:
    before, after = FORMS[form]
    edits: list[QueueCount] = []

    async def edit() -> None:
        if not edits:
            edits.append(await queue([after], text_of(url)))

    run, require = BatchRun.work, Worker._require_line

    async def work(self: BatchRun, item: BatchItem, *rest: object) -> object:
        await edit()
        return await run(self, item, *rest)  # type: ignore[arg-type] # as it came

    async def require_line(self: Worker, name: str, line: str) -> None:
        await require(self, name, line)
        await edit()

    if moment == "before the plan":
        monkeypatch.setattr(BatchRun, "work", work)
    else:
        monkeypatch.setattr(Worker, "_require_line", require_line)
    await queue([before], text_of(url))
    [result] = (await made(emulator, url)).values()
    assert not isinstance(result, Exception)
    assert edits == [QueueCount(edits=1)]
    assert created(emulator)["image"] == 1
    assert (await contents(url))["shot-0/image"][1] == '{"prompt":"a hill"}'
    assert await items(url) == {}


async def test_a_task_of_the_former_content_is_saved_though_its_worker_is_gone(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path
) -> None:
    await queue(images(1), text_of(url))
    async with working(emulator, url, tmp_path) as worker:
        while not created(emulator):  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        worker.stop()
    with pytest.raises(InvalidRequest, match="the id is taken"):
        await queue([shot("a hill")], text_of(url))
    async with client_of(emulator, url) as client:
        await client.new_version("shot-0", shot("a hill"))
    await queue([shot("a hill")], text_of(url))
    assert {*(await made(emulator, url, tmp_path))} == {"shot-0@2"}
    assert created(emulator) == {"image": 2}
    assert {file.name for file in tmp_path.glob("*.png")} == {"shot-0.png", "shot-0@2.png"}


async def test_a_former_version_that_cannot_be_saved_fails_no_request(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await queue(images(1), text_of(url))
    await made(emulator, url)
    connection = Connection(url)
    await connection.run(("UPDATE mps_aigc_ledger.jobs SET urls = replace(urls, '.png', ''), expires_at = 1", {}))
    await connection.close()
    async with client_of(emulator, url) as client:
        await client.new_version("shot-0", shot("a hill"))
    await queue([shot("a hill")], text_of(url))
    assert isinstance((await made(emulator, url, tmp_path))["shot-0@2"], ImageResult)
    assert "shot-0/image is not saved: " in caplog.text


async def test_the_failed_step_of_a_version_is_retried_and_none_of_the_others(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    emulator.faults.add(action=CREATE, fault="fail_later", code="ModelGenerateFailed", times=2)
    await queue(images(1), text_of(url))
    await made(emulator, url)
    async with client_of(emulator, url) as client:
        await client.new_version("shot-0", shot("a hill"))
    await queue([shot("a hill")], text_of(url))
    assert isinstance((await made(emulator, url))["shot-0@2"], TaskFailed)
    assert await retry_failed(text_of(url)) == 1
    assert isinstance((await made(emulator, url))["shot-0@2"], ImageResult)
    assert created(emulator) == {"image": 3}
    assert (await contents(url))["shot-0/image"][0] == "failed"


async def test_an_unknown_version_waits_for_the_users_word(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(1), text_of(url))
    await made(emulator, url)
    emulator.faults.add(action=CREATE, fault="reset_after", times=1)
    async with client_of(emulator, url) as client:
        await client.new_version("shot-0", shot("a hill"))
        await queue([shot("a hill")], text_of(url))
        async with working(emulator, url):
            assert isinstance((await ends(url))["shot-0@2"], CreateOutcomeUnknown)
            await queue(images(3, 1), text_of(url))
            assert isinstance((await ends(url))["shot-0@2"], CreateOutcomeUnknown)
            assert (await progress_of(url)).unknown == 1
            await client.settle("shot-0@2/image", Drop())
            while not isinstance((await ends(url))["shot-0@2"], JobDropped):  # noqa: ASYNC110 — as above
                await asyncio.sleep(0)


async def test_a_video_that_an_edit_adds_is_made_from_the_image(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue([shot("a lake")], text_of(url))
    await made(emulator, url)
    assert await queue([chain("a lake", "rain")], text_of(url)) == QueueCount(edits=1)
    emulator.faults.add(action=VIDEO, fault="error", code="InvalidParameterValue.Prompt", times=1)
    assert isinstance((await made(emulator, url))["shot-0"], Exception)
    assert await queue([chain("a lake", "snow")], text_of(url)) == QueueCount(edits=1)
    assert {*(await made(emulator, url))} == {"shot-0"}
    assert created(emulator) == {"image": 1, "video": 1}


@pytest.mark.parametrize("form", FORMS)
async def test_edits_while_workers_run_make_each_request_once_with_its_latest_content(
    emulator: Emulator, url: DatabaseUrl, form: str
) -> None:
    """Some edits come in time, the others are refused: they come while a create is on its way."""
    number = 12

    def request(each: int, edit: int) -> Request:
        image = ImageRequest(prompt=f"scene {each}, take {edit // 36}")
        whole = ImageToVideo(id=f"shot-{each}", image=image, video=VideoRequest(prompt=f"take {edit}"))
        return whole if form == "chain" else shot(f"take {edit}", each)

    latest = {f"shot-{each}": request(each, 0) for each in range(number)}
    await queue(latest.values(), text_of(url))
    async with working(emulator, url), working(emulator, url):
        for turn in count(1):
            if (await progress_of(url)).ends == number:
                break
            with suppress(InvalidRequest):
                edit = request(turn % number, turn)
                await queue([edit], text_of(url))
                latest[str(edit.id)] = edit
        assert {outcome.job_id: outcome.request async for outcome in outcomes_of(url) if outcome.ok} == latest
    assert created(emulator) == {"image": number} | ({"video": number} if form == "chain" else {})
