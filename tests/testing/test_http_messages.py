"""Messages between two ends: a change leaves all other bytes alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.testing.http_messages import HEAD_END, Head, message

RAW = b"GET /media/a.png?x=1 HTTP/1.1\r\nHOST: h\r\nX-Odd:\t v \r\nx-odd: w\r\nContent-Length: 12\r\n\r\n"

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.encode)


@given(st.lists(printable, min_size=1))
def test_a_head_is_given_back_as_it_came(lines: list[bytes]) -> None:
    raw = b"\r\n".join(lines) + HEAD_END
    assert Head.parse(raw).encode() == raw


def test_what_a_request_says() -> None:
    head = Head.parse(RAW)
    assert (head.method, head.target, head.length) == ("GET", "/media/a.png?x=1", 12)
    assert (head.get("host"), head.get("X-Odd"), head.get("absent")) == ("h", "v", "")


def test_what_an_answer_says() -> None:
    assert Head.parse(b"HTTP/1.1 404 Not Found\r\n\r\n").status == 404
    assert Head.parse(b"HTTP/1.1 204\r\n\r\n").length is None
    with pytest.raises(ValueError, match="invalid literal"):
        _ = Head.parse(b"nonsense\r\n\r\n").status


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"GET / HTTP/1.1\r\nConnection: Keep-Alive", True),
        (b"GET / HTTP/1.1\r\nConnection: Close", False),
        (b"HTTP/1.0 200 OK", False),
    ],
)
def test_whether_a_connection_may_be_used_again(head: bytes, keeps: bool) -> None:
    assert Head.parse(head + HEAD_END).keeps_alive is keeps


def test_headers_are_replaced_and_doubled_whatever_their_spelling() -> None:
    head = Head.parse(RAW)
    assert head.replacing("X-ODD", "z").lines[1:] == (b"HOST: h", b"Content-Length: 12", b"X-ODD: z")
    assert head.doubling("Host").lines[1:3] == (b"HOST: h", b"HOST: h")
    assert head.doubling("Absent") == head


def test_another_body_has_its_own_length() -> None:
    answer = message("HTTP/1.1 200 OK", "text/plain", b"short").with_body(b"rather longer")
    assert (answer.head.length, answer.encode()[-13:]) == (13, b"rather longer")
