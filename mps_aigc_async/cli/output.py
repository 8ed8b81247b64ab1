"""Output that cannot be written ends no paid work: a closed pipe (`| head`), a full disk, a closed terminal.

After its first failed write a stream discards everything. Its descriptor becomes the null device's, so that the
interpreter's last flush does not fail either and change the exit code.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper, UnsupportedOperation
from typing import Final, TextIO, cast

STANDARD: Final = (0, 1, 2)
"""The descriptors of stdin, stdout and stderr (POSIX)."""


class Lasting:
    """A text stream that hides its failures from its writers. `stream` is None if it was closed from the start."""

    errors: Final = "backslashreplace"
    """A character that the terminal's encoding lacks is written as an escape: a prompt or an id must end no batch."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=self.errors)

    @property
    def closed(self) -> bool:
        return False

    @property
    def is_lost(self) -> bool:
        return self._stream is None

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise UnsupportedOperation("the stream is closed")
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError):  # ValueError: the stream was closed meanwhile
                self._lose()
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def _lose(self) -> None:
        stream, self._stream = self._stream, None
        with suppress(OSError, ValueError):  # a stream without a descriptor
            null = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(null, cast("TextIO", stream).fileno())
            finally:
                os.close(null)


def is_lost(stream: TextIO) -> bool:
    """Whether nobody reads any more what is written to a stream of `lasting_output`."""
    return isinstance(stream, Lasting) and stream.is_lost


@contextmanager
def lasting_output() -> Iterator[None]:
    """Hide failures of stdout and stderr from their writers during the block."""
    originals = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", Lasting(stream)) for stream in originals)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = originals


def open_standard_descriptors() -> None:
    """Open the null device in place of each closed standard descriptor. Otherwise the next file to be opened, such as
    the ledger, gets that number, and the program's output is written into it."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
