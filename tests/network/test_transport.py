"""An exchange over real sockets on loopback: the meaning of each ending, and the time of the first byte."""

import asyncio
import inspect
import os
import socket
import struct
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import pytest
from aiohttp import web
from aioresponses import aioresponses
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from yarl import URL

from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.model.errors import ClientClosed, ConfigError, InvalidRequest, TransportError, Unreachable
from mps_aigc_async.model.requests import ImageRequest
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network import transport as transport_module
from mps_aigc_async.network.connection_faults import permanent_cause
from mps_aigc_async.network.proxies import is_loopback
from mps_aigc_async.network.transport import KEEPALIVE_S, MAX_ANSWER_BYTES, AiohttpTransport, Timeouts, parse_endpoint
from mps_aigc_async.wire.dialect import HttpRequest
from mps_aigc_async.wire.mps import Mps

from ..listening import AppServer, Talk, listening

BODY = b'{"Prompt":"body-secret"}'
REQUEST = HttpRequest(
    "/", {"Authorization": "TC3 header-secret", "X-TC-Token": "token-secret", "X-TC-Action": "X"}, BODY
)
MPS = URL("https://mps.tencentcloudapi.com/")
QUICK = Timeouts(connect=0.05, read=0.05, total=5.0)
LONG = Timeouts(connect=5.0, read=5.0, total=5.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def at_once() -> None:
    """A gate that is open."""


class Raw:
    """A server with scripted answers that counts its requests."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.connections = 0
        self.inbound = bytearray()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        await self._talk(reader, writer)

    async def read_request(self, reader: asyncio.StreamReader) -> None:
        """Read a whole request of ours."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.inbound += head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.inbound += await reader.readexactly(int(length.split(b":")[1]))


@asynccontextmanager
async def serving(raw: Raw) -> AsyncIterator[URL]:
    async with listening(raw.serve) as url:
        yield url


@asynccontextmanager
async def transport_to(endpoint: URL, timeouts: Timeouts = LONG) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(endpoint, timeouts)
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def app(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[AppServer]:
    application = web.Application(client_max_size=1 << 26)
    application.router.add_route("*", "/{path:.*}", handler)
    server = AppServer(application)
    async with server:
        yield server


def answering(raw: Raw, answer: bytes) -> Talk:
    """Read a request, say this, close."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        writer.write(answer)
        await writer.drain()

    return talk


def raw_answering(answer: bytes) -> Raw:
    raw = Raw(at_nothing)
    raw._talk = answering(raw, answer)
    return raw


async def at_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing and close."""


async def keep_alive(raw: Raw, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests for as long as they come."""
    try:
        while True:
            await raw.read_request(reader)
            writer.write(OK)
    except asyncio.IncompleteReadError:
        pass


def raw_keeping_alive() -> Raw:
    raw = Raw(at_nothing)
    raw._talk = lambda reader, writer: keep_alive(raw, reader, writer)
    return raw


async def failing(transport: AiohttpTransport, gate: Callable[[], Awaitable[None]] = at_once) -> TransportError:
    """Return the error of an exchange that fails; the error must show nothing of the request."""
    with pytest.raises(TransportError) as error_info:
        await transport.exchange(REQUEST, gate)
    text = "".join(traceback.format_exception(error_info.value))
    for secret in ("header-secret", "token-secret", "body-secret"):
        assert secret not in text
    assert "answer-secret" not in str(error_info.value)
    return error_info.value


# --- the gate ---------------------------------------------------------------------------------------------------------


async def test_the_gate_is_passed_after_the_connection_is_open_and_before_a_byte_goes() -> None:
    raw = raw_answering(OK)
    sights: list[tuple[int, bytes]] = []

    async def gate() -> None:
        while not raw.connections:  # noqa: ASYNC110 - the server's side of an open connection comes a turn later
            await asyncio.sleep(0)
        for _ in range(20):  # and time enough for bytes to come, were there any
            await asyncio.sleep(0)
        sights.append((raw.connections, bytes(raw.inbound)))

    async with serving(raw) as url, transport_to(url) as transport:
        answer = await transport.exchange(REQUEST, gate)
    assert sights == [(1, b"")]
    assert (answer.status, answer.body) == (200, b"{}")
    assert raw.inbound.endswith(BODY)


async def test_no_byte_waits_in_the_socket_while_the_gate_is_closed() -> None:
    """The server's own word: nothing can be read from the connection until the gate opens."""
    gate_passed = asyncio.Event()
    early: list[bytes] = []
    raw = Raw(at_nothing)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = asyncio.create_task(reader.read(1))
        gate = asyncio.create_task(gate_passed.wait())
        await asyncio.wait([first, gate], return_when=asyncio.FIRST_COMPLETED)
        if not gate_passed.is_set():
            early.append(first.result())
        await first
        await raw.read_request(reader)
        writer.write(OK)

    async def gate() -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        gate_passed.set()

    raw._talk = talk
    async with serving(raw) as url, transport_to(url) as transport:
        await transport.exchange(REQUEST, gate)
    assert early == []


async def test_a_gate_that_raises_lets_nothing_out_and_leaves_the_connection_for_the_next() -> None:
    raw = raw_keeping_alive()
    error = ClientClosed("too late")

    async def refuse() -> None:
        raise error

    async with serving(raw) as url, transport_to(url) as transport:
        with pytest.raises(ClientClosed) as error_info:
            await transport.exchange(REQUEST, refuse)
        assert error_info.value is error
        await transport.exchange(REQUEST, at_once)
        assert raw.connections == 1
        assert raw.inbound.count(b"POST /") == 1


async def test_a_cancelled_gate_lets_nothing_out_and_leaves_the_connection_for_the_next() -> None:
    raw = raw_keeping_alive()
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with serving(raw) as url, transport_to(url) as transport:
        exchange = asyncio.create_task(transport.exchange(REQUEST, wait))
        await waiting.wait()
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        await transport.exchange(REQUEST, at_once)
        assert raw.connections == 1
        assert raw.inbound.count(b"POST /") == 1


async def test_each_exchange_passes_its_own_gate_once() -> None:
    gates: list[int] = []

    def gate(number: int) -> Callable[[], Awaitable[None]]:
        async def pass_it() -> None:
            await asyncio.sleep(0)
            gates.append(number)

        return pass_it

    raw = raw_keeping_alive()
    async with serving(raw) as url, transport_to(url) as transport:
        await asyncio.gather(*(transport.exchange(REQUEST, gate(number)) for number in range(10)))
        await transport.exchange(REQUEST, gate(10))
    assert sorted(gates) == list(range(11))


async def test_it_is_told_once_that_the_bytes_went_out_after_the_gate_and_before_the_answer() -> None:
    steps: list[str] = []

    async def gate() -> None:
        steps.append("gate")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        steps.append("received")
        writer.write(OK)

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url) as transport:
        await transport.exchange(REQUEST, gate, lambda: steps.append("sent"))
    assert steps == ["gate", "sent", "received"]


async def test_it_is_not_told_of_bytes_that_never_went_out() -> None:
    calls: list[str] = []

    async def refuse() -> None:
        raise ClientClosed("too late")

    async with serving(raw_keeping_alive()) as url, transport_to(url) as transport:
        with pytest.raises(ClientClosed):
            await transport.exchange(REQUEST, refuse, lambda: calls.append("sent"))
    assert calls == []


async def test_waiting_for_the_send_time_is_not_held_against_the_exchange() -> None:
    loop = asyncio.get_running_loop()
    raw = raw_answering(OK)

    async def gate() -> None:
        gate_reached = loop.create_future()
        loop.call_later(0.03, gate_reached.set_result, None)
        await gate_reached

    async with serving(raw) as url, transport_to(url, Timeouts(connect=0.02, read=1.0, total=0.02)) as transport:
        assert (await transport.exchange(REQUEST, gate)).status == 200


# --- never delivered --------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_refused_connection_was_never_delivered() -> None:
    port = free_port()
    async with transport_to(URL(f"http://127.0.0.1:{port}/")) as transport:
        error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED
    assert str(error).startswith(f"cannot reach 127.0.0.1:{port}: ClientConnectorError")


async def test_an_unknown_host_was_never_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_such_name(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_such_name)
    async with transport_to(URL("https://mps.example/")) as transport:
        error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED
    assert str(error).startswith("cannot reach mps.example:443: ClientConnectorDNSError")


async def test_a_connection_that_never_opens_was_never_delivered() -> None:
    with socket.socket() as full:  # a backlog that is full: the next connection is not answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address):
            async with transport_to(URL(f"http://127.0.0.1:{address[1]}/"), QUICK) as transport:
                error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED


async def test_a_tls_handshake_that_hangs_was_never_delivered() -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(Raw(hang)) as url, transport_to(url.with_scheme("https"), QUICK) as transport:
        error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED


async def test_a_tls_handshake_that_breaks_off_was_never_delivered() -> None:
    async def leave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(5)

    async with serving(Raw(leave)) as url, transport_to(url.with_scheme("https")) as transport:
        error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED


async def test_a_proxy_that_cannot_be_reached_was_never_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:proxy-secret@127.0.0.1:{free_port()}")
    async with transport_to(URL("https://mps.example/")) as transport:
        error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED
    assert "through the proxy 127.0.0.1:" in str(error)
    assert "proxy-secret" not in "".join(traceback.format_exception(error))


async def test_a_proxy_that_refuses_was_never_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw.inbound += await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    raw = Raw(refuse)
    async with serving(raw) as url:
        monkeypatch.setenv("https_proxy", str(url))
        async with transport_to(URL("https://mps.example/")) as transport:
            error = await failing(transport)
    assert error.ending is Ending.NEVER_DELIVERED
    assert str(error) == (
        f"cannot reach mps.example:443 through the proxy {url.authority}: ClientHttpProxyError HTTP 503"
    )
    assert raw.inbound.startswith(b"CONNECT mps.example:443 ")
    assert b"secret" not in raw.inbound


async def test_a_kept_connection_that_the_server_closes_before_the_gate_was_never_delivered() -> None:
    raw = raw_keeping_alive()

    async def gate() -> None:
        assert transport._session.connector is not None
        (idle,) = transport._session.connector._acquired
        raw.writers[0].close()
        while idle.is_connected():  # noqa: ASYNC110 - until the close has come here
            await asyncio.sleep(0)

    async with serving(raw) as url, transport_to(url) as transport:
        await transport.exchange(REQUEST, at_once)
        error = await failing(transport, gate)
        assert error.ending is Ending.NEVER_DELIVERED
        assert raw.inbound.count(b"POST /") == 1
        assert (await transport.exchange(REQUEST, at_once)).status == 200
        assert raw.connections == 2


# --- unknown ----------------------------------------------------------------------------------------------------------


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_reset_after_the_request_is_of_unknown_outcome() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        reset(writer)

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url) as transport:
        error = await failing(transport)
    assert error.ending is Ending.UNKNOWN
    assert str(error).startswith(f"no answer from {url.authority} after the request was sent: ")


async def test_a_get_whose_connection_breaks_is_not_sent_again_without_a_send_time_of_its_own() -> None:
    """aiohttp would: a GET may be repeated, but each one counts for the rate."""
    gates: list[str] = []

    async def gate() -> None:
        gates.append("gate")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url) as transport:
        with pytest.raises(TransportError) as error_info:
            await transport.exchange(replace(REQUEST, method="GET", body=b""), gate)
    assert error_info.value.ending is Ending.UNKNOWN
    assert gates == ["gate"]


ANSWERS = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 200",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{answer-secret",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{answer-secret",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nanswer-secret\r\n",
    "garbage": b"\x16\x03\x01\x02\x00answer-secret\r\n\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\nanswer-secret\r\n\r\n",
    "a bad length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "an endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize(
    "answer",
    [answer for name, answer in ANSWERS.items() if name != "another protocol"],
    ids=[name for name in ANSWERS if name != "another protocol"],
)
async def test_what_is_no_whole_answer_is_of_unknown_outcome(answer: bytes) -> None:
    raw = raw_answering(answer)
    async with serving(raw) as url, transport_to(url) as transport:
        error = await failing(transport)
    assert error.ending is Ending.UNKNOWN
    assert raw.inbound.endswith(BODY)


@settings(max_examples=60, deadline=None)
@given(
    head=st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]),
    rest=st.binary(max_size=40) | st.text("\r\n: 0123456789abcHTP/.", max_size=40).map(str.encode),
)
def test_any_bytes_are_an_answer_or_a_transport_error(head: bytes, rest: bytes) -> None:
    async def exchange() -> None:
        async with serving(raw_answering(head + rest)) as url, transport_to(url) as transport:
            try:
                answer = await transport.exchange(REQUEST, at_once)
            except TransportError as error:
                ending: Ending | None = error.ending
            else:
                ending = None
                assert head + rest[:0] in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
                assert 200 <= answer.status <= 999
            assert ending in (None, Ending.UNKNOWN)

    asyncio.run(exchange())


async def test_no_answer_in_time_is_of_unknown_outcome() -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        await reader.read()

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url, QUICK) as transport:
        error = await failing(transport)
    assert error.ending is Ending.UNKNOWN
    assert "TimeoutError" in str(error)


async def test_an_answer_that_drips_is_cut_off_by_the_total() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await reader.read()

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url, Timeouts(read=5.0, total=0.05)) as transport:
        error = await failing(transport)
    assert (error.ending, "TimeoutError" in str(error)) == (Ending.UNKNOWN, True)


async def test_a_cancelled_exchange_is_cancelled_and_its_connection_is_not_used_again() -> None:
    has_request = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        if raw.connections == 1:
            has_request.set()
            await reader.read()
        writer.write(OK)

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url) as transport:
        exchange = asyncio.create_task(transport.exchange(REQUEST, at_once))
        await has_request.wait()
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        assert (await transport.exchange(REQUEST, at_once)).body == b"{}"
        assert raw.connections == 2


async def test_no_secret_is_in_the_reprs_of_an_errors_chain() -> None:
    """aiohttp's ClientResponseError keeps the request's headers, and shows them in its repr."""
    async with serving(raw_answering(ANSWERS["garbage"])) as url, transport_to(url) as transport:
        error: BaseException | None = await failing(transport)
    while error is not None:
        for secret in ("header-secret", "token-secret", "body-secret"):
            assert secret not in repr(error)
        error = error.__cause__ or error.__context__


async def test_headers_that_cannot_be_sent_were_never_delivered() -> None:
    """A key read from a file with its line's end, as container secrets often are."""
    raw = raw_answering(OK)
    async with serving(raw) as url, transport_to(url) as transport:
        with pytest.raises(TransportError) as error_info:
            await transport.exchange(HttpRequest("/", {"Authorization": "AKIDEXAMPLE\n"}, BODY), at_once)
    assert error_info.value.ending is Ending.NEVER_DELIVERED
    assert raw.inbound == b""


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_an_answer_comes_as_it_was_sent_with_lower_case_header_names() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert (request.method, request.path, await request.read()) == ("POST", "/", BODY)
        return web.Response(status=503, body=b"\xff{", headers={"X-Odd": "One", "Date": "yesterday"})

    async with app(handler) as server, transport_to(server.make_url("/")) as transport:
        answer = await transport.exchange(REQUEST, at_once)
    assert (answer.status, answer.body) == (503, b"\xff{")
    assert (answer.headers["x-odd"], answer.headers["date"]) == ("One", "yesterday")


async def test_the_signed_headers_and_body_go_out_unchanged_and_nothing_identifies_beside_them() -> None:
    requests: list[tuple[dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        requests.append((dict(request.headers), await request.read()))
        return web.json_response({})

    async with app(handler) as server, transport_to(server.make_url("/")) as transport:
        mps = Mps(host=server.make_url("/").authority)
        call = mps.create(ImageRequest(prompt="月光"), None)
        request = mps.sign(call, Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")), 1_700_000_000)
        await transport.exchange(request, at_once)
    ((headers, body),) = requests
    assert body == request.body
    extra = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "mps-aigc-async"}
    assert headers == {**request.headers, **extra, "Content-Length": str(len(body))}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with app(handler) as server, transport_to(server.make_url("/")) as transport:
        answer = await transport.exchange(REQUEST, at_once)
    assert (answer.status, paths) == (status, ["/"])


async def test_cookies_are_not_sent_back() -> None:
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "session=1; Path=/"})

    async with app(handler) as server, transport_to(server.make_url("/")) as transport:
        for _ in range(2):
            await transport.exchange(REQUEST, at_once)
    assert cookies == [None, None]


async def large(request: web.Request) -> web.StreamResponse:
    """As many bytes as the path says, without a Content-Length."""
    response = web.StreamResponse()
    await response.prepare(request)
    piece, left = b"x" * (1 << 20), int(request.path.strip("/"))
    while left > 0:
        await response.write(piece[:left])
        left -= len(piece)
    return response


async def test_an_answer_of_10_mib_is_read_and_one_byte_more_is_refused() -> None:
    async with app(large) as server, transport_to(server.make_url("/")) as transport:
        whole = await transport.exchange(HttpRequest(f"/{MAX_ANSWER_BYTES}", {}, b""), at_once)
        assert len(whole.body) == MAX_ANSWER_BYTES == 10 * 1024 * 1024
        with pytest.raises(TransportError, match="larger than 10 MiB") as error_info:
            await transport.exchange(HttpRequest(f"/{MAX_ANSWER_BYTES + 1}", {}, b""), at_once)
        assert error_info.value.ending is Ending.UNKNOWN


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = b"\x1f\x8bnot unpacked"

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with app(handler) as server, transport_to(server.make_url("/")) as transport:
        assert (await transport.exchange(REQUEST, at_once)).body == bomb


# --- connections ------------------------------------------------------------------------------------------------------


async def test_one_call_after_the_other_uses_one_connection() -> None:
    raw = raw_keeping_alive()
    async with serving(raw) as url, transport_to(url) as transport:
        for _ in range(5):
            await transport.exchange(REQUEST, at_once)
        assert raw.connections == 1
        assert transport._session.connector is not None
        assert transport._session.connector._keepalive_timeout == KEEPALIVE_S


async def test_calls_at_once_never_queue_below_the_pace() -> None:
    """Past aiohttp's default of 100 connections: all are asked before the first is answered."""
    calls = 130
    all_asked = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        if raw.connections == calls:
            all_asked.set()
        await all_asked.wait()
        writer.write(OK)

    raw = Raw(talk)
    async with serving(raw) as url, transport_to(url) as transport:
        answers = await asyncio.gather(*(transport.exchange(REQUEST, at_once) for _ in range(calls)))
    assert [answer.status for answer in answers] == [200] * calls
    assert raw.connections == calls


async def test_closing_closes_the_connections() -> None:
    has_left = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await keep_alive(raw, reader, writer)
        has_left.set()

    raw = Raw(talk)
    async with serving(raw) as url:
        async with transport_to(url) as transport:
            await transport.exchange(REQUEST, at_once)
        async with asyncio.timeout(5):
            await has_left.wait()


# --- the environment --------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


OPENED: list[str] = []
"""Paths opened while a test listens; an audit hook cannot be taken back, so it is one for the whole session."""
LISTENING: list[bool] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and LISTENING:
        OPENED.append(str(args[0]))


sys.addaudithook(_audit)


async def test_netrc_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password netrc-secret\ndefault login user password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    raw = raw_answering(OK)
    async with serving(raw) as url, transport_to(url) as transport:
        LISTENING.append(True)
        try:
            await transport.exchange(REQUEST, at_once)
        finally:
            LISTENING.clear()
    assert [path for path in OPENED if "netrc" in path] == []
    assert b"authorization: tc3 header-secret\r\n" in raw.inbound.lower()
    assert b"Basic" not in raw.inbound


# --- endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://mps.tencentcloudapi.com", "https://mps.tencentcloudapi.com/"),
        ("https://mps.tencentcloudapi.com/", "https://mps.tencentcloudapi.com/"),
        ("https://gateway:8443", "https://gateway:8443/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("http://localhost:8080/", "http://localhost:8080/"),
        ("http://[::1]:8080", "http://[::1]:8080/"),
        ("HTTPS://MPS.example", "https://mps.example/"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(url: str, endpoint: str) -> None:
    assert str(parse_endpoint(url)) == endpoint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not a URL"),
        ("mps.tencentcloudapi.com", "is not a URL"),
        ("mps.tencentcloudapi.com:443", "is not a URL"),
        ("ftp://mps.tencentcloudapi.com", "is not a URL"),
        ("https://", "is not a URL"),
        ("https:///path", "is not a URL"),
        ("https://host:99999", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("http://mps.tencentcloudapi.com", "plain http"),
        ("http://10.0.0.1:8080", "plain http"),
        ("http://0.0.0.0:8080", "plain http"),
        ("http://localhost.example.com", "plain http"),
        ("http://127.0.0.1.example.com", "plain http"),
        ("https://user@host", "scheme, host and port only"),
        ("https://user:url-secret@host", "scheme, host and port only"),
        ("https://host/?a=1", "scheme, host and port only"),
        ("https://host/#a", "scheme, host and port only"),
        ("https://:url-secret@host", "scheme, host and port only"),
        ("https://host/v1", "scheme, host and port only"),
        ("ftp://user:url-secret@host", "is not a URL"),
    ],
)
def test_another_endpoint_is_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error_info:
        parse_endpoint(url)
    assert "url-secret" not in str(error_info.value)


@given(url=st.text(max_size=30) | st.text("htps:/@[]#?.:1a", max_size=20).map("http://{}".format))
def test_any_text_is_an_endpoint_or_a_config_error(url: str) -> None:
    try:
        endpoint = parse_endpoint(url)
    except ConfigError:
        return
    assert endpoint.scheme == "https" or is_loopback(endpoint.host or "")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("host", False)],  # noqa: S104 - as a name
)
def test_loopback_is_this_machine_alone(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- foreign exceptions -----------------------------------------------------------------------------------------------

NEVER_RAISED = {"WSMessageTypeError"}
"""Of websockets, which we do not speak."""
NOT_FROM_AN_EXCHANGE = NEVER_RAISED | {
    "WebSocketError",
    "BadContentDispositionHeader",  # warnings of a header that nobody asks for
    "BadContentDispositionParam",
    "EofStream",  # a signal of aiohttp to itself: its iterators catch it
}


def foreign_to_us(cls: type) -> bool:
    return not issubclass(cls, aiohttp.ClientError | OSError)  # TimeoutError is an OSError


def test_every_exception_of_aiohttp_is_mapped() -> None:
    """`exchange` maps ClientError, OSError and TimeoutError; this fails when aiohttp gains another kind."""
    names = aiohttp.client_exceptions.__all__
    assert {name for name in names if foreign_to_us(getattr(aiohttp.client_exceptions, name))} == NEVER_RAISED
    members = inspect.getmembers(aiohttp, lambda member: inspect.isclass(member) and issubclass(member, Exception))
    assert {name for name, cls in members if foreign_to_us(cls)} == NOT_FROM_AN_EXCHANGE


class WithWriter(aiohttp.ClientResponse):
    """aioresponses 0.7.9 builds responses without the `stream_writer` that aiohttp 3.14 asks for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's own arguments, handed through
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


def instances() -> list[Exception]:
    """Make an exception of each foreign class that an exchange can meet."""
    info = aiohttp.RequestInfo(MPS, "POST", {"X-TC-Token": "token-secret"}, MPS)  # type: ignore[arg-type] # a plain dict
    key: Any = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)
    errors: list[Exception] = [TimeoutError(), ConnectionResetError(104, "reset"), EOFError()]
    for name in aiohttp.client_exceptions.__all__:
        cls = getattr(aiohttp.client_exceptions, name)
        if name in NEVER_RAISED:
            continue
        if issubclass(cls, aiohttp.ClientResponseError):
            errors.append(cls(info, (), status=502, message="answer-secret"))
        elif issubclass(cls, aiohttp.ClientConnectorCertificateError):
            errors.append(cls(key, ValueError("certificate")))
        elif issubclass(cls, aiohttp.ClientConnectorError):
            errors.append(cls(key, OSError(111, "refused")))
        elif issubclass(cls, aiohttp.ServerFingerprintMismatch):
            errors.append(cls(b"a", b"b", "host", 443))
        else:
            errors.append(cls("answer-secret"))
    return errors


@pytest.mark.parametrize("gate_passed", [False, True])
@pytest.mark.parametrize("foreign", instances(), ids=lambda error: type(error).__name__)
async def test_a_foreign_exception_ends_by_whether_the_gate_was_passed(foreign: Exception, gate_passed: bool) -> None:
    """The session is mocked: it raises, before or after it has passed the gate as the connector does."""

    async def fail(*_: object, **__: object) -> None:
        if gate_passed:
            exchange = transport_module._exchange.get()
            await exchange.gate()
            exchange.deliver()
            exchange.begin_writing()
        raise foreign

    async with transport_to(MPS) as transport:
        with aioresponses() as answers:
            answers.post(MPS, callback=fail)
            error = await failing(transport)
    cause = "" if gate_passed else permanent_cause(foreign)  # whose table has tests of its own
    never = Ending.UNREACHABLE if cause else Ending.NEVER_DELIVERED
    assert error.ending is (Ending.UNKNOWN if gate_passed else never)
    assert isinstance(error, Unreachable) is bool(cause)
    assert (cause or type(foreign).__name__) in str(error)


NOT_CURED: list[type[Exception]] = [AssertionError, AttributeError, KeyError, RecursionError, TypeError]
"""The classes of program faults."""
PERHAPS_CURED: list[type[Exception]] = [RuntimeError, MemoryError, ArithmeticError, ReferenceError]


@pytest.mark.parametrize("foreign", NOT_CURED + PERHAPS_CURED)
@pytest.mark.parametrize("came_to", ["the gate", "a connection", "the first byte"])
async def test_an_exception_of_any_class_is_mapped(
    foreign: type[Exception], came_to: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After the first byte its outcome is unknown. Before that, a fault of a program fails the job, and a fault that
    may pass is retried."""

    async def fail(*_: object, **__: object) -> None:
        exchange = transport_module._exchange.get()
        await exchange.gate()
        if came_to != "the gate":
            exchange.deliver()
        if came_to == "the first byte":
            exchange.begin_writing()
        raise foreign("header-secret")

    async with transport_to(MPS) as transport:
        with aioresponses() as answers:
            answers.post(MPS, callback=fail, repeat=True)
            error = await failing(transport)
    before = Ending.REFUSED if foreign in NOT_CURED else Ending.NEVER_DELIVERED
    assert error.ending is (Ending.UNKNOWN if came_to == "the first byte" else before)
    (record,) = caplog.records  # with its place
    assert foreign.__name__ in record.getMessage()
    assert "raise foreign(" in record.getMessage()
    assert "\nheader-secret" not in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize("foreign", [AssertionError, RuntimeError, RecursionError])
async def test_an_exception_of_any_class_after_the_first_byte_is_of_unknown_outcome(
    foreign: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real socket: the fault is in reading the answer."""

    async def fail(*_: object) -> bytes:
        await asyncio.sleep(0)
        raise foreign("answer-secret")

    raw = raw_answering(OK)
    async with serving(raw) as url, transport_to(url) as transport:
        monkeypatch.setattr(aiohttp.StreamReader, "readany", fail)
        error = await failing(transport)
    assert error.ending is Ending.UNKNOWN
    assert raw.inbound.endswith(BODY)


async def test_an_error_of_ours_passes_as_it_is() -> None:
    """Even one that is a ValueError too."""
    ours = InvalidRequest("not now")

    async def refuse() -> None:
        raise ours

    async with serving(raw_keeping_alive()) as url, transport_to(url) as transport:
        with pytest.raises(InvalidRequest) as error_info:
            await transport.exchange(REQUEST, refuse)
    assert error_info.value is ours


async def test_a_closed_transport_delivers_nothing() -> None:
    async with transport_to(MPS) as transport:
        await transport.close()
        error = await failing(transport)
    assert error.ending is Ending.UNREACHABLE


async def test_a_mocked_answer_is_decoded_like_a_real_one() -> None:
    async with transport_to(MPS) as transport:
        with aioresponses() as answers:
            answers.post(MPS, body=b'{"Response": {}}', headers={"Date": "today"}, response_class=WithWriter)
            answer = await transport.exchange(REQUEST, at_once)
    assert (answer.status, answer.body, answer.headers["date"]) == (200, b'{"Response": {}}', "today")
