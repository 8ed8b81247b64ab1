"""Results to disk, from a real server on loopback: whole or not there, and never over another file."""

import asyncio
import os
import re
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from mps_aigc_async.model.errors import DownloadError
from mps_aigc_async.model.states import Kind
from mps_aigc_async.network import download_retries, downloads, partfile, public_hosts
from mps_aigc_async.network.addresses import is_global
from mps_aigc_async.network.download_retries import DOUBTFUL_S
from mps_aigc_async.network.downloads import CHUNK, MAX_REDIRECTS, PARALLEL, Downloads
from mps_aigc_async.network.partfile import Part, open_part
from mps_aigc_async.testing import run

from ..listening import AppServer, listening

PART = ".shot.image.deadbeef.part"
"""Where the first image of `shot` is written before it has its name, in tests that know its token."""


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(partfile, "token", lambda: "deadbeef")
    return "deadbeef"


LONG = 60.0
"""Seconds that no test's fetching takes."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A server of results, and its requests."""

    def __init__(self, server: AppServer) -> None:
        self._server = server
        self.requests: list[web.Request] = []

    def url(self, path: str) -> str:
        return str(self._server.make_url(path))


@asynccontextmanager
async def site_of(handler: Handler) -> AsyncIterator[Site]:
    async def remember(request: web.Request) -> web.StreamResponse:
        site.requests.append(request)
        return await handler(request)

    application = web.Application()
    application.router.add_get("/{path:.*}", remember)
    server = AppServer(application)
    site = Site(server)
    async with server:
        yield site


@asynccontextmanager
async def saving() -> AsyncIterator[Downloads]:
    saver = Downloads()
    try:
        yield saver
    finally:
        await saver.close()


def serving(body: bytes = PNG, content_type: str = "image/png", status: int = 200) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, status=status)

    return handler


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    delays: list[float] = []
    sleep = asyncio.sleep

    async def no_sleep(delay: float) -> None:
        if delay > 0:
            delays.append(delay)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    return delays


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def link_of(file: Path) -> str:
    """Return the target of an entry of /proc/self/fd; empty for an entry that has gone meanwhile."""
    try:
        return str(file.readlink())
    except OSError:
        return ""


# --- saved ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "content_type", "suffix"),
    [
        (Kind.IMAGE, "/a", "image/png", ".png"),
        (Kind.IMAGE, "/a.jpg", "image/jpeg", ".png"),
        (Kind.IMAGE, "/a.php", "text/plain", ".png"),
        (Kind.VIDEO, "/a.mp4", "video/mp4", "+video.png"),
    ],
)
async def test_a_result_is_saved_with_the_suffix_of_its_content(
    tmp_path: Path, kind: Kind, path: str, content_type: str, suffix: str
) -> None:
    async with site_of(serving(content_type=content_type)) as site, saving() as saver:
        file = await saver.save(site.url("/") + path[1:], tmp_path / "shot", kind, within_s=LONG)
    assert file == tmp_path / f"shot{suffix}"
    assert names_in(tmp_path) == [f"shot{suffix}"]
    assert file.read_bytes() == PNG


async def test_a_chains_image_and_video_are_saved_at_once_under_one_name(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"\0" + request.path.encode(), content_type="application/octet-stream")

    async with site_of(handler) as site, saving() as saver:
        image, video = await asyncio.gather(
            saver.save(site.url("/image"), tmp_path / "shot", Kind.IMAGE, within_s=LONG),
            saver.save(site.url("/video"), tmp_path / "shot", Kind.VIDEO, within_s=LONG),
        )
    assert (image.name, image.read_bytes()) == ("shot.png", b"\0/image")
    assert (video.name, video.read_bytes()) == ("shot.mp4", b"\0/video")


@pytest.mark.parametrize("size", [1, CHUNK, 3 * CHUNK + 1])
@pytest.mark.parametrize("in_chunks", [False, True])
async def test_content_of_any_size_is_equal(tmp_path: Path, size: int, in_chunks: bool) -> None:
    body = b"\0" + os.urandom(size - 1)

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        if not in_chunks:
            response.content_length = size
        await response.prepare(request)
        await response.write(body)
        return response

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "film", Kind.VIDEO, within_s=LONG)
    assert file.read_bytes() == body


@pytest.mark.usefixtures("token")
async def test_content_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def record(file: int) -> None:
        syncs.append((Path(link_of(Path(f"/proc/self/fd/{file}"))).name, names_in(tmp_path)))
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    async with site_of(serving()) as site, saving() as saver:
        await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert syncs == [(PART, [PART]), (tmp_path.name, [PART, "shot.png"])]
    assert names_in(tmp_path) == ["shot.png"]


async def test_nothing_that_identifies_the_caller_is_sent(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=PNG, content_type="image/png", headers={"Set-Cookie": "session=1; Path=/"})

    async with site_of(handler) as site, saving() as saver:
        await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
        await saver.save(site.url("/b?sign=url-signature"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    for request in site.requests:
        assert set(request.headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
        assert request.headers["Accept-Encoding"] == "identity"
    assert site.requests[1].query_string == "sign=url-signature"


# --- existing files ---------------------------------------------------------------------------------------------------


async def test_an_existing_file_of_the_same_content_is_kept(tmp_path: Path) -> None:
    existing = tmp_path / "shot.png"
    existing.write_bytes(PNG)
    os.utime(existing, (1, 1))
    async with site_of(serving()) as site, saving() as saver:
        assert await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG) == existing
    assert names_in(tmp_path) == ["shot.png"]
    assert existing.stat().st_mtime == 1


@pytest.mark.parametrize("other", [b"", PNG[:-1] + b"x", PNG + b"x"], ids=["empty", "same length", "longer"])
async def test_an_existing_file_of_other_content_is_refused_and_untouched(tmp_path: Path, other: bytes) -> None:
    existing = tmp_path / "shot.png"
    existing.write_bytes(other)
    os.utime(existing, (1, 1))
    async with site_of(serving()) as site, saving() as saver:
        with pytest.raises(DownloadError, match=r"shot\.png exists with other content"):
            await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert (existing.read_bytes(), existing.stat().st_mtime) == (other, 1)
    assert len(site.requests) == 1


async def test_two_savers_of_one_name_never_meet_in_one_part(tmp_path: Path) -> None:
    """Two clients, or two ledgers of one, may save under one name: the second finds other content, and says so."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"\0%b" % request.path.encode() * 1000)
            await asyncio.sleep(0)
        return response

    async with site_of(handler) as site, saving() as one, saving() as other:
        ends = await asyncio.gather(
            one.save(site.url("/red"), tmp_path / "shot", Kind.IMAGE, within_s=LONG),
            other.save(site.url("/blue"), tmp_path / "shot", Kind.IMAGE, within_s=LONG),
            return_exceptions=True,
        )
    (error,) = [end for end in ends if isinstance(end, DownloadError)]
    assert "exists with other content" in str(error)
    name = b"\0/blue" if isinstance(ends[0], DownloadError) else b"\0/red"
    assert (tmp_path / "shot.png").read_bytes() == name * 20_000
    assert names_in(tmp_path) == ["shot.png"]


async def test_a_folder_that_is_gone_is_a_download_error(tmp_path: Path) -> None:
    async with site_of(serving()) as site, saving() as saver:
        with pytest.raises(DownloadError, match=r"cannot write .*: No such file or directory"):
            await saver.save(site.url("/a"), tmp_path / "gone" / "shot", Kind.IMAGE, within_s=LONG)
    assert len(site.requests) == 1


@pytest.mark.usefixtures("token")
async def test_a_full_disk_is_a_download_error(tmp_path: Path) -> None:
    (tmp_path / PART).symlink_to("/dev/full")
    async with site_of(serving()) as site, saving() as saver:
        with pytest.raises(DownloadError, match=r"cannot write .*: No space left on device"):
            await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert len(site.requests) == 1


# --- not fetched ------------------------------------------------------------------------------------------------------


async def half(request: web.Request) -> web.StreamResponse:
    """Promise 1000 bytes, send 10, and close."""
    response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 10)
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.usefixtures("waits")
async def test_half_a_result_is_fetched_again_until_the_time_is_over(tmp_path: Path) -> None:
    reports: list[tuple[str, float]] = []
    async with site_of(half) as site, saving() as saver:
        with pytest.raises(
            DownloadError, match=r"cannot fetch http.*/a: the connection closed before the file was complete"
        ):
            await saver.save(
                site.url("/a"),
                tmp_path / "shot",
                Kind.IMAGE,
                within_s=0.5,
                on_retry=lambda error, delay: reports.append((str(error), delay)),
            )
    assert len(reports) >= 2
    assert {text.rpartition(": ")[2] for text, _ in reports} == {"the connection closed before the file was complete"}
    assert [delay for _, delay in reports][:9] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0][: len(reports)]
    assert names_in(tmp_path) == []


async def test_what_a_server_cannot_do_at_all_is_told_at_once_in_its_words(tmp_path: Path, waits: list[float]) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=501, reason=f"no renderer for {request.path_qs}")

    async with site_of(handler) as site, saving() as saver:
        with pytest.raises(DownloadError, match=r"HTTP 501 \(no renderer for /a\)$") as error_info:
            await saver.save(site.url("/a?sign=secret"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert not error_info.value.refused, "the URL was not refused: a later run asks again"
    assert (waits, len(site.requests)) == ([], 1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_what_may_pass_is_fetched_again(tmp_path: Path, waits: list[float], status: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        match len(site.requests):
            case 1:
                return web.Response(status=status, body=b"no")
            case 2:
                return await half(request)
            case _:
                return web.Response(body=PNG, content_type="image/png")

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert file.read_bytes() == PNG
    assert names_in(tmp_path) == ["shot.png"]
    assert len(waits) == 2


async def test_an_answer_that_is_no_http_is_fetched_again(tmp_path: Path) -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        whole = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\x89PNG"
        writer.write(answers.pop() if answers else whole)
        writer.close()
        await writer.wait_closed()

    async with listening(handle) as url, saving() as saver:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download_retries, "BACKOFF_S", 0.0)
            file = await saver.save(f"{url}a", tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert answers == []
    assert file.read_bytes() == b"\x89PNG"


async def test_a_closed_server_is_asked_again_until_the_time_is_over(tmp_path: Path, waits: list[float]) -> None:
    async with site_of(serving()) as site:
        url = site.url("/a")
    async with saving() as saver:
        with pytest.raises(DownloadError, match="ClientConnectorError"):
            await saver.save(url, tmp_path / "shot", Kind.IMAGE, within_s=0.3)
    assert len(waits) >= 2


async def test_one_that_waits_between_attempts_takes_no_place(tmp_path: Path) -> None:
    """Nor does a result that cannot be had keep the others from being saved."""
    async with site_of(serving()) as site, site_of(half) as broken, saving() as saver:
        waiters = [
            asyncio.create_task(saver.save(broken.url("/a"), tmp_path / f"stuck-{number}", Kind.IMAGE, within_s=LONG))
            for number in range(PARALLEL)
        ]
        while len(broken.requests) < PARALLEL:  # noqa: ASYNC110 - until each has failed once
            await asyncio.sleep(0)
        await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
        for task in waiters:
            task.cancel()
        await asyncio.wait(waiters)
    assert (tmp_path / "shot.png").read_bytes() == PNG


# --- gone on with -----------------------------------------------------------------------------------------------------


class Interrupted:
    """Serves a body in portions, one a request, and then breaks the connection; ranges as RFC 9110 has them.

    `tags` are the ETags of one request after the other (the last one for all that follow). The connection breaks when
    some of the portion is in the file: the client loses the bytes that it has not read by then.
    """

    def __init__(self, part: Path, body: bytes, portion: int, *tags: str) -> None:
        self.body, self._part, self._portion, self._tags = body, part, portion, list(tags)
        self.starts: list[int] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        tag = self._tags.pop(0) if len(self._tags) > 1 else self._tags[0]
        offset = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.starts.append(offset)
        start, status = (offset, 206) if offset and request.headers.get("If-Range") == tag else (0, 200)
        left = self.body[start:]
        headers = {"Content-Type": "video/mp4", "Content-Length": str(len(left))} | ({"ETag": tag} if tag else {})
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await response.write(left[: self._portion])
        if len(left) > self._portion:
            before = start if status == 206 else 0
            while not self._part.exists() or self._part.stat().st_size <= before:  # until some of it is written
                await asyncio.get_running_loop().run_in_executor(None, os.sched_yield)
            assert request.transport is not None
            request.transport.close()
        return response


FILM = b"\0\0\0\x18ftypisom" + os.urandom(5 * CHUNK)
FILM_PART = ".film.video.deadbeef.part"


@pytest.mark.usefixtures("token")
@pytest.mark.usefixtures("waits")
async def test_what_breaks_off_is_gone_on_with_where_it_stopped(tmp_path: Path) -> None:
    server = Interrupted(tmp_path / FILM_PART, FILM, 2 * CHUNK, '"v1"')
    async with site_of(server) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "film", Kind.VIDEO, within_s=LONG)
    assert file.read_bytes() == FILM
    assert len(server.starts) >= 3
    assert server.starts == sorted(set(server.starts))
    assert names_in(tmp_path) == ["film.mp4"]


@pytest.mark.usefixtures("token")
@pytest.mark.usefixtures("waits")
async def test_what_has_changed_meanwhile_is_fetched_from_the_beginning(tmp_path: Path) -> None:
    server = Interrupted(tmp_path / FILM_PART, bytes(len(FILM)), 2 * CHUNK, '"v1"', '"v2"')

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await server(request)
        server.body = FILM
        return response

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "film", Kind.VIDEO, within_s=LONG)
    assert file.read_bytes() == FILM
    assert server.starts[1] > 0


@pytest.mark.usefixtures("token")
@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("tag", ["", 'W/"v1"'])
async def test_without_a_strong_tag_nothing_is_pieced_together(tmp_path: Path, tag: str) -> None:
    server = Interrupted(tmp_path / FILM_PART, FILM, 4 * CHUNK, tag)
    async with site_of(server) as site, saving() as saver:
        with pytest.raises(DownloadError, match="the connection closed"):
            await saver.save(site.url("/a"), tmp_path / "film", Kind.VIDEO, within_s=0.3)
    assert len(server.starts) >= 2
    assert set(server.starts) == {0}


@pytest.mark.usefixtures("waits", "token")
async def test_a_server_that_stumbles_costs_nothing_of_what_is_there(tmp_path: Path) -> None:
    server = Interrupted(tmp_path / FILM_PART, FILM, 3 * CHUNK, '"v1"')

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503) if len(site.requests) == 2 else await server(request)

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "film", Kind.VIDEO, within_s=LONG)
    assert file.read_bytes() == FILM
    assert 0 not in server.starts[1:]


def _remove(part: Path) -> None:
    part.unlink()


def _cut(part: Path) -> None:
    os.truncate(part, 100)


def _replace_the_folder(part: Path) -> None:
    part.parent.rename(part.parent.with_name("before"))
    part.parent.mkdir()


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("change", [_remove, _cut, _replace_the_folder])
async def test_a_rest_is_never_taken_for_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """If a program clears the folder between two attempts, the file must not begin in the middle."""
    folder = tmp_path / "out"
    folder.mkdir()
    part, sleep = folder / FILM_PART, asyncio.sleep
    delays = []

    async def meanwhile(delay: float) -> None:
        if delay > 0:
            delays.append(delay)
            if len(delays) == 1:
                change(part)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    server = Interrupted(part, FILM, 3 * CHUNK, '"v1"')

    async def handler(request: web.Request) -> web.StreamResponse:
        if len(site.requests) < 3:
            return await server(request)
        return web.Response(body=FILM, content_type="video/mp4")

    reports: list[str] = []
    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(
            site.url("/a"),
            folder / "film",
            Kind.VIDEO,
            within_s=LONG,
            on_retry=lambda error, _: reports.append(str(error)),
        )
    assert file.read_bytes() == FILM
    assert server.starts[1] > 0
    assert "another program changed or removed its part file" in reports[1]
    assert names_in(folder) == ["film.mp4"]


@pytest.mark.usefixtures("waits", "token")
@pytest.mark.parametrize("tag", ['"v1"', '"v2"', ""])
async def test_a_rest_is_whole_and_of_the_same_file_or_it_is_not_taken(tmp_path: Path, tag: str) -> None:
    """Some servers send less than the rest that was asked for, and some do not look at If-Range."""
    broken = Interrupted(tmp_path / FILM_PART, FILM, 2 * CHUNK, '"v1"')

    async def handler(request: web.Request) -> web.StreamResponse:
        if len(site.requests) == 1 or "Range" not in request.headers:
            return (
                await broken(request) if len(site.requests) == 1 else web.Response(body=FILM, content_type="video/mp4")
            )
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        end = min(start + CHUNK, len(FILM))
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(FILM)}", "Content-Type": "video/mp4"}
        headers |= {"ETag": tag} if tag else {}
        return web.Response(status=206, body=(FILM if tag == '"v1"' else bytes(len(FILM)))[start:end], headers=headers)

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "film", Kind.VIDEO, within_s=LONG)
    assert file.read_bytes() == FILM


@pytest.mark.usefixtures("waits", "token")
@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (206, {"Content-Range": "bytes 0-999/1000"}, "another part of the file"),
        (206, {"Content-Range": f"bytes {5 * CHUNK}-{5 * CHUNK}/{5 * CHUNK}", "ETag": '"v1"'}, "another part"),
        (206, {}, "another part of the file"),
        (416, {"Content-Range": "bytes */1000"}, "HTTP 416"),
    ],
)
async def test_an_odd_answer_to_a_range_begins_anew(
    tmp_path: Path, status: int, headers: dict[str, str], says: str
) -> None:
    reports: list[str] = []
    broken = Interrupted(tmp_path / FILM_PART, FILM, 2 * CHUNK, '"v1"')

    async def handler(request: web.Request) -> web.StreamResponse:
        match len(site.requests):
            case 1:
                return await broken(request)
            case 2:
                return web.Response(status=status, headers=headers, body=FILM)
            case _:
                assert "Range" not in request.headers
                return web.Response(body=FILM, content_type="video/mp4")

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(
            site.url("/a"),
            tmp_path / "film",
            Kind.VIDEO,
            within_s=LONG,
            on_retry=lambda error, _: reports.append(str(error)),
        )
    assert file.read_bytes() == FILM
    assert says in reports[1]


# --- no results -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, r"a text page \(text/html\) instead of the image"),
        ({"Content-Type": "application/xml"}, r"a text page \(application/xml\) instead"),
        ({"Content-Type": "text/plain"}, r"a text page \(text/plain\) instead"),
        ({"Content-Type": "application/problem+json"}, "json\\) instead"),
        ({"Content-Type": "image/png"}, r"a text page \(image/png\) instead"),
        ({"Content-Type": "image/png", "Content-Encoding": "gzip"}, r"compressed \(gzip\)"),
    ],
)
async def test_what_a_gateway_says_in_its_place_is_not_kept(tmp_path: Path, headers: dict[str, str], says: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        if len(site.requests) == 1:
            return web.Response(body=b"<html><h1>Bad gateway", headers=headers)
        return web.Response(body=PNG, headers={"Content-Type": "image/png"})

    reports: list[DownloadError] = []
    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(
            site.url("/a"),
            tmp_path / "shot",
            Kind.IMAGE,
            within_s=LONG,
            on_retry=lambda error, _: reports.append(error),
        )
    assert file.read_bytes() == PNG
    (error,) = reports
    assert re.search(says, str(error))


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(("status", "body"), [(200, b""), (204, b""), (202, b"try later"), (302, b""), (304, b"")])
async def test_a_good_status_alone_is_no_result(tmp_path: Path, status: int, body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        if len(site.requests) == 1:
            return web.Response(status=status, body=body, content_type="image/png")
        return web.Response(body=PNG, content_type="image/png")

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert file.read_bytes() == PNG


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "aws-chunked", "identity, aws-chunked"])
async def test_an_identity_encoding_is_none(tmp_path: Path, waits: list[float], coding: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=PNG, headers={"Content-Type": "image/png", "Content-Encoding": coding})

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert file.read_bytes() == PNG
    assert waits == []


@pytest.mark.parametrize(("status", "tag"), [(203, ""), (206, ""), (206, '"v1"'), (206, 'W/"v1"')])
async def test_a_whole_is_taken_under_another_status(tmp_path: Path, waits: list[float], status: int, tag: str) -> None:
    """Proxies hand on with 203, and some caches answer in parts though the whole was asked for."""

    async def handler(_: web.Request) -> web.Response:
        headers = {"Content-Range": f"bytes 0-{len(PNG) - 1}/{len(PNG)}"} if status == 206 else {}
        return web.Response(status=status, body=PNG, headers=headers | ({"ETag": tag} if tag else {}))

    async with site_of(handler) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert file.read_bytes() == PNG
    assert waits == []


async def test_another_medium_than_asked_for_is_kept_as_what_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Some scenes make something else than their kind; it is paid for."""
    async with site_of(serving(content_type="image/png")) as site, saving() as saver:
        file = await saver.save(site.url("/a"), tmp_path / "shot", Kind.VIDEO, within_s=LONG)
    assert file.name == "shot+video.png"
    assert "a video came as .png" in caplog.text


@pytest.mark.parametrize("told_before", [True, False])
async def test_more_than_any_result_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float], told_before: bool
) -> None:
    monkeypatch.setitem(downloads.MAX_BYTES, Kind.IMAGE, 1 << 20)

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        if told_before:
            response.content_length = (1 << 20) + 1
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(bytes((1 << 20) + 1))
        return response

    async with site_of(handler) as site, saving() as saver:
        with pytest.raises(DownloadError, match="larger than 1 MiB"):
            await saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert waits == []
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (403, r"HTTP 403 \(its URL may have expired\)"),
        (404, r"HTTP 404 \(its URL may have expired\)"),
        (410, "HTTP 410"),
    ],
)
async def test_a_refusal_is_final(tmp_path: Path, waits: list[float], status: int, says: str) -> None:
    async with site_of(serving(status=status)) as site, saving() as saver:
        with pytest.raises(DownloadError, match=says) as error_info:
            await saver.save(site.url("/a?q-signature=url-secret"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert len(site.requests) == 1
    assert waits == []
    assert names_in(tmp_path) == []
    assert "url-secret" not in str(error_info.value)


async def redirecting(request: web.Request) -> web.StreamResponse:
    """`/3` leads to `/2`, `/1`, `/0`, which is the result."""
    left = int(request.path[1:])
    if left:
        return web.Response(status=302, headers={"Location": f"/{left - 1}"})
    return web.Response(body=PNG, content_type="image/png")


# fails with 3: aiohttp's max_redirects counts the redirect it refuses
@pytest.mark.parametrize("redirects", range(1, MAX_REDIRECTS + 1))
async def test_redirects_are_followed(tmp_path: Path, redirects: int) -> None:
    async with site_of(redirecting) as site, saving() as saver:
        file = await saver.save(site.url(f"/{redirects}"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert file.read_bytes() == PNG


async def test_a_redirect_that_leads_nowhere_is_not_waited_for_all_day(
    tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """COS has such an answer: PermanentRedirect."""
    monkeypatch.setattr("mps_aigc_async.network.download_retries.DOUBTFUL_S", 0.0)

    async def nowhere(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=301, text="<Error><Code>PermanentRedirect</Code></Error>")

    async with site_of(nowhere) as site, saving() as saver:
        with pytest.raises(DownloadError, match="HTTP 301 that leads nowhere"):
            await saver.save(site.url("/1"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert waits == []


async def test_more_redirects_are_refused_at_once(tmp_path: Path, waits: list[float]) -> None:
    assert MAX_REDIRECTS == 3
    async with site_of(redirecting) as site, saving() as saver:
        with pytest.raises(DownloadError, match="more than 3 redirects"):
            await saver.save(site.url("/4"), tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert "/0" not in [request.path for request in site.requests]
    assert waits == []


@pytest.mark.parametrize("url", ["", "no url", "http://", "ftp://host/a.png", "http://[::1", "http://host:99999/"])
async def test_what_is_no_url_is_refused_at_once(tmp_path: Path, waits: list[float], url: str) -> None:
    async with saving() as saver:
        with pytest.raises(DownloadError, match="cannot fetch"):
            await saver.save(url, tmp_path / "shot", Kind.IMAGE, within_s=LONG)
    assert waits == []


# --- at once, and cancelled -------------------------------------------------------------------------------------------


async def test_no_more_than_parallel_downloads_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "STARTS", (1000, 1.0))
    running: list[int] = [0, 0]  # now, at most
    full = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        running[0] += 1
        running[1] = max(running)
        if running[0] == PARALLEL:
            full.set()
        await full.wait()
        for _turn in range(20):  # time for one too many to come
            await asyncio.sleep(0)
        running[0] -= 1
        return web.Response(body=PNG, content_type="image/png")

    async with site_of(handler) as site, saving() as saver, asyncio.TaskGroup() as group:
        for number in range(3 * PARALLEL):
            group.create_task(saver.save(site.url("/a"), tmp_path / f"shot-{number}", Kind.IMAGE, within_s=LONG))
    assert running == [0, PARALLEL]
    assert len(names_in(tmp_path)) == 3 * PARALLEL


def open_in(folder: Path) -> list[str]:
    """The files of the folder that this process has open."""
    links = [link_of(file) for file in Path("/proc/self/fd").iterdir()]
    return [link for link in links if link.startswith(str(folder))]


@pytest.mark.usefixtures("token")
async def test_a_cancelled_download_leaves_nothing_open_and_nothing_saved(tmp_path: Path) -> None:
    has_begun = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": str(10 * CHUNK)})
        await response.prepare(request)
        await response.write(b"x" * 2 * CHUNK)
        has_begun.set()
        await asyncio.Event().wait()
        return response

    async with site_of(handler) as site:
        async with saving() as saver:
            task = asyncio.create_task(saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG))
            await has_begun.wait()
            part = tmp_path / PART
            while not (part.exists() and part.stat().st_size):  # noqa: ASYNC110 - until some of it is written
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert open_in(tmp_path) == []
            assert saver._places.holders == 0
        assert saver._sessions._any_host is not None
        assert saver._sessions._any_host.closed
    assert names_in(tmp_path) in ([], [PART])


class SlowlyOpened:
    """From now on the thread that opens a file waits for leave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opening, self.go_on = threading.Event(), threading.Event()
        self.files: list[IO[bytes]] = []
        original = Path.open

        def slow_open(path: Path, mode: str) -> IO[bytes]:
            self.opening.set()
            self.go_on.wait(5)
            self.files.append(original(path, mode))
            return self.files[0]

        monkeypatch.setattr(Path, "open", slow_open)


async def test_a_download_cancelled_while_its_file_opens_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site_of(serving()) as site, saving() as saver:
        slowly = SlowlyOpened(monkeypatch)
        task = asyncio.create_task(saver.save(site.url("/a"), tmp_path / "shot", Kind.IMAGE, within_s=LONG))
        await asyncio.to_thread(slowly.opening.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        slowly.go_on.set()
        while not slowly.files or not slowly.files[0].closed or names_in(tmp_path):  # noqa: ASYNC110 - the thread's turn
            await asyncio.sleep(0)


def test_a_file_that_opens_after_its_loop_was_closed_is_closed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = SlowlyOpened(monkeypatch)
    loop = asyncio.new_event_loop()
    call = loop.create_task(open_part(Part(tmp_path / PART)))
    while not slowly.opening.is_set():
        loop.run_until_complete(asyncio.sleep(0))
    for task in asyncio.all_tasks(loop):  # as `asyncio.run` does in the end
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(call)
    slowly.go_on.set()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()

    assert slowly.files[0].closed
    assert names_in(tmp_path) == []


async def test_a_saver_that_saved_nothing_closes(tmp_path: Path) -> None:
    async with saving() as saver:
        assert saver._sessions._any_host is None
    assert names_in(tmp_path) == []


# --- requests and their targets ---------------------------------------------------------------------------------------


@asynccontextmanager
async def raw_site(answers: dict[str, bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server by hand: its answers by target, and the targets in the order of arrival."""
    targets: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode("latin-1")
        targets.append(target)
        writer.write(answers.get(target, whole(PNG)))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with listening(handle) as url:
        yield str(url.origin()), targets


def whole(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def leading_to(location: str) -> bytes:
    return whole(b"", "302 Found", Location=location)


SIGNED = "/a%28b%29/%7E.png?sig=x%2Fy%2Bz%3D&e=1+2"


async def test_a_signed_url_arrives_byte_for_byte(tmp_path: Path) -> None:
    async with raw_site({"/over": leading_to(SIGNED)}) as (url, targets), saving() as saver:
        await saver.save(url + SIGNED, tmp_path / "a", Kind.IMAGE, within_s=LONG)
        await saver.save(url + "/over", tmp_path / "b", Kind.IMAGE, within_s=LONG)
        await saver.save(url + "/图?x=(y)", tmp_path / "c", Kind.IMAGE, within_s=LONG)
    assert targets == [SIGNED, "/over", SIGNED, "/%E5%9B%BE?x=(y)"]


async def test_a_redirect_with_raw_bytes_leads_on(tmp_path: Path) -> None:
    raw = whole(b"", "302 Found", Location="/?").replace(b"/?", "/图".encode())
    async with raw_site({"/over": raw}) as (url, targets), saving() as saver:
        await saver.save(url + "/over", tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert targets == ["/over", "/%E5%9B%BE"]


@pytest.mark.parametrize(
    "url", ["//host/x.png", "http:///x.png", "http://host/a b", "http://host/a\r\nb", "http://me:url-secret@host/a"]
)
async def test_a_url_that_cannot_be_sent_is_told_plainly(tmp_path: Path, waits: list[float], url: str) -> None:
    async with saving() as saver:
        with pytest.raises(DownloadError, match=r"cannot fetch .*: its URL ") as error_info:
            await saver.save(url, tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert waits == []
    assert "url-secret" not in str(error_info.value)
    assert "\n" not in str(error_info.value)


class Names:
    """Resolve every name to the given addresses; the client takes the first for the server's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **addresses: str) -> None:
        self.targets: list[str] = []

        async def resolve(
            _: object, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[dict[str, object]]:
            self.targets.append(host)
            address = addresses[host.partition(".")[0]]
            address_info = {"hostname": host, "host": address, "port": port, "proto": 0, "flags": socket.AI_NUMERICHOST}
            return [{**address_info, "family": family if ":" not in address else socket.AF_INET6}]

        monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)


@pytest.fixture
def as_if_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback's 127.0.0.1 counts as an address of the Internet, which no test can have; other addresses do not."""
    monkeypatch.setattr(public_hosts, "is_global", lambda address: address == "127.0.0.1" or is_global(address))


@pytest.mark.usefixtures("as_if_public")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.2]",
        "2130706434",
        "0x7f.2",
        "169.254.169.254",
        "10.0.0.1",
        "inside.example",
    ],
)
async def test_a_public_hosts_redirect_leads_nowhere_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float], host: str
) -> None:
    names = Names(monkeypatch, outside="127.0.0.1", inside="127.0.0.2")
    async with site_of(serving()) as inside, saving() as saver:
        port = URL(inside.url("/")).port
        async with raw_site({"/over": leading_to(f"http://{host}:{port}/latest")}) as (url, _):
            with pytest.raises(DownloadError, match="leads from a public host into a private network"):
                await saver.save(f"{url}/over", tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert inside.requests == []
    assert waits == []
    assert names_in(tmp_path) == []
    assert names.targets == (["inside.example"] if host == "inside.example" else [])


@pytest.mark.usefixtures("as_if_public")
async def test_a_public_hosts_redirect_leads_to_another_public_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, outside="127.0.0.1")
    async with raw_site({}) as (end, targets), saving() as saver:
        port = URL(end).port
        async with raw_site({"/over": leading_to(f"http://outside.example:{port}/b%28")}) as (url, _):
            file = await saver.save(f"{url}/over", tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert file.read_bytes() == PNG
    assert targets == ["/b%28"]
    assert names.targets == ["outside.example"]


async def test_a_private_hosts_redirect_may_lead_inside(tmp_path: Path) -> None:
    async with (
        raw_site({}) as (end, targets),
        raw_site({"/over": leading_to(f"{end}/b")}) as (url, _),
        saving() as saver,
    ):
        await saver.save(f"{url}/over", tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert targets == ["/b"]


@pytest.mark.usefixtures("waits")
async def test_through_a_proxy_a_redirects_host_is_judged_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, end = "http://2130706433/a", "http://other.example/b%28?s=%2B"
    answers = {"http://r.example/1": leading_to(inside), "http://r.example/2": leading_to(end)}
    async with raw_site(answers) as (proxy, targets), saving() as saver:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(DownloadError, match="into a private network"):
            await saver.save("http://r.example/1", tmp_path / "a", Kind.IMAGE, within_s=LONG)
        await saver.save("http://r.example/2", tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert targets == ["http://r.example/1", "http://r.example/2", end]


# --- how long a fault is retried --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404])
def test_a_new_url_that_is_refused_is_asked_again_for_a_while(tmp_path: Path, status: int) -> None:
    """The storage may lag behind the service that says it is done."""

    async def main() -> None:
        async def handler(_: web.Request) -> web.Response:
            late = asyncio.get_running_loop().time() - began < 20
            return web.Response(body=PNG, content_type="image/png", status=status if late else 200)

        began = asyncio.get_running_loop().time()
        async with site_of(handler) as site, saving() as saver:
            file = await saver.save(site.url("/a"), tmp_path / "a", Kind.IMAGE, within_s=3600, new_for_s=60)
        assert file.read_bytes() == PNG

    run(main())


@pytest.mark.parametrize("status", [403, 404])
def test_a_url_that_stays_refused_is_given_up_after_that(tmp_path: Path, status: int) -> None:
    async def main() -> float:
        began = asyncio.get_running_loop().time()
        async with site_of(serving(status=status)) as site, saving() as saver:
            with pytest.raises(DownloadError, match=f"HTTP {status}") as error_info:
                await saver.save(site.url("/a"), tmp_path / "a", Kind.IMAGE, within_s=3600, new_for_s=60)
        assert error_info.value.refused
        return asyncio.get_running_loop().time() - began

    assert 60 <= run(main()) < 90


@pytest.mark.parametrize("body", [b"", b"<html><h1>Maintenance"])
def test_an_answer_that_is_no_result_is_warned_of_at_once_and_given_up_after_minutes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    async def main() -> float:
        began = asyncio.get_running_loop().time()
        async with site_of(serving(body)) as site, saving() as saver:
            with pytest.raises(DownloadError, match="instead of the image") as doubtful:
                await saver.save(
                    site.url("/a?sign=url-secret"), tmp_path / "a", Kind.IMAGE, within_s=12 * 3600, on_retry=on_retry
                )
        assert not doubtful.value.refused
        return asyncio.get_running_loop().time() - began

    def on_retry(_: DownloadError, __: float) -> None:
        assert "instead of the image; retrying for 5 minutes" in caplog.text

    assert DOUBTFUL_S <= run(main()) < DOUBTFUL_S + 90
    assert caplog.text.count("retrying for 5 minutes") == 1
    assert "url-secret" not in caplog.text


def test_a_page_between_other_troubles_has_its_minutes_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async def handler(_: web.Request) -> web.Response:
            at = asyncio.get_running_loop().time() - began
            if at < 200 or 500 < at < 700:
                return web.Response(body=b"<html>", content_type="text/html")
            return web.Response(body=PNG, content_type="image/png", status=503 if at < 500 else 200)

        began = asyncio.get_running_loop().time()
        async with site_of(handler) as site, saving() as saver:
            file = await saver.save(site.url("/a"), tmp_path / "a", Kind.IMAGE, within_s=3600)
        assert file.read_bytes() == PNG

    run(main())


class OddError(Exception):
    """A class that nobody foresaw."""


def test_a_fault_of_any_class_is_one_of_its_url_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def odd(*_: object, **__: object) -> aiohttp.ClientResponse:
        raise OddError(url)

    async def main() -> None:
        async with saving() as saver:
            with pytest.raises(DownloadError, match=r"cannot fetch http://r\.example/a: OddError$") as error_info:
                await saver.save(url, tmp_path / "a", Kind.IMAGE, within_s=3600)
        assert error_info.value.__cause__ is None
        assert error_info.value.__context__ is None

    url = "http://r.example/a?sign=url-secret"
    monkeypatch.setattr(aiohttp.ClientSession, "_request", odd)
    run(main())
    assert caplog.text.count("in odd\n") == 1  # where it came from
    assert "url-secret" not in caplog.text
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content_Encoding": "\u202egz\u200bip"}, r"sent it compressed \(gzip\)"),
        ({"Content_Type": "text/\u202ehtml; charset=utf-8"}, r"the server sent a text page \([a-z/-]*\)"),
    ],
)
async def test_a_servers_words_are_shown_without_control_characters(
    headers: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_retries, "DOUBTFUL_S", 0.0)
    async with raw_site({"/a": whole(b"<html>no</html>", **headers)}) as (url, _), saving() as saver:
        with pytest.raises(DownloadError, match=says) as error_info:
            await saver.save(url + "/a", tmp_path / "a", Kind.IMAGE, within_s=LONG)
    assert str(error_info.value).isprintable()
