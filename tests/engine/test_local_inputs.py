"""Local files and Base64 as inputs: the truth about each, before anything is sent."""

import os
from base64 import b64encode
from pathlib import Path

import pytest

from mps_aigc_async import AudioRequest, ImageRequest, ImageToVideo, InvalidRequest, VideoRequest, VodFile, VodOptions
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.local_inputs import has_local_files, refuse_local_files, refuse_odd_base64
from mps_aigc_async.model.requests import Request
from mps_aigc_async.testing import run

from ..support import client_of, configured, in_memory

PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)
GIF = b"GIF89a" + bytes(100)
MP4 = b"\0\0\0\x20ftypisom" + bytes(2000)
HTML = b"<!doctype html><title>404</title>"
BASE64 = "VodFile(base64=…)"


def fault_of(source: str | Path, backend: str = "mps") -> str:
    """The reason for which a first frame is raised."""
    request = VideoRequest(prompt="x", first_frame=source)
    assert has_local_files(request, backend)
    with pytest.raises(InvalidRequest) as raised:
        refuse_local_files(request, backend)
    assert raised.value.where == "first_frame"
    return raised.value.why


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PNG, "is a file of this machine, and the service fetches its inputs itself: put it where it is publicly"),
        (HTML, "is text and no media file; a file of this machine cannot be sent either: put it where"),
        (GIF, "is a gif file, and the documents list jpeg, png and webp; a file of this machine"),
        (b"", "is an empty file; a file of this machine"),
    ],
)
def test_a_file_that_is_there(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(content)
    for source in (file, str(file)):
        assert f"{str(file)[:60]}" in fault_of(source)
        assert reason in fault_of(source)


def test_a_large_file_is_a_file_of_this_machine_and_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    file.write_bytes(PNG)
    os.truncate(file, 1 << 40)  # sparse: a reading of it would never end
    assert "is a file of this machine" in fault_of(file)
    assert BASE64 not in fault_of(file, "vod")
    with pytest.raises(InvalidRequest, match=r"images\.0: .* has 1048576\.0 MiB, and at most 10 MiB are allowed"):
        refuse_local_files(VideoRequest(prompt="x", images=(file,)), "mps")


@pytest.mark.parametrize(("backend", "has_base64"), [("mps", False), ("vod", True), ("relay", False)])
def test_vod_takes_a_small_file_as_base64(tmp_path: Path, backend: str, has_base64: bool) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    assert (BASE64 in fault_of(file, backend)) is has_base64


@pytest.mark.parametrize("source", ["none.png", "none/none.png", "www.a.example/1.png", "a\0b", "x" * 5000, "图片"])
def test_a_file_that_is_not_there(source: str) -> None:
    assert "is neither a URL nor a file here: give the URL" in fault_of(source)
    assert len(fault_of(source)) < 300


@pytest.mark.parametrize("source", ["ftp://a.example/1.png", "data:image/png;base64,AAAA", "file:///etc/hostname"])
def test_another_kind_of_url_is_looked_for_on_no_disk(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "stat", lambda _: pytest.fail("the disk was asked"))
    assert "is not a URL that the service can fetch: give an http or https URL" in fault_of(source)


def test_an_empty_text_is_no_folder() -> None:
    assert fault_of("") == "'' is empty: give an http or https URL"
    assert "is empty" in fault_of("  ")


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(PNG)
    assert "'~/a.png' is a file of this machine" in fault_of("~/a.png")
    assert "is neither a URL nor a file here" in fault_of("~nobody-of-this-name/a.png")


def test_a_folder_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # a read would wait for a writer for ever
    for source in (pipe, tmp_path):
        assert "is not a URL, and names a folder or a device here" in fault_of(source)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(PNG)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot read it as a file (Permission denied)" in fault_of(file)


def test_every_local_file_of_a_chain_is_named() -> None:
    chain = ImageToVideo(image=ImageRequest(images=("a.png",)), video=VideoRequest(prompt="x", last_frame="b.png"))
    with pytest.raises(InvalidRequest) as raised:
        refuse_local_files(chain, "mps")
    assert [fault.where for fault in raised.value.faults] == ["image.images.0", "video.last_frame"]


def test_requests_with_urls_alone_have_no_local_files() -> None:
    url = "HTTPS://a.example/1"
    for request in (VideoRequest(prompt="x", first_frame=url), AudioRequest(videos=(url,)), ImageRequest(prompt="x")):
        assert not has_local_files(request, "mps")


def test_a_local_file_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)

    async def main(service: Service) -> None:
        async with client_of(service) as client:
            for source, why in (
                (tmp_path / "a.png", "is a file of this machine"),
                ("none", "neither a URL nor a file"),
            ):
                request = VideoRequest(prompt="x", first_frame=source)
                with pytest.raises(InvalidRequest, match=why):
                    await client.generate(request)
                with pytest.raises(InvalidRequest, match=why):
                    await client.submit(request)

    service = in_memory()
    run(main(service))
    assert not service.arrivals


# --- Base64 -----------------------------------------------------------------------------------------------------------


def with_base64(kind: type[ImageRequest | VideoRequest], content: bytes, category: str | None = None) -> Request:
    files = (VodFile(file_id="1"), VodFile(base64=b64encode(content).decode(), category=category))
    return kind(prompt="x", vod=VodOptions(files=files))


@pytest.mark.parametrize(
    ("kind", "content", "category", "why"),
    [
        (ImageRequest, HTML, None, "is text and no media file"),
        (ImageRequest, GIF, None, "is a gif file, and the documents list jpeg, png and webp"),
        (ImageRequest, MP4, None, "is a mp4 file, and the documents list jpeg, png and webp"),
        (VideoRequest, b"\1\2\3", "Image", "does not begin like a file of the documented formats, jpeg, png and webp"),
        (VideoRequest, PNG, "Video", "is a png file, and the documents list mp4, mov and avi"),
    ],
)
def test_odd_base64(kind: type[ImageRequest | VideoRequest], content: bytes, category: str | None, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        refuse_odd_base64(with_base64(kind, content, category))
    (fault,) = raised.value.faults
    assert fault.where == "vod.files.1.base64"
    assert fault.why.startswith(why)


@pytest.mark.parametrize(
    ("content", "category"), [(PNG, None), (MP4, None), (MP4, "Video"), (PNG, "image"), (b"ID3\x04", "Audio")]
)
def test_documented_base64(content: bytes, category: str | None) -> None:
    refuse_odd_base64(with_base64(VideoRequest, content, category))


def test_the_check_of_a_request_names_odd_base64_and_sends_nothing() -> None:
    async def main(service: Service) -> None:
        async with client_of(service, configured(backend="vod")) as client:
            chain = ImageToVideo(image=with_base64(ImageRequest, HTML), video=VideoRequest(prompt="x"))
            with pytest.raises(InvalidRequest, match=r"^image\.vod\.files\.1\.base64 is text"):
                client.check(chain)
            with pytest.raises(InvalidRequest, match=r"^image\.vod\.files\.1\.base64 is text"):
                await client.generate(chain)

    service = in_memory()
    run(main(service))
    assert not service.arrivals
