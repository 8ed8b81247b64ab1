"""The storage of results: their URLs, and the answers to downloads, in COS's form.

A URL has its signature and its expiry in the query (`?expires=…&sign=…`), like COS's pre-signed URLs. So a client that
drops or re-encodes the query gets an error.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from .orders import Format, Order
from .reply import Conduct, Reply, storage_error
from .tasks import ServiceTask

CONTENT_TYPES: Final[Mapping[Format, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}

_PATH = re.compile(r"/media/(?P<task>[\w-]+)/(?P<index>\d{1,3})\.(?P<format>[a-z0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Piece:
    """A result of a task, to render and send."""

    task_id: str
    index: int
    """From 0."""
    order: Order
    conduct: Conduct = Conduct.ANSWER
    """A RESET comes in the middle of the body, after the download has begun."""
    delay: float = 0.0
    first: "bytes | Piece" = field(default=b"", repr=False)
    """A film's first image: its bytes in the film's size, or another result to render. No bytes for none; the same for
    `last`."""
    last: "bytes | Piece" = field(default=b"", repr=False)

    request_id: str = ""
    """The id of the request at COS, for an object in a bucket; empty for a result in the service's own storage."""

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.order.formats[self.index]]


class Storage:
    __slots__ = ("_key", "base_url")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.base_url = "http://emulator.invalid"
        """The URL of the shell, without a final slash. The shell sets it as soon as it knows its port."""

    def __repr__(self) -> str:
        return f"Storage({self.base_url!r})"

    def urls(self, task: ServiceTask) -> list[str]:
        """The URLs of a task's results. Call it for a task that is done."""
        expires = int(task.expires_at)
        paths = [f"/media/{task.task_id}/{index}.{format_}" for index, format_ in enumerate(task.order.formats)]
        return [f"{self.base_url}{path}?expires={expires}&sign={self._sign(path, str(expires))}" for path in paths]

    def find(self, path: str, query: str, now: float, task_of: Callable[[str], ServiceTask | None]) -> Piece | Reply:
        """The piece at a URL's path and raw query, or the error in its place."""
        params = parse_qs(query)
        expires, sign = params.get("expires", [""])[0], params.get("sign", [""])[0]
        if not hmac.compare_digest(self._sign(path, expires).encode(), sign.encode(errors="replace")):
            return storage_error(403, "SignatureDoesNotMatch", "The URL's signature does not match its path.")
        match = _PATH.fullmatch(path)
        task = task_of(match["task"]) if match else None
        if match is None or task is None or task.status(now) != "DONE":
            return storage_error(404, "NoSuchKey", "The specified key does not exist.")
        if now >= task.expires_at:
            return storage_error(403, "AccessDenied", "Request has expired")
        return Piece(task.task_id, int(match["index"]), task.order)

    def piece_at(self, url: str, now: float, task_of: Callable[[str], ServiceTask | None]) -> Piece | Reply | None:
        """The piece at a whole URL, as for `find`. None for a URL of another server."""
        if not url.startswith(f"{self.base_url}/"):
            return None
        parts = urlsplit(url.removeprefix(self.base_url))
        return self.find(parts.path, parts.query, now, task_of)

    def _sign(self, path: str, expires: str) -> str:
        text = f"{path}?{expires}".encode(errors="replace")
        return hmac.digest(self._key, text, "sha256").hex()[:32]
