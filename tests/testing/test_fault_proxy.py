"""The proxy over real sockets: each fault as a raw client and the emulator see it, and traffic that passes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.emulator.tasks.faults import MEDIA
from mps_aigc_async.testing import FaultProxy, ProxyFault
from mps_aigc_async.testing.http_messages import Head, Message

from ..emulator.callers import Fields, call, finished, signed
from ..support import KEYS

CREATE, DESCRIBE = "CreateAigcImageTask", "DescribeAigcImageTask"
EACH_ACTION = pytest.mark.parametrize("action", [CREATE, DESCRIBE, MEDIA])
SIZE = 3 << 20


@dataclass
class Stage:
    """An emulator with a finished image, and a proxy before it that nothing has passed yet."""

    emulator: Emulator
    proxy: FaultProxy
    session: aiohttp.ClientSession
    task_id: str
    image_url: str

    def request(self, action: str) -> bytes:
        if action == MEDIA:
            url = urlsplit(self.image_url)
            return f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
        body = json.dumps({"Prompt": "x"} if action == CREATE else {"TaskId": self.task_id}).encode()
        headers = signed(action, body, time.time(), host="a.host.of.the.clients")
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(["POST / HTTP/1.1", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def arrivals(self, action: str) -> int:
        """By the emulator."""
        statistics = self.emulator.statistics()
        return statistics.downloads if action == MEDIA else statistics.arrivals.get(action, 0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with (
        Emulator(speed=1000, image_seconds=(10, 10), video_seconds=(10, 10)) as emulator,
        FaultProxy(emulator) as proxy,
        aiohttp.ClientSession() as session,
    ):
        task_id = str((await call(session, emulator.url, CREATE, {"Prompt": "x"}))["TaskId"])
        urls = (await finished(session, emulator.url, "Image", task_id))["ImageUrls"]
        assert isinstance(urls, list)
        yield Stage(emulator, proxy, session, task_id, str(urls[0]))
    assert len(asyncio.all_tasks()) == 1


class Raw:
    """A client's end of one connection, without any library's good manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, request: bytes) -> None:
        self.writer.write(request)
        await self.writer.drain()

    async def ask(self, request: bytes) -> Message:
        await self.send(request)
        head = Head.parse(await self.reader.readuntil(b"\r\n\r\n"))
        assert head.length is not None
        return Message(head, await self.reader.readexactly(head.length))

    async def assert_goes_on(self) -> None:
        answer = await self.ask(b"GET /_emulator/statistics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.head.status == 200

    async def assert_reset(self) -> None:
        """No byte of an answer, and then an RST."""
        with pytest.raises(ConnectionResetError):
            await self.reader.readexactly(1)

    async def assert_ended(self) -> None:
        assert await self.reader.read() == b""


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Raw]:
    address = urlsplit(url)
    client = Raw(*await asyncio.open_connection(address.hostname, address.port))
    yield client
    client.writer.transport.abort()


@pytest.fixture
async def raw(stage: Stage) -> AsyncIterator[Raw]:
    async with connect(stage.proxy.url) as client:
        yield client


def response_of(answer: Message) -> dict[str, object]:
    envelope: dict[str, dict[str, object]] = json.loads(answer.body)
    return envelope["Response"]


def assert_is_an_answer_to(action: str, answer: Message, plain: Message) -> None:
    if action == MEDIA:
        assert answer.body.rstrip(b" ") == plain.body.rstrip(b" ")
    else:
        assert response_of(answer).keys() == response_of(plain).keys()


# What passes


@EACH_ACTION
async def test_what_no_fault_befalls_passes_on_a_connection_that_is_kept(stage: Stage, raw: Raw, action: str) -> None:
    async with connect(stage.emulator.url) as direct:
        plain = await direct.ask(stage.request(action))
    before = stage.arrivals(action)
    for number in (1, 2):
        answer = await raw.ask(stage.request(action))
        names = [line.partition(b":")[0] for line in answer.head.lines]
        assert names == [line.partition(b":")[0] for line in plain.head.lines]
        assert_is_an_answer_to(action, answer, plain)
        assert (stage.proxy.forwarded[action], stage.arrivals(action) - before) == (number, number)
    assert stage.emulator.statistics().refused == {}, "the Host that was signed arrived"
    assert not stage.proxy.befallen


async def test_a_chain_passes_whole_and_is_saved(stage: Stage, tmp_path: Path) -> None:
    config = Config.parse(
        {"tencentCloud": {**KEYS, "endpoint": stage.proxy.url}, "concurrency": {"pollIntervalMs": 100}}
    )
    chain = ImageToVideo(id="shot", image=ImageRequest(prompt="x"), video=VideoRequest(prompt="y", duration=1))
    async with AigcClient(config) as client:
        await client.generate(chain, save_to=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shot.mp4", "shot.png"]
    counts = stage.proxy.forwarded
    assert (counts[CREATE], counts["CreateAigcVideoTask"], counts[MEDIA], counts["Frame"]) == (1, 1, 2, 1)
    assert stage.emulator.statistics().refused == {}


@pytest.mark.parametrize("fault", ["reset_after", "http_status"])
async def test_the_emulators_own_faults_pass_too(
    stage: Stage, raw: Raw, fault: Literal["reset_after", "http_status"]
) -> None:
    stage.emulator.faults.add(action=CREATE, fault=fault)
    if fault == "reset_after":
        await raw.send(stage.request(CREATE))
        await raw.assert_reset()
    else:
        assert (await raw.ask(stage.request(CREATE))).head.status == 502
    assert not stage.proxy.befallen


async def test_a_download_that_the_emulator_breaks_off_is_broken_off(stage: Stage, raw: Raw) -> None:
    stage.emulator.faults.add(action=MEDIA, fault="reset_after")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await raw.ask(stage.request(MEDIA))


async def test_a_head_request_has_an_answer_without_a_body(stage: Stage, raw: Raw) -> None:
    await raw.send(stage.request(MEDIA).replace(b"GET", b"HEAD"))
    head = Head.parse(await raw.reader.readuntil(b"\r\n\r\n"))
    assert (head.status, head.get("Content-Type")) == (200, "image/png")
    await raw.assert_goes_on()


async def test_a_client_that_waits_for_100_continue_is_answered_once(stage: Stage, raw: Raw) -> None:
    request = stage.request(CREATE).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    assert (await raw.ask(request)).head.status == 200
    await raw.assert_goes_on()


@pytest.mark.parametrize(
    "closing", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
)
async def test_a_connection_ends_when_its_client_says_so(raw: Raw, closing: bytes) -> None:
    assert "Error" in response_of(await raw.ask(closing))
    await raw.assert_ended()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"x" * (1 << 17) + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_ends_its_connection_alone(stage: Stage, raw: Raw, nonsense: bytes) -> None:
    await raw.send(nonsense)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await raw.reader.readexactly(1)
    async with connect(stage.proxy.url) as another:
        await another.assert_goes_on()


# Faults


@EACH_ACTION
@pytest.mark.parametrize(("fault", "arrivals"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_reset(stage: Stage, raw: Raw, fault: ProxyFault, arrivals: int, action: str) -> None:
    before = stage.arrivals(action)
    stage.proxy.add(fault, action=action)
    await raw.send(stage.request(action))
    await raw.assert_reset()
    assert (stage.arrivals(action) - before, stage.proxy.forwarded[action]) == (arrivals, arrivals)
    assert stage.proxy.befallen == {(action, fault): 1}


@EACH_ACTION
async def test_a_hang_lasts_until_the_client_leaves(stage: Stage, raw: Raw, action: str) -> None:
    stage.proxy.add("hang", action=action)
    before = stage.arrivals(action)
    await raw.send(stage.request(action))
    while stage.arrivals(action) == before:  # noqa: ASYNC110 - a counter, not an event
        await asyncio.sleep(0)
    (connection,) = stage.proxy._connections
    raw.writer.close()
    await asyncio.wait({connection.service})
    assert not stage.proxy._connections


@EACH_ACTION
async def test_closing_ends_what_hangs_at_once(stage: Stage, action: str) -> None:
    proxy = FaultProxy(stage.emulator)
    async with AsyncExitStack() as clients:
        async with proxy:
            proxy.add("hang", action=action)
            raw = await clients.enter_async_context(connect(proxy.url))
            await raw.send(stage.request(action))
            while not proxy.befallen:  # noqa: ASYNC110 - a counter, not an event
                await asyncio.sleep(0)
        assert not proxy._connections
        await raw.assert_reset()


@EACH_ACTION
async def test_an_answer_cut_short(stage: Stage, raw: Raw, action: str) -> None:
    plain = await raw.ask(stage.request(action))
    before = stage.arrivals(action)
    stage.proxy.add("cut_short", action=action)
    await raw.send(stage.request(action))
    head = Head.parse(await raw.reader.readuntil(b"\r\n\r\n"))
    assert head.length == len(plain.body)
    assert len(await raw.reader.read()) == len(plain.body) // 2
    assert stage.arrivals(action) == before + 1


@EACH_ACTION
@pytest.mark.parametrize(("fault", "status"), [("html", 200), ("bad_gateway", 502)])
async def test_a_page_in_the_services_place(
    stage: Stage, raw: Raw, fault: ProxyFault, status: int, action: str
) -> None:
    before = stage.arrivals(action)
    stage.proxy.add(fault, action=action)
    answer = await raw.ask(stage.request(action))
    assert (answer.head.status, answer.body[:6]) == (status, b"<html>")
    assert (stage.arrivals(action) - before, stage.proxy.forwarded[action]) == (0, 0)
    await raw.assert_goes_on()


@EACH_ACTION
@pytest.mark.parametrize(
    ("fault", "header", "values"),
    [
        ("delay", "Content-Length", 1),
        ("duplicate_header", "Date", 2),
        ("duplicate_header", "Content-Type", 2),
        ("duplicate_length", "Content-Length", 2),
        ("wrong_type", "Content-Type", 1),
        ("oversized", "Content-Length", 1),
        ("gzip_bomb", "Content-Encoding", 1),
    ],
)
async def test_an_answer_that_is_not_as_it_should_be(
    stage: Stage, raw: Raw, fault: ProxyFault, header: str, values: int, action: str
) -> None:
    plain = await raw.ask(stage.request(action))
    before = stage.arrivals(action)
    stage.proxy.add(fault, action=action, seconds=0.01 if fault == "delay" else 0, size=SIZE)
    answer = await raw.ask(stage.request(action))
    assert sum(line.lower().startswith(header.lower().encode() + b":") for line in answer.head.lines) == values
    assert (answer.head.get("Content-Type") == plain.head.get("Content-Type")) is (fault != "wrong_type")
    assert (len(answer.body) == SIZE) is (fault == "oversized")
    if fault != "gzip_bomb":
        assert_is_an_answer_to(action, answer, plain)
    assert stage.arrivals(action) == before + 1
    await raw.assert_goes_on()


@pytest.mark.parametrize(
    ("fault", "action", "field", "value"),
    [
        ("unknown_status", DESCRIBE, "Status", "PAUSED"),
        ("done_without_urls", DESCRIBE, "ImageUrls", []),
        ("null_fields", DESCRIBE, "Status", None),
        ("null_fields", CREATE, "TaskId", None),
    ],
)
async def test_an_envelope_rewritten(
    stage: Stage, raw: Raw, fault: ProxyFault, action: str, field: str, value: object
) -> None:
    before = stage.arrivals(action)
    stage.proxy.add(fault, action=action)
    response = response_of(await raw.ask(stage.request(action)))
    assert response[field] == value
    assert response["RequestId"]
    assert stage.arrivals(action) == before + 1
    await raw.assert_goes_on()


@pytest.mark.parametrize("action", [CREATE, DESCRIBE])
async def test_a_plain_client_hears_of_a_reset(stage: Stage, action: str) -> None:
    stage.proxy.add("reset_after", action=action, times=None)
    pending = call(stage.session, stage.proxy.url, action, {"TaskId": stage.task_id})
    with pytest.raises(aiohttp.ClientConnectionError):
        await pending
    stage.proxy.clear()
    assert (await stage.session.get(stage.image_url)).status == 200


# The emulator's own fetches


async def test_a_fault_of_downloads_is_not_used_up_by_the_emulators_fetch_of_a_frame(stage: Stage) -> None:
    stage.proxy.add("html", action=MEDIA)
    fields: Fields = {"Prompt": "y", "ImageUrl": stage.image_url, "Duration": 1}
    creation = await call(stage.session, stage.proxy.url, "CreateAigcVideoTask", fields)
    description = await finished(stage.session, stage.proxy.url, "Video", str(creation["TaskId"]))
    assert description["Status"] == "DONE"
    assert (stage.proxy.forwarded["Frame"], len(stage.proxy.befallen)) == (1, 0)
    async with stage.session.get(stage.image_url) as reply:
        assert reply.content_type == "text/html"


async def test_a_frame_that_the_emulator_cannot_have_fails_its_video(stage: Stage) -> None:
    stage.proxy.add("bad_gateway", action="Frame")
    fields = {"Prompt": "y", "ImageUrl": stage.image_url}
    creation = await call(stage.session, stage.proxy.url, "CreateAigcVideoTask", fields)
    description = await finished(stage.session, stage.proxy.url, "Video", str(creation["TaskId"]))
    assert (description["Status"], stage.proxy.befallen["Frame", "bad_gateway"]) == ("FAIL", 1)
    assert "HTTP 502" in str(description["Message"])


# Refusing, opening and closing


async def test_refusing_and_accepting_again(stage: Stage, raw: Raw) -> None:
    await raw.assert_goes_on()
    url = stage.proxy.url
    for _ in range(2):
        await stage.proxy.refuse()
        assert repr(stage.proxy).endswith(", refusing)")
    await raw.assert_reset()
    with pytest.raises(ConnectionRefusedError):
        await connect(url).__aenter__()
    for _ in range(2):
        await stage.proxy.accept()
    assert stage.proxy.url == url
    async with connect(url) as again:
        await again.assert_goes_on()


async def test_results_lead_through_the_proxy_while_it_is_open(stage: Stage) -> None:
    storage = stage.emulator.service.storage
    assert stage.image_url.startswith(stage.proxy.url)
    async with FaultProxy(stage.emulator) as second:
        assert storage.base_url == second.url
    assert storage.base_url == stage.proxy.url
    with pytest.raises(ConnectionRefusedError):
        await connect(second.url).__aenter__()


async def test_closing_after_refusing(stage: Stage) -> None:
    async with FaultProxy(stage.emulator) as proxy:
        await proxy.refuse()
    assert stage.emulator.service.storage.base_url == stage.proxy.url


async def test_an_emulator_that_is_gone_is_a_reset() -> None:
    async with Emulator() as emulator:
        proxy = await FaultProxy(emulator).__aenter__()
    async with connect(proxy.url) as raw:
        await raw.send(b"GET / HTTP/1.1\r\n\r\n")
        await raw.assert_reset()
    await proxy.__aexit__(None, None, None)


async def test_an_emulator_not_entered_is_told() -> None:
    with pytest.raises(RuntimeError, match="enter the emulator first"):
        await FaultProxy(Emulator()).__aenter__()
