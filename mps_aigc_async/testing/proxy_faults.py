"""Faults between a client and the service, and the answer that each fault leaves.

    fault              seen  what the client sees
    reset_before       no    the connection is reset (RST), no answer
    reset_after        yes   the connection is reset, no answer
    hang               yes   nothing, until the client leaves or the proxy closes
    cut_short          yes   the head and half of the body, then the end of the connection
    html               no    HTTP 200 with an HTML page, as a captive portal answers
    bad_gateway        no    HTTP 502 with an HTML page
    delay              yes   the answer, `seconds` late
    duplicate_header   yes   the answer with Date and Content-Type twice
    duplicate_length   yes   the answer with Content-Length twice
    oversized          yes   the answer and then spaces: `size` bytes of body, as its Content-Length says
    gzip_bomb          yes   Content-Encoding: gzip and 64 KiB that unpack to 64 MiB of zeros
    wrong_type         yes   the answer as text/plain; for a download, the file as text/html
    unknown_status     yes   for a describe: a Status that no document has, PAUSED
    done_without_urls  yes   for a describe: Status DONE (VOD's: FINISH), and no URLs
    null_fields        yes   for a call: every field inside Response but RequestId is null

"seen" says whether the service saw the call. If `seconds` is set, the fault comes that much later. The last three
faults rewrite the envelope of the API, and fit no download. An answer without an envelope passes unchanged (a gateway's
page, by the emulator's own faults); for `unknown_status`, so does an error, which has no Status.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Final, Literal, TypeAlias, get_args

from ..emulator.media.frames import USER_AGENT
from ..emulator.services.relay import PREFIX
from ..emulator.services.vod import VERSION
from ..emulator.tasks.faults import MEDIA, Rule, Rules
from ..emulator.tasks.reply import HTML, page
from .http_messages import Head, Message, message

ProxyFault: TypeAlias = Literal[
    "reset_before",
    "reset_after",
    "hang",
    "cut_short",
    "html",
    "bad_gateway",
    "delay",
    "duplicate_header",
    "duplicate_length",
    "oversized",
    "gzip_bomb",
    "wrong_type",
    "unknown_status",
    "done_without_urls",
    "null_fields",
]

FRAME: Final = "Frame"
"""The emulator's own fetch of a result, as a video's first frame. The fetch is an action of its own, so that it uses up
no fault for the client's download. Only the emulator sends its User-Agent."""

OVERSIZED: Final = 11 * 1024 * 1024
"""Bytes of an oversized answer: an answer of the API is a few kilobytes, and the client allows 10 MiB."""

NOT_FORWARDED: Final[frozenset[ProxyFault]] = frozenset({"reset_before", "html", "bad_gateway"})
_OF_CALLS: Final[frozenset[ProxyFault]] = frozenset({"unknown_status", "done_without_urls", "null_fields"})
_OF_DESCRIBES: Final[frozenset[ProxyFault]] = frozenset({"unknown_status", "done_without_urls"})

_BOMB_MIB: Final = 64
_UNKNOWN_STATUS: Final = "PAUSED"

Json: TypeAlias = dict[str, object]


def action_of(request: Head) -> str:
    """Return the action of a call: the emulator's full name (`vod:…`, `relay:…`; the relay's query at its default
    path), "Media" for a download, "Frame" for the emulator's own; "" for any other request."""
    if request.method == "GET" and request.target.startswith("/media/"):
        return FRAME if request.get("User-Agent") == USER_AGENT else MEDIA
    if request.target.startswith(PREFIX):
        return f"relay:{request.target.removeprefix(PREFIX).partition('/')[0]}"
    prefix = "vod:" if request.get("X-TC-Version") == VERSION else ""
    return prefix + request.get("X-TC-Action")


@dataclass(slots=True)
class ProxyRule(Rule):
    """A rule for calls. Without an action, the rule concerns every call that its fault fits."""

    fault: ProxyFault
    seconds: float
    size: int

    def concerns(self, action: str) -> bool:
        if self.action is not None:
            return self.action == action
        return action not in (MEDIA, FRAME) and _fits(self.fault, action)


def _fits(fault: ProxyFault, action: str) -> bool:
    if fault in _OF_DESCRIBES:
        return action.removeprefix("vod:").startswith("Describe") or action == "relay:query"
    return fault not in _OF_CALLS or action not in (MEDIA, FRAME)


class ProxyFaults(Rules[ProxyRule]):
    """The rules for the calls that pass a proxy."""

    __slots__ = ()

    def __init__(self, seed: int) -> None:
        super().__init__(Random(seed))  # noqa: S311 - a test's draws must be reproducible

    def add(
        self, fault: ProxyFault, action: str | None, times: int | None, probability: float, seconds: float, size: int
    ) -> None:
        """Add a rule. Raises ValueError for an unknown fault, or for a fault that does not fit this action."""
        if fault not in get_args(ProxyFault):
            raise ValueError(f"no such fault: {fault!r}; there are {', '.join(get_args(ProxyFault))}")
        if action is not None and not _fits(fault, action):
            whom = "describes" if fault in _OF_DESCRIBES else "calls of the API"
            raise ValueError(f"{fault} rewrites the answers to {whom} and cannot befall {action}")
        if fault == "delay" and seconds <= 0:
            raise ValueError("how late? delay needs seconds")
        if fault == "gzip_bomb":
            _bomb()  # packed now: later it would hold up the loop that the calls share
        self.rules.append(ProxyRule(action, times, probability, fault, seconds, size))


def stand_in(fault: ProxyFault) -> Message:
    """Return the answer in the service's place."""
    status, reason = (502, "Bad Gateway") if fault == "bad_gateway" else (200, "OK")
    title = "502 from a gateway" if fault == "bad_gateway" else "Welcome to the hotel's network"
    return message(f"HTTP/1.1 {status} {reason}", HTML, page(status, title).body)


def spoil(rule: ProxyRule, action: str, answer: Message) -> Message:
    """Return the answer after the fault; unchanged if the fault concerns the connection alone."""
    match rule.fault:
        case "duplicate_header":
            return replace(answer, head=answer.head.doubling("Date", "Content-Type"))
        case "duplicate_length":
            return replace(answer, head=answer.head.doubling("Content-Length"))
        case "oversized":
            return answer.with_body(answer.body.ljust(rule.size))
        case "gzip_bomb":
            return answer.with_body(_bomb()).with_header("Content-Encoding", "gzip")
        case "wrong_type":
            return answer.with_header("Content-Type", HTML if action in (MEDIA, FRAME) else "text/plain")
        case "unknown_status":
            return _rewrite(answer, _pause)
        case "done_without_urls":
            return _rewrite(answer, _end_without_urls)
        case "null_fields":
            return _rewrite(answer, _erase)
        case "html" | "bad_gateway" | "reset_before" | "reset_after" | "hang" | "cut_short" | "delay":
            return answer


@cache
def _bomb() -> bytes:
    """Pack the zeros once, a mebibyte at a time: it takes a few tenths of a second, and a mebibyte of memory."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)  # 16: in gzip's wrapping
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(_BOMB_MIB)) + packer.flush()


def _rewrite(answer: Message, change: Callable[[Json], Json]) -> Message:
    try:
        envelope: object = json.loads(answer.body)
    except ValueError:
        return answer
    response = envelope.get("Response") if isinstance(envelope, dict) else None
    if not isinstance(response, dict):
        return answer
    return answer.with_body(json.dumps({"Response": change(response)}).encode())


def _pause(response: Json) -> Json:
    return {**response, "Status": _UNKNOWN_STATUS} if "Status" in response else response


def _end_without_urls(response: Json) -> Json:
    if "Status" not in response:
        return response
    kind = str(response.get("TaskType"))
    if isinstance(task := response.get(kind), dict):
        end = {"Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Output": {"FileInfos": []}}
        return {**response, "Status": "FINISH", kind: {**task, **end}}
    without_urls = {name: [] if name.endswith(("Urls", "Infos")) else value for name, value in response.items()}
    return {**without_urls, "Status": "DONE"}


def _erase(response: Json) -> Json:
    return {name: value if name == "RequestId" else None for name, value in response.items()}
