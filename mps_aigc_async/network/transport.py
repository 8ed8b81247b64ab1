"""An exchange over HTTP: the only door to the service, and the map of foreign exceptions.

A request waits for its send time inside the connector, after a connection is open and before the first byte goes: a
slow handshake or a queue below the pace would bunch sends that were paced apart. The gate also tells the endings apart:
before the gate nothing was delivered; after it, without an answer, the outcome is unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, runtime_checkable

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDictProxy
from yarl import URL

from ..concurrency.callbacks import ignore
from ..model.errors import AigcError, ConfigError, TransportError, Unreachable
from ..model.states import Ending
from ..model.unexpected import report
from ..wire.dialect import HttpAnswer, HttpRequest
from .addresses import host_fault
from .answer_deadline import AnswerDeadline
from .connection_faults import permanent_cause
from .connections import QuietConnector, close_session, lend, require_usable
from .proxies import is_loopback, proxy_for

MAX_ANSWER_BYTES: Final = 10 * 1024 * 1024
"""Most bytes of an answer. An answer of the API is a few kilobytes; 10 MiB are a fault or an attack."""

KEEPALIVE_S: Final = 30.0
"""Seconds after which the client drops an idle connection, before a usual gateway (60 to 75 s) does: a connection that
the server closes just as a create goes out makes an outcome unknown."""

ONE_HOSTS_S: Final = 10.0
"""Seconds for which a failing certificate or handshake counts as a single host's, if other hosts have answered: behind
a load balancer a host may be set up wrongly, or be about to get its new certificate. A few attempts meet the others."""

Gate = Callable[[], Awaitable[None]]
Sent = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds. `read` bounds the wait between two pieces of an answer or of a result.

    `total` bounds a call alone, and counts from the first byte sent, without the wait for the send time."""

    connect: float = 10.0
    read: float = 30.0
    total: float = 60.0


class Transport(Protocol):
    """A way to exchange requests for answers; another backend or a test brings its own."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        """Open a connection, pass the gate, send, and return the answer. Raises TransportError.

        `sent` is called at the moment when a body is written, which may be a while after the gate in a busy loop.
        """
        ...

    async def close(self) -> None: ...


class ResultBody(Protocol):
    """A body that comes in pieces."""

    async def read(self, n: int = -1, /) -> bytes:
        """Read at most `n` bytes; none at the end."""
        ...


class ResultAnswer(Protocol):
    """The answer to a GET of a result, before its body has been read, such as aiohttp's ClientResponse."""

    status: int
    reason: str | None

    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def content_type(self) -> str: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def content(self) -> ResultBody: ...
    async def __aenter__(self) -> object: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@runtime_checkable
class ResultSource(Protocol):
    """A transport that also answers the GETs of results: downloads then open no connection of their own."""

    async def fetch(self, url: URL, headers: Mapping[str, str]) -> ResultAnswer:
        """GET the URL. Follows no redirect."""
        ...


def parse_endpoint(url: str) -> URL:
    """Check a service's base URL: plain http only towards loopback, no path, no user info. Raises ConfigError."""
    url = url.strip()
    try:
        endpoint = URL(url if url.isprintable() and " " not in url else "")  # URLs' parsers drop line ends in silence
    except (ValueError, IndexError):  # from yarl for a text that is no URL; IndexError for some odd brackets
        endpoint = URL()
    if not endpoint.host or endpoint.scheme not in ("https", "http"):
        # The message does not show the text, which may hold a password.
        raise ConfigError("the endpoint is not a URL: write it as https://HOST or http://127.0.0.1:PORT")
    if "@" in url:  # a user name, or its rest after a slash: then `host` is a part of the secret
        raise ConfigError(
            "the endpoint must be scheme, host and port only: write it without a path, query or user name (it has an @ "
            "in it)"
        )
    if endpoint.query_string or endpoint.fragment or endpoint.path not in ("", "/"):
        raise ConfigError(
            f"the endpoint at {endpoint.host} must be scheme, host and port only: write it without a path (such as "
            "/v1), query or user name"
        )
    if fault := host_fault(endpoint):
        raise ConfigError(f"the endpoint is not usable: {fault}")
    if endpoint.scheme == "http" and not is_loopback(endpoint.host):
        raise ConfigError(
            f"the endpoint http://{endpoint.host} is plain http: signed requests and prompts would cross the network "
            "readable; use https"
        )
    return endpoint.with_path("/")


NETWORK: Final = (aiohttp.ClientError, OSError, EOFError)
"""The classes of ordinary network faults; TimeoutError is an OSError."""
BUGS: Final = (AssertionError, AttributeError, LookupError, RecursionError, TypeError)
"""The classes of program faults, ours or aiohttp's: a retry of the same request cannot cure them."""


class _SentBefore(aiohttp.ClientConnectionError):
    """aiohttp tried to send a GET again after its connection broke, although its send time is used up."""


class _Exchange:
    """The progress of an exchange."""

    def __init__(self, gate: Gate, sent: Sent, deadline: AnswerDeadline, *, has_body: bool) -> None:
        self.gate: Final = gate
        self.deadline: Final = deadline
        self._sent = sent
        self._has_body = has_body
        self.may_have_sent = False
        """Whether aiohttp has a connection for the request: from then on bytes may have been sent."""
        self._began = False
        """Whether the body, and so the first byte, was written. Stays False for a request without a body."""

    def deliver(self) -> None:
        self.may_have_sent = True
        self.deadline.begin()

    def begin_writing(self) -> None:
        self._began = True

    def note_written(self) -> None:
        self._sent()

    def ending_with(self, error: Exception) -> Ending:
        """Return the ending of an exchange that raised this foreign exception."""
        if isinstance(error, NETWORK):
            return Ending.UNKNOWN if self.may_have_sent else Ending.NEVER_DELIVERED
        if isinstance(error, ValueError) and not self._began:
            # Headers that cannot be sent, such as a key with a line break: the next attempt may have other keys.
            return Ending.NEVER_DELIVERED
        if self.may_have_sent and (self._began or not self._has_body):
            return Ending.UNKNOWN
        return Ending.REFUSED if isinstance(error, BUGS) else Ending.NEVER_DELIVERED


_exchange: ContextVar[_Exchange] = ContextVar("exchange")


class _GatedConnector(QuietConnector):
    """A connector that hands a connection over only when its request's send time has come."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        exchange = _exchange.get()
        if exchange.may_have_sent:
            raise _SentBefore
        connection = await self.quiet_connection(req, traces, timeout)
        try:
            await exchange.gate()
        except BaseException:
            connection.release()
            raise
        await require_usable(connection)  # again: the wait for the send time may have been long
        exchange.deliver()
        return lend(connection, exchange.deadline.note_piece)


class _Body(aiohttp.BytesPayload):
    """A request's body that reports when it has been written, with the headers. A trace would report it too, but makes
    aiohttp go through all of its signals for each request."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        exchange = _exchange.get()
        exchange.begin_writing()
        try:
            await super().write_with_length(writer, content_length)
        finally:
            exchange.note_written()  # after it: the process may stand still in between


class AiohttpTransport:
    """The transport over HTTP: a keep-alive session to a single endpoint."""

    def __init__(self, endpoint: URL, timeouts: Timeouts | None = None) -> None:
        self._endpoint = endpoint
        self._origin = str(endpoint.origin())
        self._timeouts = timeouts or Timeouts()
        self._proxy = proxy_for(endpoint)
        self._has_answered = False
        self._tls_fails_since: float | None = None
        self._session = aiohttp.ClientSession(
            # limit=0: nothing may queue below the pace (after a 4 s hiccup aiohttp's default of 100 connections let
            # 146 calls arrive in one second).
            connector=_GatedConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(
                total=None,
                # `sock_connect` covers neither DNS nor a proxy that never answers.
                connect=2 * self._timeouts.connect,
                sock_connect=self._timeouts.connect,
                # `answer_deadline` bounds the wait for an answer.
                sock_read=None,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A compressed answer could unpack to any size; API answers are small.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "mps-aigc-async"},
        )

    async def close(self) -> None:
        await close_session(self._session)

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        deadline = AnswerDeadline(read_s=self._timeouts.read, total_s=self._timeouts.total)
        exchange = _Exchange(gate, sent, deadline, has_body=bool(request.body))
        token = _exchange.set(exchange)
        try:
            async with deadline:
                return await self._send(request)
        except AigcError:
            raise
        except Exception as error:  # noqa: BLE001 - an exception that escapes, of any class, would leave a job in *intent*
            failure = self._map(error, exchange)
        finally:
            with suppress(ValueError):  # in another context: the task of a closed loop is collected
                _exchange.reset(token)
        # Raised outside the handler, so that the foreign exception is in no chain: some hold the request's headers.
        raise failure

    def _map(self, error: Exception, exchange: _Exchange) -> TransportError:
        if not exchange.may_have_sent and (cause := self._permanent_cause(error)):
            why = f"cannot reach {self._host()}: {cause}"
            if self._may_be_one_hosts(error):
                return TransportError(why, ending=Ending.NEVER_DELIVERED)
            return Unreachable(why, ending=Ending.UNREACHABLE)
        ending = exchange.ending_with(error)
        if not isinstance(error, (*NETWORK, ValueError)):
            report(error, "exchanging a request for its answer")
        return TransportError(self._describe(error, ending), ending=ending)

    def _permanent_cause(self, error: Exception) -> str:
        return "the client is closed" if self._session.closed else permanent_cause(error)

    def _may_be_one_hosts(self, error: Exception) -> bool:
        """Whether another host behind the same name may still answer, since a host has answered before."""
        if not self._has_answered or not isinstance(error, aiohttp.ClientSSLError):
            return False
        now = asyncio.get_running_loop().time()
        if self._tls_fails_since is None:
            self._tls_fails_since = now
        return now - self._tls_fails_since < ONE_HOSTS_S

    async def _send(self, request: HttpRequest) -> HttpAnswer:
        async with self._session.request(
            request.method,
            URL(self._origin + request.path, encoded=True),  # yarl caches the latest URLs: cheaper than `with_path`
            data=_Body(request.body) if request.body else None,
            headers=request.headers,
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            chunks, size = [], 0
            while chunk := await response.content.readany():
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    response.close()
                    raise TransportError(
                        f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB", ending=Ending.UNKNOWN
                    )
                chunks.append(chunk)
            self._has_answered, self._tls_fails_since = True, None
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status, headers, b"".join(chunks))

    def _describe(self, error: Exception, ending: Ending) -> str:
        """Describe a fault in one line, without headers or bodies, which foreign exceptions may hold."""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else ""
        if isinstance(error, aiohttp.ClientHttpProxyError):  # its text is the proxy's
            reason = f"HTTP {error.status}"
        fault = f"{type(error).__name__} {reason}".rstrip()
        if ending is Ending.REFUSED:
            return f"cannot send this to {self._endpoint.authority}: {fault}; the traceback is in the log"
        if ending is Ending.NEVER_DELIVERED:
            return f"cannot reach {self._host()}: {fault}"
        return f"no answer from {self._endpoint.authority} after the request was sent: {fault}"

    def _host(self) -> str:
        """The endpoint's host, and the proxy on the way to it without its user and password."""
        proxy = f" through the proxy {URL(self._proxy).authority.rpartition('@')[2]}" if self._proxy else ""
        return f"{self._endpoint.authority}{proxy}"
