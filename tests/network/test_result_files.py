"""Results saved where the user says, from a real server on loopback."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from mps_aigc_async import (
    AudioResult,
    ConfigError,
    DownloadError,
    ImageRequest,
    ImageResult,
    ImageToVideoResult,
    ResultExpired,
    VideoResult,
)
from mps_aigc_async.network import result_files as module
from mps_aigc_async.testing import run

from ..listening import AppServer
from ..support import client_of, in_memory

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))
MP4 = b"\0\0\0\x18ftypisom" + bytes(range(256))
MP3 = b"ID3\x03" + bytes(range(256))
CONTENTS = {
    "a.png": PNG,
    "b.png": PNG + b"b",
    "photo.jpg": JPEG,
    "film.mp4": MP4,
    "waltz.mp3": MP3,
    "sounding.mp4": MP4,
}


async def answer(request: web.Request) -> web.StreamResponse:
    content = CONTENTS.get(request.match_info["path"])
    return web.Response(status=403) if content is None else web.Response(body=content)


class Site:
    """A storage of results."""

    def __init__(self) -> None:
        application = web.Application()
        application.router.add_get("/{path}", answer)
        self.server = AppServer(application)

    def urls(self, *names: str) -> tuple[str, ...]:
        return tuple(str(self.server.make_url(f"/{name}?sign=secret")) for name in names)

    def image(self, *names: str, expires_at: datetime | None = None, never_expires: bool = False) -> ImageResult:
        return ImageResult(
            task_id="4-AigcImage-1",
            request_id="r",
            urls=self.urls(*names),
            expires_at=expires_at,
            never_expires=never_expires,
        )

    def video(self, name: str) -> VideoResult:
        return VideoResult(task_id="4-AigcVideo-1", request_id="r", urls=self.urls(name), expires_at=None)

    def audio(self, name: str, *videos: str) -> AudioResult:
        urls, films = self.urls(name), self.urls(*videos)
        return AudioResult(task_id="4-AigcAudio-1", request_id="r", urls=urls, videos=films, expires_at=None)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused URL of a new result would be retried for seconds."""
    monkeypatch.setattr(module, "NEW_S", 0.0)


@pytest.mark.parametrize(
    ("names", "path", "files"),
    [
        (["a.png"], "lake", ["lake.png"]),
        (["a.png"], "lake.png", ["lake.png"]),
        (["a.png"], "new/folder/lake.PNG", ["new/folder/lake.PNG"]),
        (["photo.jpg"], "lake.png", ["lake.png"]),
        (["photo.jpg"], "lake", ["lake.jpg"]),
        (["a.png"], "lake.v2", ["lake.v2.png"]),
        (["a.png"], "lake.mp3", ["lake.png"]),
        (["a.png", "b.png"], "lake.png", ["lake.png", "lake+2.png"]),
        (["a.png"], ".", ["4-AigcImage-1.png"]),
        (["a.png"], "new/", ["new/4-AigcImage-1.png"]),
        (["a.png"], "湖.png", ["湖.png"]),
    ],
)
async def test_the_path_names_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], path: str, files: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    site = Site()
    async with site.server:
        saved = await site.image(*names).save(path)
    assert saved == tuple(tmp_path / file for file in files)
    assert [file.read_bytes() for file in saved] == [CONTENTS[name] for name in names]
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted(saved)


async def test_the_steps_of_a_chain_share_a_name(tmp_path: Path) -> None:
    site = Site()
    async with site.server:
        chain = ImageToVideoResult(
            image=site.image("a.png"), video=site.video("film.mp4"), audio=site.audio("waltz.mp3", "sounding.mp4")
        )
        saved = await chain.save(tmp_path / "shot.mp4")
    assert [file.name for file in saved] == ["shot.png", "shot.mp4", "shot.mp3", "shot+sound.mp4"]


async def test_no_other_file_is_replaced_and_the_same_one_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "lake.png"
    file.write_bytes(b"mine")
    site = Site()
    async with site.server:
        with pytest.raises(DownloadError, match=r"lake\.png exists with other content: move it away"):
            await site.image("a.png", "b.png").save(file)
        assert file.read_bytes() == b"mine"
        assert (tmp_path / "lake+2.png").read_bytes() == CONTENTS["b.png"]  # the other result is saved all the same
        file.unlink()
        assert await site.image("a.png").save(file) == await site.image("a.png").save(file) == (file,)


async def test_a_refused_url_says_why(tmp_path: Path) -> None:
    site, over = Site(), datetime.now(UTC) - timedelta(hours=1)
    async with site.server:
        with pytest.raises(ResultExpired, match=f"expired at {over:%Y-%m-%d %H:%M} UTC") as expired:
            await site.image("gone", expires_at=over).save(tmp_path / "a.png")
        with pytest.raises(DownloadError, match="HTTP 403"):
            await site.image("gone").save(tmp_path / "a.png")
        with pytest.raises(DownloadError, match=r"own bucket: `client\.save\(result, path\)` signs its URL"):
            await site.image("gone", never_expires=True).save(tmp_path / "a.png")
    assert expired.value.task_id == "4-AigcImage-1"
    assert "secret" not in str(expired.value)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_vod_names_by_its_id_alone_needs_a_ledger(tmp_path: Path) -> None:
    stored = ImageResult(
        task_id="t",
        request_id="r",
        urls=(),
        expires_at=None,
        file_ids=("38",),
        bare_file_ids=("38",),
        never_expires=True,
    )
    with pytest.raises(DownloadError, match="no URL for file 38: `save_to`"):
        await stored.save(tmp_path / "a.png")


async def test_a_result_without_urls_and_ids_is_no_success(tmp_path: Path) -> None:
    nothing = ImageResult(task_id="t", request_id="r", urls=(), expires_at=None)
    with pytest.raises(DownloadError, match="the result has no URL"):
        await nothing.save(tmp_path / "a.png")


async def test_a_film_is_not_called_a_sound(tmp_path: Path) -> None:
    site = Site()
    async with site.server:
        assert [file.name for file in await site.audio("film.mp4").save(tmp_path / "a.mp3")] == ["a+audio.mp4"]


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000])
async def test_a_path_that_cannot_be_is_a_config_error(tmp_path: Path, name: str) -> None:
    site = Site()
    async with site.server:
        with pytest.raises((ConfigError, DownloadError), match="cannot write"):
            await site.image("a.png").save(tmp_path / name)


async def test_a_folder_that_cannot_be_made_is_refused_before_the_fetch(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    site = Site()
    async with site.server:
        with pytest.raises(ConfigError, match="cannot write into"):
            await site.image("a.png").save(tmp_path / "file" / "a.png")


def test_a_client_saves_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            image = await client.generate(ImageRequest(prompt="a lake"))
            [file] = await client.save(image, tmp_path / "lake.png")
        assert file.read_bytes().startswith(b"\x89PNG")

    run(main())
