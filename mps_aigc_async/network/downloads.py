"""Download one result from its URL to a file, with retries.

Downloads have sessions of their own: they never use a connection, cookie or header of the API, because result URLs
carry their own signature. An interrupted download resumes where it stopped (RFC 9110, section 14) until the time
allowed is over: the result is paid for, and its URL expires.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from socket import AddressFamily
from typing import Final, TypeVar, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiolimiter import AsyncLimiter
from yarl import URL

from ..concurrency.callbacks import ignore
from ..credentials.masking import one_line
from ..model.errors import ConfigError, DownloadError
from ..model.log_lines import Lines
from ..model.states import Kind
from ..model.unexpected import frames_of, report
from .addresses import is_global, may_be_public, redirect_target, sendable
from .connection_faults import permanent_cause, proxy_refusal
from .connections import QuietConnector, close_session
from .media import medium_of, suffix_for
from .partfile import Part, PartLost, opened, put_in_place, removed, sync, write
from .places import WINDOW_S, LeastSpeed, Places, TooSlow
from .proxies import proxy_for
from .transport import ResultAnswer, ResultSource, Timeouts
from .trials import Fault, Hope, Trials, shown

T = TypeVar("T")

_log: Final = logging.getLogger("mps_aigc_async")

PARALLEL: Final = 16
"""Downloads at once: enough to fill a line, few enough to leave the loop free for the polls."""
STARTS: Final = (PARALLEL, 0.2)
"""Downloads may start in bursts of PARALLEL, and then at 80 a second: more than the 30 tasks that can end in one, or a
saturated batch would wait for its files."""
MAX_REDIRECTS: Final = 3
CHUNK: Final = 1 << 18

MAX_BYTES: Final = {Kind.IMAGE: 1 << 28, Kind.VIDEO: 1 << 32, Kind.AUDIO: 1 << 30}
"""Most bytes of one result: 256 MiB, 4 GiB and 1 GiB, far more than a 4K image, a video of 16 s and ten minutes of
sound need. A larger answer is a fault, and must not fill a disk."""

_PART: Final = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<whole>\d+)")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAY_PASS: Final = frozenset({408, 416, 421, 425, 429})
"""Of the 4xx: too slow, another part of the file, another server's, too early, too many. All others are refusals."""
_OF_THE_PROXY: Final = 407
"""The proxy's own refusal of our credentials: the URL may still be good."""
_AS_STORED: Final = frozenset({"", "identity", "aws-chunked"})
"""Content codings of a body that is the result itself. The third is how S3's clients uploaded it: some storages tell
it to whoever fetches it, and have unpacked it."""

OnRetry = Callable[[DownloadError, float], None]
"""Told of each retry before its wait: what happened, and how many seconds it will wait."""


class Downloads:
    """Saves results, a few at a time, over HTTP or from a `source` that stands in for it."""

    def __init__(
        self, timeouts: Timeouts | None = None, *, window_s: float = WINDOW_S, source: ResultSource | None = None
    ) -> None:
        self._source = source
        self._timeouts = timeouts or Timeouts()
        self._window_s = window_s
        self._session: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None
        self._places = Places(PARALLEL)
        self._starts = AsyncLimiter(*STARTS)

    async def close(self) -> None:
        for session in (self._session, self._guarded):
            if session is not None:
                await close_session(session)

    async def save(
        self,
        url: str,
        target: Path,
        kind: Kind,
        *,
        within_s: float,
        begin_within_s: float = inf,
        new_for_s: float = 0.0,
        on_retry: OnRetry = ignore,
    ) -> Path:
        """Save a result as `target` with the suffix of its content; return the file.

        Temporary faults are retried for `begin_within_s` seconds, a refused URL for `new_for_s`. An attempt that has
        begun by then goes on, because storages judge a URL when it is asked for; `within_s` ends it. Raises
        DownloadError.
        """
        loop = asyncio.get_running_loop()
        part, speed = Part.of(target, kind), LeastSpeed(self._places, self._window_s)
        trials = Trials(url, loop.time(), new_for_s, begin_within_s)
        deadline = asyncio.timeout_at(loop.time() + within_s)
        try:
            async with removed(part), deadline:
                while True:
                    try:
                        return await self._attempt(url, part, target, kind, speed)
                    except Fault as error:
                        delay = trials.delay_after(error, loop.time())
                    if delay is None:
                        break
                    on_retry(trials.error(), delay)
                    await asyncio.sleep(delay)
        except TimeoutError:
            if not deadline.expired():
                raise
        raise trials.error()

    async def _attempt(self, url: str, part: Part, target: Path, kind: Kind, speed: LeastSpeed) -> Path:
        async with self._places.one():
            await self._starts.acquire()
            before = part.size
            speed.begin()
            try:
                suffix = await self._fetch(url, part, kind, speed)
                return await _on_disk(put_in_place, part.path, _named(target, suffix, kind))
            except Exception as error:  # noqa: BLE001 — whatever it is, it is this URL's fault alone
                fault = _fault_of(error, url, target)
                if isinstance(error, PartLost):
                    part.tag = ""  # from the beginning, next time
            if fault.hope is Hope.AT_ONCE and (not part.tag or part.size <= before):
                speed.widen()  # the received bytes are lost
        # Raised outside the `except` block: aiohttp's errors, which quote the signed URL, must not be in its chain.
        raise fault

    async def _fetch(self, url: str, part: Part, kind: Kind, speed: LeastSpeed) -> str:
        """Bring `part` to the whole result, synced to disk; return the suffix that its content calls for."""
        rest = {"Range": f"bytes={part.size}-", "If-Range": part.tag} if part.is_tagged else {}
        place, guarded = _sendable(url), False
        for _ in range(MAX_REDIRECTS + 1):
            proxy = None if self._source else _proxy_for(place)
            async with speed.network():
                response = await self._answer(place, rest, proxy, guarded=guarded)
            async with response:
                location = (response.headers.get("Location") or None) if response.status in _REDIRECTS else None
                if location is None:
                    await _receive(response, part, kind, speed)
                    return _suffix(part, response.content_type, url, kind)
                guarded = guarded or _came_from_outside(response, place, proxy)
            place = _redirected(place, location)
            if guarded and not may_be_public(place.host or ""):
                raise Fault(_LEADS_INSIDE, Hope.NONE)
        raise Fault(f"more than {MAX_REDIRECTS} redirects", Hope.NONE)

    async def _answer(self, url: URL, headers: Mapping[str, str], proxy: str | None, *, guarded: bool) -> ResultAnswer:
        if self._source is not None:
            return await self._source.fetch(url, headers)
        # A proxy resolves names itself, and may itself be in a private network.
        session = self._open(guarded=guarded and proxy is None)
        if session.closed:
            raise Fault("the client is closed", Hope.NONE)
        answer = await session.get(url, headers=headers, allow_redirects=False, proxy=proxy)
        return cast("ResultAnswer", answer)  # pyright takes aiohttp's cached properties for their descriptors

    def _open(self, *, guarded: bool = False) -> aiohttp.ClientSession:
        """The session for the service's URLs, or the guarded one for redirects from a public host."""
        if guarded:
            self._guarded = self._guarded or self._session_of(QuietConnector(resolver=_PublicOnly()))
            return self._guarded
        self._session = self._session or self._session_of(QuietConnector())  # a job must not get another's image
        return self._session

    def _session_of(self, connector: QuietConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            response_class=_Response,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.read
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Content-Length then counts the bytes we write.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )


# --- one exchange -----------------------------------------------------------------------------------------------------


async def _receive(response: ResultAnswer, part: Part, kind: Kind, speed: LeastSpeed) -> None:
    """Write the answer's body to `part`, and sync it. Raises Fault."""
    size = _judge(response, part, kind)
    file = await _disk_work(opened(part))
    try:
        while True:
            async with speed.network():
                chunk = await response.content.read(CHUNK)
            if not chunk:
                break
            speed.came(len(chunk))
            await _on_disk(write, file, chunk)
            part.grow(chunk)
            _check_size(part.size, kind)
        await _on_disk(sync, file, part.size)
    finally:
        with suppress(OSError):  # every chunk was written, or its failure has been raised
            file.close()
    if size is not None and part.size != size:
        raise aiohttp.ClientPayloadError(f"received {part.size} of {size} bytes")


def _judge(response: ResultAnswer, part: Part, kind: Kind) -> int | None:
    """Check the answer's headers and prepare `part`; return the result's whole size if it is known. Raises Fault."""
    _check_status(response, part)
    enclosed = _PART.fullmatch(response.headers.get("Content-Range", "")) if response.status == 206 else None
    tag = response.headers.get("ETag", "")
    tag = "" if tag.startswith("W/") else tag
    if not part.is_tagged or enclosed is None:  # some caches answer in parts though the whole was asked for
        part.begin(tag)
    if response.status == 206 and (enclosed is None or int(enclosed["start"]) != part.size or tag != part.tag):
        part.tag = ""  # from the beginning, next time
        raise Fault("another part of the file came than the one asked for")
    packed = [coding for coding in _codings(response) if coding not in _AS_STORED]
    if packed:
        raise Fault(
            f"the server sent it compressed ({one_line(', '.join(packed))}), which was not requested", Hope.MINUTES
        )
    size = response.content_length if enclosed is None else int(enclosed["whole"])
    _check_size(size or 0, kind)
    return size


def _codings(response: ResultAnswer) -> list[str]:
    return [coding.strip().lower() for coding in ",".join(response.headers.getall("Content-Encoding", [])).split(",")]


def _check_status(response: ResultAnswer, part: Part) -> None:
    status = response.status
    if status in (200, 203, 206):  # 203: as a proxy hands it on
        return
    if status in (204, 205):
        raise Fault(f"HTTP {status}: there is no content", Hope.MINUTES)
    if status == 501:  # the server cannot serve this at all (RFC 9110, 15.6.2), and the emulator's says why
        # Cut as a URL is: a server may quote the signed one.
        raise Fault(f"HTTP 501 ({shown(one_line(response.reason or 'Not Implemented'))})", Hope.NONE)
    if status == _OF_THE_PROXY:
        raise Fault(proxy_refusal(status), Hope.NONE)
    if status == 416:  # there is less than there was
        part.tag = ""
    expired = " (its URL may have expired)" if status in (403, 404) else ""
    refused = 400 <= status < 500 and status not in _MAY_PASS
    fault = Fault(f"HTTP {status}{expired}", _hope_after(status) if refused else Hope.ALWAYS)
    fault.refused = refused
    raise fault


def _hope_after(refusal: int) -> Hope:
    """A new URL may be refused for a moment: the object has not been copied to this storage node (404, or 403 from
    storages that hide missing objects), or the signer's clock is ahead of the storage's (403)."""
    return Hope.WHILE_NEW if refusal in (403, 404) else Hope.NONE


def _check_size(size: int, kind: Kind) -> None:
    if size > MAX_BYTES[kind]:
        raise Fault(f"it is larger than {MAX_BYTES[kind] >> 20} MiB", Hope.NONE)


def _named(target: Path, suffix: str, kind: Kind) -> Path:
    """The file's name. A chain's steps share all but the suffix: one that came as another's medium gets its kind."""
    mark = "" if medium_of(suffix, kind) is kind else f"+{kind}"
    return target.with_name(f"{target.name}{mark}{suffix}")


def _suffix(part: Part, content_type: str, url: str, kind: Kind) -> str:
    """The suffix of the content. Raises Fault if the content is not a result."""
    suffix = suffix_for(part.head, content_type, url, kind) if part.size else None
    if suffix is None:
        part.tag = ""  # start from the beginning next time
        content = f"a text page ({one_line(content_type)})" if part.size else "an empty file"
        raise Fault(f"the server sent {content} instead of the {kind}", Hope.MINUTES)
    if medium_of(suffix, kind) is not kind:
        # Some scenes make another medium than their kind (Hunyuan's 3d_scene): it is paid for, so it is kept.
        _log.warning("a %s came as %s", kind, suffix)
    return suffix


# --- where from -------------------------------------------------------------------------------------------------------


class _Response(aiohttp.ClientResponse):
    """Remembers its peer: its connection may serve another request later."""

    peer: str | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        name = None if connection.transport is None else connection.transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else None
        return await super().start(connection)


class _LeadsInside(OSError):
    """The host of a redirect has no public address."""


class _PublicOnly(AbstractResolver):
    """Resolves names to their public addresses alone."""

    def __init__(self) -> None:
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [result for result in found if is_global(result["host"])]
        if not public:
            raise _LeadsInside
        return public

    async def close(self) -> None:
        await self._resolver.close()


def _proxy_for(url: URL) -> str | None:
    try:
        return proxy_for(url)
    except ConfigError as error:
        raise Fault(error.message, Hope.NONE) from None


def _came_from_outside(response: ResultAnswer, url: URL, proxy: str | None) -> bool:
    """Whether a public host answered; through a proxy, judged by its name."""
    if proxy is None and isinstance(response, _Response) and response.peer is not None:
        return is_global(response.peer)
    return may_be_public(url.host or "")


def _sendable(url: str) -> URL:
    return _judged(lambda: sendable(url))


def _redirected(url: URL, location: str) -> URL:
    return _judged(lambda: sendable(redirect_target(url, location)))


def _judged(url: Callable[[], URL]) -> URL:
    try:
        return url()
    except ValueError as error:
        fault = Fault(str(error), Hope.NONE)
    raise fault


# --- what went wrong --------------------------------------------------------------------------------------------------


class _DiskError(Exception):
    """A file could not be written."""


_LEADS_INSIDE: Final = "a redirect leads from a public host into a private network"


async def _disk_work(work: Awaitable[T]) -> T:
    try:
        return await work
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError as error:  # the file system's encoding cannot write the name
        reason = type(error).__name__
    raise _DiskError(reason)


async def _on_disk(work: Callable[..., T], *args: object) -> T:
    return await _disk_work(asyncio.to_thread(work, *args))


def _fault_of(error: Exception, url: str, target: Path) -> Fault:
    """Name the URL or the file that an attempt failed for."""
    if isinstance(error, _DiskError):
        return Fault(f"cannot write {target}: {error}", Hope.NONE)
    ours = error if isinstance(error, Fault) else _foreign(error)
    fault = Fault(f"cannot fetch {shown(url)}: {ours}", ours.hope)
    fault.refused, fault.frames = ours.refused, ours.frames
    return fault


def _foreign(error: Exception) -> Fault:
    """Map a foreign exception by its class only: its text may quote the URL."""
    name = type(error).__name__
    match error:
        case TooSlow():
            return Fault("it is slow, and made room for others", Hope.AT_ONCE)
        case PartLost():
            return Fault("its part file was changed or removed by somebody else")
        case aiohttp.ClientPayloadError():
            return Fault("the connection closed before the file was complete")
        case aiohttp.ClientConnectorDNSError(os_error=_LeadsInside()):
            return Fault(_LEADS_INSIDE, Hope.NONE)
        case _ if cause := permanent_cause(error):
            return Fault(cause, Hope.NONE)
        case AssertionError():  # aiohttp's, or ours: the same attempt again cannot cure it
            report(error, "fetching a result")
            return Fault(name, Hope.NONE)
        case aiohttp.ClientError() | OSError() | EOFError():
            return Fault(name)
        case _:
            fault = Fault(name, Hope.MINUTES)
            fault.frames = Lines(f"\n{frames_of(error)}")
            return fault
