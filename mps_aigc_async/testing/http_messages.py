"""HTTP/1.1 messages for a proxy: to read and to change, with all other bytes unchanged.

Bytes in, bytes out: no socket here.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and header lines, unchanged: `encode` returns the bytes that `parse` took."""

    lines: tuple[bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse a head with its empty line.

        >>> head = Head.parse(b"HTTP/1.1 200 OK\\r\\nContent-length:  2\\r\\n\\r\\n")
        >>> head.get("Content-Length"), head.length
        ('2', 2)
        >>> head.replacing("Content-Length", "3").encode()
        b'HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n'
        """
        return cls(tuple(raw.removesuffix(HEAD_END).split(_LINE_END)))

    def encode(self) -> bytes:
        return _LINE_END.join(self.lines) + HEAD_END

    def get(self, name: str) -> str:
        """Return a header's first value; "" without such a header."""
        for line in self.lines[1:]:
            if _name_of(line) == name.lower():
                return line.partition(b":")[2].strip().decode("latin-1")
        return ""

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.lines[0].partition(b" ")[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The target of a request: the path and the query, unchanged."""
        return self.lines[0].partition(b" ")[2].partition(b" ")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status of an answer. Raises ValueError if there is none."""
        return int(self.lines[0].partition(b" ")[2].partition(b" ")[0])

    @property
    def length(self) -> int | None:
        """The Content-Length, if there is one. Raises ValueError if it is no number."""
        value = self.get("Content-Length")
        return int(value) if value else None

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may be used again: HTTP/1.1's default unless the head says otherwise."""
        return b"HTTP/1.1" in self.lines[0] and "close" not in self.get("Connection").lower()

    def replacing(self, name: str, value: str) -> Self:
        """Return the head with this header once, and last."""
        others = (line for line in self.lines[1:] if _name_of(line) != name.lower())
        return replace(self, lines=(self.lines[0], *others, f"{name}: {value}".encode("latin-1")))

    def doubling(self, *names: str) -> Self:
        """Return the head with each of these headers twice in a row."""
        twice = {name.lower() for name in names}
        lines = (line for line in self.lines[1:] for _ in range(1 + (_name_of(line) in twice)))
        return replace(self, lines=(self.lines[0], *lines))


def _name_of(line: bytes) -> str:
    return line.partition(b":")[0].strip().lower().decode("latin-1")


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, whole."""

    head: Head
    body: bytes

    def encode(self) -> bytes:
        return self.head.encode() + self.body

    def with_body(self, body: bytes) -> Self:
        """Return the message with another body and that body's length."""
        return replace(self, head=self.head.replacing("Content-Length", str(len(body))), body=body)

    def with_header(self, name: str, value: str) -> Self:
        return replace(self, head=self.head.replacing(name, value))


def message(start: str, content_type: str, body: bytes) -> Message:
    """Build a message of our own.

    >>> message("HTTP/1.1 200 OK", "text/plain", b"hi").encode()
    b'HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 2\\r\\n\\r\\nhi'
    """
    empty = Message(Head((start.encode("latin-1"),)), b"")
    return empty.with_header("Content-Type", content_type).with_body(body)
