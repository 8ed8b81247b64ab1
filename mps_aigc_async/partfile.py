"""The temporary file that a result is written to: `.part` → fsync → link under its final name.

Blocking calls run in a thread. A cancelled download leaves no file behind, whether the thread or the loop ends last.
"""

import asyncio
import filecmp
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from .media import HEAD_BYTES
from .states import Kind


@dataclass(slots=True)
class Part:
    """A part file, and its present contents."""

    path: Path
    size: int = 0
    tag: str = ""
    """The strong ETag of the contents; without one the download cannot be resumed."""
    head: bytes = b""
    """The first bytes, by which the media type is recognised."""

    @classmethod
    def of(cls, target: Path, kind: Kind) -> "Part":
        """A part file with a unique name: other clients and ledgers may save the same target at the same time."""
        return cls(target.with_name(f".{target.name}.{kind}.{token()}.part"))

    def begin(self, tag: str) -> None:
        """Start from zero bytes; the bytes that follow belong to this ETag."""
        self.size, self.tag, self.head = 0, tag, b""

    def grow(self, chunk: bytes) -> None:
        """Count a chunk that has been written."""
        self.size += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]


def token() -> str:
    return secrets.token_hex(4)


def which_exist(files: Sequence[str]) -> list[bool]:
    """Whether each of the files still exists. Blocking: run it in a thread."""
    return [bool(file) and _is_file(file) for file in files]


def _is_file(file: str) -> bool:
    try:
        return Path(file).is_file()
    except ValueError:  # this locale cannot write the name; the one it was saved under could
        return False


async def opened(part: Part) -> BinaryIO:
    """The part file, opened in a thread."""
    opening = _Opening(part)
    try:
        return await asyncio.to_thread(opening.run)
    except asyncio.CancelledError:
        opening.give_up()
        raise


class _Opening:
    """Opens a part file in a thread. If the caller is cancelled, the later of the two, thread or caller, closes and
    removes the file: a callback could not, because the loop may end before the thread does."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._one_at_a_time = Lock()
        self._file: BinaryIO | None = None
        self._given_up = False

    def run(self) -> BinaryIO:
        file = self._part.path.open("ab" if self._part.size else "wb")
        with self._one_at_a_time:
            self._file = file
            if self._given_up:
                self._remove(file)
        return file

    def give_up(self) -> None:
        with self._one_at_a_time:
            self._given_up = True
            if self._file is not None:
                self._remove(self._file)

    def _remove(self, file: BinaryIO) -> None:
        file.close()
        _unlink(self._part.path)


@asynccontextmanager
async def removed(part: Part) -> AsyncIterator[None]:
    """Remove the part file at the end of the block. No thread is awaited, so this works in a cancelled task too."""
    try:
        yield
    finally:
        _unlink(part.path)


def _unlink(path: Path) -> None:
    with suppress(OSError, ValueError):  # ValueError: the file system's encoding cannot write the name
        path.unlink()


def write(file: BinaryIO, chunk: bytes) -> None:
    """Write a chunk and flush it, so that closing the file writes nothing. Blocking: run it in a thread."""
    file.write(chunk)
    file.flush()


def sync(file: BinaryIO) -> None:
    """Sync the file to disk. Blocking: run it in a thread."""
    file.flush()
    os.fsync(file.fileno())


def put_in_place(part: Path, target: Path) -> Path:
    """Give the finished file its name; never replace a file with other content. Blocking: run it in a thread."""
    try:
        target.hardlink_to(part)  # unlike a rename, a link never replaces an existing file
    except FileExistsError:
        if not filecmp.cmp(part, target, shallow=False):
            raise FileExistsError(None, f"{target.name} exists with other content: move it away") from None
        return target
    except OSError:  # a file system without links
        if target.exists():
            raise
        part.rename(target)
    if hasattr(os, "O_DIRECTORY"):  # a rename is durable when its folder is
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target
