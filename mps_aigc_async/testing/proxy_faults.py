"""What may go wrong between a client and the service, and what each fault makes of an answer.

    fault              seen  what the client sees
    reset_before       no    the connection is reset (RST), no answer
    reset_after        yes   the connection is reset, no answer
    hang               yes   nothing, until it leaves or the proxy closes
    cut_short          yes   the head and half of the body, then the end of the connection
    html               no    HTTP 200 with an HTML page, as a captive portal answers
    bad_gateway        no    HTTP 502 with an HTML page
    delay              yes   the answer, `seconds` late
    duplicate_header   yes   the answer with Date and Content-Type twice
    duplicate_length   yes   the answer with Content-Length twice
    oversized          yes   the answer followed by spaces: `size` bytes of body, as its Content-Length says
    gzip_bomb          yes   Content-Encoding: gzip and 64 KiB that unpack to 64 MiB of zeros
    wrong_type         yes   the answer as text/plain; of a download, the file as text/html
    unknown_status     yes   of a describe: a Status that no document knows, PAUSED
    done_without_urls  yes   of a describe: Status DONE (of VOD's: FINISH), and no URLs
    null_fields        yes   of a call: every field inside Response but RequestId is null

"seen" says whether the service saw the call. Each comes `seconds` late, if that is set. The last three rewrite the
envelope of the API and befall no download; what is not the envelope (a gateway's page, by the emulator's own faults)
they let pass, and `unknown_status` lets an error pass, which has no Status.
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
"""The emulator's own fetch of a result, as a video's first frame: spoken of as an action of its own, so that a fault
meant for the client's download is not used up by it. It is known by its User-Agent, which only the emulator sends."""

OVERSIZED: Final = 11 * 1024 * 1024
"""Bytes: an answer of the API is a few kilobytes, and a mebibyte more than a client that allows ten."""

NOT_FORWARDED: Final[frozenset[ProxyFault]] = frozenset({"reset_before", "html", "bad_gateway"})
_OF_CALLS: Final[frozenset[ProxyFault]] = frozenset({"unknown_status", "done_without_urls", "null_fields"})
_OF_DESCRIBES: Final[frozenset[ProxyFault]] = frozenset({"unknown_status", "done_without_urls"})

_BOMB_MIB: Final = 64
_UNKNOWN_STATUS: Final = "PAUSED"

Json: TypeAlias = dict[str, object]


def action_of(request: Head) -> str:
    """The action of a call by the emulator's full name (`vod:…`, `relay:…`; the relay's query at its default path),
    "Media" of a download, "Frame" of the emulator's own; "" for what is none of these."""
    if request.method == "GET" and request.target.startswith("/media/"):
        return FRAME if request.get("User-Agent") == USER_AGENT else MEDIA
    if request.target.startswith(PREFIX):
        return f"relay:{request.target.removeprefix(PREFIX).partition('/')[0]}"
    prefix = "vod:" if request.get("X-TC-Version") == VERSION else ""
    return prefix + request.get("X-TC-Action")


@dataclass(slots=True)
class ProxyRule(Rule):
    """One rule. Without an action it concerns the calls that its fault can befall."""

    fault: ProxyFault
    seconds: float
    size: int

    def concerns(self, action: str) -> bool:
        if self.action is not None:
            return self.action == action
        return action not in (MEDIA, FRAME) and _befalls(self.fault, action)


def _befalls(fault: ProxyFault, action: str) -> bool:
    if fault in _OF_DESCRIBES:
        return action.removeprefix("vod:").startswith("Describe") or action == "relay:query"
    return fault not in _OF_CALLS or action not in (MEDIA, FRAME)


class ProxyFaults(Rules[ProxyRule]):
    """What befalls the calls that pass one proxy."""

    __slots__ = ()

    def __init__(self, seed: int) -> None:
        super().__init__(Random(seed))  # noqa: S311 - reproducible is what it is for

    def add(
        self, fault: ProxyFault, action: str | None, times: int | None, probability: float, seconds: float, size: int
    ) -> None:
        """Raises ValueError for a fault that there is not, or that cannot befall this action."""
        if fault not in get_args(ProxyFault):
            raise ValueError(f"no such fault: {fault!r}; there are {', '.join(get_args(ProxyFault))}")
        if action is not None and not _befalls(fault, action):
            whom = "describes" if fault in _OF_DESCRIBES else "calls of the API"
            raise ValueError(f"{fault} rewrites the answers to {whom} and cannot befall {action}")
        if fault == "delay" and seconds <= 0:
            raise ValueError("how late? delay needs seconds")
        if fault == "gzip_bomb":
            _bomb()  # packed now: while calls pass it would hold up the loop that they share
        self.rules.append(ProxyRule(action, times, probability, fault, seconds, size))


def stand_in(fault: ProxyFault) -> Message:
    """What is answered in the service's place."""
    status, reason = (502, "Bad Gateway") if fault == "bad_gateway" else (200, "OK")
    title = "502 from a gateway" if fault == "bad_gateway" else "Welcome to the hotel's network"
    return message(f"HTTP/1.1 {status} {reason}", HTML, page(status, title).body)


def spoilt(rule: ProxyRule, action: str, answer: Message) -> Message:
    """The answer after the fault; as it came for those that spoil the connection alone."""
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
            return _rewritten(answer, _paused)
        case "done_without_urls":
            return _rewritten(answer, _done_without_urls)
        case "null_fields":
            return _rewritten(answer, _nulls)
        case "html" | "bad_gateway" | "reset_before" | "reset_after" | "hang" | "cut_short" | "delay":
            return answer


@cache
def _bomb() -> bytes:
    """Packed once, a mebibyte at a time: a few tenths of a second, and no more memory than that."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)  # 16: in gzip's wrapping
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(_BOMB_MIB)) + packer.flush()


def _rewritten(answer: Message, change: Callable[[Json], Json]) -> Message:
    try:
        envelope: object = json.loads(answer.body)
    except ValueError:
        return answer
    response = envelope.get("Response") if isinstance(envelope, dict) else None
    if not isinstance(response, dict):
        return answer
    return answer.with_body(json.dumps({"Response": change(response)}).encode())


def _paused(response: Json) -> Json:
    return {**response, "Status": _UNKNOWN_STATUS} if "Status" in response else response


def _done_without_urls(response: Json) -> Json:
    if "Status" not in response:
        return response
    kind = str(response.get("TaskType"))
    if isinstance(task := response.get(kind), dict):
        ended = {"Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Output": {"FileInfos": []}}
        return {**response, "Status": "FINISH", kind: {**task, **ended}}
    emptied = {name: [] if name.endswith(("Urls", "Infos")) else value for name, value in response.items()}
    return {**emptied, "Status": "DONE"}


def _nulls(response: Json) -> Json:
    return {name: value if name == "RequestId" else None for name, value in response.items()}
