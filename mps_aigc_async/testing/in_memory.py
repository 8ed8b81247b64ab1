"""The emulator without a socket: `emulator.Service` answers a client's calls and downloads in the client's loop."""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from yarl import URL

from ..client import AigcClient
from ..concurrency.callbacks import ignore
from ..config import Config
from ..credentials.credentials import Credentials
from ..emulator import Conduct, Frames, ObjectCall, Piece, Reply, Service
from ..emulator.media.gallery import Gallery
from ..emulator.media.rendering import MissingExtraError, UnreadableImageError, fit, missing_packages
from ..emulator.server.ranges import file_reply
from ..emulator.services.accounts import Accounts
from ..emulator.tasks.orders import INLINE
from ..emulator.tasks.reply import not_rendered
from ..model.errors import TransportError
from ..model.states import Ending
from ..network.download_retries import Fault, Retry
from ..network.transport import Gate, ResultAnswer, Sent, Timeouts
from ..policy.retries import RetryPolicy
from ..wire.dialect import HttpAnswer, HttpRequest
from .virtual_time import wall

ENDPOINT: Final = "https://emulator.invalid"
"""The URL of a service in memory: no host's name ends in `.invalid` (RFC 6761), so nothing could be sent there."""

LATENCY_S: Final = 0.02
"""Seconds of an exchange's round trip, as to a service in the same country."""


def in_memory_client(
    service: Service | None = None,
    config: Config | None = None,
    *,
    ledger: str | Path | None = None,
    retry: RetryPolicy | None = None,
    timeouts: Timeouts | None = None,
    latency_s: float = LATENCY_S,
) -> AigcClient:
    """Return a client of the service in memory: no call and no download touches a socket.

    >>> from mps_aigc_async import ImageRequest
    >>> from mps_aigc_async.emulator import Service
    >>> from mps_aigc_async.testing import in_memory_client, run
    >>> service = Service()
    >>> async def main() -> int:
    ...     async with in_memory_client(service) as client:
    ...         return len((await client.generate(ImageRequest(prompt="a lake"))).urls)
    >>> run(main())
    1
    >>> [task.prompt for task in service.statistics().tasks]
    ['a lake']

    `config` is your app's: the service's keys replace its keys, and an endpoint that leads nowhere replaces its
    endpoint. Inside `testing.run` the time is virtual. A service outlives its clients: a second client of the same
    service finds the tasks of the first.
    """
    service, config = service or Service(), config or Config.parse({})
    settings = service.settings
    secret_key = settings.relay_key if config.backend == "relay" else settings.secret_key
    return AigcClient(
        config,
        endpoint=ENDPOINT,
        ledger=ledger,
        credentials=Credentials(settings.secret_id, SecretStr(secret_key)),
        retry=retry,
        timeouts=timeouts,
        transport=lambda: InMemoryTransport(service, wall, latency_s=latency_s, timeouts=timeouts),
        wall=wall,
    )


class InMemoryTransport:
    """A transport into a service in memory, which judges requests by the same rules as over HTTP.

    The transport answers downloads too. `others` are the services of further accounts. `latency_s` is spent half on the
    way there and half on the way back. With virtual time, hours of batch run in milliseconds.
    """

    def __init__(
        self,
        service: Service,
        wall: Callable[[], float],
        *,
        latency_s: float = 0.0,
        timeouts: Timeouts | None = None,
        others: Sequence[Service] = (),
    ) -> None:
        self._service = service
        self._accounts = Accounts([service, *others])
        if others:
            self._accounts.place_results(service.storage.base_url)
        self._wall = wall
        self._latency_s = latency_s
        self._timeouts = timeouts or Timeouts()
        self._gallery = Gallery(media=service.settings.media)

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        await asyncio.sleep(self._latency_s / 2)
        now = self._wall()
        service = self._accounts.of_call(request.headers)
        reply = service.handle(request.method, request.path, request.headers, request.body, now)
        if reply.frames is not None:
            _take_frames(service, reply.frames, now)
        await asyncio.sleep(reply.delay + self._latency_s / 2)
        if reply.conduct is Conduct.HANG:
            await asyncio.sleep(self._timeouts.read)
        if reply.conduct is not Conduct.ANSWER:
            raise TransportError(f"no answer: {reply.conduct.name.lower()}", ending=Ending.UNKNOWN)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return HttpAnswer(reply.status, headers, reply.body)

    async def fetch(self, url: URL, headers: Mapping[str, str]) -> ResultAnswer:
        """GET a result of the service, in its storage or in a bucket. A URL that leads elsewhere is a permanent fault:
        no request leaves the process."""
        base, text = self._service.storage.base_url, str(url)
        in_bucket = self._service.buckets.address_of(text) is not None
        owner = self._accounts.of_result(text)
        if not in_bucket and owner is None:
            raise Fault(f"it is no result of the service in memory, whose results are at {base}", Retry.NONE)
        await asyncio.sleep(self._latency_s / 2)
        if in_bucket or owner is None:
            media = self._service.object(ObjectCall.get(text, headers), self._wall())
        else:
            path = text.partition("?")[0].removeprefix(owner.storage.base_url)
            media = owner.media(path, url.raw_query_string, self._wall())
        await asyncio.sleep(media.delay + self._latency_s / 2)
        if isinstance(media, Piece):
            try:
                body = await self._gallery.get(media)
            except MissingExtraError as error:
                return InMemoryAnswer(not_rendered(str(error)))
            reply = file_reply(body, media.content_type, {name.lower(): value for name, value in headers.items()})
            return InMemoryAnswer(reply, conduct=media.conduct, hangs_s=self._timeouts.read)
        if media.conduct is not Conduct.ANSWER:
            raise aiohttp.ServerDisconnectedError
        return InMemoryAnswer(media)

    async def close(self) -> None:
        await self._gallery.close()


class InMemoryAnswer:
    """The answer to a download. If its conduct is not to answer, half of the body comes, then a reset or nothing."""

    def __init__(self, reply: Reply, *, conduct: Conduct = Conduct.ANSWER, hangs_s: float = 0.0) -> None:
        self.status = reply.status
        self.reason = reply.reason
        self.headers = CIMultiDictProxy(CIMultiDict(reply.headers))
        self.content_length: int | None = len(reply.body)
        self.content_type = reply.headers.get("Content-Type", "").partition(";")[0]
        self.content = _Body(reply.body, conduct, hangs_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Do nothing: there is no connection to close."""


class _Body:
    def __init__(self, body: bytes, conduct: Conduct, hangs_s: float) -> None:
        self._bytes = BytesIO(body if conduct is Conduct.ANSWER else body[: len(body) // 2])
        self._conduct = conduct
        self._hangs_s = hangs_s

    async def read(self, n: int = -1, /) -> bytes:
        piece = self._bytes.read(n)
        if piece or self._conduct is Conduct.ANSWER:
            return piece
        if self._conduct is Conduct.HANG:
            await asyncio.sleep(self._hangs_s)
            raise aiohttp.SocketTimeoutError
        raise aiohttp.ClientPayloadError


class _FrameRefused(Exception):
    """An image cannot begin or end a video; the text becomes the task's Message."""


def _take_frames(service: Service, frames: Frames, now: float) -> None:
    """Give a video its images: the service's own results, and images inside the request.

    Images elsewhere count as good, since no request leaves the process.
    """
    order = frames.order
    try:
        first, last = (_frame(service, url, order.size, now) for url in (order.first_url, order.last_url))
    except _FrameRefused as refusal:
        service.frames_failed(frames.task_id, str(refusal), now)
    else:
        service.frames_ready(frames.task_id, now, first, last)


def _frame(service: Service, url: str, size: tuple[int, int], now: float) -> bytes | Piece:
    """Return an image; no bytes for an image elsewhere. Raises _FrameRefused."""
    if url.startswith(INLINE):
        if service.settings.media is not None or missing_packages():
            return b""
        try:
            return fit(b64decode(url.removeprefix(INLINE)), size)
        except UnreadableImageError as error:
            raise _FrameRefused(str(error)) from error
    piece = service.piece_at(url, now) if url else None
    if isinstance(piece, Reply):
        raise _FrameRefused(f"The image could not be downloaded: HTTP {piece.status} from {url}")
    if piece is not None and not piece.content_type.startswith("image/"):
        raise _FrameRefused(f"The file is no image: {url}")
    return piece or b""
