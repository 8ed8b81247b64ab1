"""Whether the names of an open ledger still hold the files that were opened."""

import os
from pathlib import Path

from .lock import Inode, replaced_error


class Place:
    """The files of an open ledger, as they were when they were last looked at.

    Two `stat` calls a check (some 10 µs on a local disk, measured 2026-11), so that it can be made on the loop, right
    before a create goes out.
    """

    def __init__(self, ledger: Path, wal: Path, inode: Inode) -> None:
        """Raises OSError where one of them is not there, and LedgerError where the ledger is not that inode any more:
        SQLite has opened a path, and the lock is on a file."""
        self._ledger = ledger
        self._files = {file: file.stat() for file in (ledger, wal)}
        if (self._files[ledger].st_dev, self._files[ledger].st_ino) != inode:
            raise replaced_error(ledger)

    def fault(self) -> str:
        """How a file is gone: "was removed" and the like. Empty where both are in place."""
        for file, before in self._files.items():
            try:
                now = file.stat()
            except FileNotFoundError:
                fault = "was removed"
            except OSError as error:
                fault = f"cannot be found any more ({error.strerror})"
            else:
                fault = _difference(before, now)
                self._files[file] = now
            if fault:
                return fault if file == self._ledger else f"lost its {file.name}: that {fault}"
        return ""


def _difference(before: os.stat_result, now: os.stat_result) -> str:
    if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
        return "was replaced by another file"
    # Neither file shrinks while it is open: nothing vacuums, and a WAL is written from its beginning, not cut.
    return "was cut short" if now.st_size < before.st_size else ""
