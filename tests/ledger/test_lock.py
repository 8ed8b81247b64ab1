"""One writer, whatever its name for the file; tried with real second processes."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mps_aigc_async.ledger import JobRecord, SqliteLedger, lock, sqlite
from mps_aigc_async.ledger.lock import WriterLock
from mps_aigc_async.ledger.opening import put_in_place
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind

from .processes import OWNER, other_process, touch_with_sqlite

ME = f"process {os.getpid()} on {socket.gethostname()}"


def job(job_id: str) -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content="{}", planned_at=1.0)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = await SqliteLedger.open(path, OWNER)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.mark.parametrize("way", ["its name", "a symlink", "a hard link", "after its old lock file was removed"])
async def test_a_second_process_is_refused_and_told_the_first(tmp_path: Path, way: str) -> None:
    path = second = tmp_path / "jobs.db"
    (tmp_path / "jobs.db.lock").touch()  # an older version's
    async with opened(path) as ledger:
        if way == "a symlink":
            second = tmp_path / "link.db"
            second.symlink_to(path)
        elif way == "a hard link":
            second = tmp_path / "hard.db"
            second.hardlink_to(path)
        elif way != "its name":
            (tmp_path / "jobs.db.lock").unlink()
        with other_process() as other:
            assert "is being written by " in (told := other.ask(f"open {second}"))
            assert str(second) in told
            if way != "a hard link":  # that name has no -wal beside it, where the holder's row is
                assert ME in told
            await ledger.put(job("a"))
            ledger.require_in_place()
    if way == "a hard link":
        path.unlink()
    with other_process() as other:
        assert other.ask(f"open {second}") == "opened"


async def test_a_ledger_of_two_names_is_refused_for_the_rows_would_be_in_the_log_of_one(tmp_path: Path) -> None:
    path, second = tmp_path / "jobs.db", tmp_path / "hard.db"
    with other_process() as other:
        other.ask(f"open {path}")
        other.ask("put paid")
        other.die()
    second.hardlink_to(path)
    for name in (second, path):
        with pytest.raises(LedgerError, match=r"has 2 names \(hard links\).*keep the name with a -wal"):
            await SqliteLedger.open(name, OWNER)
    second.unlink()
    async with opened(path) as ledger:
        assert await ledger.get("paid") is not None


async def test_a_symlink_that_is_set_anew_while_its_ledger_is_opened_does_not_part_the_lock_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, files = tmp_path / "link.db", [tmp_path / "a.db", tmp_path / "b.db"]
    for file in files:
        async with opened(file):
            pass
    link.symlink_to(files[0])

    def set_anew_afterwards(path: Path, belongs_to: Mapping[str, str]) -> Path:
        file = put_in_place(path, belongs_to)
        link.unlink()
        link.symlink_to(files[1])
        return file

    monkeypatch.setattr(sqlite, "put_in_place", set_anew_afterwards)
    with pytest.raises(LedgerError, match="was replaced while it was opened: try again"):
        await SqliteLedger.open(link, OWNER)
    monkeypatch.undo()
    async with opened(link):
        pass


async def test_a_process_that_holds_a_ledger_is_named_here(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with other_process() as other:
        assert other.ask(f"open {path}") == "opened"
        with pytest.raises(LedgerError, match=f"by process {other.pid} on .*: wait for it to end .*PostgreSQL"):
            await SqliteLedger.open(path, OWNER)
        with open_snapshot(path) as snapshot:
            assert snapshot.writer() == f"process {other.pid} on {socket.gethostname()}"
            assert snapshot.owner() == OWNER
        other.die()
    async with opened(path):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_forked_child_does_not_keep_the_lock_of_its_dead_parent(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with other_process() as other:
        other.ask(f"open {path}")
        child = int(other.ask("fork"))
        try:
            other.die()
            async with opened(path) as ledger:
                await ledger.put(job("a"))
        finally:
            os.kill(child, signal.SIGKILL)  # it lived until now, or this fails


FORKS_WHILE_IT_OPENS = f"""
import asyncio, os, signal, sys, threading
from pathlib import Path
from mps_aigc_async.ledger import SqliteLedger, lock

OWNER = {OWNER!r}

forks, take = threading.Event(), lock._lock
os.register_at_fork(before=forks.set)  # the last one that is registered is called first

def fork():
    child = os.fork()
    if child == 0:
        signal.pause()  # until the test ends it
    print(child, flush=True)

def take_while_another_thread_forks(file):
    threading.Thread(target=fork).start()
    forks.wait()
    take(file)

async def main():
    lock._lock, lock._lock_again = take_while_another_thread_forks, take
    await SqliteLedger.open(Path(sys.argv[1]), OWNER)
    sys.stdin.readline()
    os._exit(9)

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_another_thread_forks_in_the_moment_of_locking_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    command = [sys.executable, "-W", "ignore", "-c", FORKS_WHILE_IT_OPENS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.stdin.close()
        try:
            assert process.wait() == 9
            asyncio.run(open_and_close(path))
        finally:
            os.kill(child, signal.SIGKILL)  # it lived until now, or this fails


async def open_and_close(path: Path) -> None:
    async with opened(path):
        pass


FORKED = """
import asyncio, os, sys
from pathlib import Path
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.ledger import SqliteLedger

async def tried():
    try:
        await SqliteLedger.open(Path(sys.argv[1]), {"account": "a"})
    except LedgerError as error:
        return str(error)

async def main():
    return await SqliteLedger.open(Path(sys.argv[1]), {"account": "a"})

with asyncio.Runner() as runner:
    ledger = runner.run(main())
    child = os.fork()
    if child == 0:
        print(asyncio.Runner().run(tried()), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    runner.run(ledger.close())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_forked_child_cannot_open_what_its_parent_had_open(tmp_path: Path) -> None:
    """SQLite in the child believes that it still has the parent's locks."""
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "jobs.db")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert "was open when this process was forked: open it in a process of its own" in done.stdout


async def test_a_second_client_in_the_process_is_refused_and_costs_the_first_none_of_its_locks(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        await ledger.put(job("a"))
        before = (tmp_path / "jobs.db-wal").stat().st_ino
        for _ in range(2):
            with pytest.raises(LedgerError, match=f"is being written by {ME}, which is this one"):
                await SqliteLedger.open(path, OWNER)
        touch_with_sqlite(path)
        assert (tmp_path / "jobs.db-wal").stat().st_ino == before
        await ledger.put(job("b"))
        ledger.require_in_place()
    async with opened(path) as ledger:
        assert dict(await ledger.counts()) == {JobState.PLANNED: 2}


async def test_after_a_refusal_and_its_end_the_ledger_can_be_opened_here_again(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    for name in ("a", "b"):
        async with opened(path) as ledger:
            await ledger.put(job(name))
            with pytest.raises(LedgerError, match="is being written"):
                WriterLock(path)
    held = WriterLock(path)
    held.release()
    held.release()
    async with opened(path) as ledger:
        assert dict(await ledger.counts()) == {JobState.PLANNED: 2}


@pytest.mark.skipif(sys.platform == "win32", reason="it has another call")
@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
async def test_a_file_system_without_locks_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def without(*_: object) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", without)
        patch.setattr("fcntl.lockf", without)
        with pytest.raises(LedgerError, match=r"has no locks .*: keep the ledger on a local disk"):
            await SqliteLedger.open(tmp_path / "jobs.db", OWNER)
    async with opened(tmp_path / "jobs.db"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="it has another call")
async def test_the_lock_of_other_unix_systems_survives_what_opening_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_lock", lock._lock_byte)
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        with open_snapshot(path) as snapshot:
            assert snapshot.writer() == ME
        with other_process() as other:
            other.ask("by-byte")
            assert f"is being written by {ME}" in other.ask(f"open {path}")
            await ledger.put(job("a"))
    with other_process() as other:
        other.ask("by-byte")
        assert other.ask(f"open {path}") == "opened"


async def test_a_ledger_that_is_replaced_while_it_is_locked_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, another = tmp_path / "jobs.db", tmp_path / "another.db"
    for file in (path, another):
        async with opened(file):
            pass

    def replace_first(file: int) -> None:
        if another.exists():
            another.rename(path)
        take(file)

    take = lock._lock
    monkeypatch.setattr(lock, "_lock", replace_first)
    with pytest.raises(LedgerError, match="was replaced while it was opened: try again"):
        await SqliteLedger.open(path, OWNER)
    async with opened(path):
        pass
