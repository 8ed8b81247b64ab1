"""A service in memory, as users' own tests would use it, sockets forbidden."""

import asyncio
import os
import socket
import subprocess
import sys
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from mps_aigc_async import (
    AigcClient,
    Config,
    CreateOutcomeUnknown,
    DownloadError,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ImageToVideoResult,
    Kind,
    ResultExpired,
    TaskFailed,
    VideoRequest,
    VodFile,
    VodOptions,
)
from mps_aigc_async.emulator import Bucket, Service, Settings
from mps_aigc_async.model.events import Retried
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.testing import InMemoryTransport, forget_limits, in_memory_client, run, wall

ROOT = Path(__file__).parents[2]
CHAIN = ImageToVideo(image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="wind", duration=1))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4096
"""A megabyte, so that a download comes in several pieces."""


class SocketForbidden(AssertionError):
    """Something left the process."""


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise SocketForbidden

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, forbidden)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, forbidden)


def with_png(**settings: Any) -> Service:  # noqa: ANN401 - handed through
    return Service(Settings(media=lambda _piece: PNG, **settings))


def test_a_chain_works_on_the_default_service() -> None:
    service = Service()

    async def main() -> float:
        async with in_memory_client(service) as client:
            result = await client.generate(CHAIN)
            assert result.image.urls
            assert result.video.urls
        return wall()

    assert run(main()) - 1_767_225_600 < 8 * 60, "an image and a video, at the documented durations"
    assert service.statistics().created == {"image": 1, "video": 1, "audio": 0}


def test_a_transport_of_ones_own_serves_chains_and_files_too(tmp_path: Path) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": "http://127.0.0.1:80"}

    async def main() -> None:
        service = Service()
        config = Config.parse({"tencentCloud": keys})
        transport = InMemoryTransport(service, wall)
        async with AigcClient(config, transport=lambda: transport, wall=wall) as client:
            assert len((await client.generate(CHAIN, save_to=tmp_path)).image.files) == 1

    run(main())


def test_files_land_in_the_folder_and_the_film_begins_with_its_image(tmp_path: Path) -> None:
    async def main() -> ImageToVideoResult:
        async with in_memory_client() as client:
            (outcome,) = [outcome async for outcome in client.run([CHAIN], save_to=tmp_path)]
        assert isinstance(outcome.result, ImageToVideoResult)
        return outcome.result

    result = run(main())
    picture, film = result.image.files[0], result.video.files[0]
    assert {picture.parent, film.parent} == {tmp_path}
    first = _first_frame(film)
    with Image.open(picture) as image:
        reference = image.convert("RGB").resize(first.size)
    assert max(ImageStat.Stat(ImageChops.difference(first, reference)).mean) < 12


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_the_other_backends_work_with_the_config_of_ones_app(backend: str, tmp_path: Path) -> None:
    config = Config.parse(
        {
            "backend": backend,
            "tencentCloud": {"secretId": "AKID-of-my-app", "secretKey": "a-real-key"},
            "relay": {"baseUrl": "https://relay.example", "apiKey": "a-real-key"},
            "mps": {"imageGeneration": {"modelName": "GEM", "modelVersion": "3.0"}},
        }
    )
    service = with_png()

    async def main() -> ImageResult:
        async with in_memory_client(service, config) as client:
            return await client.generate(ImageRequest(prompt="a lake"), save_to=tmp_path)

    assert run(main()).files[0].read_bytes() == PNG
    (task,) = service.statistics().tasks
    assert (task.service, task.model) == (backend, "GEM 3.0")
    assert task.session_id


def test_a_film_may_begin_with_a_picture_of_ones_own(tmp_path: Path) -> None:
    picture = BytesIO()
    Image.new("RGB", (320, 180), (200, 30, 30)).save(picture, "PNG")
    config = Config.parse({"backend": "vod", "catalog": "off"})

    def video(picture: bytes) -> VideoRequest:
        file = VodFile(base64=b64encode(picture).decode(), category="Image", usage="FirstFrame")
        options = VodOptions(files=(file,))
        return VideoRequest(prompt="red", model_name="Kling", model_version="2.5", duration=1, vod=options)

    async def main() -> Path:
        async with in_memory_client(config=config) as client:
            film = await client.generate(video(picture.getvalue()), save_to=tmp_path)
            with pytest.raises(TaskFailed):
                await client.generate(video(b"\x89PNG\r\n\x1a\n and no more"))
            return film.files[0]

    red, green, _ = ImageStat.Stat(_first_frame(run(main()))).mean
    assert red > 150 > 60 > green


def _first_frame(film: Path) -> Image.Image:
    with av.open(str(film)) as container:
        picture: Image.Image = next(container.decode(video=0)).to_image()  # type: ignore[no-untyped-call]  # as PyAV has it
        return picture


def test_an_image_elsewhere_is_taken_for_granted_and_an_expired_one_fails_its_video() -> None:
    async def main() -> None:
        service = Service(Settings(speed=1.0))
        async with in_memory_client(service) as client:
            image = await client.generate(ImageRequest(prompt="a lake"))
            await client.generate(VideoRequest(prompt="b", first_frame="https://pictures.example/lake.png"))
            await asyncio.sleep(12 * 3600)
            with pytest.raises(TaskFailed, match="HTTP 403"):
                await client.generate(VideoRequest(prompt="c", first_frame=image.urls[0]))

    run(main())


def test_results_in_a_bucket_have_the_urls_of_reality_and_chains_read_them(tmp_path: Path) -> None:
    async def main() -> ImageToVideoResult:
        service = with_png(buckets={"shots-1250000000": Bucket("public-read")})
        config = Config.parse({"cosOutput": {"bucket": "shots-1250000000", "region": "ap-guangzhou"}})
        async with in_memory_client(service, config) as client:
            return await client.generate(CHAIN, save_to=tmp_path)

    result = run(main())
    assert result.image.urls[0].startswith("https://shots-1250000000.cos.ap-guangzhou.myqcloud.com/4-AigcImage-")
    assert result.image.never_expires
    assert result.video.files[0].read_bytes() == PNG


def test_an_unsigned_url_begins_no_video_if_it_is_of_a_private_bucket_of_the_service() -> None:
    async def main() -> None:
        host = "cos.ap-guangzhou.myqcloud.com"
        async with in_memory_client(with_png(buckets={"shots-1250000000": Bucket()})) as client:
            with pytest.raises(TaskFailed, match="HTTP 403"):
                await client.generate(VideoRequest(prompt="wind", first_frame=f"https://shots-1250000000.{host}/a.png"))
            await client.generate(VideoRequest(prompt="wind", first_frame=f"https://elsewhere-1250000000.{host}/a.png"))

    run(main())


def test_a_second_client_finds_the_tasks_of_the_first() -> None:
    async def main() -> None:
        service = Service()
        async with in_memory_client(service) as client:
            image = await client.generate(CHAIN.image)
            video = await client.submit(VideoRequest(prompt="wind", first_frame=image, duration=1))
        async with in_memory_client(service) as another:
            assert (await another.attach("video", video.task_id).wait()).urls

    run(main())


# --- downloads --------------------------------------------------------------------------------------------------------


def test_a_result_that_was_not_saved_in_time_is_expired_as_over_http(tmp_path: Path) -> None:
    async def main() -> None:
        service, request = with_png(), ImageRequest(prompt="a lake", id="late")
        async with in_memory_client(service, ledger=tmp_path / "jobs.db") as client:
            await client.generate(request)
        await asyncio.sleep(13 * 3600)
        async with in_memory_client(service, ledger=tmp_path / "jobs.db") as client:
            with pytest.raises(ResultExpired, match="HTTP 403"):
                await client.generate(request, save_to=tmp_path)

    run(main())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("reset_before", "ServerDisconnectedError"),
        ("reset_after", "closed before the file was complete"),
        ("hang", "SocketTimeoutError"),
        ("http_status", "HTTP 502"),
    ],
)
def test_a_download_meets_faults_and_goes_on(fault: Any, message: str, tmp_path: Path) -> None:  # noqa: ANN401
    service, retries = with_png(), list[str]()
    service.faults.add(action="Media", fault=fault)

    async def main() -> ImageResult:
        async with in_memory_client(service) as client:
            client.on_event(lambda event: retries.append(str(event)) if isinstance(event, Retried) else None)
            return await client.generate(ImageRequest(prompt="a lake"), save_to=tmp_path)

    assert run(main()).files[0].read_bytes() == PNG
    assert len(retries) == 1
    assert message in retries[0]


def test_a_broken_download_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    """The second answer is a part: together they are the whole file."""
    service, ranges = with_png(), list[str]()
    service.faults.add(action="Media", fault="reset_after")

    class Recorded(InMemoryTransport):
        async def fetch(self, url: Any, headers: Any) -> Any:  # noqa: ANN401 - handed through
            answer = await super().fetch(url, headers)
            ranges.append(f"{answer.status} {headers.get('Range')}")
            return answer

    async def main() -> ImageResult:
        config = Config.parse({"tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}})
        async with AigcClient(config, transport=lambda: Recorded(service, wall), wall=wall) as client:
            return await client.generate(ImageRequest(prompt="a lake"), save_to=tmp_path)

    assert run(main()).files[0].read_bytes() == PNG
    assert ranges == ["200 None", f"206 bytes={len(PNG) // 2}-"]


def test_a_url_that_leads_out_of_memory_is_refused_at_once(tmp_path: Path) -> None:
    async def main() -> float:
        began = wall()
        downloads = Downloads(source=InMemoryTransport(with_png(), wall))
        with pytest.raises(DownloadError, match="no result of the service in memory"):
            await downloads.save("https://elsewhere.example/a.png?sign=b", tmp_path / "a", Kind.IMAGE, within_s=3600)
        await downloads.close()
        return wall() - began

    assert run(main()) < 1


# --- without the extra ------------------------------------------------------------------------------------------------

WITHOUT_THE_EXTRA = """
import asyncio, sys, time

sys.modules.update(PIL=None, av=None, noto_cjk_sans_otc=None)  # as if they were not installed

from mps_aigc_async import AigcClient, Config, DownloadError, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Emulator, Service, Settings
from mps_aigc_async.testing import in_memory_client, run, wall

CHAIN = ImageToVideo(image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="wind"))

async def used(client):
    result = await client.generate(CHAIN)
    assert result.image.urls and result.video.urls
    begun = wall()
    try:
        await client.generate(ImageRequest(prompt="a hill"), save_to=sys.argv[1])
    except DownloadError as error:
        assert wall() - begun < 300, "at once, and not after hours"
        return str(error)

async def in_memory():
    async with in_memory_client(Service()) as client:
        print(await used(client))

async def over_http():
    async with Emulator(speed=1000) as emulator:
        keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": emulator.url}
        config = Config.parse({"tencentCloud": keys, "concurrency": {"pollIntervalMs": 100}})
        async with AigcClient(config) as client:
            print(await used(client))

async def with_media():
    async with in_memory_client(Service(Settings(media=lambda piece: b"\\x89PNG\\r\\n\\x1a\\n"))) as client:
        print((await client.generate(ImageRequest(prompt="a lake"), save_to=sys.argv[1])).files[0].suffix)
"""


@pytest.mark.parametrize("main", ["run(in_memory())", "asyncio.run(over_http())"])
def test_without_the_extra_all_but_files_works_and_a_file_names_the_extra_at_once(main: str, tmp_path: Path) -> None:
    process = python(WITHOUT_THE_EXTRA + main, tmp_path)
    assert process.returncode == 0, process.stderr
    hint = "install this package with its extra, pip install '.[emulator]' in a clone of mps-aigc-async"
    assert hint in process.stdout
    assert "PIL, av, noto_cjk_sans_otc" in process.stdout


def test_without_the_extra_bytes_of_ones_own_are_saved(tmp_path: Path) -> None:
    process = python(WITHOUT_THE_EXTRA + "run(with_media())", tmp_path)
    assert (process.stdout, process.returncode) == (".png\n", 0), process.stderr


@pytest.mark.parametrize("command", ["demo", "emulator"])
def test_without_the_extra_a_command_names_it_at_once(command: str, tmp_path: Path) -> None:
    hiding = WITHOUT_THE_EXTRA.partition("from mps_aigc_async import")[0]
    script = f"{hiding}sys.argv = ['mps-aigc', {command!r}]\nfrom mps_aigc_async.__main__ import main\nmain()"
    process = python(script, tmp_path)
    assert process.returncode == 2
    assert "pip install '.[emulator]' in a clone of mps-aigc-async" in " ".join(process.stderr.split())


def python(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


# --- facts to assert on -----------------------------------------------------------------------------------------------


def test_planned_faults_and_what_was_seen_of_them() -> None:
    service = with_png()
    service.faults.add(action="CreateAigcImageTask", fault="error", code="RequestLimitExceeded")
    service.faults.add(action="CreateAigcVideoTask", fault="fail_later", code="ModelGenerateFailed")
    service.faults.add(action="DescribeAigcImageTask", fault="http_status", status=500, after=2)

    async def main() -> None:
        async with in_memory_client(service) as client:
            await client.generate(ImageRequest(prompt="a lake"))
            with pytest.raises(TaskFailed):
                await client.generate(VideoRequest(prompt="wind"))

    run(main())
    statistics = service.statistics()
    assert statistics.refused == {"RequestLimitExceeded": 1, "http_status": 1}
    assert statistics.created == {"image": 1, "video": 1, "audio": 0}
    assert [(task.kind, task.prompt, task.status) for task in statistics.tasks] == [
        ("image", "a lake", "DONE"),
        ("video", "wind", "FAIL"),
    ]
    assert statistics.arrivals["CreateAigcImageTask"] == 2
    assert statistics.most_per_second["CreateAigcImageTask"] <= 2
    polls = [arrival.fault for arrival in service.arrivals if arrival.action == "DescribeAigcImageTask"]
    assert polls[:3] == [None, None, "http_status"]
    assert set(polls[3:]) == {None}
    with pytest.raises(AttributeError):
        statistics.tasks[0].prompt = "another"  # type: ignore[misc]


@pytest.mark.parametrize("fault", ["reset_after", "hang"])
def test_a_lost_answer_is_a_task_that_the_service_has(fault: Any) -> None:  # noqa: ANN401
    service = with_png()
    service.faults.add(action="CreateAigcImageTask", fault=fault)

    async def main() -> None:
        async with in_memory_client(service) as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(ImageRequest(prompt="a lake"))
            assert len(await client.unknown()) == 1

    run(main())
    assert [task.prompt for task in service.statistics().tasks] == ["a lake"]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_run_in_the_same_loop_begins_with_fresh_paces_once_the_limits_are_forgotten() -> None:
    async def gap_s(*, forget: bool) -> float:
        """Seconds between the last create of one client and the first of the next."""
        service = with_png()
        for _ in range(2):
            async with in_memory_client(service, latency_s=0.0) as client:
                await client.submit(ImageRequest(prompt="a lake"))
            if forget:
                forget_limits()
        first, second = (arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask")
        return second - first

    async def both() -> tuple[float, float]:
        return await gap_s(forget=False), await gap_s(forget=True)

    with_pace, fresh = run(both())
    assert with_pace >= 0.05, "20 creates a second"
    assert fresh < 0.01


def test_a_client_that_is_open_keeps_its_limits() -> None:
    async def main() -> int:
        service = with_png()
        async with in_memory_client(service) as client:
            forget_limits()
            tasks = await asyncio.gather(*(client.submit(ImageRequest(prompt=f"{n}")) for n in range(30)))
            assert len(tasks) == 30
        return service.statistics().most_per_second["CreateAigcImageTask"]

    assert run(main()) <= 20
