"""An answer belongs to its own request: servers and gateways that write on a connection while nothing was asked."""

import asyncio
import gc
import json
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.connector
import pytest
from yarl import URL

from mps_aigc_async import AigcClient, Config, RetryPolicy
from mps_aigc_async.model.errors import ClientClosed, TransportError
from mps_aigc_async.model.requests import ImageRequest
from mps_aigc_async.model.states import Ending, Kind
from mps_aigc_async.network.connections import QuietConnector, close_session
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.network.transport import AiohttpTransport, Timeouts
from mps_aigc_async.wire.dialect import HttpRequest

from ..listening import listening
from ..support import KEYS

TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""Gateways say so on a connection that was idle for too long: nginx, HAProxy and AWS's load balancers do."""


def answer(body: bytes, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def turns(count: int = 6) -> None:
    """Time enough for bytes on loopback to be read at the other end, in this same loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Connection:
    """A connection of the server, and its requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.requests: list[bytes] = []
        self.last = b""

    async def request(self) -> bytes:
        """The next request, whole. Raises IncompleteReadError at the end."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        body = await self._reader.readexactly(int(length[1])) if length else b""
        self.requests.append(head + body)
        return head + body

    def write(self, data: bytes) -> None:
        self.last = data
        if not self._writer.is_closing():
            self._writer.write(data)

    @property
    def socket(self) -> Any:  # noqa: ANN401 - asyncio's wrapper
        return self._writer.get_extra_info("socket")


Talk = Callable[["Server", Connection, bytes], Any]


class Server:
    """Bytes on a real socket, as a test wants them."""

    def __init__(self, talk: Talk, greeting: bytes = b"") -> None:
        self._talk = talk
        self._greeting = greeting
        self.connections: list[Connection] = []
        self.url = URL()

    @property
    def requests(self) -> list[bytes]:
        return [request for connection in self.connections for request in connection.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        if self._greeting:
            writer.write(self._greeting)
        try:
            while True:
                request = await connection.request()
                await self._talk(self, connection, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with listening(server.serve, tls=tls) as server.url:
        yield server
        await turns()
        for connection in server.connections:
            connection._writer.transport.abort()
        await turns()


@asynccontextmanager
async def transport_to(server: Server) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(server.url, Timeouts(connect=5.0, read=5.0, total=5.0))
    try:
        yield transport
    finally:
        await transport.close()


async def at_once() -> None:
    """A gate that is open."""


def request_of(number: int) -> HttpRequest:
    return HttpRequest("/", {"X-TC-Action": "X"}, b'{"number": %d}' % number)


async def echo(_: Server, connection: Connection, request: bytes) -> None:
    """Answer with the request's body."""
    await asyncio.sleep(0)
    connection.write(answer(request.partition(b"\r\n\r\n")[2]))


async def number_of(transport: AiohttpTransport, number: int) -> int:
    """The number that comes for the one sent; an exchange that was never delivered is made again."""
    for _ in range(3):
        try:
            reply = await transport.exchange(request_of(number), at_once)
        except TransportError as error:
            assert error.ending is Ending.NEVER_DELIVERED  # noqa: PT017 - the loop goes on with the next attempt
        else:
            return int(json.loads(reply.body)["number"])
    raise AssertionError("never delivered, three times")


# --- bytes that nobody asked for, on a kept connection ----------------------------------------------------------------

STRAY = {
    "the answer again": answer(b'{"number": 0}'),
    "an answer of another": answer(b'{"number": 77}'),
    "a time-out": TIMEOUT,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a status line": b"HTTP/1.1 2",
    "a head without its body": b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n",
    "one byte": b"\r",
    "an empty line": b"\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
    "no HTTP": b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
}


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY.keys())
async def test_a_connection_on_which_bytes_came_unasked_is_not_used(stray: bytes) -> None:
    async with serving(Server(echo)) as server, transport_to(server) as transport:
        for number in range(4):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
            server.connections[-1].write(stray)
            await turns()
    assert len(server.connections) == 4
    assert len(server.requests) == 4, "one request sent for each"


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY.keys())
async def test_the_rest_of_a_stray_answer_is_no_answer_either(stray: bytes) -> None:
    """The first half comes while nothing is asked, and the second one right behind the next request."""
    half = len(stray) // 2

    async def talk(server: Server, connection: Connection, request: bytes) -> None:
        if len(connection.requests) > 1:
            connection.write(stray[half:])
        await echo(server, connection, request)

    async with serving(Server(talk)) as server, transport_to(server) as transport:
        for number in range(3):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
            server.connections[-1].write(stray[: max(half, 1)])
            await turns()
    assert len(server.requests) == 3


async def test_twenty_spoilt_connections_cost_no_retry() -> None:
    all_asked = asyncio.Event()

    async def talk(server: Server, connection: Connection, request: bytes) -> None:
        if len(server.requests) == 20:
            all_asked.set()
        await all_asked.wait()
        await echo(server, connection, request)

    async with serving(Server(talk)) as server, transport_to(server) as transport:
        await asyncio.gather(*(transport.exchange(request_of(number), at_once) for number in range(20)))
        for connection in server.connections:
            connection.write(TIMEOUT)
        # At once: the bytes are in the sockets, and the loop has read none of them.
        reply = await transport.exchange(request_of(20), at_once)
        assert json.loads(reply.body) == {"number": 20}
    assert len(server.connections) == 21


async def test_bytes_that_come_while_the_send_time_is_awaited_close_the_connection() -> None:
    async with serving(Server(echo)) as server, transport_to(server) as transport:
        await transport.exchange(request_of(0), at_once)

        async def gate() -> None:
            server.connections[0].write(answer(b'{"number": 0}'))
            await turns()

        with pytest.raises(TransportError) as error_info:
            await transport.exchange(request_of(1), gate)
        assert error_info.value.ending is Ending.NEVER_DELIVERED
        assert await number_of(transport, 2) == 2
    assert len(server.requests) == 2


@contextmanager
def thread_that_writes(sock: socket.socket, data: bytes) -> Iterator[Callable[[], None]]:
    """A function that has a thread write, and blocks the loop meanwhile: the bytes lie in the kernel, unread."""
    go = threading.Event()
    has_left = threading.Event()

    def write() -> None:
        if go.wait(10):
            sock.sendall(data)
        has_left.set()

    def block() -> None:
        go.set()
        assert has_left.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield block
    finally:
        go.set()
        thread.join()


@pytest.mark.parametrize("stray", [answer(b'{"number": 0}'), TIMEOUT, b"\r\n"])
async def test_bytes_that_the_loop_has_not_read_close_the_connection_too(stray: bytes) -> None:
    """The loop was blocked while they arrived: they lie in the kernel's buffer as the gate opens."""
    async with serving(Server(echo)) as server, transport_to(server) as transport:
        await transport.exchange(request_of(0), at_once)
        with socket.socket(fileno=server.connections[0].socket.dup().detach()) as sock:
            with thread_that_writes(sock, stray) as block:

                async def gate() -> None:
                    await asyncio.sleep(0)
                    block()

                with pytest.raises(TransportError) as error_info:
                    await transport.exchange(request_of(1), gate)
            assert error_info.value.ending is Ending.NEVER_DELIVERED
            assert await number_of(transport, 2) == 2
    assert len(server.requests) == 2


async def test_an_end_that_the_loop_has_not_read_was_never_delivered() -> None:
    """A server that closes an idle connection while the loop is blocked."""
    async with serving(Server(echo)) as server, transport_to(server) as transport:
        await transport.exchange(request_of(0), at_once)

        async def gate() -> None:
            await asyncio.sleep(0)
            server.connections[0].socket.shutdown(socket.SHUT_RDWR)  # and no turn of the loop

        with pytest.raises(TransportError) as error_info:
            await transport.exchange(request_of(1), gate)
        assert error_info.value.ending is Ending.NEVER_DELIVERED
        assert await number_of(transport, 2) == 2
    assert len(server.requests) == 2


async def test_a_connection_that_was_opened_and_never_used_costs_no_retry_when_it_is_spoilt() -> None:
    async def refuse() -> None:
        while not server.connections:  # noqa: ASYNC110 - the server's side comes a turn later
            await asyncio.sleep(0)
        raise ClientClosed("too late")

    async with serving(Server(echo)) as server, transport_to(server) as transport:
        with pytest.raises(ClientClosed):
            await transport.exchange(request_of(0), refuse)
        server.connections[0].write(TIMEOUT)
        reply = await transport.exchange(request_of(1), at_once)
        assert json.loads(reply.body) == {"number": 1}
    assert len(server.connections) == 2


async def test_a_get_that_aiohttp_sends_again_takes_no_spoilt_connection() -> None:
    """A result's connection breaks as it is asked for; aiohttp asks again on another one that is kept."""
    both_asked = asyncio.Event()

    async def talk(server: Server, connection: Connection, request: bytes) -> None:
        if len(server.requests) == 3:
            for other in server.connections:
                if other is not connection:
                    other.write(answer(b"stray"))
            raise ConnectionError
        if len(server.requests) == 2:
            both_asked.set()
        await both_asked.wait()
        connection.write(answer(request.split(b" ")[1]))

    async def get(session: aiohttp.ClientSession, path: str) -> str:
        async with session.get(server.url / path) as response:
            return await response.text()

    async with serving(Server(talk)) as server, Downloads()._sessions.get() as session:
        await asyncio.gather(get(session, "a"), get(session, "b"))
        assert await get(session, "c") == "/c"
    assert sorted(len(connection.requests) for connection in server.connections) == [1, 1, 2]


# --- on a fresh one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("greeting", [TIMEOUT, answer(b'{"number": 77}'), b"SSH-2.0-x\r\n", b"\r"])
async def test_a_fresh_connection_on_which_the_server_speaks_first_is_not_used(greeting: bytes) -> None:
    """And no connection follows the other without end."""

    async def gate() -> None:
        await turns()

    async with serving(Server(echo, greeting)) as server, transport_to(server) as transport:
        with pytest.raises(TransportError) as error_info:
            await transport.exchange(request_of(1), gate)
    assert error_info.value.ending is Ending.NEVER_DELIVERED
    assert server.requests == []
    assert len(server.connections) == 1


async def test_a_fresh_connection_timed_out_while_the_send_time_is_awaited_is_not_used() -> None:
    async with serving(Server(echo)) as server, transport_to(server) as transport:

        async def gate() -> None:
            while not server.connections:  # noqa: ASYNC110 - the server's side comes a turn later
                await asyncio.sleep(0)
            server.connections[0].write(TIMEOUT)
            await turns()

        with pytest.raises(TransportError) as error_info:
            await transport.exchange(request_of(1), gate)
        assert error_info.value.ending is Ending.NEVER_DELIVERED
        assert await number_of(transport, 2) == 2
    assert len(server.requests) == 1


# --- in one piece with the answer -------------------------------------------------------------------------------------


async def test_an_answer_sent_twice_in_one_piece_answers_one_request() -> None:
    async def talk(_: Server, connection: Connection, request: bytes) -> None:
        await asyncio.sleep(0)
        connection.write(answer(request.partition(b"\r\n\r\n")[2]) * 2)

    async with serving(Server(talk)) as server, transport_to(server) as transport:
        for number in range(4):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
    assert len(server.requests) == 4


async def test_garbage_behind_an_answer_reaches_no_other_request() -> None:
    """aiohttp's parser loses the answer with it, so that its outcome is unknown; the next one has its own."""

    async def talk(_: Server, connection: Connection, request: bytes) -> None:
        await asyncio.sleep(0)
        body = request.partition(b"\r\n\r\n")[2]
        connection.write(answer(body) + (b"garbage" if body == request_of(0).body else b""))

    async with serving(Server(talk)) as server, transport_to(server) as transport:
        with pytest.raises(TransportError) as error_info:
            await transport.exchange(request_of(0), at_once)
        assert error_info.value.ending is Ending.UNKNOWN
        for number in (1, 2):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
    assert len(server.requests) == 3


async def test_half_an_answer_behind_an_answer_reaches_no_other_request() -> None:
    async def talk(_: Server, connection: Connection, request: bytes) -> None:
        await asyncio.sleep(0)
        whole = answer(request.partition(b"\r\n\r\n")[2])
        connection.write(whole + whole[:20])
        await turns()
        connection.write(whole[20:])

    async with serving(Server(talk)) as server, transport_to(server) as transport:
        for number in range(4):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
            await turns(12)
    assert len(server.requests) == 4


@pytest.mark.parametrize("cut", [1, 12, 20, 60, 75])
async def test_half_an_answer_behind_an_answer_closes_the_connection_before_the_next_request(cut: int) -> None:
    """The other half comes only with the next answer: nothing arrives at rest."""
    halves: dict[Connection, bytes] = {}

    async def talk(_: Server, connection: Connection, request: bytes) -> None:
        await asyncio.sleep(0)
        whole = answer(request.partition(b"\r\n\r\n")[2])
        connection.write(halves.pop(connection, b"") + whole + whole[:cut])
        halves[connection] = whole[cut:]

    async with serving(Server(talk)) as server, transport_to(server) as transport:
        for number in range(3):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
    assert len(server.connections) == 3


# --- over TLS ---------------------------------------------------------------------------------------------------------

LOCALHOST = Path(__file__).parent / "localhost.pem"
"""A key and a certificate for 127.0.0.1, signed by itself, until 2126: for these tests alone."""


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context, which aiohttp trusts during a test."""
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=LOCALHOST))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOCALHOST)
    return context


async def test_session_tickets_are_no_stray_bytes(tls: ssl.SSLContext) -> None:
    """TLS 1.3 sends them behind the handshake: they may lie unread as the gate opens."""
    async with serving(Server(echo), tls) as server, transport_to(server) as transport:
        for number in range(3):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
    assert len(server.connections) == 1


@pytest.mark.parametrize("stray", [answer(b'{"number": 0}'), TIMEOUT, b"\r"])
@pytest.mark.parametrize("is_read", [True, False])
async def test_a_tls_connection_on_which_bytes_came_unasked_is_not_used(
    stray: bytes, is_read: bool, tls: ssl.SSLContext
) -> None:
    async with serving(Server(echo), tls) as server, transport_to(server) as transport:
        for number in range(3):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
            server.connections[-1].write(stray)
            if is_read:
                await turns()
    assert len(server.connections) == len(server.requests) == 3


class Proxy:
    """An HTTP proxy that opens tunnels."""

    def __init__(self) -> None:
        self.tunnels = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.tunnels += 1
        host, port = head.split(b" ")[1].split(b":")
        there, to = await asyncio.open_connection(host.decode(), int(port))
        self.writers += [writer, to]
        await asyncio.sleep(0)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(self._carry(reader, to), self._carry(there, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()


async def test_a_tunnel_through_a_proxy_is_used_again_until_bytes_come_unasked(tls: ssl.SSLContext) -> None:
    proxy = Proxy()
    async with (
        listening(proxy.serve) as url,
        serving(Server(echo), tls) as server,
        transport_to(server) as transport,
    ):
        transport._proxy = str(url)
        for number in range(4):
            reply = await transport.exchange(request_of(number), at_once)
            assert json.loads(reply.body) == {"number": number}
            if number == 1:
                server.connections[0].write(TIMEOUT)
                await turns(20)
        for writer in proxy.writers:
            writer.transport.abort()
        await turns()
    assert proxy.tunnels == 2
    assert [len(connection.requests) for connection in server.connections] == [2, 2]


# --- whole jobs -------------------------------------------------------------------------------------------------------


def picture(text: str) -> bytes:
    """Bytes that begin as a picture does, and tell whose it is."""
    return b"\x89PNG\r\n\x1a\n" + text.encode()


class Service:
    """MPS, VOD or the relay on one socket: creates, polls and results."""

    def __init__(self) -> None:
        self.server = Server(self._talk)
        self.prompts: list[str] = []
        self.tasks: dict[str, str] = {}

    async def _talk(self, _: Server, connection: Connection, request: bytes) -> None:
        await asyncio.sleep(0)
        connection.write(self._said(request))

    def repeat(self) -> None:
        """Send each connection its last answer again. Nothing must be under way."""
        for connection in self.server.connections:
            connection.write(connection.last)

    def _said(self, request: bytes) -> bytes:
        line = request.partition(b"\r\n")[0].decode()
        body = request.partition(b"\r\n\r\n")[2]
        if result := re.match(r"GET /result/(\S+)\.png", line):
            return answer(picture(self.tasks[result[1]]), "image/png")
        if query := re.match(r"GET \S*/query/(\S+) ", line):
            return answer(json.dumps(self._vod_status(query[1])).encode())
        fields = json.loads(body)
        prompt = fields.get("Prompt") or fields.get("prompt")
        if prompt:
            task_id = f"task-{len(self.prompts)}"
            self.prompts.append(prompt)
            self.tasks[task_id] = prompt
            return answer(json.dumps({"Response": {"TaskId": task_id, "RequestId": "r"}}).encode())
        status = (
            self._vod_status(fields["TaskId"]) if b"DescribeTaskDetail" in request else self._status(fields["TaskId"])
        )
        return answer(json.dumps(status).encode())

    def _result(self, task_id: str) -> str:
        return str(self.server.url / "result" / f"{task_id}.png")

    def _status(self, task_id: str) -> dict[str, object]:
        return {"Response": {"Status": "DONE", "ImageUrls": [self._result(task_id)], "RequestId": "r"}}

    def _vod_status(self, task_id: str) -> dict[str, object]:
        output = {"FileInfos": [{"FileUrl": self._result(task_id)}]}
        task = {"Status": "FINISH", "ErrCode": 0, "Output": output}
        return {
            "Response": {
                "TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": task, "RequestId": "r"
            }
        }  # fmt: skip


def config_of(backend: str, url: URL) -> Config:
    return Config.parse(
        {
            "backend": backend,
            "tencentCloud": KEYS | {"endpoint": str(url)},
            "concurrency": {"maxImageTasks": 3, "pollIntervalMs": 1000},
            "vod": {"subAppId": 1},
            "relay": {"baseUrl": str(url), "apiKey": "sk-EXAMPLE"},
        }
    )


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
async def test_every_job_has_its_own_task_and_image_though_each_answer_comes_again(
    backend: str, tmp_path: Path
) -> None:
    service = Service()
    prompts = [f"prompt {number}" for number in range(3)]
    async with (
        serving(service.server) as server,
        AigcClient(config_of(backend, server.url), retry=RetryPolicy(base_s=0.001)) as client,
    ):
        client.on_event(lambda _: service.repeat())  # each time that something happened, and nothing is under way
        for prompt in prompts:
            request = ImageRequest(prompt=prompt, model_name="GEM", model_version="2.5")
            result = await client.generate(request, save_to=tmp_path)
            assert service.tasks[result.task_id] == prompt
            assert result.files[0].read_bytes() == picture(prompt)
    assert service.prompts == prompts, "each created once"


async def test_every_result_is_its_own_though_each_comes_again(tmp_path: Path) -> None:
    service = Service()
    names = [f"task-{number}" for number in range(8)]
    service.tasks = {name: f"image of {name}" for name in names}
    async with serving(service.server) as server:
        downloads = Downloads()
        try:
            for name in names:
                file = await downloads.save(service._result(name), tmp_path / name, Kind.IMAGE, within_s=30)
                assert file.read_bytes() == picture(f"image of {name}")
                service.repeat()
        finally:
            await downloads.close()
    assert len(server.requests) == len(names)


async def test_downloads_and_calls_use_a_connection_again() -> None:
    """The guard must not cost a new connection for each request."""
    service = Service()
    service.tasks = {"task-0": "image"}
    async with serving(service.server) as server:
        async with transport_to(server) as transport:
            for _ in range(3):
                await transport.exchange(HttpRequest("/", {}, b'{"Prompt": "x"}'), at_once)
        session = Downloads()._sessions.get()
        async with session:
            for _ in range(3):
                async with session.get(service._result("task-0")) as response:
                    assert await response.read()
    assert [len(connection.requests) for connection in server.connections] == [3, 3]


# --- closed without their loop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
def test_connections_of_a_closed_loop_are_closed_from_another(is_tls: bool) -> None:
    """Their sockets end, as the server sees, and nothing is left to warn of."""
    has_begun, stop = threading.Event(), asyncio.Event()
    sessions: list[tuple[URL, asyncio.AbstractEventLoop]] = []
    has_ended = threading.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"{}"))
        with suppress(ConnectionError):
            await reader.read()
        has_ended.set()

    async def serve() -> None:
        tls = None
        if is_tls:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(LOCALHOST)
        async with listening(talk, tls=tls) as url:
            sessions.append((url, asyncio.get_running_loop()))
            has_begun.set()
            await stop.wait()

    async def ask(url: URL) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(connector=QuietConnector())
        async with session.get(url, ssl=False) as response:
            await response.read()
        return session

    server = threading.Thread(target=asyncio.run, args=(serve(),))
    server.start()
    assert has_begun.wait(10.0)
    url, loop = sessions[0]
    try:
        session = asyncio.run(ask(url))
        assert not has_ended.is_set()
        asyncio.run(close_session(session))
        assert session.closed
        assert has_ended.wait(10.0)
        del session
        gc.collect()  # a warning would fail this test
    finally:
        loop.call_soon_threadsafe(stop.set)
        server.join()
