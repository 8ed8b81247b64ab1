"""A look at the URL of an input: whether it can be fetched, its size, and its first bytes.

A look is a GET of the first bytes, the method that the service uses, and the connection is closed after them. HEAD is
not used: a presigned URL is signed for one method, many servers refuse HEAD, and HEAD shows no bytes.
"""

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Final, cast

import aiohttp
from yarl import URL

from ..concurrency.owner import TaskOwner
from ..model.errors import ConfigError
from ..model.unexpected import report
from .addresses import may_be_public, redirect_target, sendable
from .connection_faults import permanent_cause, proxy_refusal
from .downloads import MAX_REDIRECTS
from .input_verdicts import Content, Sight, Unseen
from .media import HEAD_BYTES
from .proxies import proxy_for
from .public_hosts import LeadsInside, came_from_outside
from .transport import ResultAnswer, Timeouts
from .web_sessions import WebSessions

LOOK_S: Final = 10.0
"""Most seconds of a look, redirects included: the create waits for it."""
PARALLEL: Final = 8
"""Looks at once: few, because a batch's inputs often lie on one host, and fast, because each reads 1 KiB."""
MOST_SIGHTS: Final = 10_000
"""URLs that are remembered, the latest ones. A batch may have a million."""
FAULT_LIFE_S: Final = 60.0
"""Seconds for which a fault is remembered: a missing or refused file may have been replaced since."""

_RANGE: Final = {"Range": f"bytes=0-{HEAD_BYTES - 1}"}
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(?P<start>\d+)-\d+|\*)/(?P<whole>\d+|\*)")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REFUSALS: Final = frozenset({401, 403, 404, 410})
"""Refusals of the URL itself, which anybody's GET gets. Other refusals may pass, or be meant for this client alone."""
_OF_THE_PROXY: Final = 407
_PRIVATE: Final = Unseen("its host is in a private network", is_certain=True)
_LEADS_INSIDE: Final = Unseen("a redirect leads into a private network", is_certain=True)


@dataclass(slots=True)
class _Flight:
    """A look under way, and the number of callers that wait for it."""

    task: asyncio.Task[Sight]
    callers: int = 0


class InputLooks:
    """Looks at URLs, each once for all callers, a few at a time.

    `sees_private` allows hosts in private networks: towards a service on loopback, such as the emulator.
    """

    def __init__(self, owner: TaskOwner, *, sees_private: bool, look_s: float = LOOK_S) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._sees_private = sees_private
        self._look_s = look_s
        self._sessions = WebSessions(Timeouts(connect=look_s, read=look_s))
        self._places = asyncio.Semaphore(PARALLEL)
        self._flights: dict[bytes, _Flight] = {}
        self._sights: OrderedDict[bytes, tuple[Sight, float]] = OrderedDict()
        """The sight of each URL, by the URL's digest, and the end of its life."""

    async def close(self) -> None:
        await self._sessions.close()

    async def sight(self, url: str) -> Sight:
        """Look at a URL, or return the sight that an earlier look had. Never raises for the URL's faults.

        A look ends early if all of its callers are cancelled.
        """
        key = _key_of(url)
        sight, ends_at = self._sights.get(key, (None, 0.0))
        if sight is not None and self._loop.time() < ends_at:
            self._sights.move_to_end(key)
            return sight
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(self._owner.start(self._look(key, url), "look at an input"))
        flight.callers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.callers -= 1
            if not flight.callers:
                del self._flights[key]
                flight.task.cancel()

    def doubt(self, url: str) -> None:
        """Look at a URL again after FAULT_LIFE_S, because its content was refused."""
        key = _key_of(url)
        if (memory := self._sights.get(key)) is not None:
            self._sights[key] = memory[0], min(memory[1], self._loop.time() + FAULT_LIFE_S)

    async def _look(self, key: bytes, url: str) -> Sight:
        async with self._places:
            sight = await self._sight(url)
        self._sights[key] = sight, self._loop.time() + FAULT_LIFE_S if isinstance(sight, Unseen) else inf
        self._sights.move_to_end(key)
        if len(self._sights) > MOST_SIGHTS:
            self._sights.popitem(last=False)
        return sight

    async def _sight(self, url: str) -> Sight:
        try:
            async with asyncio.timeout(self._look_s):
                return await self._fetch(url)
        except TimeoutError:
            return Unseen(f"no answer within {self._look_s:.0f} s")
        except Exception as error:  # noqa: BLE001 — a fault of any class is no fault of the request
            return _unseen_by(error)

    async def _fetch(self, url: str) -> Sight:
        """GET the URL's first bytes, after its redirects."""
        address, public_only = sendable(url), not self._sees_private
        trail: set[URL] = set()
        while len(trail) <= MAX_REDIRECTS:
            if public_only and not may_be_public(address.host or ""):
                return _LEADS_INSIDE if trail else _PRIVATE
            trail.add(address)
            proxy = proxy_for(address)
            session = self._sessions.get(public_only=public_only and proxy is None)
            answer = await session.get(address, headers=_RANGE, allow_redirects=False, proxy=proxy)
            response = cast("ResultAnswer", answer)  # pyright takes aiohttp's cached properties for their descriptors
            async with response:  # its end closes the connection: the rest of the body may be gigabytes
                location = response.headers.get("Location", "") if response.status in _REDIRECTS else ""
                sight = await _sight_of(response)
                public_only = public_only or came_from_outside(response, address, proxy)
            if not location:
                return sight if proxy is None or address.scheme == "https" else _by_proxy(sight)
            address = sendable(redirect_target(address, location))
            if address in trail:
                return Unseen("its redirects lead in a circle", is_certain=True)
        return Unseen(f"more than {MAX_REDIRECTS} redirects")


def _key_of(url: str) -> bytes:
    return sha256(url.encode(errors="surrogatepass")).digest()


def _by_proxy(sight: Sight) -> Sight:
    """The sight through a proxy that reads the exchange: a refusal may be the proxy's own."""
    return Unseen(sight.reason) if isinstance(sight, Unseen) else sight


async def _sight_of(response: ResultAnswer) -> Sight:
    """The sight of an answer that is no redirect."""
    status = response.status
    if status in (204, 205):
        return Content(formats=None, size=0)
    if status == 416 and (whole := _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))):
        return Content(formats=None, size=int(whole["whole"]) if whole["whole"] != "*" else None)
    if status not in (200, 203, 206):
        reason = proxy_refusal(status) if status == _OF_THE_PROXY else f"HTTP {status}"
        return Unseen(reason, is_certain=status in _REFUSALS)
    head = await _head_of(response)
    size, is_beginning = _extent(response, head)
    if not is_beginning or response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        # Compressed without a request for it, or another part of the file: only the label tells anything.
        return Content(None, size, is_text=response.content_type.startswith("text/"))
    return Content.of(head, size, response.content_type)


async def _head_of(response: ResultAnswer) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (piece := await response.content.read(HEAD_BYTES - len(head))):
        head += piece
    return head


def _extent(response: ResultAnswer, head: bytes) -> tuple[int | None, bool]:
    """The file's size, if it is known, and whether the head is the file's."""
    if response.status == 206:
        part = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        whole = part["whole"] if part else "*"
        is_one_part = not response.content_type.startswith("multipart/")
        return (None if whole == "*" else int(whole)), is_one_part and (part is None or part["start"] in ("0", None))
    if "Content-Encoding" in response.headers:
        return None, True
    length = response.content_length
    return (len(head) if length is None and len(head) < HEAD_BYTES else length), True


def _unseen_by(error: Exception) -> Unseen:
    """Map an exception to a reason by its class: its text may quote the URL. Our own texts do not."""
    match error:
        case aiohttp.ClientConnectorDNSError(os_error=LeadsInside()):
            # A name may have other addresses elsewhere: COS has inner ones for Tencent's own machines.
            return Unseen("its host has only private addresses here, where nothing is looked at")
        case ConfigError():
            return Unseen(error.message)
        case aiohttp.ClientError() | OSError():
            return Unseen(permanent_cause(error) or type(error).__name__)
        case ValueError():
            return Unseen(str(error))
        case _:
            report(error, "looking at an input")
            return Unseen(type(error).__name__)
