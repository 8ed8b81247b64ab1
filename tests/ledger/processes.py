"""Ledgers in other processes, which a test tells what to do line by line."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER = {"account": "AKID…1", "backend": "mps", "endpoint": "https://mps.tencentcloudapi.com/"}

OTHER = """
import asyncio, os, signal, sys
from pathlib import Path
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.ledger import JobRecord, SqliteLedger, lock
from mps_aigc_async.model.states import Kind

OWNER = {"account": "AKID…1", "backend": "mps", "endpoint": "https://mps.tencentcloudapi.com/"}

def say(text):
    print(text, flush=True)

async def main():
    ledger = None
    while line := sys.stdin.readline().strip():
        command, _, path = line.partition(" ")
        if command == "open":
            try:
                ledger = await SqliteLedger.open(Path(path), OWNER)
                say("opened")
            except LedgerError as error:
                say(error)
        elif command == "put":
            await ledger.put(JobRecord(job_id=path, kind=Kind.IMAGE, content="{}", planned_at=1.0))
            say("kept")
        elif command == "close":
            await ledger.close()
            say("closed")
        elif command == "by-byte":
            lock._lock = lock._lock_byte
            say("so")
        elif command == "fork":
            if not os.fork():
                say(os.getpid())  # by the child: it has let go of what it inherited
                signal.pause()  # until the test ends it
        elif command == "die":
            os._exit(9)
    os._exit(0)  # whatever is open: the thread of an open ledger would go on

asyncio.run(main())
"""


class Other:
    """Another process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid
        self._process = process

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, command: str) -> str:
        self.tell(command)
        return self.answer()

    def die(self) -> None:
        """As `kill -9` has it; what it forked lives on."""
        self.tell("die")
        assert self._process.wait() == 9


@contextmanager
def other_process() -> Iterator[Other]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Other(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def touch_with_sqlite(ledger: Path) -> None:
    """Read and close the ledger by another process's SQLite: the last one to close a file deletes its `-wal`."""
    code = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('SELECT * FROM jobs').fetchall(); d.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(ledger)], check=True)


def require_no_ledger_thread() -> None:
    """Fail if a thread of a ledger goes on. A closed ledger's thread may be about to end."""
    for thread in threading.enumerate():
        if thread.name.startswith("ledger"):
            thread.join(10.0)
            assert not thread.is_alive(), thread.name
