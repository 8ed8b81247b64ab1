"""One writer per ledger: a lock that the operating system takes back when its process dies."""

import os
import socket
import sys
from pathlib import Path

from ..errors import LedgerError


class WriterLock:
    """Held from construction to `release`. Raises LedgerError that names the process holding it already."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}.lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise LedgerError(f"cannot lock the ledger {ledger}: {error.strerror}") from error
        try:
            _lock(self._file)
        except OSError:
            holder = os.read(self._file, 200).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise LedgerError(f"the ledger {ledger} is being written by {holder}: wait for it to end") from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Let the next writer in. The file stays: removing it would race with who opens it just now."""
        os.close(self._file)


if sys.platform == "win32":  # pragma: no cover — the same lock by the other system's call
    import msvcrt

    def _lock(file: int) -> None:
        # Beyond the text, so that a refused writer can still read who holds it.
        os.lseek(file, 1000, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
