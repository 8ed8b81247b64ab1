"""Permanent faults and faults that may pass: every class, number and reason, and real handshakes."""

import asyncio
import errno
import inspect
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import pytest
from aiohttp import web
from yarl import URL

import mps_aigc_async.network.transport
from mps_aigc_async import Kind
from mps_aigc_async.model.errors import ConfigError, DownloadError, TransportError, Unreachable
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.connection_faults import permanent_cause, proxy_refusal
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.network.transport import AiohttpTransport, parse_endpoint
from mps_aigc_async.wire.dialect import HttpRequest

from ..listening import listening
from .certificates import EXPIRED, GOOD, NOT_YET_VALID, OF_ANOTHER_HOST, serving, trust

KEY: Any = aiohttp.client_reqrep.ConnectionKey("host.example", 443, True, True, None, None, None)
INFO: Any = aiohttp.RequestInfo(URL("https://host.example/"), "GET", {}, URL("https://host.example/"))  # type: ignore[arg-type] # a plain dict

# --- the table --------------------------------------------------------------------------------------------------------

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
CLASSES: dict[str, tuple[Callable[[Any], Exception], str]] = {
    # Each class of aiohttp.client_exceptions: how one is made, and a word of its cause if it is permanent.
    "ClientConnectionError": (lambda cls: cls("Connection closed"), ""),
    "ClientConnectionResetError": (lambda cls: cls("reset"), ""),
    "ClientConnectorCertificateError": (lambda cls: cls(KEY, ValueError("x")), "certificate of host.example"),
    "ClientConnectorDNSError": (lambda cls: cls(KEY, socket.gaierror(socket.EAI_NONAME, "unknown")), ""),
    "ClientConnectorError": (lambda cls: cls(KEY, REFUSED), ""),
    "ClientConnectorSSLError": (lambda cls: cls(KEY, ssl.SSLError(1, "x")), ""),
    "ClientError": (lambda cls: cls("x"), ""),
    "ClientHttpProxyError": (lambda cls: cls(INFO, (), status=407), "refuses the user name or password"),
    "ClientOSError": (lambda cls: cls(errno.ECONNRESET, "reset"), ""),
    "ClientPayloadError": (lambda cls: cls("short"), ""),
    "ClientProxyConnectionError": (lambda cls: cls(KEY, REFUSED), ""),
    "ClientResponseError": (lambda cls: cls(INFO, (), status=400), ""),
    "ClientSSLError": (lambda cls: cls(KEY, ssl.SSLError(1, "x")), ""),
    "ConnectionTimeoutError": (lambda cls: cls("x"), ""),
    "ContentTypeError": (lambda cls: cls(INFO, ()), ""),
    "InvalidURL": (lambda cls: cls("x"), "no URL"),
    "InvalidUrlClientError": (lambda cls: cls("x"), "no URL"),
    "InvalidUrlRedirectClientError": (lambda cls: cls("x"), "no URL"),
    "NonHttpUrlClientError": (lambda cls: cls("x"), "no URL"),
    "NonHttpUrlRedirectClientError": (lambda cls: cls("x"), "no URL"),
    "RedirectClientError": (lambda cls: cls("x"), ""),  # the base of two above
    "ServerConnectionError": (lambda cls: cls("x"), ""),
    "ServerDisconnectedError": (lambda cls: cls("x"), ""),
    "ServerFingerprintMismatch": (lambda cls: cls(b"a", b"b", "host.example", 443), "certificate of host.example"),
    "ServerTimeoutError": (lambda cls: cls("x"), ""),
    "SocketTimeoutError": (lambda cls: cls("x"), ""),
    "TooManyRedirects": (lambda cls: cls(INFO, ()), ""),  # aiohttp follows no redirect here
    "UnixClientConnectorError": (lambda cls: cls("/path", KEY, REFUSED), ""),
    "UploadAbortedError": (lambda cls: cls("x"), ""),
    "WSMessageTypeError": (lambda cls: cls("x"), ""),  # of websockets, which we do not speak
    "WSServerHandshakeError": (lambda cls: cls(INFO, (), status=400), ""),
}
NOT_IN_EVERY_VERSION = {"UploadAbortedError"}
"""Classes that aiohttp 3.12, the oldest that is supported, may not have."""


def classes() -> dict[str, type[Exception]]:
    members = inspect.getmembers(aiohttp.client_exceptions, inspect.isclass)
    return {
        name: cls for name, cls in members if issubclass(cls, Exception) and cls.__module__.startswith("aiohttp.cl")
    }


def test_every_class_of_aiohttp_has_its_row() -> None:
    """Fails when aiohttp gains a class: it may be one that no later attempt can escape."""
    assert classes().keys() - CLASSES.keys() == set()
    assert CLASSES.keys() - classes().keys() <= NOT_IN_EVERY_VERSION


@pytest.mark.parametrize("name", classes())
def test_each_class_is_permanent_or_may_pass(name: str) -> None:
    make, says = CLASSES[name]
    cause = permanent_cause(make(classes()[name]))
    assert says in cause
    assert bool(cause) is bool(says)


PERMANENT_ERRNOS = {"EACCES", "EPERM", "EAFNOSUPPORT", "EPFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"}


@pytest.mark.parametrize("name", sorted(errno.errorcode.values()))
def test_each_errno_is_permanent_or_may_pass(name: str) -> None:
    same = {other for other in PERMANENT_ERRNOS if getattr(errno, other, None) == getattr(errno, name)}
    error = OSError(getattr(errno, name), "x")
    assert bool(permanent_cause(error)) is bool(same)
    assert bool(permanent_cause(aiohttp.ClientConnectorError(KEY, error))) is bool(same)
    assert bool(permanent_cause(aiohttp.ClientProxyConnectionError(KEY, error))) is bool(same)


@pytest.mark.parametrize("name", [name for name in dir(socket) if name.startswith("EAI_")])
def test_no_answer_of_dns_is_permanent(name: str) -> None:
    """Its numbers are no errnos, though they look the same on some systems."""
    error = socket.gaierror(getattr(socket, name), "x")
    for fault in (error, aiohttp.ClientConnectorDNSError(KEY, error), aiohttp.ClientProxyConnectionError(KEY, error)):
        assert permanent_cause(fault) == ""


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 504, 507, 509, 520, 522, 530, 598, 599])
def test_a_proxy_that_may_open_a_tunnel_later_is_asked_again(status: int) -> None:
    assert proxy_refusal(status) == ""


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 407, 501, 505, 511])
def test_a_proxys_rule_is_permanent(status: int) -> None:
    assert f"HTTP {status}" in proxy_refusal(status)


def test_tls_numbers_are_no_errnos() -> None:
    """SSL_ERROR_SSL is 1, and so is EPERM."""
    for error in (ssl.SSLError(1, "x"), ssl.SSLEOFError(8, "x"), ssl.SSLZeroReturnError(6, "x")):
        assert permanent_cause(error) == ""
        assert permanent_cause(aiohttp.ClientConnectorSSLError(KEY, error)) == ""


@pytest.mark.parametrize("error", [TimeoutError(), EOFError(), ConnectionResetError(104, "x"), RuntimeError("x")])
def test_any_other_fault_may_pass(error: Exception) -> None:
    assert permanent_cause(error) == ""


# --- real handshakes --------------------------------------------------------------------------------------------------

REQUEST = HttpRequest("/", {"X-TC-Action": "X"}, b"{}")


async def at_once() -> None:
    """A gate that is open."""


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing and close."""


async def in_plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def unreachable(endpoint: URL) -> Unreachable:
    transport = AiohttpTransport(endpoint)
    try:
        with pytest.raises(Unreachable) as error_info:
            await transport.exchange(REQUEST, at_once)
    finally:
        await transport.close()
    assert error_info.value.ending is Ending.UNREACHABLE
    assert error_info.value.__cause__ is error_info.value.__context__ is None
    assert endpoint.authority in str(error_info.value)
    return error_info.value


async def not_fetched(url: str, tmp_path: Path) -> DownloadError:
    """The error of a result whose fetch has no retry at all."""
    retries: list[DownloadError] = []
    downloads = Downloads()
    try:
        with pytest.raises(DownloadError) as error_info:
            await downloads.save(
                url, tmp_path / "a", Kind.IMAGE, within_s=30, on_retry=lambda error, _: retries.append(error)
            )
    finally:
        await downloads.close()
    assert retries == []
    assert not error_info.value.refused
    assert "url-secret" not in str(error_info.value)
    return error_info.value


@asynccontextmanager
async def alerting(context: ssl.SSLContext) -> AsyncIterator[URL]:
    """A server that ends a failed handshake with an alert, as web servers do. asyncio's drops the connection."""

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if not connection.recv(1, socket.MSG_PEEK):  # the last one, which ends it
                    return
                with suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving_thread = asyncio.create_task(asyncio.to_thread(serve))
        try:
            yield URL(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            socket.create_connection(listener.getsockname()).close()
            await serving_thread


CERTIFICATES = [
    (EXPIRED, "the certificate of 127.0.0.1 has expired: check this machine's clock"),
    (NOT_YET_VALID, "the certificate of 127.0.0.1 is not valid yet: check this machine's clock"),
    (OF_ANOTHER_HOST, "the certificate of 127.0.0.1 is for another host: check the address"),
    (GOOD, "set SSL_CERT_FILE to a file"),
]
"""Each certificate's fault; the last one's authority is not trusted."""


@pytest.mark.parametrize(("certificate", "says"), CERTIFICATES, ids=lambda value: getattr(value, "stem", ""))
async def test_a_certificate_that_fails_names_the_host_the_cause_and_the_way_on(
    certificate: Path, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trust(monkeypatch, OF_ANOTHER_HOST if certificate is GOOD else certificate)
    async with listening(silent, tls=serving(certificate)) as url:
        assert says in str(await unreachable(url))
        assert says in str(await not_fetched(f"{url}a.png?sign=url-secret", tmp_path))


async def test_a_port_without_tls_is_named(tmp_path: Path) -> None:
    async with listening(in_plain) as plain:
        url = plain.with_scheme("https")
        assert "does not speak TLS at this port" in str(await unreachable(url))
        assert "does not speak TLS at this port" in str(await not_fetched(f"{url}a.png", tmp_path))


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2),  # the server sends an alert
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ],
)
async def test_sides_without_a_version_in_common_are_named(
    server: ssl.TLSVersion, client: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, theirs = trust(monkeypatch, GOOD), serving(GOOD)
    ours.minimum_version = ours.maximum_version = client
    theirs.minimum_version = theirs.maximum_version = server
    async with alerting(theirs) as url:
        assert "no version of TLS in common" in str(await unreachable(url))
        assert "no version of TLS in common" in str(await not_fetched(f"{url}a.png", tmp_path))


async def test_sides_without_a_cipher_in_common_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = trust(monkeypatch, GOOD), serving(GOOD)
    for context, cipher in ((ours, "ECDHE-ECDSA-AES128-GCM-SHA256"), (theirs, "ECDHE-ECDSA-AES256-GCM-SHA384")):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
    async with alerting(theirs) as url:
        assert "do not agree on how to encrypt" in str(await unreachable(url))


# --- proxies ----------------------------------------------------------------------------------------------------------


def refusing(status: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    return refuse


async def test_a_proxy_that_refuses_the_credentials_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with listening(refusing(407)) as proxy:
        for variable in ("https_proxy", "http_proxy"):
            monkeypatch.setenv(variable, str(proxy.with_user("me").with_password("proxy-secret")))
        messages = [
            await unreachable(URL("https://mps.example/")),
            await not_fetched("https://r.example/a.png?sign=url-secret", tmp_path),
            await not_fetched(
                "http://r.example/a.png?sign=url-secret", tmp_path
            ),  # the proxy answers such a fetch itself
        ]
    for error in messages:
        assert "the proxy refuses the user name or password (HTTP 407): correct them in the variable" in str(error)
        assert "proxy-secret" not in str(error)
    assert f"through the proxy {proxy.authority}" in str(messages[0])


async def test_a_proxy_that_cannot_be_used_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for proxy in ("socks5://me:proxy-secret@127.0.0.1:1", f"http://{'a' * 64}.example:80", "http://127.0.0.1:0"):
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(ConfigError, match=r"\$https_proxy \(or \$HTTPS_PROXY\)") as error_info:
            AiohttpTransport(URL("https://mps.example/"))
        assert "proxy-secret" not in str(error_info.value)
        assert "$https_proxy" in str(await not_fetched("https://r.example/a.png", tmp_path))


# --- addresses --------------------------------------------------------------------------------------------------------

NO_HOSTS = ["a" * 64 + ".example", "a..example", ".example", ".".join(["a" * 60] * 5), "host:0"]


@pytest.mark.parametrize("host", NO_HOSTS)
async def test_a_host_that_cannot_be_one_is_refused_before_anything_is_sent(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no DNS name|port is 0"):
        parse_endpoint(f"https://{host}")
    message = str(await not_fetched(f"https://{host}/a.png?sign=url-secret", tmp_path))
    assert "no DNS name" in message or "port is 0" in message


@pytest.mark.parametrize("host", ["a" * 63 + ".example", "mps.example.", "a_b.example", "[::1]", "127.0.0.1:8443"])
def test_any_other_host_is_one(host: str) -> None:
    assert parse_endpoint(f"https://{host}").host


async def test_a_name_that_idna_refuses_is_named() -> None:
    """A host that is not checked before, such as an IDN that only DNS would see."""
    assert "cannot be a DNS name" in str(await unreachable(URL(f"https://{'a' * 64}.example/")))


@pytest.mark.parametrize("leads_to", [f"https://{'a' * 64}.example/", "https://[::1", "ftp://r.example/a", "//:99999/"])
async def test_a_redirect_to_no_address_is_not_followed_again(leads_to: str, tmp_path: Path) -> None:
    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {leads_to}\r\nContent-Length: 0\r\n\r\n".encode())

    async with listening(lead) as url:
        await not_fetched(f"{url}a.png?sign=url-secret", tmp_path)


async def test_a_redirect_to_a_bad_certificate_names_that_host(tmp_path: Path) -> None:
    async with listening(silent, tls=serving(GOOD)) as there:

        async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            to = there.with_host("localhost")
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())

        async with listening(lead) as url:
            assert "the certificate of localhost is not trusted" in str(await not_fetched(f"{url}a.png", tmp_path))


# --- our own side -----------------------------------------------------------------------------------------------------


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")


def in_turn(*certificates: Path) -> ssl.SSLContext:
    """The context of a load balancer whose hosts show these certificates, each to one connection."""
    balancer, hosts = serving(certificates[0]), iter([serving(certificate) for certificate in certificates])

    def choose(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = next(hosts)

    balancer.sni_callback = choose
    return balancer


async def test_one_bad_certificate_among_hosts_that_answer_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch, GOOD)
    async with listening(answering, tls=in_turn(GOOD, EXPIRED, GOOD, EXPIRED)) as url:
        transport = AiohttpTransport(url.with_host("localhost"))
        try:
            for _ in range(2):
                assert (await transport.exchange(REQUEST, at_once)).status == 200
                with pytest.raises(TransportError, match="the certificate of localhost") as error_info:
                    await transport.exchange(REQUEST, at_once)
                assert error_info.value.ending is Ending.NEVER_DELIVERED
        finally:
            await transport.close()


async def test_a_certificate_that_stays_bad_is_permanent_though_others_were_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trust(monkeypatch, GOOD)
    monkeypatch.setattr(mps_aigc_async.network.transport, "ONE_HOSTS_S", 0.0)
    async with listening(answering, tls=in_turn(GOOD, EXPIRED)) as url:
        transport = AiohttpTransport(url.with_host("localhost"))
        try:
            assert (await transport.exchange(REQUEST, at_once)).status == 200
            with pytest.raises(Unreachable, match="the certificate of localhost"):
                await transport.exchange(REQUEST, at_once)
        finally:
            await transport.close()


async def test_a_closed_transport_is_not_asked_again() -> None:
    transport = AiohttpTransport(URL("https://mps.example/"))
    await transport.close()
    with pytest.raises(Unreachable, match="the client is closed"):
        await transport.exchange(REQUEST, at_once)


async def test_closed_downloads_are_not_asked_again(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG")

    async with listening(answer) as url:
        downloads = Downloads()
        await downloads.save(f"{url}a.png", tmp_path / "a", Kind.IMAGE, within_s=30)
        await downloads.close()
        with pytest.raises(DownloadError, match="the client is closed"):
            await downloads.save(f"{url}b.png", tmp_path / "b", Kind.IMAGE, within_s=30, on_retry=never)


def never(error: DownloadError, delay_s: float) -> None:
    raise AssertionError(f"tried again after {delay_s} s: {error}")


async def test_a_broken_assertion_of_aiohttp_is_not_met_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> web.Response:
        await asyncio.sleep(0)
        raise AssertionError("url-secret")

    monkeypatch.setattr(aiohttp.ClientSession, "_request", broken)
    assert "AssertionError" in str(await not_fetched("https://r.example/a.png?sign=url-secret", tmp_path))
    assert "in broken\n" in caplog.text
    assert "url-secret" not in caplog.text.replace('raise AssertionError("url-secret")', "")
