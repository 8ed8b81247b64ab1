"""Looks at the URLs of inputs, over real sockets: a server that answers anything, byte for byte."""

import asyncio
import gzip
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.model.errors import ClientClosed
from mps_aigc_async.network import input_looks, public_hosts
from mps_aigc_async.network.addresses import is_global
from mps_aigc_async.network.input_looks import PARALLEL, InputLooks
from mps_aigc_async.network.input_verdicts import Content, Sight, Unseen

from ..listening import listening

PNG = b"\x89PNG\r\n\x1a\n" + bytes(5000)
HTML = b"<!doctype html><title>Not here</title>"
SIGNED = "/1.png?sign=s3cr3t%2Fa"

Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PARTS = b"--b\r\nContent-Type: image/png\r\n\r\n" + PNG[:7]


def reply(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(body: bytes = PNG, content_type: str = "image/png", *headers: str) -> bytes:
    return reply("200 OK", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers, body=body)


def redirect(target: str) -> bytes:
    return reply("302 Found", f"Location: {target}", "Content-Length: 0")


class Site:
    """A server and the requests that it received."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, str, str]] = []
        """The method, the target and the headers of each request."""
        self.url = ""

    @property
    def targets(self) -> list[str]:
        return [target for _, target, _ in self.requests]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        self.requests.append((method, target, head))
        answer = self.answers.get(target, reply("404 Not Found", "Content-Length: 0"))
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(reader, writer)


@asynccontextmanager
async def site_of(answers: dict[str, Answer]) -> AsyncIterator[Site]:
    site = Site(answers)
    async with listening(site.talk) as url:
        site.url = str(url).rstrip("/")
        yield site


@asynccontextmanager
async def looking(*, sees_private: bool = True, look_s: float = 10.0) -> AsyncIterator[InputLooks]:
    owner = TaskOwner()
    looks = InputLooks(owner, sees_private=sees_private, look_s=look_s)
    try:
        yield looks
    finally:
        await owner.close()
        await looks.close()


async def sight_of(answer: Answer) -> Sight:
    async with site_of({"/a": answer}) as site, looking() as looks:
        return await looks.sight(f"{site.url}/a")


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client leaves


# --- content ----------------------------------------------------------------------------------------------------------

CHUNKED = reply("200 OK", "Content-Type: image/png", "Transfer-Encoding: chunked", body=b"5\r\n" + PNG[:5] + b"\r\n")
SEEN = {
    "a length": (whole(), Content((".png",), len(PNG))),
    "a range": (
        reply("206 Partial Content", "Content-Range: bytes 0-1023/7340033", "Content-Length: 1024", body=PNG[:1024]),
        Content((".png",), 7340033),
    ),
    "a range of an unknown whole": (
        reply("206 Partial Content", "Content-Range: bytes 0-1023/*", "Content-Length: 1024", body=PNG[:1024]),
        Content((".png",), None),
    ),
    "another part": (
        reply("206 Partial Content", "Content-Range: bytes 9-1023/5008", "Content-Length: 1015", body=PNG[9:1024]),
        Content(None, 5008),
    ),
    "a part in a wrapping": (
        reply(
            "206 Partial Content",
            "Content-Type: multipart/byteranges; boundary=b",
            f"Content-Length: {len(PARTS)}",
            body=PARTS,
        ),
        Content(None, None),
    ),
    "no length": (reply("200 OK", "Content-Type: image/png", body=PNG), Content((".png",), None)),
    "no length, and short": (reply("200 OK", body=PNG[:50]), Content((".png",), 50)),
    "chunks": (
        CHUNKED + f"{len(PNG) - 5:x}\r\n".encode() + PNG[5:] + b"\r\n0\r\n\r\n",
        Content((".png",), None),
    ),
    "a page that lies": (whole(HTML), Content((), len(HTML), is_text=True)),
    "a page": (whole(HTML, "text/html"), Content((), len(HTML), is_text=True)),
    "a picture as text": (whole(PNG, "text/plain"), Content((".png",), len(PNG))),
    "compressed": (whole(gzip.compress(PNG), "image/png", "Content-Encoding: gzip"), Content(None, None)),
    "a compressed page": (
        whole(gzip.compress(HTML), "text/html", "Content-Encoding: gzip"),
        Content(None, None, is_text=True),
    ),
    "no content": (reply("204 No Content"), Content(None, 0)),
    "no bytes": (whole(b""), Content((), 0, is_text=True)),
    "no range of an empty file": (
        reply("416 Range Not Satisfiable", "Content-Range: bytes */0", "Content-Length: 0"),
        Content(None, 0),
    ),
}


@pytest.mark.parametrize(("answer", "sight"), SEEN.values(), ids=SEEN)
async def test_the_content_of_an_answer(answer: bytes, sight: Content) -> None:
    assert await sight_of(answer) == sight


async def test_a_look_is_one_get_of_the_first_bytes_with_the_signature_as_written() -> None:
    """A presigned URL is signed for GET alone, and its storage answers HEAD with 403."""
    async with site_of({SIGNED: whole()}) as site, looking() as looks:
        assert await looks.sight(site.url + SIGNED) == Content((".png",), len(PNG))
    ((method, target, head),) = site.requests
    assert (method, target) == ("GET", SIGNED)
    assert "Range: bytes=0-1023" in head
    assert "Accept-Encoding: identity" in head
    assert "Cookie" not in head


async def test_the_rest_of_a_file_is_not_read() -> None:
    left = asyncio.Event()

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", "Content-Type: image/png", body=PNG))
        try:
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
        except ConnectionError:
            left.set()

    async with site_of({"/a": endless}) as site, looking() as looks:
        assert await looks.sight(f"{site.url}/a") == Content((".png",), None)
        await asyncio.wait_for(left.wait(), 10)


# --- no content -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "is_certain"),
    [
        ("401 Unauthorized", True),
        ("403 Forbidden", True),
        ("404 Not Found", True),
        ("410 Gone", True),
        ("302 Found", False),
        ("304 Not Modified", False),
        ("400 Bad Request", False),
        ("407 Proxy Authentication Required", False),
        ("429 Too Many Requests", False),
        ("500 Internal Server Error", False),
        ("503 Service Unavailable", False),
    ],
)
async def test_a_refusal(status: str, is_certain: bool) -> None:
    sight = await sight_of(reply(status, "Content-Length: 0"))
    assert isinstance(sight, Unseen)
    assert sight.is_certain is is_certain
    assert f"HTTP {status[:3]}" in sight.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        whole()[:200],
        reply("200 OK", "Content-Length: -5"),
        reply("206 Partial Content", f"Content-Range: bytes 0-1/{'9' * 5000}", "Content-Length: 2", body=b"xx"),
    ],
)
async def test_an_answer_that_is_none_is_no_fault_of_the_url(answer: bytes) -> None:
    sight = await sight_of(answer)
    assert isinstance(sight, Unseen)
    assert not sight.is_certain


async def test_a_server_that_does_not_answer_is_left_in_time() -> None:
    async with site_of({"/a": never}) as site, looking(look_s=0.05) as looks:
        assert await looks.sight(f"{site.url}/a") == Unseen("no answer within 0 s")


async def test_a_server_that_sends_slowly_is_left_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", "Content-Type: image/png", body=PNG[:5]))
        await never(reader, writer)

    async with site_of({"/a": drip}) as site, looking(look_s=0.05) as looks:
        assert await looks.sight(f"{site.url}/a") == Unseen("no answer within 0 s")


async def test_a_host_that_cannot_be_reached_is_no_fault_of_the_url() -> None:
    async with site_of({}) as site:
        url = site.url
    async with looking() as looks:
        for address in (url, "http://nowhere.invalid/a.png", "https://", "http://user:pass@a.example/1", "http://a b/"):
            sight = await looks.sight(address)
            assert isinstance(sight, Unseen)
            assert not sight.is_certain


async def test_no_sight_and_no_log_shows_the_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers: dict[str, Answer] = {
        SIGNED: redirect(f"//[{SIGNED}"), "/b?s3cr3t": redirect("/b?s3cr3t"), "/c?s3cr3t": b"", "/d?s3cr3t": never,
    }  # fmt: skip
    async with site_of(answers) as site, looking(look_s=0.05) as looks:
        sights = [await looks.sight(site.url + path) for path in (*answers, "/none?s3cr3t")]
        sights.append(await looks.sight("http://nowhere.invalid/?s3cr3t"))
    assert all(isinstance(sight, Unseen) for sight in sights)
    assert "s3cr3t" not in repr(sights) + caplog.text


# --- redirects --------------------------------------------------------------------------------------------------------


async def test_redirects_are_followed_three_times() -> None:
    steps: dict[str, Answer] = {f"/{number}": redirect(f"/{number - 1}") for number in range(1, 9)}
    async with site_of({**steps, "/0": whole()}) as site, looking() as looks:
        assert await looks.sight(f"{site.url}/3") == Content((".png",), len(PNG))
        assert await looks.sight(f"{site.url}/4") == Unseen("more than 3 redirects")


async def test_redirects_in_a_circle_are_a_fault() -> None:
    async with site_of({"/a": redirect("/b"), "/b": redirect("/a")}) as site, looking() as looks:
        assert await looks.sight(f"{site.url}/a") == Unseen("its redirects lead in a circle", is_certain=True)
    assert site.targets == ["/a", "/b"]


@pytest.fixture
def as_if_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback's 127.0.0.1 counts as an address of the Internet, which no test can have; other addresses do not."""

    def counts(address: str) -> bool:
        return address == "127.0.0.1" or is_global(address)

    monkeypatch.setattr(public_hosts, "is_global", counts)


@pytest.mark.usefixtures("as_if_public")
@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "[::1]", "169.254.169.254", "2130706434", "10.0.0.1"])
async def test_a_public_hosts_redirect_leads_nowhere_inside(host: str) -> None:
    async with site_of({"/a": redirect(f"http://{host}/latest")}) as site, looking() as looks:
        sight = await looks.sight(f"{site.url}/a")
    assert sight == Unseen("a redirect leads into a private network", is_certain=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433", "10.0.0.1"])
async def test_a_private_url_is_a_fault_and_gets_no_request(host: str) -> None:
    async with site_of({}) as site, looking(sees_private=False) as looks:
        port = site.url.rpartition(":")[2]
        sight = await looks.sight(f"http://{host}:{port}/a.png")
    assert sight == Unseen("its host is in a private network", is_certain=True)
    assert site.requests == []


async def test_a_name_with_private_addresses_alone_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may have public addresses elsewhere, as COS has inner ones for Tencent's own machines."""

    async def resolve(*_: object) -> list[ResolveResult]:
        return [
            {"hostname": "a", "host": "127.0.0.1", "port": 80, "family": socket.AF_INET, "proto": 0, "flags": 0},
        ]

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
    async with site_of({}) as site, looking(sees_private=False) as looks:
        sight = await looks.sight(site.url.replace("127.0.0.1", "inside.example") + "/a.png")
    assert sight == Unseen("its host has only private addresses here, where nothing is looked at")
    assert site.requests == []


async def test_a_refusal_through_a_plain_proxy_may_be_the_proxys(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Answer] = {"http://a.example/1": reply("403 Forbidden", "Content-Length: 0")}
    async with site_of({**answers, "http://a.example/2": whole()}) as proxy, looking(sees_private=False) as looks:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert await looks.sight("http://a.example/1") == Unseen("HTTP 403")
        assert await looks.sight("http://a.example/2") == Content((".png",), len(PNG))


# --- once, a few at a time, and for as long as somebody waits ---------------------------------------------------------


async def test_many_callers_share_one_look_and_its_sight_is_remembered() -> None:
    async with site_of({"/a": whole()}) as site, looking() as looks:
        sights = await asyncio.gather(*(looks.sight(f"{site.url}/a") for _ in range(50)))
        sights.append(await looks.sight(f"{site.url}/a"))
    assert set(sights) == {Content((".png",), len(PNG))}
    assert site.targets == ["/a"]


async def test_old_sights_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_looks, "MOST_SIGHTS", 3)
    async with site_of({f"/{number}": whole() for number in range(9)}) as site, looking() as looks:
        for number in (0, 1, 2, 0, 3, 0, 1):
            await looks.sight(f"{site.url}/{number}")
        assert len(looks._sights) == 3
        assert looks._flights == {}
    assert site.targets == ["/0", "/1", "/2", "/3", "/1"]


async def test_a_fault_is_remembered_for_a_while_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site_of({}) as site, looking() as looks:
        url = f"{site.url}/a"
        for _ in range(2):
            assert isinstance(await looks.sight(url), Unseen)
        assert site.targets == ["/a"]
        monkeypatch.setattr(input_looks, "FAULT_LIFE_S", -1.0)
        site.answers["/a"] = whole()
        looks.doubt(url)
        assert isinstance(await looks.sight(url), Content)
        assert isinstance(await looks.sight(url), Content)
        assert site.targets == ["/a"] * 2
        looks.doubt(url)  # its content was refused
        await looks.sight(url)
        looks.doubt(f"{site.url}/never-seen")
    assert site.targets == ["/a"] * 3


async def test_at_most_a_few_looks_at_once() -> None:
    open_now: list[int] = [0, 0]
    full, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now[0] += 1
        open_now[1] = max(open_now)
        if open_now[0] == PARALLEL:
            full.set()
        await go_on.wait()
        open_now[0] -= 1
        writer.write(whole())
        await writer.drain()

    paths = [f"/{number}" for number in range(3 * PARALLEL)]
    async with site_of(dict.fromkeys(paths, slow)) as site, looking() as looks:
        sights = asyncio.gather(*(looks.sight(site.url + path) for path in paths))
        await asyncio.wait_for(full.wait(), 10)
        go_on.set()
        assert all(isinstance(sight, Content) for sight in await sights)
    assert open_now[1] == PARALLEL


async def test_a_cancelled_caller_leaves_the_look_to_the_others() -> None:
    arrival, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrival.set()
        await go_on.wait()
        writer.write(whole())
        await writer.drain()

    async with site_of({"/a": slow}) as site, looking() as looks:
        first, second = (asyncio.create_task(looks.sight(f"{site.url}/a")) for _ in range(2))
        await arrival.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        assert isinstance(await second, Content)
    assert site.targets == ["/a"]


async def test_a_look_that_nobody_waits_for_ends_and_the_next_one_begins_anew() -> None:
    arrival, left = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrival.set()
        await reader.read()
        left.set()

    async with site_of({"/a": slow}) as site, looking() as looks:
        callers = [asyncio.create_task(looks.sight(f"{site.url}/a")) for _ in range(3)]
        await arrival.wait()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        site.answers["/a"] = whole()
        assert isinstance(await looks.sight(f"{site.url}/a"), Content)
        await asyncio.wait_for(left.wait(), 10)
        assert looks._flights == {}
        assert looks._places._value == PARALLEL


async def test_closing_ends_the_looks() -> None:
    owner = TaskOwner()
    looks = InputLooks(owner, sees_private=True)
    async with site_of({"/a": never}) as site:
        caller = asyncio.create_task(owner.run_for(looks.sight(f"{site.url}/a"), "a request"))
        while not site.requests:  # noqa: ASYNC110 - until the look is under way
            await asyncio.sleep(0)
        await owner.close()
        with pytest.raises(ClientClosed):
            await caller
        with pytest.raises(ClientClosed):
            await looks.sight(f"{site.url}/b")
        await looks.close()
    assert looks._flights == {}
