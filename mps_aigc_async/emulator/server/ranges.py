"""A file as an answer: whole, or the requested range (RFC 9110, section 14)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from ..tasks.reply import Reply

_RANGE: Final = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)", re.ASCII)


def file_reply(body: bytes, content_type: str, request: Mapping[str, str]) -> Reply:
    """The answer to a GET whose headers, by lower-case name, are `request`.

    >>> reply = file_reply(b"abcdef", "image/png", {"range": "bytes=2-3"})
    >>> reply.status, reply.body, reply.headers["Content-Range"]
    (206, b'cd', 'bytes 2-3/6')
    """
    tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    headers = {"Content-Type": content_type, "Accept-Ranges": "bytes", "ETag": tag}
    span = _span(request["range"], len(body)) if request.get("if-range", tag) == tag and "range" in request else None
    if span is None:
        return Reply(200, headers, body)
    if not span:
        return Reply(416, {**headers, "Content-Range": f"bytes */{len(body)}"}, b"")
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(body)}"
    return Reply(206, headers, body[span.start : span.stop])


def _span(text: str, total: int) -> range | None:
    """The bytes that a Range header names; empty beyond the end. None for an unreadable header: the RFC says to ignore
    it."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or text.strip() == "bytes=-":
        return None
    if not match["first"]:
        return range(max(0, total - int(match["last"])), total)
    first, last = int(match["first"]), int(match["last"] or total)
    return None if last < first else range(first, min(last + 1, total))
