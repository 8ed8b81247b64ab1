"""A file as an answer: whole, or the part that was asked for (RFC 9110, section 14)."""

import pytest

from mps_aigc_async.emulator.server.ranges import file_reply

BODY = b"0123456789"
TAG = file_reply(BODY, "image/png", {}).headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "status", "body", "span"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, BODY, "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=4-3", 200, BODY, None),
        ("bytes=-", 200, BODY, None),
        ("bytes=1-2,4-5", 200, BODY, None),
        ("lines=1-2", 200, BODY, None),
    ],
)
def test_a_range(asked: str, status: int, body: bytes, span: str | None) -> None:
    reply = file_reply(BODY, "image/png", {"range": asked})
    assert (reply.status, reply.body, reply.headers.get("Content-Range")) == (status, body, span)
    assert (reply.headers["ETag"], reply.headers["Accept-Ranges"]) == (TAG, "bytes")


def test_a_part_of_another_version_is_the_whole() -> None:
    assert file_reply(BODY, "image/png", {"range": "bytes=2-3", "if-range": TAG}).status == 206
    assert file_reply(BODY, "image/png", {"range": "bytes=2-3", "if-range": '"another"'}).body == BODY
