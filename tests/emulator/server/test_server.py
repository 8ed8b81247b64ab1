"""The shell over real sockets: results, ranges, frames, faults, and that closing leaves nothing."""

import asyncio
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from mps_aigc_async import AigcClient, Config, ImageRequest
from mps_aigc_async.emulator import Emulator, Settings
from mps_aigc_async.emulator.media import frames as frames_module
from mps_aigc_async.emulator.tasks.faults import MEDIA, FaultName

from ..callers import Fields, Json, call, code_of, finished, pause
from ..media.test_films import frames_of
from ..media.test_pictures import difference, opened

FAST = 6000.0
"""A video is done within 50 ms; its URL lives 7 s."""


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=FAST) as emulator:
        yield emulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def made(session: aiohttp.ClientSession, url: str, kind: str, fields: Fields) -> dict[str, Json]:
    created = await call(session, url, f"CreateAigc{kind}Task", fields)
    return await finished(session, url, kind, str(created["TaskId"]))


async def image_url(session: aiohttp.ClientSession, url: str, prompt: str = "a lake") -> str:
    urls = (await made(session, url, "Image", {"Prompt": prompt}))["ImageUrls"]
    assert isinstance(urls, list)
    return str(urls[0])


async def download(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as reply:
        assert reply.status == 200
        assert reply.content_length is not None
        return await reply.read()


async def test_a_chain_from_prompt_to_film(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    first = await image_url(session, emulator.url)
    last = await image_url(session, emulator.url, "a mountain")
    fields: Fields = {"Prompt": "she turns", "ImageUrl": first, "LastImageUrl": last, "Duration": 1}
    stills = [opened(await download(session, url)) for url in (first, last)]  # before their URLs end
    video = await made(session, emulator.url, "Video", fields)
    assert (video["Status"], video["Message"]) == ("DONE", "ok")
    urls = video["VideoUrls"]
    assert isinstance(urls, list)
    film = frames_of(await download(session, str(urls[0])))
    for shown, still in zip((film[0], film[-1]), stills, strict=True):
        given = still.convert("RGB").resize(shown.size, Image.Resampling.LANCZOS)
        assert difference(shown, given) < 4
    assert emulator.statistics().created == {"image": 2, "video": 1, "audio": 0}


async def test_answers_carry_exactly_the_content_type_and_a_date(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with session.post(emulator.url) as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/json"
        assert "Date" in reply.headers
        answer = await reply.json()
    assert code_of(answer["Response"]) == "AuthFailure.InvalidAuthorization"


async def test_ranges_and_head(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator.url)
    whole = await download(session, url)
    total = len(whole)
    async with session.head(url) as reply:
        assert (reply.status, reply.content_length) == (200, total)
        assert reply.headers["Accept-Ranges"] == "bytes"
        tag = reply.headers["ETag"]
    for asked, part in ("bytes=0-99", whole[:100]), ("bytes=100-", whole[100:]), ("bytes=-7", whole[-7:]):
        async with session.get(url, headers={"Range": asked, "If-Range": tag}) as reply:
            assert (reply.status, await reply.read()) == (206, part)
            start = whole.index(part)
            assert reply.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{total}"
    async with session.get(url, headers={"Range": f"bytes={total}-"}) as reply:
        assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{total}")
    for ignored in {"Range": "lines=1-2"}, {"Range": "bytes=0-9", "If-Range": '"another"'}:
        async with session.get(url, headers=ignored) as reply:
            assert (reply.status, await reply.read()) == (200, whole)


async def test_results_are_rendered_once_for_many_who_ask(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator.url)
    assert len(set(await asyncio.gather(*(download(session, url) for _ in range(8))))) == 1
    assert emulator.statistics().downloads == 8
    assert "cached=1" in repr(emulator._gallery)


async def test_a_url_that_is_wrong(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator.url)
    async with session.get(url.partition("?")[0]) as reply:
        assert (reply.status, reply.content_type) == (403, "application/xml")
        assert "SignatureDoesNotMatch" in await reply.text()


async def test_statistics_by_http(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    await call(session, emulator.url, "DescribeAigcImageTask", {"TaskId": "nothing"})
    async with session.get(f"{emulator.url}/_emulator/statistics") as reply:
        statistics = await reply.json()
    assert statistics["refused"] == {"FailedOperation.TaskNotFound": 1}
    assert statistics["arrivals"] == {"DescribeAigcImageTask": 1}


# Frames


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """A server of pictures that are none. Its slow one never comes."""

    async def answer(request: web.Request) -> web.Response:
        match request.path:
            case "/text":
                return web.Response(text="not an image")
            case "/slow":
                await asyncio.Event().wait()
            case "/large":
                return web.Response(body=b"x" * (frames_module.MAX_BYTES + 1))
            case "/above-the-recommended-size":
                return web.Response(body=b"x" * (11 << 20))
        raise web.HTTPNotFound

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/text", "cannot identify image"),
        ("/slow", "within"),
        ("/large", "larger than"),
        ("/above-the-recommended-size", "cannot identify image"),
        ("/none", "HTTP 404"),
    ],
)
async def test_a_frame_that_cannot_be_had_fails_the_task(
    emulator: Emulator,
    session: aiohttp.ClientSession,
    elsewhere: str,
    path: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames_module, "TIMEOUT_S", 0.3 if path == "/slow" else 10.0)
    video = await made(session, emulator.url, "Video", {"ImageUrl": elsewhere + path})
    assert video["Status"] == "FAIL"
    assert reason in str(video["Message"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "file:///etc/hostname", "not a url", "http://[::bad"])
async def test_a_frame_from_nowhere(emulator: Emulator, session: aiohttp.ClientSession, url: str) -> None:
    video = await made(session, emulator.url, "Video", {"ImageUrl": url})
    assert video["Status"] == "FAIL"
    assert url in str(video["Message"])


async def test_a_frame_that_came_along(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    image = await download(session, await image_url(session, emulator.url))
    fields: Fields = {
        "ModelName": "Kling",
        "ModelVersion": "3.0",
        "FileInfos": [{"Type": "Base64", "Base64": b64encode(image).decode()}],
        "OutputConfig": {"Duration": 1},
    }
    task_id = (await call(session, emulator.url, "CreateAigcVideoTask", fields, "vod"))["TaskId"]
    detail: Any = {}
    while detail.get("Status") != "FINISH":
        await pause()
        detail = await call(session, emulator.url, "DescribeTaskDetail", {"TaskId": task_id}, "vod")
    (file,) = detail["AigcVideoTask"]["Output"]["FileInfos"]
    film = frames_of(await download(session, file["FileUrl"]))
    given = opened(image).convert("RGB").resize(film[0].size, Image.Resampling.LANCZOS)
    assert difference(film[0], given) < 4


async def test_the_relay_over_a_socket(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    relay, bearer = f"{emulator.url}/tencent-vod/v1", {"Authorization": "Bearer RELAYEXAMPLE"}
    fields = {"model_name": "GEM", "model_version": "3.0", "prompt": "a lake"}
    async with session.post(f"{relay}/aigc-image", json=fields, headers=bearer) as reply:
        task_id = (await reply.json())["Response"]["TaskId"]
    detail: dict[str, Any] = {}
    while detail.get("Status") != "FINISH":
        await pause()
        async with session.get(f"{relay}/query/{task_id}", headers=bearer) as reply:
            detail = (await reply.json())["Response"]
    (file,) = detail["AigcImageTask"]["Output"]["FileInfos"]
    assert opened(await download(session, file["FileUrl"])).format == "PNG"
    async with session.get(f"{relay}/query/{task_id}") as reply:
        assert (reply.status, reply.content_type) == (401, "application/json")


# Faults


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
async def test_a_reset_connection(emulator: Emulator, session: aiohttp.ClientSession, fault: FaultName) -> None:
    emulator.faults.add(fault=fault)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(session, emulator.url, "CreateAigcImageTask", {"Prompt": "x"})
    assert emulator.statistics().created["image"] == int(fault == "reset_after")
    assert (await call(session, emulator.url, "CreateAigcImageTask", {"Prompt": "x"}))["TaskId"]


async def test_an_answer_that_never_comes_and_one_that_is_late(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    emulator.faults.add(fault="hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call(session, emulator.url, "CreateAigcImageTask", {"Prompt": "x"})
    assert emulator.statistics().created["image"] == 1
    emulator.faults.add(fault="delay", seconds=0.05)
    began = asyncio.get_running_loop().time()
    await call(session, emulator.url, "CreateAigcImageTask", {"Prompt": "x"})
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_a_download_broken_off_in_the_middle(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator.url)
    emulator.faults.add(action=MEDIA, fault="reset_after")
    with pytest.raises(aiohttp.ClientError):
        await download(session, url)
    emulator.faults.add(action=MEDIA, fault="http_status", status=503)
    async with session.get(url) as reply:
        assert reply.status == 503
    assert await download(session, url)


# The end


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def test_closing_leaves_nothing_behind(
    session: aiohttp.ClientSession, elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    async with Emulator(speed=FAST) as emulator:
        downloading = asyncio.create_task(download(session, await image_url(session, emulator.url)))
        await call(session, emulator.url, "CreateAigcVideoTask", {"ImageUrl": f"{elsewhere}/slow"})
        emulator.faults.add(fault="hang")
        hanging = asyncio.create_task(call(session, emulator.url, "DescribeAigcImageTask", {"TaskId": "x"}))
        while "DescribeAigcImageTask" not in emulator.statistics().arrivals:  # noqa: ASYNC110 - of this same loop
            await asyncio.sleep(0)
    ends = await asyncio.gather(downloading, hanging, return_exceptions=True)
    assert isinstance(ends[1], aiohttp.ClientError)
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - the clients' own tasks end too
            await asyncio.sleep(0)
    assert threading.active_count() == threads
    assert is_empty(tmp_path)
    assert emulator.statistics().created == {"image": 1, "video": 1, "audio": 0}, "it can still be asked"
    async with aiohttp.ClientSession() as another:
        with pytest.raises(aiohttp.ClientConnectionError):
            await another.get(emulator.url)


def test_its_defaults_are_those_of_the_settings() -> None:
    assert Emulator().service.settings == Settings()


async def test_a_port_that_is_taken_is_told_and_leaves_nothing(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address"):
        async with Emulator(port=port):
            pass


def test_the_import_takes_no_extra() -> None:
    script = (
        "import sys; sys.modules.update(PIL=None, av=None, noto_cjk_sans_otc=None);"
        "import mps_aigc_async.emulator; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


async def test_without_the_extra_a_download_says_what_to_install(
    emulator: Emulator, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await image_url(session, emulator.url)
    monkeypatch.setitem(sys.modules, "PIL", None)
    async with session.get(url) as reply:
        assert reply.status == 501
        assert "pip install '.[emulator]' in a clone of mps-aigc-async" in (reply.reason or "")
        assert "pip install" in await reply.text()


async def test_bytes_of_ones_own_stand_in_for_rendered_results(session: aiohttp.ClientSession) -> None:
    async with Emulator(speed=6000, media=lambda piece: piece.order.prompt.encode()) as emulator:
        url = await image_url(session, emulator.url)
        assert await download(session, url) == b"a lake"
        film = await call(session, emulator.url, "CreateAigcVideoTask", {"Prompt": "wind", "ImageUrl": url})
        done = await finished(session, emulator.url, "Video", str(film["TaskId"]))
        assert done["Status"] == "DONE", "a frame of such bytes is taken as it is"


async def test_each_account_of_an_emulator_serves_its_own_results(session: aiohttp.ClientSession) -> None:
    async with Emulator(speed=FAST, accounts={"AKIDB": "KEYB"}) as emulator:
        config = Config.parse(
            {
                "tencentCloud": {"endpoint": emulator.url, "secretId": "AKIDB", "secretKey": "KEYB"},
                "concurrency": {"pollIntervalMs": 100},
            }
        )
        async with AigcClient(config) as client:
            url = (await client.generate(ImageRequest(prompt="a lake"))).urls[0]
        async with session.get(url) as answer:
            assert answer.status == 200
        async with session.get(url.replace("/account-1", "")) as answer:
            assert answer.status == 403
        assert emulator.statistics().created["image"] == 0
        assert emulator.account("AKIDB").statistics(emulator.now()).created["image"] == 1
