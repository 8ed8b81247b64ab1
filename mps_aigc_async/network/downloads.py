"""Download a result from its URL to a file, with retries.

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
from typing import Final, TypeVar, cast

import aiohttp
from aiolimiter import AsyncLimiter
from yarl import URL

from ..concurrency.callbacks import ignore
from ..credentials.masking import one_line
from ..model.errors import AigcError, ConfigError, DownloadError
from ..model.log_lines import Lines
from ..model.states import Kind
from ..model.unexpected import frames_of, report
from .addresses import may_be_public, redirect_target, sendable
from .connection_faults import permanent_cause, proxy_refusal
from .download_retries import Fault, Retries, Retry, safe_url
from .media import medium_of, suffix_for
from .partfile import Part, PartLost, open_part, put_in_place, removing, sync, write
from .places import WINDOW_S, LeastSpeed, Places, TooSlow
from .proxies import proxy_for
from .public_hosts import LeadsInside, came_from_outside
from .transport import ResultAnswer, ResultSource, Timeouts
from .web_sessions import WebSessions

T = TypeVar("T")

_log: Final = logging.getLogger("mps_aigc_async")

PARALLEL: Final = 16
"""Downloads at once: enough to fill a line, few enough to leave the loop free for the polls."""
STARTS: Final = (PARALLEL, 0.2)
"""Downloads may start in bursts of PARALLEL, and then at 80 per second. At most 30 tasks end per second, so that a
saturated batch never waits for its files."""
MAX_REDIRECTS: Final = 3
CHUNK: Final = 1 << 18

MAX_BYTES: Final = {Kind.IMAGE: 1 << 28, Kind.VIDEO: 1 << 32, Kind.AUDIO: 1 << 30}
"""Most bytes of a result: 256 MiB, 4 GiB and 1 GiB, far more than a 4K image, a video of 16 s and ten minutes of sound
need. A larger answer is a fault, and must not fill a disk."""

_PART: Final = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<whole>\d+)")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAY_PASS: Final = frozenset({408, 416, 421, 425, 429})
"""The 4xx that may pass: too slow, another part of the file, another server's, too early, too many. All others are
refusals."""
_OF_THE_PROXY: Final = 407
"""The proxy's own refusal of our credentials: the URL may still be good."""
_AS_STORED: Final = frozenset({"", "identity", "aws-chunked"})
"""Content codings of a body that is the result itself. `aws-chunked` is the coding of an upload by S3's clients: some
storages repeat it to the downloader although they have unpacked the file."""

OnRetry = Callable[[DownloadError, float], None]
"""Called with each fault before its retry, and with the seconds until then."""

MAY_HAVE_EXPIRED: Final = " (its URL may have expired)"

Readable = Callable[[str], Awaitable[str]]
"""Turns a result's URL into the URL to fetch at this moment, such as a signed one."""

GLANCE_BYTES: Final = 2048
"""Bytes of a storage's error that are read: its code stands at the beginning."""
GLANCE_S: Final = 15.0
"""Most seconds of a glance: creates wait for it."""


async def unchanged(url: str) -> str:
    """Return the URL: it can be fetched as it is."""
    return url


class Downloads:
    """Saves results, a few at a time, over HTTP or from a `source` that stands in for HTTP."""

    def __init__(
        self, timeouts: Timeouts | None = None, *, window_s: float = WINDOW_S, source: ResultSource | None = None
    ) -> None:
        self._source = source
        self._window_s = window_s
        self._sessions = WebSessions(timeouts or Timeouts())
        self._places = Places(PARALLEL)
        self._starts = AsyncLimiter(*STARTS)

    async def close(self) -> None:
        await self._sessions.close()

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
        readable: Readable = unchanged,
        suffix: str = "",
    ) -> Path:
        """Save a result as `target` with `suffix`, else with the suffix of its content; return the file. Raises
        DownloadError.

        Each attempt fetches `readable(url)`; messages name `url`. Temporary faults are retried for `begin_within_s`
        seconds, a refused URL for `new_for_s`. An attempt that has begun by then goes on, because storages check a URL
        when a request arrives; `within_s` ends the attempt.
        """
        loop = asyncio.get_running_loop()
        part, speed = Part.of(target, kind), LeastSpeed(self._places, self._window_s)
        retries = Retries(url, loop.time(), new_for_s, begin_within_s)
        deadline = asyncio.timeout_at(loop.time() + within_s)
        try:
            async with removing(part), deadline:
                while True:
                    try:
                        return await self._attempt(url, part, target, kind, speed, readable, suffix)
                    except Fault as error:
                        delay = retries.delay_after(error, loop.time())
                    if delay is None:
                        break
                    on_retry(retries.error(), delay)
                    await asyncio.sleep(delay)
        except TimeoutError:
            if not deadline.expired():
                raise
        raise retries.error()

    async def glance(self, url: str) -> bytes:
        """The first bytes of an answer of any status; empty without an answer, and with a `source` in place of HTTP."""
        if self._source is not None:
            return b""
        try:
            address = sendable(url)
            async with asyncio.timeout(GLANCE_S):
                answer = await self._answer(address, {}, proxy_for(address), public_only=False)
                async with answer:
                    head = b""
                    while len(head) < GLANCE_BYTES and (piece := await answer.content.read(GLANCE_BYTES - len(head))):
                        head += piece
                    return head
        except Exception as error:  # noqa: BLE001 — a glance that fails shows nothing
            _log.debug("no answer of %s: %s", safe_url(url), type(error).__name__)
            return b""

    async def _attempt(
        self, url: str, part: Part, target: Path, kind: Kind, speed: LeastSpeed, readable: Readable, suffix: str
    ) -> Path:
        async with self._places.place():
            await self._starts.acquire()
            before = part.size
            speed.begin()
            try:
                by_content = await self._fetch(await readable(url), part, kind, speed)
                return await _on_disk(
                    put_in_place, part.path, _file_for(target, _chosen(suffix, by_content, kind), kind)
                )
            except Exception as error:  # noqa: BLE001 — a fault of any class concerns this URL alone
                fault = _fault_of(error, url, target)
                if isinstance(error, PartLost):
                    part.tag = ""  # start from the beginning next time
            if fault.retry is Retry.AT_ONCE and (not part.tag or part.size <= before):
                speed.widen()  # the received bytes are lost
        # Raised outside the `except` block: aiohttp's errors, which quote the signed URL, must not be in its chain.
        raise fault

    async def _fetch(self, url: str, part: Part, kind: Kind, speed: LeastSpeed) -> str:
        """Fetch the rest of the result into `part`, synced to disk; return the suffix of its content."""
        rest = {"Range": f"bytes={part.size}-", "If-Range": part.tag} if part.is_tagged else {}
        address, public_only = _sendable(url), False
        for _ in range(MAX_REDIRECTS + 1):
            proxy = None if self._source else _proxy_for(address)
            async with speed.network():
                response = await self._answer(address, rest, proxy, public_only=public_only)
            async with response:
                location = (response.headers.get("Location") or None) if response.status in _REDIRECTS else None
                if location is None:
                    await _receive(response, part, kind, speed)
                    return _suffix(part, response.content_type, url, kind)
                public_only = public_only or came_from_outside(response, address, proxy)
            address = _redirected(address, location)
            if public_only and not may_be_public(address.host or ""):
                raise Fault(_LEADS_INSIDE, Retry.NONE)
        raise Fault(f"more than {MAX_REDIRECTS} redirects", Retry.NONE)

    async def _answer(
        self, url: URL, headers: Mapping[str, str], proxy: str | None, *, public_only: bool
    ) -> ResultAnswer:
        if self._source is not None:
            return await self._source.fetch(url, headers)
        # A proxy resolves names itself, and may itself be in a private network.
        session = self._sessions.get(public_only=public_only and proxy is None)
        if session.closed:
            raise Fault("the client is closed", Retry.NONE)
        answer = await session.get(url, headers=headers, allow_redirects=False, proxy=proxy)
        return cast("ResultAnswer", answer)  # pyright takes aiohttp's cached properties for their descriptors


# --- one exchange -----------------------------------------------------------------------------------------------------


async def _receive(response: ResultAnswer, part: Part, kind: Kind, speed: LeastSpeed) -> None:
    """Write the answer's body to `part`, and sync it. Raises Fault."""
    size = _judge(response, part, kind)
    file = await _disk_work(open_part(part))
    try:
        while True:
            async with speed.network():
                chunk = await response.content.read(CHUNK)
            if not chunk:
                break
            speed.count(len(chunk))
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
    content_range = _PART.fullmatch(response.headers.get("Content-Range", "")) if response.status == 206 else None
    tag = response.headers.get("ETag", "")
    tag = "" if tag.startswith("W/") else tag
    if not part.is_tagged or content_range is None:  # some caches answer a request for the whole file in parts
        part.begin(tag)
    if response.status == 206 and (
        content_range is None or int(content_range["start"]) != part.size or tag != part.tag
    ):
        part.tag = ""  # start from the beginning next time
        raise Fault("the server sent another part of the file than the requested one")
    packings = [coding for coding in _codings(response) if coding not in _AS_STORED]
    if packings:
        raise Fault(
            f"the server sent it compressed ({one_line(', '.join(packings))}), which was not requested", Retry.MINUTES
        )
    size = response.content_length if content_range is None else int(content_range["whole"])
    _check_size(size or 0, kind)
    return size


def _codings(response: ResultAnswer) -> list[str]:
    return [coding.strip().lower() for coding in ",".join(response.headers.getall("Content-Encoding", [])).split(",")]


def _check_status(response: ResultAnswer, part: Part) -> None:
    status = response.status
    if status in (200, 203, 206):  # 203: a proxy passes the answer on
        return
    if status in (204, 205):
        raise Fault(f"HTTP {status}: there is no content", Retry.MINUTES)
    if status == 501:  # the server cannot serve this at all (RFC 9110, 15.6.2); the emulator's reason says why
        # Cut like a URL: a server may quote the signed URL.
        raise Fault(f"HTTP 501 ({safe_url(one_line(response.reason or 'Not Implemented'))})", Retry.NONE)
    if status == _OF_THE_PROXY:
        raise Fault(proxy_refusal(status), Retry.NONE)
    if status == 416:  # the file is shorter than before
        part.tag = ""
    hint = MAY_HAVE_EXPIRED if status in (403, 404) else ""
    is_refusal = 400 <= status < 500 and status not in _MAY_PASS
    if status in _REDIRECTS:
        raise Fault(f"HTTP {status} that leads nowhere (it has no Location)", Retry.MINUTES)
    fault = Fault(f"HTTP {status}{hint}", _retry_for(status) if is_refusal else Retry.ALWAYS)
    fault.is_refusal = is_refusal
    raise fault


def _retry_for(refusal: int) -> Retry:
    """Retry a refused URL only while it is new and its status may pass.

    Reasons: the object has not been copied to this storage node (404, or 403 from storages that hide missing objects),
    the signer's clock is ahead of the storage's (403), or the signer's temporary keys have just ended (400
    ExpiredToken, COS's "Error codes")."""
    return Retry.WHILE_NEW if refusal in (400, 403, 404) else Retry.NONE


def _check_size(size: int, kind: Kind) -> None:
    if size > MAX_BYTES[kind]:
        raise Fault(f"it is larger than {MAX_BYTES[kind] >> 20} MiB", Retry.NONE)


def _file_for(target: Path, suffix: str, kind: Kind) -> Path:
    """Return the path of the finished file. A chain's steps share all but the suffix, so that a result in another
    step's medium gets its kind in its name."""
    mark = "" if medium_of(suffix, kind) is kind else f"+{kind}"
    return target.with_name(f"{target.name}{mark}{suffix}")


def _chosen(suffix: str, by_content: str, kind: Kind) -> str:
    """The user's suffix, unless the content is of another medium."""
    return suffix if suffix and medium_of(by_content, kind) is kind else by_content


def _suffix(part: Part, content_type: str, url: str, kind: Kind) -> str:
    """Return the suffix of the content. Raises Fault if the content is not a result."""
    suffix = suffix_for(part.head, content_type, url, kind) if part.size else None
    if suffix is None:
        part.tag = ""  # start from the beginning next time
        content = f"a text page ({one_line(content_type)})" if part.size else "an empty file"
        raise Fault(f"the server sent {content} instead of the {kind}", Retry.MINUTES)
    if medium_of(suffix, kind) is not kind:
        # Some scenes make another medium than their kind (Hunyuan's 3d_scene). Such a result is paid for: keep it.
        _log.warning("a %s came as %s", kind, suffix)
    return suffix


# --- redirects --------------------------------------------------------------------------------------------------------


def _proxy_for(url: URL) -> str | None:
    try:
        return proxy_for(url)
    except ConfigError as error:
        raise Fault(error.message, Retry.NONE) from None


def _sendable(url: str) -> URL:
    return _or_fault(lambda: sendable(url))


def _redirected(url: URL, location: str) -> URL:
    return _or_fault(lambda: sendable(redirect_target(url, location)))


def _or_fault(url: Callable[[], URL]) -> URL:
    try:
        return url()
    except ValueError as error:
        fault = Fault(str(error), Retry.NONE)
    raise fault


# --- faults -----------------------------------------------------------------------------------------------------------


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
    """Map an attempt's error to a fault that names its URL or its file."""
    if isinstance(error, _DiskError):
        return Fault(f"cannot write into {target.parent}: {error}", Retry.NONE)
    ours = error if isinstance(error, Fault) else _foreign(error)
    fault = Fault(f"cannot fetch {safe_url(url)}: {ours}", ours.retry)
    fault.is_refusal, fault.frames = ours.is_refusal, ours.frames
    return fault


def _foreign(error: Exception) -> Fault:
    """Map a foreign exception to a fault by its class only: its text may quote the URL."""
    name = type(error).__name__
    match error:
        case TooSlow():
            return Fault("it is slow, and gave up its place to other downloads", Retry.AT_ONCE)
        case PartLost():
            return Fault("another program changed or removed its part file")
        case aiohttp.ClientPayloadError():
            return Fault("the connection closed before the file was complete")
        case aiohttp.ClientConnectorDNSError(os_error=LeadsInside()):
            return Fault(_LEADS_INSIDE, Retry.NONE)
        case _ if cause := permanent_cause(error):
            return Fault(cause, Retry.NONE)
        case ConfigError():  # ours: the URL cannot be signed here
            return Fault(error.message, Retry.NONE)
        case AigcError():  # ours: there are no keys to sign with at the moment
            return Fault(error.message)
        case AssertionError():  # aiohttp's, or ours: a retry cannot cure it
            report(error, "fetching a result")
            return Fault(name, Retry.NONE)
        case aiohttp.ClientError() | OSError() | EOFError():
            return Fault(name)
        case _:
            fault = Fault(name, Retry.MINUTES)
            fault.frames = Lines(f"\n{frames_of(error)}")
            return fault
