"""The writer's lock: one writer per ledger, by a lock on the ledger's own inode. A dead process loses the lock.

The lock is on the inode, so neither a removed lock file nor a second name (symlink, hard link) admits a second writer.
A ledger with several hard links is refused: SQLite would make another `-wal` for each of its names.
Trap: closing ANY descriptor of a file drops all POSIX locks of the process on that file, including SQLite's. Another
process could then delete the `-wal` of an open ledger. So the lock's descriptor is opened before SQLite's connection
and closed after it, and `stat` finds out whether this process has the file open before anything opens it.
"""

import errno
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Final

from ..model.errors import LedgerError
from .snapshot import open_snapshot

Inode = tuple[int, int]
"""`st_dev` and `st_ino`, which identify a file on this machine."""

_BEYOND_SQLITE: Final = 0x40000000 + 1024
"""The byte to lock on systems where a lock has a range. SQLite locks the 512 bytes from 0x40000000 on. SQLite neither
reads nor writes the page around them (file format, "The Lock-Byte Page"), so even a mandatory lock (Windows) disturbs
no reader."""

_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""The errors of a file system without locks."""

_guard = threading.RLock()
"""A lock that a fork takes too, so that a child gets no descriptor that `_open_ledgers` lacks."""
_open_ledgers: dict[Inode, list[int]] = {}
"""The ledgers that this process has open, with the descriptors to close on release."""
_open_in_parent: set[Inode] = set()
"""The ledgers that the parent had open at the fork. SQLite assumes that this process still has their locks."""


def writer_name() -> str:
    """The name of this process for the error that another process gets."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def replaced_error(ledger: Path) -> LedgerError:
    """The error for a path that led to two files while it was opened."""
    return LedgerError(f"the ledger {ledger} was replaced while it was opened: try again")


def inode_of(file: Path) -> Inode:
    """The inode that a path leads to. Raises OSError."""
    return _inode(file.stat())


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino


class WriterLock:
    """The lock on an existing ledger, from construction to `release`.

    Raises LedgerError if another process has the lock, and names that process.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._is_released = False
        with _guard:
            try:
                self.inode: Final = inode_of(ledger)
                self._refuse_own()
                self._file = os.open(ledger, os.O_RDWR | getattr(os, "O_BINARY", 0))
            except OSError as error:
                raise LedgerError(f"cannot open the ledger {ledger}: {error.strerror}") from error
            self._take()

    def _refuse_own(self) -> None:
        if self.inode in _open_ledgers:
            raise LedgerError(
                f"the ledger {self._ledger} is being written by {writer_name()}, which is this one: "
                "use the client that has it open (a loop in virtual time shares its ledgers with no other loop)"
            )
        if self.inode in _open_in_parent:
            raise LedgerError(
                f"the ledger {self._ledger} was open when this process was forked: open it in a process of its own "
                "(multiprocessing: the start method 'spawn')"
            )

    def _take(self) -> None:
        status = os.fstat(self._file)
        inode = _inode(status)
        if inode in _open_ledgers:  # a file just moved to this path: closing this descriptor would drop SQLite's locks
            _open_ledgers[inode].append(self._file)
            raise replaced_error(self._ledger)
        try:
            _lock(self._file)
            if inode != self.inode or inode_of(self._ledger) != inode:
                raise replaced_error(self._ledger)
            self._refuse_names(status.st_nlink)
        except OSError as error:
            os.close(self._file)
            raise self._error_for(error) from error
        except LedgerError:
            os.close(self._file)
            raise
        _open_ledgers[inode] = [self._file]

    def _refuse_names(self, names: int) -> None:
        if names > 1:
            raise LedgerError(
                f"the ledger {self._ledger} has {names} names (hard links), and SQLite keeps the latest jobs in a -wal "
                "beside the one it was opened by: keep the name with a -wal (or any, if none has), and remove the rest"
            )

    def _error_for(self, error: OSError) -> LedgerError:
        if error.errno in _HELD_BY_ANOTHER:
            return LedgerError(
                f"the ledger {self._ledger} is being written by {_writer_of(self._ledger)}: wait for it to end "
                "(processes that write at once, such as an app's workers, need a ledger in PostgreSQL)"
            )
        if error.errno in _NO_LOCKS:
            return LedgerError(
                f"the file system of the ledger {self._ledger} has no locks ({error.strerror}): "
                "keep the ledger on a local disk"
            )
        return LedgerError(f"cannot lock the ledger {self._ledger}: {error.strerror}")

    def require(self, file: Path) -> None:
        """Raise LedgerError if a file is not the locked one. Raises OSError."""
        if inode_of(file) != self.inode:
            raise replaced_error(self._ledger)

    def renew(self) -> None:
        """Take the lock again: examining the file may have dropped it. Call this once SQLite's connection is open."""
        try:
            _lock_again(self._file)
        except OSError as error:
            raise self._error_for(error) from error

    def release(self) -> None:
        """Let the next writer in. Call it after SQLite's connection is closed."""
        with _guard:
            if not self._is_released:
                self._is_released = True
                for file in _open_ledgers.pop(self.inode, ()):
                    os.close(file)


def _writer_of(ledger: Path) -> str:
    try:
        with open_snapshot(ledger) as snapshot:
            return snapshot.writer() or "another process"
    except LedgerError:  # the process has not written its name yet
        return "another process"


def _forget_after_fork() -> None:
    """Close a forked child's copies of the descriptors: they would keep the lock after the parent's end."""
    for files in _open_ledgers.values():
        for file in files:
            os.close(file)
    _open_in_parent.update(_open_ledgers)
    _open_ledgers.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget_after_fork)


if sys.platform == "win32":  # pragma: no cover — the same lock by Windows' call
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _BEYOND_SQLITE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _lock_again(file: int) -> None:
        """Do nothing: Windows does not drop the lock."""
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
        """Lock on other Unix systems, where flock and SQLite's own locks would exclude each other (FreeBSD's manual,
        flock(2)). The kernel drops this lock when the process closes another descriptor of the ledger."""
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BEYOND_SQLITE, os.SEEK_SET)
