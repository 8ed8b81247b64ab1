"""Results from their URLs to disk: url → .part → fsync → rename.

A session of its own, so that a download never takes a connection or a cookie from the API, and sends none of its
headers: result URLs are signed by themselves. What breaks off is gone on with where it stopped (RFC 9110, section 14),
until the time allowed is over: a result is paid for, and its URL ends.
"""

import asyncio
import filecmp
import hashlib
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

import aiohttp
from aiolimiter import AsyncLimiter
from yarl import URL

from .connections import QuietConnector
from .errors import ConfigError, DownloadError
from .states import Kind
from .transport import Timeouts, proxy_for

_log: Final = logging.getLogger("mps_aigc_async")

PARALLEL: Final = 16
"""Downloads at once: enough to fill a line, few enough to leave the loop to the polls."""
STARTS: Final = (PARALLEL, 0.2)
"""Downloads may start in bursts of PARALLEL, and then at 80 a second: more than the 30 tasks that can end in one, or a
saturated batch would wait for its files."""
MAX_REDIRECTS: Final = 3
BACKOFF_S: Final = 0.5
BACKOFF_MOST_S: Final = 60.0
CHUNK: Final = 1 << 18

MAX_BYTES: Final = {Kind.IMAGE: 1 << 28, Kind.VIDEO: 1 << 32, Kind.AUDIO: 1 << 30}
"""Of one result: 256 MiB, 4 GiB and 1 GiB, far above what 4K, 16 s and ten minutes of sound come to. More is a fault,
and must not fill a disk."""

MAX_NAME_BYTES: Final = 200
"""Of a file's name without its suffix: file systems take 255, and `.part` and a number come on top."""

SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/x-wav": ".wav",
}
_USUAL_SUFFIX: Final = {Kind.IMAGE: ".png", Kind.VIDEO: ".mp4", Kind.AUDIO: ".mp3"}
_SUFFIX: Final = re.compile(r"\.[a-z0-9]{2,5}$")
_PAGE: Final = re.compile(r"text/.*|application/(.+\+)?(xml|json)")
"""What gateways, captive portals and storages say instead of a result, with a 200 at times."""
_PART: Final = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<whole>\d+)")

_OURS: Final = re.compile(r"\.(image|video|audio)\.[0-9a-f]{8}\.part$")
STALE_S: Final = 24 * 3600.0

OnRetry = Callable[[DownloadError, float], None]
"""Told of each retry before its wait: what happened, and how many seconds it will wait."""


def _say_nothing(error: DownloadError, delay_s: float) -> None:
    """The default for callers that do not report retries."""


def prepare_folder(folder: Path) -> None:
    """Make the folder and prove that it can be written, before anything is paid for. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _remove_stale_parts(folder)
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}; choose another folder") from error


def _remove_stale_parts(folder: Path) -> None:
    """What a killed process left; one that still saves has written to its parts since yesterday."""
    for file in folder.glob(".*.part"):
        if _OURS.search(file.name) and file.stat().st_mtime < time.time() - STALE_S:
            file.unlink(missing_ok=True)


def all_exist(files: Sequence[str]) -> bool:
    """Whether there are files, and every one is still there. Blocking: run it in a thread."""
    return bool(files) and all(Path(file).is_file() for file in files)


def stem_of(request_id: str) -> str:
    """A file name for a request's id: readable, unique, and never a way out of its folder.

    Letters and digits of any script stay; everything else becomes `%` and its hex, so that two ids never meet.

    >>> stem_of("shot-001"), stem_of("../镜头 1")
    ('shot-001', '%2E.%2F镜头%201')
    """
    name = "".join(char if char.isalnum() or char in "-_." else _hex(char) for char in request_id)
    if name.startswith("."):  # hidden, or the folder above
        name = _hex(".") + name[1:]
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    shortened = name.encode()[: MAX_NAME_BYTES - 13].decode(errors="ignore")
    return f"{shortened}-{hashlib.sha256(request_id.encode()).hexdigest()[:12]}"


def _hex(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())


class _Fault(Exception):
    """Why an attempt brought no file. `final`: asking again is pointless."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(slots=True)
class _Part:
    """The file that a result is written to before it has its name, and what it holds by now."""

    path: Path
    size: int = 0
    tag: str = ""
    """The strong ETag of what it holds: only with that can it be gone on with."""

    @classmethod
    def of(cls, target: Path, kind: Kind) -> "_Part":
        """One of its own: other clients, and other ledgers, may save under the same name at the same time."""
        return cls(target.with_name(f".{target.name}.{kind}.{_token()}.part"))


def _token() -> str:
    return secrets.token_hex(4)


class Downloads:
    """Saves results, a few at a time."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts or Timeouts()
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(PARALLEL)
        self._starts = AsyncLimiter(*STARTS)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def save(
        self,
        urls: Sequence[str],
        folder: Path,
        stem: str,
        kind: Kind,
        *,
        within_s: float,
        on_retry: OnRetry = _say_nothing,
    ) -> list[Path]:
        """Save each URL as `folder/stem.*` (`stem+2.*` …), all or none of them returned.

        What may pass is tried again for `within_s` seconds. Raises DownloadError.
        """
        # A plus, which no stem holds: `shot-2` may be a request of its own.
        names = [stem if number == 1 else f"{stem}+{number}" for number in range(1, len(urls) + 1)]
        until = asyncio.get_running_loop().time() + within_s
        return [
            await self._save(url, folder / name, kind, until, on_retry) for url, name in zip(urls, names, strict=True)
        ]

    async def _save(self, url: str, target: Path, kind: Kind, until: float, on_retry: OnRetry) -> Path:
        part = _Part.of(target, kind)
        fault = f"cannot fetch {_shown(url)}: it took too long"
        deadline = asyncio.timeout_at(until)
        try:
            async with _removed(part), deadline:
                for attempt in count(1):
                    try:
                        return await self._attempt(url, part, target, kind)
                    except _Fault as error:
                        fault = str(error)
                        if error.final:
                            break
                    delay = min(BACKOFF_MOST_S, BACKOFF_S * 2.0 ** min(attempt, 30))
                    on_retry(DownloadError(fault), delay)
                    await asyncio.sleep(delay)
        except TimeoutError:
            if not deadline.expired():
                raise
        raise DownloadError(fault)

    async def _attempt(self, url: str, part: _Part, target: Path, kind: Kind) -> Path:
        async with self._places:
            await self._starts.acquire()
            try:
                suffix = await self._fetch(url, part, kind)
                return await asyncio.to_thread(_put_in_place, part.path, target.with_name(f"{target.name}{suffix}"))
            except (_Fault, aiohttp.ClientError, TimeoutError, EOFError, ValueError) as error:
                fault = _Fault(f"cannot fetch {_shown(url)}: {_reason(error)}", final=_is_final(error))
            except OSError as error:
                fault = _Fault(f"cannot write {target}: {error.strerror}", final=True)
        # Raised out here: aiohttp's errors quote the URL, and with it its signature.
        raise fault

    async def _fetch(self, url: str, part: _Part, kind: Kind) -> str:
        """Bring `part` to the whole result, synced to disk; return the suffix that its content calls for."""
        rest = {"Range": f"bytes={part.size}-", "If-Range": part.tag} if part.size and part.tag else {}
        async with self._open().get(
            url,
            headers=rest,
            max_redirects=MAX_REDIRECTS + 1,  # aiohttp refuses the one that reaches its number
            proxy=proxy_for(URL(url)),
        ) as response:
            size = _judge(response, part, kind)
            file = await _opened(part)
            try:
                async for chunk in response.content.iter_chunked(CHUNK):
                    part.size += await asyncio.to_thread(file.write, chunk)
                    _check_size(part.size, kind)
                await asyncio.to_thread(_sync, file)
            finally:
                file.close()
            if size is not None and part.size != size:
                raise aiohttp.ClientPayloadError(f"{part.size} of {size} bytes came")
            if not part.size:
                raise _Fault("it is empty")
            return _suffix(url, response.content_type, kind)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=QuietConnector(),  # a job must not get another's image
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.read
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Content-Length then counts the bytes we write.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


def _judge(response: aiohttp.ClientResponse, part: _Part, kind: Kind) -> int | None:
    """The result's whole size, if that is told, and `part` as it is to be gone on with. Raises _Fault."""
    _check_status(response, part)
    enclosed = _PART.fullmatch(response.headers.get("Content-Range", "")) if response.status == 206 else None
    tag = response.headers.get("ETag", "")
    tag = "" if tag.startswith("W/") else tag
    if response.status == 206 and (enclosed is None or int(enclosed["start"]) != part.size or tag != part.tag):
        part.tag = ""  # from the beginning, next time
        raise _Fault("another part of the file came than the one asked for")
    if enclosed is None:
        part.size, part.tag = 0, tag
    if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise _Fault(f"it came packed ({encoding}), which was not asked for")
    if _PAGE.fullmatch(response.content_type):
        raise _Fault(f"{response.content_type} came in place of the {kind}")
    if response.content_type.partition("/")[0] in set(Kind) - {kind}:
        # Some scenes make something else than their kind (Hunyuan's 3d_scene): it is paid for, so it is kept.
        _log.warning("a %s came as %s", kind, response.content_type)
    size = response.content_length if enclosed is None else int(enclosed["whole"])
    _check_size(size or 0, kind)
    return size


def _check_status(response: aiohttp.ClientResponse, part: _Part) -> None:
    status = response.status
    if status in (200, 206):
        return
    if status == 416:  # there is less than there was
        part.tag = ""
    expired = " (its URL may have expired)" if status in (403, 404) else ""
    raise _Fault(f"HTTP {status}{expired}", final=400 <= status < 500 and status not in (408, 416, 429))


def _check_size(size: int, kind: Kind) -> None:
    if size > MAX_BYTES[kind]:
        raise _Fault(f"it is larger than {MAX_BYTES[kind] >> 20} MiB", final=True)


async def _opened(part: _Part) -> BinaryIO:
    """The part file, opened in a thread."""
    opening = _Opening(part)
    try:
        return await asyncio.to_thread(opening.run)
    except asyncio.CancelledError:
        opening.give_up()
        raise


class _Opening:
    """Opens a part file. Given up meanwhile, the file is closed and removed by whoever comes last, the thread or its
    caller: the loop may be gone before the thread is done, so that no callback of the loop's could do it."""

    def __init__(self, part: _Part) -> None:
        self._part = part
        self._one_at_a_time = Lock()
        self._file: BinaryIO | None = None
        self._given_up = False

    def run(self) -> BinaryIO:
        file = self._part.path.open("ab" if self._part.size else "wb")
        with self._one_at_a_time:
            self._file = file
            if self._given_up:
                self._remove(file)
        return file

    def give_up(self) -> None:
        with self._one_at_a_time:
            self._given_up = True
            if self._file is not None:
                self._remove(self._file)

    def _remove(self, file: BinaryIO) -> None:
        file.close()
        with suppress(OSError):
            self._part.path.unlink()


@asynccontextmanager
async def _removed(part: _Part) -> AsyncIterator[None]:
    """Whatever happens, no part file is left behind: cancelled as well, so that this must not wait for a thread."""
    try:
        yield
    finally:
        with suppress(OSError):
            part.path.unlink()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put_in_place(part: Path, target: Path) -> Path:
    """Give the finished file its name; never over a file of other content. Blocking: run it in a thread."""
    try:
        target.hardlink_to(part)  # unlike a rename, it never replaces what is there
    except FileExistsError:
        if not filecmp.cmp(part, target, shallow=False):
            raise FileExistsError(None, f"{target.name} exists with other content: move it away") from None
        return target
    except OSError:  # a file system without links
        if target.exists():
            raise
        part.rename(target)
    if hasattr(os, "O_DIRECTORY"):  # a rename is durable when its folder is
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target


def _suffix(url: str, content_type: str, kind: Kind) -> str:
    """By the content type; where that is vague (COS may say octet-stream) by the URL's path."""
    known = SUFFIXES.get(content_type)
    in_path = _SUFFIX.search(unquote(urlsplit(url).path).lower())
    return known or (in_path[0] if in_path else _USUAL_SUFFIX[kind])


def _is_final(error: Exception) -> bool:
    """Whether asking again is pointless. aiohttp's other ClientResponseErrors are of answers that are no HTTP."""
    if isinstance(error, _Fault):
        return error.final
    return isinstance(error, ValueError | aiohttp.TooManyRedirects | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.TooManyRedirects):
        return f"more than {MAX_REDIRECTS} redirects"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended before the file did"
    return str(error) if isinstance(error, _Fault) else type(error).__name__


def _shown(url: str) -> str:
    """A URL without its query: that is where its signature stands."""
    return url.partition("?")[0]
