"""The suffix of bytes, by their beginning, their content type and their URL."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.states import Kind
from mps_aigc_async.network.media import HEAD_BYTES, SUFFIXES, USUAL_SUFFIX, medium_of, suffix_for

VAGUE = "application/octet-stream"
URL = "https://r.example/a?sign=x.exe"


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ".png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", ".jpg"),
        (b"GIF89a", ".gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", ".webp"),
        (b"RIFF\x0a\n\0\0WAVEfmt ", ".wav"),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0", ".bmp"),
        (b"II*\0\x08\0\0\0", ".tiff"),
        (b"MM\0*\0\0\0\x08", ".tiff"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", ".avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", ".avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ".heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", ".heic"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0isommp42", ".m4a"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", ".mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", ".mov"),
        (b"\0\0\x0a\x20moov\0\0", ".mov"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", ".webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", ".mkv"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" [<!ENTITY a "b">]>\n<svg>', ".svg"),
        (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'>", ".svg"),
        (b"ID3\x03\0\0\0\0\0\0", ".mp3"),
        (b"\xff\xfb\x90\x64", ".mp3"),
        (b"\xff\xf3\x40\xc4", ".mp3"),
        (b"\xff\xf1\x50\x80", ".aac"),
        (b"\xff\xf9\x50\x80", ".aac"),
        (b"fLaC\0\0\0\x22", ".flac"),
        (b"OggS\0\x02", ".ogg"),
        (b"glTF\x02\0\0\0", ".glb"),
        (b"PK\x03\x04\x14\0", ".zip"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg">', ".svg"),
        (b"\xef\xbb\xbf <svg width='1'>", ".svg"),
    ],
)
@pytest.mark.parametrize("content_type", [VAGUE, "text/plain", "image/jpg", "text/html", "video/x-msvideo"])
def test_the_first_bytes_come_first(head: bytes, suffix: str, content_type: str) -> None:
    assert suffix_for(head, content_type, "https://r.example/a.php", Kind.IMAGE) == suffix


@pytest.mark.parametrize(
    ("head", "content_type", "path", "suffix"),
    [
        # Containers that several suffixes share.
        (b"\0\0\0\x18ftypisom\0\0\0\0isom", "audio/mp4", "/a", ".m4a"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isom", VAGUE, "/a.m4a", ".m4a"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isom", "video/quicktime", "/a.mov", ".mp4"),
        (b"ID3\x04\0\0", "audio/aac", "/a", ".aac"),
        (b"OggS", "audio/opus", "/a", ".opus"),
        (b"PK\x03\x04", VAGUE, "/model.usdz", ".usdz"),
        # Bytes of no known signature: the content type, then the path, from a list of media alone.
        (b"\x90", "image/png", "/a.jpg", ".png"),
        (b"\x90", "IMAGE/JPG", "/a", ".jpg"),
        (b"\x90", "image/pjpeg", "/a", ".jpg"),
        (b"\x90", VAGUE, "/a.JPEG", ".jpeg"),
        (b"\x90", "binary/octet-stream", "/a.b/c", ".png"),
        (b"\x90", VAGUE, "/a.exe", ".png"),
        (b"\x90", VAGUE, "/a.php", ".png"),
        (b"\x90", VAGUE, "/%2E%2E%2Fa.%2Fsh", ".png"),
        (b"\x90", VAGUE, "/a%2Ewebp", ".webp"),
        (b"\x90", "", "/a", ".png"),
        (b"# made by x\nv 0 0 0\n", VAGUE, "/model.obj", ".obj"),
        (b"solid made by x\n", VAGUE, "/model.stl", ".stl"),
        (b'{"asset": {"version": "2.0"}}', "model/gltf+json", "/a", ".gltf"),
    ],
)
def test_the_type_and_then_the_path_decide_if_the_first_bytes_do_not(
    head: bytes, content_type: str, path: str, suffix: str
) -> None:
    assert suffix_for(head, content_type, f"https://r.example{path}?sign=x.exe", Kind.IMAGE) == suffix


@pytest.mark.parametrize(
    "head",
    [
        b"<html><body>502",
        b"\n  <!DOCTYPE html><html><svg width='1'></svg>",
        b"<!doctype html>\n<svg></svg>",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
        b'{"code": 403}',
        b"\xef\xbb\xbf[1, 2]",
        "<html>".encode("utf-16"),
        b'{"message": "\xe5\x9b\xbe"}',
        b'{"message": "\xe5\x9b',
        "<p>服务不可用".encode("gbk"),
        # Pages that hold an SVG, or speak of one.
        b'<?xml version="1.0"?><Error><Message>no object logo.svg here</Message></Error>',
        b'<div class="error"><svg width="1"></svg></div>',
        b"<head><title>svg </title>",
        b"<?xml version='1.0'?><!-- <svg > --><html>",
        # Text that is no markup.
        b"404 page not found\n",
        b"upstream connect error or disconnect/reset before headers",
        b'"expired"',
        b"event: error\ndata: x\n",
        "图片不存在".encode()[:-1],
    ],
)
@pytest.mark.parametrize("content_type", ["image/png", "image/svg+xml", VAGUE, "text/html", "video/mp4", ""])
def test_text_is_a_page_whatever_it_is_called(head: bytes, content_type: str) -> None:
    assert suffix_for(head, content_type, URL, Kind.IMAGE) is None


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/plain", "application/xml", "application/problem+json", "application/xhtml+xml"]
)
def test_bytes_that_are_called_text_are_a_page(content_type: str) -> None:
    assert suffix_for(b"service unavailable", content_type, URL, Kind.VIDEO) is None


@pytest.mark.parametrize("piece", [b"<!---->", b"<??>", b"<!doctype svg []>"])
def test_a_page_of_many_comments_is_judged_at_once(piece: bytes) -> None:
    """Nothing is tried in all its ways: that would take longer than the universe has lasted."""
    head = (piece * HEAD_BYTES)[:HEAD_BYTES]
    assert suffix_for(head, "image/svg+xml", URL, Kind.IMAGE) is None


@pytest.mark.parametrize(
    ("head", "suffixes"),
    [
        (b"\0\0\0\x18ftypisom\0\0\0\0isom", [".mp4", ".mp4", ".m4a"]),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", [".webm", ".webm", ".weba"]),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", [".mkv", ".mkv", ".mka"]),
        (b"OggS\0\x02", [".ogg", ".ogv", ".ogg"]),
    ],
)
def test_a_container_that_nothing_else_tells_of_holds_the_kind_asked_for(head: bytes, suffixes: list[str]) -> None:
    """A chain's video and its sound are files of one name, so that their suffixes must differ."""
    assert [suffix_for(head, VAGUE, URL, kind) for kind in Kind] == suffixes
    assert medium_of(suffixes[1], Kind.IMAGE) is Kind.VIDEO
    assert medium_of(suffixes[2], Kind.IMAGE) is Kind.AUDIO


def test_binary_that_begins_like_markup_is_no_page() -> None:
    assert suffix_for(b"{\0\1\2", "image/x-new", URL, Kind.IMAGE) == ".png"


def test_a_suffix_tells_its_medium() -> None:
    media = {suffix: medium_of(suffix, Kind.VIDEO) for suffix in (".png", ".jpg", ".mp4", ".mp3", ".m4a", ".glb")}
    image, video, audio = Kind.IMAGE, Kind.VIDEO, Kind.AUDIO
    assert list(media.values()) == [image, image, video, audio, audio, video]


@given(
    head=st.binary(max_size=HEAD_BYTES) | st.text().map(str.encode),
    content_type=st.text() | st.sampled_from(["image/png", "text/plain", VAGUE]),
    url=st.text() | st.text().map(lambda path: f"https://r.example/{path}") | st.just("http://[::1"),
    kind=st.sampled_from(Kind),
)
def test_any_bytes_have_a_suffix_of_the_list_or_are_a_page(
    head: bytes, content_type: str, url: str, kind: Kind
) -> None:
    suffix = suffix_for(head, content_type, url, kind)
    assert suffix is None or suffix in SUFFIXES | set(USUAL_SUFFIX.values()) | {".mkv", ".avi", ".flv", ".bmp"}
    assert suffix is None or Path(f"a{suffix}").suffix == suffix


@given(head=st.binary(min_size=8, max_size=64))
def test_a_png_is_a_png_whatever_follows(head: bytes) -> None:
    assert suffix_for(b"\x89PNG\r\n\x1a\n" + head, "text/html", URL, Kind.AUDIO) == ".png"
