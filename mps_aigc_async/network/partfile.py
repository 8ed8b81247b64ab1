"""The temporary file that a result is written to: `.part` → fsync → link under its final name.

Blocking calls run in a thread. A cancelled download leaves no file behind, whether the thread or the loop ends last.
"""

import asyncio
import errno
import filecmp
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from ..model.states import Kind
from .media import HEAD_BYTES

_NOT_SYNCED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""The errors of file systems that sync no folders."""


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
        """Return a part file with a unique name: another client or ledger may save the same target at the same time."""
        return cls(target.with_name(f".{target.name}.{kind}.{token()}.part"))

    @property
    def is_tagged(self) -> bool:
        """Whether a download can resume this part file."""
        return bool(self.size and self.tag)

    def begin(self, tag: str) -> None:
        """Start from zero bytes; the bytes that follow belong to this ETag."""
        self.size, self.tag, self.head = 0, tag, b""

    def grow(self, chunk: bytes) -> None:
        """Count a chunk that has been written."""
        self.size += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]


class PartLost(Exception):
    """The part file no longer holds the bytes written to it: another program removed or changed it."""


def token() -> str:
    return secrets.token_hex(4)


def which_exist(files: Sequence[str]) -> list[bool]:
    """Whether each of the files still exists. Blocking: run it in a thread."""
    return [bool(file) and _is_file(file) for file in files]


def _is_file(file: str) -> bool:
    try:
        return Path(file).is_file()
    except (OSError, ValueError):  # out of this user's reach, or saved under a locale that could write its name
        return False


async def open_part(part: Part) -> BinaryIO:
    """Open the part file, in a thread."""
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
        try:
            _require_whole(file, self._part.size)
        except BaseException:
            file.close()
            raise
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
async def removing(part: Part) -> AsyncIterator[None]:
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


def sync(file: BinaryIO, size: int) -> None:
    """Bring the file's `size` bytes to the disk. Blocking: run it in a thread. Raises PartLost."""
    file.flush()
    os.fsync(file.fileno())
    _require_whole(file, size)


def _require_whole(file: BinaryIO, size: int) -> None:
    if os.fstat(file.fileno()).st_size != size:
        raise PartLost


def put_in_place(part: Path, target: Path) -> Path:
    """Give the finished file its name, but never replace a file of other content. Blocking: run it in a thread.

    Raises PartLost.
    """
    try:
        _name(part, target)
    except FileExistsError:
        if not filecmp.cmp(part, target, shallow=False):
            raise FileExistsError(None, f"{target.name} exists with other content: move it away") from None
    # Another client may just have made the same name, and not have brought it to the disk yet.
    _sync_folder(target.parent)
    return target


def _name(part: Path, target: Path) -> None:
    """Link or rename the part file to its target. Raises FileExistsError and PartLost."""
    try:
        target.hardlink_to(part)  # unlike a rename, a link never replaces a file
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if not part.exists():
            raise PartLost from None
        target.touch(exist_ok=False)  # the name is ours from here on
        try:
            part.replace(target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


def _sync_folder(folder: Path) -> None:
    """Make a new name durable, if the system can. The file itself is on the disk by then.

    A folder that may be written but not read cannot be opened, and some file systems (FUSE, SMB) sync no folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise
    finally:
        os.close(descriptor)
