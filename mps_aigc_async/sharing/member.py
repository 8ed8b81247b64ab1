"""A member: one open client, as the others that share its ledger or its limits see it."""

import os
import secrets
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
"""Where Linux shows its processes. Elsewhere, members are judged by their heartbeats alone."""

_STARTED: Final = 22 - 3
"""Where the start time stands in /proc/PID/stat, counted from behind the program's name (proc_pid_stat(5))."""


@dataclass(frozen=True, slots=True)
class Member:
    """An open client, with the facts by which others can tell whether its process still runs."""

    id: str
    """A random name, new for each opening of a client."""
    host: str
    """The machine's name, for people: two machines may have the same."""
    boot: str
    """The machine's boot; empty where the system does not name it."""
    pid_namespace: str
    """The namespace in which `pid` is valid: a container has one of its own. Empty where the system has none."""
    pid: int
    started: str
    """When the process was started, by the kernel's count: a later process may get the same pid. Empty if unknown."""
    program: str
    """The name of the program, for people."""

    @classmethod
    def here(cls) -> "Member":
        """A new member in this process."""
        return cls(
            id=secrets.token_hex(8),
            host=socket.gethostname(),
            boot=boot_id(),
            pid_namespace=_pid_namespace(),
            pid=os.getpid(),
            started=_started(os.getpid()),
            program=Path(sys.argv[0] if sys.argv else "").name or "python",
        )

    def has_ended(self) -> bool | None:
        """Whether the member's process has ended; None if this process cannot tell: the member is on another machine,
        in another container, or a process that the system does not show (of another user: `hidepid`, `ProtectProc`)."""
        if not self.boot or (self.boot, self.pid_namespace) != (boot_id(), _pid_namespace()):
            return None
        if not _exists(self.pid):
            return True
        started = _started(self.pid)
        return started != self.started if started and self.started else None

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid} on {self.host})"


def _exists(pid: int) -> bool:
    """Whether there is a process of this number, perhaps one that is dead and waits for its parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _started(pid: int) -> str:
    """The start time of a process, or that it is dead and waits for its parent; empty if the system does not show it.
    A /proc of another namespace (`unshare --pid` without a mount) has other processes under these numbers."""
    with suppress(OSError):
        if str((_PROC / "self").readlink()) == str(os.getpid()):
            stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
            state, *rest = stat.rpartition(")")[2].split()
            return "dead" if state in ("Z", "X") else rest[_STARTED - 1]
    return ""


@cache
def boot_id() -> str:
    """The id of the machine's boot; empty where the system does not name it."""
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _pid_namespace() -> str:
    with suppress(OSError):
        return str((_PROC / "self/ns/pid").readlink())
    return ""
