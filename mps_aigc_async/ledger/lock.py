"""One writer per ledger: a lock on the ledger's own inode, which the operating system takes back when its process dies.

On the inode, so that neither a removed lock file nor a second name (a symlink, a hard link) lets a second writer in.
Closing ANY descriptor of a file drops all POSIX locks that the process has on it, SQLite's among them: another process
could then delete the `-wal` of an open ledger. So the lock's descriptor is opened before SQLite's connection and closed
after it, and a file that this process has open is recognised by `stat`, before anything is opened.
"""

import errno
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from .reading import reading

Inode = tuple[int, int]
"""What tells one file from all others on this machine: `st_dev` and `st_ino`."""

_BEYOND_SQLITE: Final = 0x40000000 + 1024
"""The byte that is locked where a lock has a range. SQLite locks the 512 bytes from 0x40000000 on, and neither reads
nor writes the page around them (file format, "The Lock-Byte Page"): a mandatory lock there, as Windows has, hinders
nobody."""

_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""How a file system says that it has no locks."""

_guard = threading.Lock()
_held: dict[Inode, list[int]] = {}
"""The ledgers that this process has open, with the descriptors that are closed when it lets them go."""
_inherited: set[Inode] = set()
"""The ledgers that the parent had open when this process was forked. SQLite believes that it still has their locks."""


def writer_name() -> str:
    """This process, as a refused one is told of it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def replaced_error(ledger: Path) -> LedgerError:
    """The error for a path that led to two files while it was opened."""
    return LedgerError(f"the ledger {ledger} was replaced while it was opened: try again")


def inode_of(file: Path) -> Inode:
    """The file that a path leads to. Raises OSError."""
    known = file.stat()
    return known.st_dev, known.st_ino


class WriterLock:
    """Held from construction to `release`, on a ledger that exists.

    Raises LedgerError that names the process holding it already.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._released = False
        with _guard:
            try:
                self.inode: Final = inode_of(ledger)
                self._refuse_own()
                self._file = os.open(ledger, os.O_RDWR | getattr(os, "O_BINARY", 0))
            except OSError as error:
                raise LedgerError(f"cannot open the ledger {ledger}: {error.strerror}") from error
            self._take()

    def _refuse_own(self) -> None:
        if self.inode in _held:
            raise LedgerError(
                f"the ledger {self._ledger} is being written by {writer_name()}, which is this one: "
                "use the client that has it open"
            )
        if self.inode in _inherited:
            raise LedgerError(
                f"the ledger {self._ledger} was open when this process was forked: open it in a process of its own "
                "(multiprocessing: the start method 'spawn')"
            )

    def _take(self) -> None:
        opened = os.fstat(self._file)
        inode = opened.st_dev, opened.st_ino
        if inode in _held:  # moved here this very moment: to close this descriptor would drop SQLite's locks
            _held[inode].append(self._file)
            raise replaced_error(self._ledger)
        try:
            _lock(self._file)
            if inode != self.inode or inode_of(self._ledger) != inode:
                raise replaced_error(self._ledger)
        except OSError as error:
            os.close(self._file)
            raise self._refused(error) from error
        except LedgerError:
            os.close(self._file)
            raise
        _held[inode] = [self._file]

    def _refused(self, error: OSError) -> LedgerError:
        if error.errno in _HELD_BY_ANOTHER:
            return LedgerError(
                f"the ledger {self._ledger} is being written by {_writer_of(self._ledger)}: wait for it to end"
            )
        if error.errno in _NO_LOCKS:
            return LedgerError(
                f"the file system of the ledger {self._ledger} has no locks ({error.strerror}): "
                "keep the ledger on a local disk"
            )
        return LedgerError(f"cannot lock the ledger {self._ledger}: {error.strerror}")

    def renew(self) -> None:
        """Hold the lock where examining the file may have dropped it. Call it once SQLite's connection has its own."""
        try:
            _lock_again(self._file)
        except OSError as error:
            raise self._refused(error) from error

    def release(self) -> None:
        """Let the next writer in. Call it after SQLite's connection is closed."""
        with _guard:
            if not self._released:
                self._released = True
                for file in _held.pop(self.inode, ()):
                    os.close(file)


def _writer_of(ledger: Path) -> str:
    try:
        with reading(ledger) as snapshot:
            return snapshot.writer() or "another process"
    except LedgerError:  # it has only begun
        return "another process"


def _forget_after_fork() -> None:
    """A child is no writer: its copies of the descriptors would keep the lock after its parent's end."""
    global _guard  # noqa: PLW0603 — a thread that the child does not have may hold it
    _guard = threading.Lock()
    for files in _held.values():
        for file in files:
            os.close(file)
    _inherited.update(_held)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


if sys.platform == "win32":  # pragma: no cover — the same lock by the other system's call
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _BEYOND_SQLITE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _lock_again(file: int) -> None:
        """Nothing drops it."""
else:
    import fcntl

    def _lock(file: int) -> None:
        if sys.platform == "linux":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_byte(file)

    def _lock_again(file: int) -> None:
        _lock(file)

    def _lock_byte(file: int) -> None:
        """The lock of other Unix systems, where flock and SQLite's own locks would exclude each other (FreeBSD's
        manual, flock(2)). The kernel drops it when this process closes another descriptor of the ledger."""
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BEYOND_SQLITE, os.SEEK_SET)
