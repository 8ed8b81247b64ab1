"""The process that holds a lock on a file, for people: read from the kernel's list.

Asking for the lock would need the file to be opened, and closing it again would drop SQLite's own locks.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")
"""Linux's list of locks (proc_locks(5)): `1: POSIX ADVISORY WRITE 4711 08:01:131 1073741825 1073741825`."""

_NAME: Final = "/proc/{pid}/comm"


def lock_holder(file: Path) -> str | None:
    """The program and pid that hold a lock for writing on the file; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        inode = file.stat().st_ino
        for line in _LOCKS.read_text().splitlines():
            fields = line.split()
            if fields[1] == "POSIX" and fields[3] == "WRITE" and int(fields[5].split(":")[2]) == inode:
                return _shown(int(fields[4]))
    return None


def _shown(pid: int) -> str:
    own = " (another thread)" if pid == os.getpid() else ""
    with suppress(OSError):
        return f"{Path(_NAME.format(pid=pid)).read_text().strip()} (process {pid}){own}"
    return f"process {pid}{own}"
