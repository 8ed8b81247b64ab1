"""Results that VOD stores are inputs by their file ids, and other results by their URLs."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import (
    AudioRequest,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    JobRecord,
    JobState,
    Kind,
    VideoRequest,
    VodOptions,
)
from mps_aigc_async.jobs.stored_inputs import has_stored_files, with_file_ids
from mps_aigc_async.ledger import MemoryLedger
from mps_aigc_async.model.contents import content, digest
from mps_aigc_async.model.inputs import ReferenceImage
from mps_aigc_async.model.results import VideoResult
from mps_aigc_async.testing import run
from mps_aigc_async.wire import mps, relay, vod

from .test_file_results import CHAIN, KEPT, PERMANENT, Vod, client_on, rows

WITH_URL = {**KEPT, "FileUrl": "set"}
TEMPORARY = {"StorageMode": "Temporary", "FileUrl": "set", "ExpireTime": ""}
FIRST = {"Category": "Image", "Usage": "FirstFrame"}
DAY_S = 86_400.0


def inputs(service: Vod, number: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        service.created[number][1].get("FileInfos") or service.created[number][1]["file_infos"]
    )
    return found


@pytest.mark.parametrize(
    ("infos", "file"),
    [
        (WITH_URL, {"Type": "File", "FileId": "file-0"}),
        (KEPT, {"Type": "File", "FileId": "file-0"}),
        ({**WITH_URL, "StorageMode": "permanent"}, {"Type": "File", "FileId": "file-0"}),
    ],
)
def test_a_chain_on_vod_goes_on_by_the_stored_images_id(infos: dict[str, Any], file: dict[str, Any]) -> None:
    async def main() -> None:
        service = Vod(infos=infos)
        async with client_on(service) as client:
            await client.generate(CHAIN)
        assert inputs(service) == [{**file, **FIRST}]

    run(main())


def test_a_chain_of_temporary_images_goes_on_by_their_urls() -> None:
    """FileId is valid only if StorageMode is Permanent."""

    async def main() -> None:
        service = Vod(infos=TEMPORARY)
        async with client_on(service) as client:
            request = ImageToVideo(image=ImageRequest(prompt="a"), video=VideoRequest(prompt="b"))
            await client.generate(request)
        assert [file["Type"] for file in inputs(service)] == ["Url"]

    run(main())


def test_on_the_relay_a_stored_image_goes_by_its_url_since_its_accounts_may_be_several() -> None:
    async def main() -> None:
        service = Vod(infos=WITH_URL)
        async with client_on(service, "relay") as client:
            await client.generate(CHAIN)
            (file,) = inputs(service)
            assert (file["type"], "file_id" in file) == ("url", False)

    run(main())


def test_a_stored_image_is_an_input_long_after_a_url_would_have_expired(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = Vod(infos=WITH_URL), tmp_path / "ledger.db"
        async with client_on(service, ledger=ledger) as client:
            service.fails = Kind.VIDEO
            (outcome,) = [one async for one in client.run([CHAIN])]
            assert not outcome.ok
            await asyncio.sleep(30 * DAY_S)
            service.fails = None
            await client.retry_failed()
            assert (await client.generate(CHAIN)).video.file_ids
        assert inputs(service, 2) == [{"Type": "File", "FileId": "file-0", **FIRST}]
        sent = VideoRequest.model_validate(rows(ledger)[Kind.VIDEO].sent_fields())
        assert isinstance(sent.first_frame, ImageResult)
        assert (sent.first_frame.urls, sent.first_frame.file_ids) == ((), ("file-0",))

    run(main())


def test_a_users_result_goes_by_its_id_in_its_own_ledger_and_else_by_its_url(tmp_path: Path) -> None:
    async def main() -> None:
        service = Vod(infos=WITH_URL)
        async with client_on(service, ledger=tmp_path / "ledger.db") as client:
            image = await client.generate(ImageRequest(prompt="a lake", vod=PERMANENT))
            assert image.urls
            request = VideoRequest(prompt="x", first_frame=image, images=(image, ReferenceImage(image=image)))
            before = digest(request)
            await client.generate(request)
            assert digest(request) == before
            assert [(file["Type"], file.get("FileId")) for file in inputs(service)] == [("File", "file-0")] * 3
            await client.generate(ImageRequest(prompt="y", images=(image, "https://a.example/b.png")))
            assert [file["Type"] for file in inputs(service, 2)] == ["File", "Url"]
        async with client_on(service) as client:  # another ledger: it may be of another application
            await client.generate(VideoRequest(prompt="x", first_frame=image))
        assert [file["Type"] for file in inputs(service, 3)] == ["Url"]

    run(main())


def test_a_repeated_create_has_the_same_inputs_as_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = Vod(infos=WITH_URL), tmp_path / "ledger.db"
        async with client_on(service, ledger=ledger) as client:
            image = await client.generate(ImageRequest(prompt="a lake", vod=PERMANENT))
            await client.generate(VideoRequest(id="v", prompt="x", first_frame=image))
        row = rows(ledger)[Kind.VIDEO]
        sent = vod.encode(VideoRequest.model_validate(row.sent_fields()))
        assert sent["FileInfos"] == inputs(service)

    run(main())


# --- rules ------------------------------------------------------------------------------------------------------------


def job(**changes: Any) -> JobRecord:  # noqa: ANN401 — any field
    values: dict[str, Any] = {
        "job_id": "a/image", "kind": Kind.IMAGE, "content": content(ImageRequest(prompt="x")), "planned_at": 1.0,
        "state": JobState.DONE, "task_id": "t", "urls": ("https://a/1",), "file_ids": ("f",),
    }  # fmt: skip
    return JobRecord(**{**values, **changes})


STORED = content(ImageRequest(prompt="x", vod=PERMANENT))


@pytest.mark.parametrize(
    ("changes", "is_stored"),
    [
        ({"never_expires": True}, True),
        ({"content": STORED}, True),
        ({}, False),
        ({"content": STORED, "file_ids": ()}, False),
        ({"content": STORED, "urls": ("https://a/1", "https://a/2")}, False),  # the id may be the second file's
        ({"content": STORED, "urls": (), "bare_file_ids": ("f",)}, True),
        ({"never_expires": True, "file_ids": ("f", "g"), "bare_file_ids": ("f",)}, True),
    ],
)
def test_a_first_id_counts_if_it_is_the_first_files_and_the_file_is_stored(
    changes: dict[str, Any], is_stored: bool
) -> None:
    assert has_stored_files(job(**changes)) is is_stored


results = st.builds(
    ImageResult,
    task_id=st.sampled_from(["t", "strange"]),
    request_id=st.just("r"),
    urls=st.sampled_from([(), ("https://a/1",)]),
    file_ids=st.sampled_from([(), ("f",), ("g",)]),
    expires_at=st.none(),
)


@given(first=results | st.just("https://b/1"), others=st.lists(results | st.just("https://b/2"), max_size=3))
def test_only_the_urls_of_own_stored_results_are_left_out(first: Any, others: list[Any]) -> None:  # noqa: ANN401 — any source
    async def main() -> None:
        ledger = MemoryLedger()
        await ledger.put(job(never_expires=True))
        request = VideoRequest(prompt="x", first_frame=first, images=tuple(others))
        sent = await with_file_ids(request, vod.Vod().takes_file_ids(Kind.VIDEO), ledger)
        assert isinstance(sent, VideoRequest)
        for before, after in zip((first, *others), (sent.first_frame, *sent.images), strict=True):
            is_own = isinstance(before, ImageResult) and (before.task_id, before.file_ids) == ("t", ("f",))
            assert after == (replace(before, urls=()) if is_own else before)
        for dialect in (mps.Mps(), relay.Relay(host="a")):
            assert await with_file_ids(request, dialect.takes_file_ids(Kind.VIDEO), ledger) is request

    asyncio.run(main())


def test_a_row_that_cannot_be_read_leaves_the_url() -> None:
    async def main() -> None:
        ledger = MemoryLedger()
        await ledger.put(job(never_expires=False, content="{"))
        result = ImageResult(task_id="t", request_id="", urls=("https://a/1",), file_ids=("f",), expires_at=None)
        request = VideoRequest(prompt="x", first_frame=result, vod=VodOptions())
        assert await with_file_ids(request, {"first_frame"}, ledger) is request

    asyncio.run(main())


def test_a_stored_videos_result_is_handed_on_by_its_id_where_a_service_takes_it() -> None:
    async def main() -> None:
        ledger = MemoryLedger()
        await ledger.put(job(job_id="a/video", kind=Kind.VIDEO, never_expires=True))
        film = VideoResult(task_id="t", request_id="", urls=("https://a/1",), file_ids=("f",), expires_at=None)
        sent = await with_file_ids(AudioRequest(prompt="x", videos=(film,)), {"videos"}, ledger)
        assert isinstance(sent, AudioRequest)
        assert sent.videos == (replace(film, urls=()),)

    asyncio.run(main())
