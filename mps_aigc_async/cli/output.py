"""Output that nobody takes ends no paid work: not a closed pipe (`| head`), a full disk, or a terminal that has gone.

From its first write that fails on, a stream leads nowhere. Its descriptor becomes the null device's, so that the
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
    """A text stream whose failures are kept from its writers. None is a stream that was closed from the start."""

    errors: Final = "backslashreplace"
    """A prompt or an id may hold what the terminal's encoding lacks: shown as an escape, it costs no batch."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=self.errors)

    @property
    def closed(self) -> bool:
        return False

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
            except (OSError, ValueError):  # the latter: it was closed meanwhile
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


@contextmanager
def lasting_output() -> Iterator[None]:
    """Within this, a failing stdout or stderr fails nobody who writes."""
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", Lasting(stream)) for stream in kept)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = kept


def open_standard_descriptors() -> None:
    """Open the null device in place of each standard descriptor that was closed: else the next file to be opened, such
    as the ledger, has its number, and takes what is written to it."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
