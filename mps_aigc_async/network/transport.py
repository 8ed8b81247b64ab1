"""One exchange over HTTP: the only door to the service, and the map of foreign exceptions.

The send time is reached inside the connector, between "a connection is open" and "the first byte goes": a slow
handshake or a queue below the pace would bunch sends that were paced apart. The gate is also what tells the endings
apart: before it nothing was delivered; after it, without an answer, the outcome is unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
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
"""An answer of the API is a few kilobytes; ten mebibytes are a fault or an attack."""

KEEPALIVE_S: Final = 30.0
"""Idle connections are dropped by us before a usual gateway (60 to 75 s) does: one that the server closes just as a
create goes out makes an outcome unknown."""

ONE_HOSTS_S: Final = 10.0
"""Seconds for which a certificate or handshake that fails is taken for one host's, where others have answered: behind a
load balancer one may be set up wrongly, or be about to get its new certificate. A few attempts meet the others."""

Gate = Callable[[], Awaitable[None]]
Sent = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `read` is between two pieces of an answer, or of a result being fetched. `total` is for a call alone,
    and counts from the first byte sent, so that waiting for the send time is not held against it."""

    connect: float = 10.0
    read: float = 30.0
    total: float = 60.0


class Transport(Protocol):
    """What a second backend has to offer."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        """Open a connection, pass the gate, send, and return the answer. Raises TransportError.

        `sent` is called as a body is written: a busy loop can put a while between the gate and that.
        """
        ...

    async def close(self) -> None: ...


class ResultBody(Protocol):
    """A body that comes in pieces."""

    async def read(self, n: int = -1, /) -> bytes:
        """At most `n` bytes; none at the end."""
        ...


class ResultAnswer(Protocol):
    """The answer to a GET of a result, before its body has been read; aiohttp's ClientResponse is one."""

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
    """A service's base URL, checked. Raises ConfigError: plain http only towards loopback, no path, no user info."""
    url = url.strip()
    try:
        parsed = URL(url if url.isprintable() and " " not in url else "")  # URLs' parsers drop line ends in silence
    except (ValueError, IndexError):  # yarl's words for what is no URL; the second for some odd brackets
        parsed = URL()
    if not parsed.host or parsed.scheme not in ("https", "http"):
        # Not shown: what was typed may hold a password.
        raise ConfigError("the endpoint is not a URL: write it as https://HOST or http://127.0.0.1:PORT")
    if "@" in url:  # a user name, or the rest of one that was cut at its slash: then `host` is a part of the secret
        raise ConfigError(
            "the endpoint must be scheme, host and port only: write it without a path, query or user name (it has an @ "
            "in it)"
        )
    if parsed.query_string or parsed.fragment or parsed.path not in ("", "/"):
        raise ConfigError(
            f"the endpoint at {parsed.host} must be scheme, host and port only: write it without a path (such as /v1), "
            "query or user name"
        )
    if fault := host_fault(parsed):
        raise ConfigError(f"the endpoint is not usable: {fault}")
    if parsed.scheme == "http" and not is_loopback(parsed.host):
        raise ConfigError(
            f"the endpoint http://{parsed.host} is plain http: signed requests and prompts would cross the network "
            "readable; use https"
        )
    return parsed.with_path("/")


NETWORK: Final = (aiohttp.ClientError, OSError, EOFError)
"""The classes of ordinary network faults; TimeoutError is an OSError."""
BUGS: Final = (AssertionError, AttributeError, LookupError, RecursionError, TypeError)
"""The classes of program faults, ours or aiohttp's: sending the same request again cannot cure them."""


class _SentBefore(aiohttp.ClientConnectionError):
    """aiohttp would send a GET again whose connection broke: it has had its send time."""


class _Exchange:
    """The progress of one exchange."""

    def __init__(self, gate: Gate, sent: Sent, deadline: AnswerDeadline, *, has_body: bool) -> None:
        self.gate: Final = gate
        self.deadline: Final = deadline
        self._sent = sent
        self._has_body = has_body
        self.delivered = False
        """Whether aiohttp has been given a connection: from then on bytes may have been sent."""
        self._began = False
        """Whether the body, and so the first byte, was written. It stays False for a request without a body."""

    def deliver(self) -> None:
        self.delivered = True
        self.deadline.begin()

    def write(self) -> None:
        self._began = True
        self._sent()

    def ending_with(self, error: Exception) -> Ending:
        """How an exchange ended that raised this foreign exception."""
        if isinstance(error, NETWORK):
            return Ending.UNKNOWN if self.delivered else Ending.NEVER_DELIVERED
        if isinstance(error, ValueError) and not self._began:
            # Headers that cannot be sent, such as a key with a line break: the next attempt may have other keys.
            return Ending.NEVER_DELIVERED
        if self.delivered and (self._began or not self._has_body):
            return Ending.UNKNOWN
        return Ending.REFUSED if isinstance(error, BUGS) else Ending.NEVER_DELIVERED


_exchange: ContextVar[_Exchange] = ContextVar("exchange")


class _GatedConnector(QuietConnector):
    """A connector that hands a connection over only when its request's send time has come."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        exchange = _exchange.get()
        if exchange.delivered:
            raise _SentBefore
        connection = await self.quiet_connection(req, traces, timeout)
        try:
            await exchange.gate()
        except BaseException:
            connection.release()
            raise
        await require_usable(connection)  # it may have become unusable during the wait for the send time
        exchange.deliver()
        return lend(connection, exchange.deadline.heard)


class _Body(aiohttp.BytesPayload):
    """A request's body that tells when it is written, headers and all. A trace would tell it too, but has aiohttp go
    through every one of its signals for each request."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        _exchange.get().write()
        await super().write_with_length(writer, content_length)


class AiohttpTransport:
    """The real one: a keep-alive session to one endpoint."""

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
        except Exception as error:  # noqa: BLE001 - of any class: one that escapes would leave a job in *intent*
            failure = self._mapped(error, exchange)
        finally:
            _exchange.reset(token)
        # Raised out here, so that the foreign exception is in no chain: some keep the request's headers.
        raise failure

    def _mapped(self, error: Exception, exchange: _Exchange) -> TransportError:
        if not exchange.delivered and (cause := self._permanent_cause(error)):
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
        """Whether another host behind the same name may fare better, by what has answered before."""
        if not self._has_answered or not isinstance(error, aiohttp.ClientSSLError):
            return False
        now = asyncio.get_running_loop().time()
        if self._tls_fails_since is None:
            self._tls_fails_since = now
        return now - self._tls_fails_since < ONE_HOSTS_S

    async def _send(self, request: HttpRequest) -> HttpAnswer:
        async with self._session.request(
            request.method,
            URL(self._origin + request.path, encoded=True),  # yarl knows the last ones: cheaper than `with_path`
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
        """One line without headers or bodies: what foreign exceptions carry is not ours to print."""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else ""
        if isinstance(error, aiohttp.ClientHttpProxyError):  # its text is the proxy's
            reason = f"HTTP {error.status}"
        what = f"{type(error).__name__} {reason}".rstrip()
        if ending is Ending.REFUSED:
            return f"cannot send this to {self._endpoint.authority}: {what}; the traceback is in the log"
        if ending is Ending.NEVER_DELIVERED:
            return f"cannot reach {self._host()}: {what}"
        return f"no answer from {self._endpoint.authority} after the request was sent: {what}"

    def _host(self) -> str:
        """The endpoint's host, and the proxy on the way to it without its user and password."""
        proxy = f" through the proxy {URL(self._proxy).authority.rpartition('@')[2]}" if self._proxy else ""
        return f"{self._endpoint.authority}{proxy}"
