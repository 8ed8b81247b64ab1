"""Results from their URLs to disk: url → .part → fsync → rename.

A session of its own, so that a download never takes a connection or a cookie from the API, and sends none of its
headers: result URLs are signed by themselves.
"""

import asyncio
import filecmp
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from io import BufferedWriter
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

import aiohttp
from aiolimiter import AsyncLimiter
from yarl import URL

from .errors import ConfigError, DownloadError
from .states import Kind
from .transport import proxy_for

PARALLEL: Final = 8
"""Downloads at once: enough to fill a line, few enough to leave the loop to the polls."""
STARTS: Final = (PARALLEL, 0.5)
"""Downloads may start in bursts of PARALLEL, and then at 16 a second."""
MAX_REDIRECTS: Final = 3
ATTEMPTS: Final = 4
BACKOFF_S: Final = 0.5
CHUNK: Final = 1 << 18

MAX_NAME_BYTES: Final = 200
"""Of a file's name without its suffix: file systems take 255, and `.part` and a number come on top."""

SUFFIXES: Final = {
    Kind.IMAGE: {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"},
    Kind.VIDEO: {"video/mp4": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm"},
}
_SUFFIX: Final = re.compile(r"\.[a-z0-9]{2,5}$")


def prepare_folder(folder: Path) -> None:
    """Make the folder and prove that it can be written, before anything is paid for. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}; choose another folder") from error


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


class Downloads:
    """Saves results, a few at a time."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(PARALLEL)
        self._starts = AsyncLimiter(*STARTS)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def save(self, urls: Sequence[str], folder: Path, stem: str, kind: Kind) -> list[Path]:
        """Save each URL as `folder/stem.*` (`stem+2.*` …), all or none of them returned. Raises DownloadError."""
        # A plus, which no stem holds: `shot-2` may be a request of its own.
        names = [stem if number == 1 else f"{stem}+{number}" for number in range(1, len(urls) + 1)]
        return [await self._save(url, folder, name, kind) for url, name in zip(urls, names, strict=True)]

    async def _save(self, url: str, folder: Path, name: str, kind: Kind) -> Path:
        fault = ""
        part = folder / f".{name}.{kind}.part"  # a chain saves both kinds at once
        async with self._places:
            for attempt in range(1, ATTEMPTS + 1):
                await self._starts.acquire()
                try:
                    suffix = await self._fetch(url, part, kind)
                    return await asyncio.to_thread(_put_in_place, part, folder / f"{name}{suffix}")
                except (aiohttp.ClientError, TimeoutError, EOFError, ValueError) as error:
                    fault = f"cannot fetch {_shown(url)}: {_reason(error)}"
                    if _is_final(error):
                        break
                except OSError as error:
                    fault = f"cannot write {folder / name}: {error.strerror}"
                    break
                if attempt < ATTEMPTS:
                    await asyncio.sleep(BACKOFF_S * 2**attempt)
        # Raised out here: aiohttp's errors quote the URL, and with it its signature.
        raise DownloadError(fault)

    async def _fetch(self, url: str, part: Path, kind: Kind) -> str:
        """Stream a URL into `part`, synced to disk; return the suffix that its content calls for."""
        async with self._open().get(
            url,
            max_redirects=MAX_REDIRECTS + 1,  # aiohttp refuses the one that reaches its number
            proxy=proxy_for(URL(url)),
            raise_for_status=True,
        ) as response:
            file = await _opened(part)
            try:
                written = await _stream(response, file)
                await asyncio.to_thread(_sync, file)
            finally:
                file.close()
            if response.content_length is not None and written != response.content_length:
                raise aiohttp.ClientPayloadError(f"{written} of {response.content_length} bytes came")
            return _suffix(url, response.content_type, kind)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Content-Length then counts the bytes we write.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


async def _opened(part: Path) -> BinaryIO:
    """The part file, opened in a thread; cancelled meanwhile, it is closed as soon as it is open."""
    opening = asyncio.ensure_future(asyncio.to_thread(part.open, "wb"))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: "asyncio.Task[BufferedWriter]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _stream(response: aiohttp.ClientResponse, file: BinaryIO) -> int:
    written = 0
    async for chunk in response.content.iter_chunked(CHUNK):
        written += await asyncio.to_thread(file.write, chunk)
    return written


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put_in_place(part: Path, target: Path) -> Path:
    """Give the finished file its name; never over a file of other content. Blocking: run it in a thread."""
    if target.exists():
        if not filecmp.cmp(part, target, shallow=False):
            raise FileExistsError(None, f"{target.name} exists with other content: move it away")
        part.unlink()
        return target
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
    known = SUFFIXES[kind].get(content_type)
    in_path = _SUFFIX.search(unquote(urlsplit(url).path).lower())
    return known or (in_path[0] if in_path else {Kind.IMAGE: ".png", Kind.VIDEO: ".mp4"}[kind])


def _is_final(error: Exception) -> bool:
    """Whether asking again is pointless: refused (403: the URL expired), not there, too many redirects."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status < 500 and error.status not in (408, 429)
    return isinstance(error, ValueError | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.TooManyRedirects):
        return f"more than {MAX_REDIRECTS} redirects"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}" + (" (its URL may have expired)" if error.status in (403, 404) else "")
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended before the file did"
    return type(error).__name__


def _shown(url: str) -> str:
    """A URL without its query: that is where its signature stands."""
    return url.partition("?")[0]
