"""An edited request, and a request that is made again: versions, files, and the number of creates."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    Config,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ImageToVideoResult,
    InvalidRequest,
    JobState,
    ServiceError,
    VideoRequest,
)
from mps_aigc_async.emulator import Emulator, Service
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.ledger.versions import contents_of
from mps_aigc_async.testing import run

from ..support import KEYS, client_of, configured, in_memory, statistics
from .support import CAT, lost, row_of

DOG = CAT.model_copy(update={"prompt": "a dog"})
BIRD = CAT.model_copy(update={"prompt": "a bird"})
SHOT = ImageToVideo(id="shot", image=ImageRequest(prompt="a hill"), video=VideoRequest(prompt="rain"))
SNOW = SHOT.model_copy(update={"video": VideoRequest(prompt="snow")})
BAY = SHOT.model_copy(update={"image": ImageRequest(prompt="a bay")})


def created(service: Service | Emulator) -> dict[str, int]:
    numbers = service.statistics().created if isinstance(service, Emulator) else statistics(service)
    return {kind: number for kind, number in numbers.items() if number}


def client_of_url(emulator: Emulator, ledger: Path) -> AigcClient:
    polls = {"pollIntervalMs": 100}
    return AigcClient(
        Config.parse({"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": polls}), ledger=ledger
    )


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))


def test_content_that_was_never_sent_is_replaced_without_a_complaint() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1)) as client:
            service.faults.add(action="CreateAigcImageTask", fault="error", code="RequestLimitExceeded", times=99)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.generate(CAT), 1)
            while (await row_of(client, "cat/image")).state is not JobState.PLANNED:  # noqa: ASYNC110 — the ledger tells nobody
                await asyncio.sleep(1)
            service.faults.clear()
            assert (await client.generate(DOG)).urls
            assert created(service) == {"image": 1}
            assert '"a dog"' in (await row_of(client, "cat/image")).content

    run(main())


def test_content_whose_create_was_refused_is_replaced() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            service.faults.add(fault="error", code="InvalidParameterValue.ModelName")
            with pytest.raises(ServiceError):
                await client.generate(CAT)
            assert (await client.generate(DOG)).urls
            assert created(service) == {"image": 1}

    run(main())


def test_content_that_was_paid_for_is_a_conflict_that_names_the_change() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            with pytest.raises(InvalidRequest, match=r'image\.prompt: "a cat" → "a dog".*new version') as refused:
                await client.generate(DOG)
            assert refused.value.job_id == "cat"
            assert created(service) == {"image": 1}

    run(main())


async def test_a_new_version_keeps_the_former_row_and_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with Emulator(speed=600) as emulator, client_of_url(emulator, tmp_path / "ledger.db") as client:
        first = await client.generate(CAT, save_to=out)
        assert await client.new_version("cat", DOG) == "cat@2"
        [outcome] = [outcome async for outcome in client.run([DOG], save_to=out)]
        assert outcome.job_id == "cat@2"
        assert isinstance(outcome.result, ImageResult)
        assert names(out) == ["cat.png", "cat@2.png"]
        assert await client.generate(CAT, save_to=out) == first, "the former content still means the former version"
        third = await client.redo("cat", save_to=out)
        assert isinstance(third, ImageResult)
        assert names(out) == ["cat.png", "cat@2.png", "cat@3.png"]
        assert await client.generate(DOG, save_to=out) == third
        assert created(emulator) == {"image": 3}


def test_a_repeated_or_raced_redo_that_names_its_version_is_the_same_one() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            assert set(await asyncio.gather(*(client.new_version("cat@1") for _ in range(5)))) == {"cat@2"}
            results = await asyncio.gather(*(client.redo("cat@1") for _ in range(5)))
            assert len({result.task_id for result in results if isinstance(result, ImageResult)}) == 1
            assert await client.new_version("cat@1") == "cat@2"
            await client.redo("cat")
            assert await client.redo("cat@1") == results[0], "though there is a later version of the same content"
            assert created(service) == {"image": 3}
            with pytest.raises(InvalidRequest, match="other content"):
                await client.new_version("cat@1", DOG)
            assert await client.new_version("cat@3", DOG) == "cat@4"
            assert await client.new_version("cat@3", BIRD) == "cat@4", "it has cost nothing: its content is replaced"
            await client.generate(BIRD)
            with pytest.raises(InvalidRequest, match="other content"):
                await client.new_version("cat@3", DOG)
            with pytest.raises(InvalidRequest, match="own id is dog: leave it out to make a version of cat"):
                await client.new_version("cat", DOG.model_copy(update={"id": "dog"}))
            with pytest.raises(InvalidRequest, match="the latest version is cat@4"):
                await client.new_version("cat@5")
            with pytest.raises(InvalidRequest, match="no such request"):
                await client.new_version("dog")

    run(main())


def test_a_redo_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger) as client:
            await client.generate(CAT)
            assert await client.new_version("cat") == await client.new_version("cat") == "cat@2"
            redoing = asyncio.create_task(client.redo("cat"))
            while created(service) != {"image": 2}:  # noqa: ASYNC110 — as above
                await asyncio.sleep(0.1)
            redoing.cancel()
        async with client_of(service, ledger=ledger) as client:
            result = await client.redo("cat")
            assert isinstance(result, ImageResult)
            row = await (await client._usable_engine().open_ledger(ledger)).get("cat@2/image")
            assert row is not None
            assert row.task_id == result.task_id
            assert created(service) == {"image": 2}

    run(main())


async def test_of_a_chain_only_the_changed_steps_are_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with Emulator(speed=600) as emulator, client_of_url(emulator, tmp_path / "ledger.db") as client:
        first = await client.generate(SHOT, save_to=out)
        assert await client.new_version("shot", SNOW) == "shot@2"
        second = await client.generate(SNOW, save_to=out)
        assert second.image == first.image
        assert second.video != first.video
        assert created(emulator) == {"image": 1, "video": 2}
        assert names(out) == ["shot.mp4", "shot.png", "shot@2.mp4"]
        assert await client.new_version("shot", BAY) == "shot@3"
        third = await client.generate(BAY, save_to=out)
        assert third.image != first.image
        assert created(emulator) == {"image": 2, "video": 3}
        again = await client.redo("shot", save_to=out)
        assert isinstance(again, ImageToVideoResult)
        assert again.image != third.image
        assert created(emulator) == {"image": 3, "video": 4}


def test_an_image_whose_url_ends_is_made_again_for_a_changed_video() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(SHOT)
            await asyncio.sleep(12 * 3600)
            await client.new_version("shot", SNOW)
            await client.generate(SNOW)
            assert created(service) == {"image": 2, "video": 2}

    run(main())


def test_a_create_in_doubt_is_settled_first() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            for request in (None, DOG):
                with pytest.raises(InvalidRequest, match="settle it first"):
                    await client.new_version("cat", request)
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(CAT)

    run(main())


def test_content_that_another_caller_replaces_is_not_sent_under_the_new_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that waits for its place meets the row with the content of a later caller."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            ledger = await client._usable_engine().open_ledger(None)
            plan = ledger.plan

            async def plan_and_replace(job: JobRecord) -> JobRecord:
                row = await plan(job)
                if job.job_id == "shot/video":
                    image = await ledger.get("shot/image")
                    assert image is not None
                    await ledger.replace(image, replace(image, content='{"prompt":"a bay"}'))
                return row

            monkeypatch.setattr(ledger, "plan", plan_and_replace)
            with pytest.raises(InvalidRequest, match="another caller has replaced"):
                await client.generate(SHOT)
            assert created(service) == {}

    run(main())


def test_a_version_that_was_half_planned_is_made_whole(tmp_path: Path) -> None:
    async def main() -> None:
        service, path = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=path) as client:
            await client.generate(SHOT)
            ledger = await client._usable_engine().open_ledger(path)
            [image, _] = [
                JobRecord(job_id=f"shot@2/{kind}", kind=kind, content=text, planned_at=9.0)
                for kind, text in contents_of(BAY).items()
            ]
            await ledger.plan(image)
        async with client_of(service, ledger=path) as client:
            assert await client.new_version("shot", BAY) == "shot@2"
            await client.generate(BAY)
            assert created(service) == {"image": 2, "video": 2}

    run(main())


def test_steps_that_come_or_go_are_made_or_refused() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(SHOT.image.model_copy(update={"id": "shot"}))
            whole = await client.redo("shot", SHOT)
            assert isinstance(whole, ImageToVideoResult)
            assert created(service) == {"image": 1, "video": 1}
            with pytest.raises(InvalidRequest, match="now it begins with video"):
                await client.new_version("shot", VideoRequest(prompt="rain"))
            alone = SHOT.image.model_copy(update={"id": "shot"})
            assert await client.new_version("shot", alone) == "shot@2"
            assert isinstance(await client.generate(alone), ImageResult)
            assert created(service) == {"image": 2, "video": 1}

    run(main())


def test_raced_redos_join_the_one_whose_create_is_under_way() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)

            async def later(delay_s: float) -> str:
                await asyncio.sleep(delay_s)
                return await client.new_version("cat")

            redoing = asyncio.create_task(client.redo("cat"))
            assert {await later(0.005) for _ in range(50)} == {"cat@2"}
            await redoing
            assert created(service) == {"image": 2}

    run(main())


def test_an_edit_of_a_planned_version_that_is_undone_keeps_the_former_image(tmp_path: Path) -> None:
    service, out = in_memory(), tmp_path / "out"

    async def main() -> None:
        async with client_of(service, ledger=tmp_path / "ledger.db") as client:
            await client.generate(SHOT, save_to=out)
            assert await client.new_version("shot", BAY) == "shot@2"
            assert await client.new_version("shot@1", SNOW) == "shot@2"
            assert created(service) == {"image": 1, "video": 1}
            [outcome] = [outcome async for outcome in client.run([SNOW], save_to=out)]
            assert outcome.error is None
            assert created(service) == {"image": 1, "video": 2}
            both = SNOW.model_copy(update={"image": BAY.image})
            assert await client.new_version("shot", both) == "shot@3"
            assert await client.new_version("shot@2", BAY) == "shot@3", "with the image again"
            [outcome] = [outcome async for outcome in client.run([BAY], save_to=out)]
            assert outcome.error is None
            assert created(service) == {"image": 2, "video": 3}
            assert await client.resume() == []

    run(main())
