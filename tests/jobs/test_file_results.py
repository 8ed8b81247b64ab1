"""Results as VOD, the relay and MPS really tell them, from servers of this file's own over sockets: files by their ids
alone, words of success beside no error, failures beside files, results that never expire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mps_aigc_async import (
    AigcClient,
    Config,
    DownloadError,
    ImageRequest,
    ImageToVideo,
    ImageToVideoResult,
    JobRecord,
    JobState,
    Kind,
    ResultExpired,
    TaskFailed,
    TaskState,
    Usage,
    VideoRequest,
    VodOptions,
)
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model import events
from mps_aigc_async.testing import run, wall

PNG, MP4 = b"\x89PNG\r\n\x1a\n", b"\0\0\0\x18ftypisom\0\0\0\0"
NEVER = "9999-12-31T23:59:59Z"
KEPT = {"StorageMode": "Permanent", "FileUrl": "", "ExpireTime": NEVER}
BACKENDS = ("vod", "relay")
CREATES = {
    "CreateAigcImageTask": Kind.IMAGE, "CreateAigcVideoTask": Kind.VIDEO,
    "/tencent-vod/v1/aigc-image": Kind.IMAGE, "/tencent-vod/v1/aigc-video": Kind.VIDEO,
}  # fmt: skip
PERMANENT = VodOptions(storage_mode="Permanent")


@dataclass
class Vod:
    """VOD's actions and the relay's routes, with answers written from the documents. A task ends at its second poll."""

    infos: dict[str, Any] = field(default_factory=lambda: dict(KEPT))
    """Fields of each file of a finished task, beside its id."""
    task: dict[str, Any] = field(default_factory=dict)
    """Fields of the finished task's member, beside its files."""
    outer: dict[str, Any] = field(default_factory=dict)
    """Fields of the answer, beside the member."""
    prefix: str = ""
    """Before the member's name: `Scene`."""
    fails: Kind | None = None
    """The kind whose tasks fail."""
    known: bool = True
    """Whether DescribeMediaInfos knows the files."""
    base: str = ""
    created: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)
    media_asked: list[dict[str, Any]] = field(default_factory=list)
    polls: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/media/"):
            return web.Response(body=PNG if request.path.endswith("0") else MP4)
        body = json.loads(await request.text() or "{}")
        action = request.headers.get("X-TC-Action", request.path)
        if action in CREATES:
            self.created.append((CREATES[action], body))
            return self._response({"TaskId": f"task-{len(self.created) - 1}"})
        if action == "DescribeMediaInfos":
            self.media_asked.append(body)
            media = [self._media(file_id) for file_id in body["FileIds"]] if self.known else []
            return self._response({"MediaInfoSet": media, "NotExistFileIdSet": [] if self.known else body["FileIds"]})
        return self._response(self._detail(str(body.get("TaskId") or request.path.rpartition("/")[2])))

    def _response(self, inside: dict[str, Any]) -> web.Response:
        date = formatdate(wall(), usegmt=True)  # the service's time is the test's
        return web.json_response({"Response": {**inside, "RequestId": "r-1"}}, headers={"Date": date})

    def _media(self, file_id: str) -> dict[str, Any]:
        url = f"{self.base}/media/{file_id.removeprefix('file-')}"
        return {"FileId": file_id, "BasicInfo": {"MediaUrl": url, "ExpireTime": NEVER}}

    def _detail(self, task_id: str) -> dict[str, Any]:
        number = int(task_id.removeprefix("task-"))
        name = f"{self.prefix}Aigc{self.created[number][0].title()}Task"
        self.polls += 1
        if self.polls % 2:
            inner: dict[str, Any] = {"Status": "PROCESSING", "Progress": 42, "ErrCode": 0, "ErrCodeExt": ""}
            return {"TaskType": name, "Status": "PROCESSING", name: inner}
        info = {"FileId": f"file-{number}", **self.infos}
        if info["FileUrl"]:
            info["FileUrl"] = f"{self.base}/media/{number}?sign=secret"
        inner = {
            "Status": "FINISH", "Progress": 100, "ErrCode": 0, "ErrCodeExt": "", "Message": "",
            "Output": {"FileInfos": [info], "Usage": {"OutputSeconds": 5}},
        }  # fmt: skip
        fault = {"ErrCode": 1, "Message": "no"} if self.created[number][0] is self.fails else {}
        return {"TaskType": name, "Status": "FINISH", name: {**inner, **self.task, **fault}, **self.outer}


@asynccontextmanager
async def client_on(vod: Vod, backend: str = "vod", ledger: Path | None = None) -> AsyncIterator[AigcClient]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", vod.answer)
    async with TestServer(application) as server:
        vod.base = str(server.make_url("/")).rstrip("/")
        model = {"modelName": "Kling", "modelVersion": "3.0"}
        config = {
            "backend": backend,
            "tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": vod.base},
            "relay": {"baseUrl": vod.base, "apiKey": "RELAYEXAMPLE"},
            "mps": {"imageGeneration": model, "videoGeneration": model},
            "catalog": "off",
            **({"vod": {"subAppId": 5}} if backend == "vod" else {}),
        }
        async with AigcClient(Config.parse(config), ledger=ledger, wall=wall) as client:
            yield client


CHAIN = ImageToVideo(
    id="shot",
    image=ImageRequest(prompt="a lake", vod=PERMANENT),
    video=VideoRequest(prompt="it moves", vod=PERMANENT),
)


def rows(ledger: Path) -> dict[Kind, JobRecord]:
    with open_snapshot(ledger) as snapshot:
        return {job.kind: job for _, jobs in snapshot.requests() for job in jobs}


def test_a_chain_of_files_by_their_ids_goes_on_is_done_and_saved_on_vod(tmp_path: Path) -> None:
    async def main() -> None:
        vod = Vod()
        async with client_on(vod, ledger=tmp_path / "ledger.db") as client:
            result = await client.generate(CHAIN, save_to=tmp_path / "out")
            assert isinstance(result, ImageToVideoResult)
            assert [made.file_ids for made in (result.image, result.video)] == [("file-0",), ("file-1",)]
            for made in (result.image, result.video):
                assert (made.urls, made.expires_at, made.never_expires, made.is_saved) == ((), None, True, True)
        assert vod.created[1][1]["FileInfos"] == [
            {"Type": "File", "FileId": "file-0", "Category": "Image", "Usage": "FirstFrame"}
        ]
        assert sorted(asked["FileIds"] for asked in vod.media_asked) == [["file-0"], ["file-1"]]
        assert {asked["SubAppId"] for asked in vod.media_asked} == {5}
        assert (tmp_path / "out" / "shot.png").read_bytes() == PNG
        assert (tmp_path / "out" / "shot.mp4").read_bytes() == MP4
        kept = rows(tmp_path / "ledger.db")
        assert {job.state for job in kept.values()} == {JobState.SAVED}
        assert kept[Kind.VIDEO].bare_file_ids == ("file-1",)
        # The request as it was sent can be made again from the ledger.
        sent = VideoRequest.model_validate(kept[Kind.VIDEO].sent_fields())
        assert sent.first_frame is not None

    run(main())


def test_on_the_relay_it_is_done_goes_on_and_saving_says_that_there_is_no_url(tmp_path: Path) -> None:
    async def main() -> None:
        vod = Vod()
        async with client_on(vod, "relay", ledger=tmp_path / "ledger.db") as client:
            result = await client.generate(CHAIN)
            assert isinstance(result, ImageToVideoResult)
            assert (result.video.file_ids, result.video.never_expires) == (("file-1",), True)
            assert vod.created[1][1]["file_infos"] == [
                {"type": "file", "file_id": "file-0", "category": "Image", "usage": "FirstFrame"}
            ]
            (outcome,) = [outcome async for outcome in client.run([CHAIN], save_to=tmp_path / "out")]
            assert isinstance(outcome.error, DownloadError)
            assert "there is no URL for file file-" in str(outcome.error)
            assert "gives no URLs of stored files" in str(outcome.error)
        assert len(vod.created) == 2
        assert {job.state for job in rows(tmp_path / "ledger.db").values()} == {JobState.DONE}

    run(main())


def test_a_file_that_vod_cannot_find_stays_done_and_is_saved_by_a_later_run(tmp_path: Path) -> None:
    async def main() -> None:
        vod = Vod(known=False)
        request = ImageRequest(id="a", prompt="a lake", vod=PERMANENT)
        async with client_on(vod, ledger=tmp_path / "ledger.db") as client:
            (outcome,) = [outcome async for outcome in client.run([request], save_to=tmp_path / "out")]
            assert "no URL for file file-0: the service does not have the file" in str(outcome.error)
            vod.known = True
            (outcome,) = [outcome async for outcome in client.run([request], save_to=tmp_path / "out")]
            assert outcome.ok
        assert len(vod.created) == 1

    run(main())


def test_a_kept_file_that_vod_has_deleted_at_its_end_is_called_expired(tmp_path: Path) -> None:
    async def main() -> None:
        end = (datetime.fromtimestamp(wall(), UTC) + timedelta(days=2)).isoformat()
        vod = Vod(infos={**KEPT, "ExpireTime": end}, known=False)
        request = ImageRequest(id="a", prompt="a lake", vod=PERMANENT)
        async with client_on(vod, ledger=tmp_path / "ledger.db") as client:
            (outcome,) = [outcome async for outcome in client.run([request], save_to=tmp_path / "out")]
            assert isinstance(outcome.error, DownloadError)
            await asyncio.sleep(3 * 86_400)
            (outcome,) = [outcome async for outcome in client.run([request], save_to=tmp_path / "out")]
            assert isinstance(outcome.error, ResultExpired)
            assert "no URL for file file-0: the service does not have the file" in str(outcome.error)
        assert len(vod.created) == 1

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_word_of_success_beside_files_is_no_failure(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        vod = Vod(infos={"FileUrl": "set"}, task={"ErrCode": "0", "ErrCodeExt": "SUCCESS", "Message": "Success"})
        async with client_on(vod, backend, ledger=tmp_path / "ledger.db") as client:
            result = await client.generate(ImageRequest(id="a", prompt="a lake"))
            assert len(result.urls) == 1
        assert len(vod.created) == 1
        assert rows(tmp_path / "ledger.db")[Kind.IMAGE].state is JobState.DONE

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("durable", [True, False])
def test_a_failed_tasks_record_keeps_what_came(tmp_path: Path, backend: str, durable: bool) -> None:
    async def main() -> None:
        task = {"ErrCode": 70000, "ErrCodeExt": "ContentModerationFailed", "Message": "blocked"}
        vod = Vod(infos={"FileUrl": "set", "StorageMode": "Temporary"}, task=task)
        ledger = tmp_path / "ledger.db" if durable else None
        async with client_on(vod, backend, ledger=ledger) as client:
            with pytest.raises(TaskFailed, match="blocked") as failed:
                await client.generate(ImageRequest(id="a", prompt="a lake"))
            assert failed.value.file_ids == ("file-0",)
            assert failed.value.urls == (f"{vod.base}/media/0?sign=secret",)
            assert "secret" not in f"{failed.value} {failed.value!r}"
        if ledger is not None:
            row = rows(ledger)[Kind.IMAGE]
            assert (row.state, row.file_ids, len(row.urls), row.progress) == (JobState.FAILED, ("file-0",), 1, 100)

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_scene_task_is_read_by_its_own_member(backend: str) -> None:
    async def main() -> None:
        vod = Vod(infos={"FileUrl": "set"}, prefix="Scene")
        async with client_on(vod, backend) as client:
            assert len((await client.generate(ImageRequest(prompt="a lake"))).urls) == 1

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_progress_usage_and_times_are_in_the_status_the_result_the_events_and_the_ledger(
    tmp_path: Path, backend: str
) -> None:
    async def main() -> None:
        times = {"BeginProcessTime": "2026-01-01T00:00:05Z", "FinishTime": "2026-01-01T00:02:00Z"}
        vod = Vod(infos={"FileUrl": "set"}, outer=times)
        polled: list[int | None] = []
        async with client_on(vod, backend, ledger=tmp_path / "ledger.db") as client:
            client.on_event(lambda event: polled.append(event.progress) if isinstance(event, events.Polled) else None)
            task = await client.submit(VideoRequest(id="a", prompt="it moves"))
            status = await task.status()
            assert (status.state, status.progress) == (TaskState.RUNNING, 42)
            result = await task.wait()
        assert result.usage == Usage(output_seconds=5)
        assert result.begun_at is not None
        assert result.finished_at is not None
        assert (result.finished_at - result.begun_at).total_seconds() == 115
        assert polled[-1] == 100
        row = rows(tmp_path / "ledger.db")[Kind.VIDEO]
        assert (row.progress, row.usage, row.begun_at) == (100, Usage(output_seconds=5), 1_767_225_605.0)
        assert row.finished_at == 1_767_225_720.0

    run(main())


def test_what_a_failed_task_has_made_is_told_before_it_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        vod = Vod(infos={"FileUrl": "set"}, fails=Kind.IMAGE)
        async with client_on(vod, ledger=tmp_path / "ledger.db") as client:
            with pytest.raises(TaskFailed):
                await client.generate(ImageRequest(id="a", prompt="a lake"))
            await client.retry_failed()
        assert "a/image is created again, although its failed task task-0 left results" in caplog.text
        assert "VOD files file-0" in caplog.text
        assert "secret" not in caplog.text

    run(main())


def test_a_task_that_had_ended_when_it_was_attached_to_expires_by_the_time_that_it_began() -> None:
    async def main() -> None:
        vod = Vod(infos={"FileUrl": "set"}, outer={"BeginProcessTime": "2026-01-01T00:00:05Z"}, polls=1)
        vod.created.append((Kind.IMAGE, {}))
        async with client_on(vod) as client:
            result = await client.attach("image", "task-0").wait()
            assert result.expires_at is None  # "began" after it ended cannot be true
            await asyncio.sleep(3600)
            vod.polls = 1
            result = await client.attach("image", "task-0").wait()
            assert result.expires_at == datetime(2026, 1, 8, 0, 0, 5, tzinfo=UTC)

    run(main())


@pytest.mark.parametrize(
    ("infos", "never", "days"),
    [
        ({"StorageMode": "Permanent", "ExpireTime": NEVER}, True, None),
        ({"StorageMode": "Permanent", "ExpireTime": ""}, True, None),
        ({"StorageMode": "Temporary", "ExpireTime": NEVER}, False, 7),
        ({"StorageMode": "Temporary", "ExpireTime": ""}, False, 7),
        ({"StorageMode": "Temporary", "ExpireTime": 2.0}, False, 2),
        ({"StorageMode": "Permanent", "ExpireTime": 30.0}, False, 30),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_storage_mode_and_expire_time_decide_how_long_a_result_lives(
    backend: str, infos: dict[str, Any], never: bool, days: float | None
) -> None:
    async def main() -> None:
        start = datetime.fromtimestamp(wall(), UTC)
        told = infos["ExpireTime"]
        end = (start + timedelta(days=told)).isoformat() if isinstance(told, float) else told
        async with client_on(Vod(infos={"FileUrl": "set", **infos, "ExpireTime": end}), backend) as client:
            result = await client.generate(ImageRequest(prompt="a lake"))
        assert result.never_expires is never
        if days is None:
            assert result.expires_at is None
        else:
            assert result.expires_at is not None
            assert abs((result.expires_at - start) / timedelta(days=1) - days) < 0.001

    run(main())


def test_a_permanent_image_is_handed_on_after_the_seven_days(tmp_path: Path) -> None:
    """Its video is asked for again when a URL of seven days would long be dead."""

    async def main() -> None:
        vod = Vod(infos={"FileUrl": "set", "StorageMode": "Permanent", "ExpireTime": NEVER}, fails=Kind.VIDEO)
        async with client_on(vod, ledger=tmp_path / "ledger.db") as client:
            with pytest.raises(TaskFailed):
                await client.generate(CHAIN)
            vod.fails = None
            await asyncio.sleep(30 * 24 * 3600)
            await client.retry_failed()
            (outcome,) = [outcome async for outcome in client.run([CHAIN])]
            assert outcome.ok
        assert [kind for kind, _ in vod.created] == [Kind.IMAGE, Kind.VIDEO, Kind.VIDEO]

    run(main())


@pytest.mark.parametrize("whose", ["request", "config"])
@pytest.mark.parametrize("bucket", ["media", "another"])
def test_a_result_in_the_users_own_bucket_never_expires_on_mps(whose: str, bucket: str) -> None:
    """The bucket's name is in the URL of what is stored there; a URL elsewhere keeps the documented life."""

    async def main() -> None:
        done = {"Status": "DONE", "ImageUrls": ["https://media-1.cos.ap-guangzhou.myqcloud.com/1.png"]}

        async def answer(request: web.Request) -> web.Response:
            create = request.headers["X-TC-Action"].startswith("Create")
            return web.json_response({"Response": ({"TaskId": "t-1"} if create else done) | {"RequestId": "r"}})

        application = web.Application()
        application.router.add_post("/", answer)
        store = {"bucket": f"{bucket}-1", "region": "ap-guangzhou"}
        keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
        async with TestServer(application) as server:
            url = str(server.make_url("/")).rstrip("/")
            in_config = {"cosOutput": {**store}} if whose == "config" else {}
            config = Config.parse({"tencentCloud": {**keys, "endpoint": url}, "catalog": "off", **in_config})
            more = {"store": store} if whose == "request" else {}
            async with AigcClient(config, wall=wall) as client:
                result = await client.generate(ImageRequest.model_validate({"prompt": "a lake", **more}))
        assert result.never_expires is (bucket == "media")
        assert (result.expires_at is None) is result.never_expires

    run(main())
