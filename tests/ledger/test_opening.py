"""A ledger comes into being whole or not at all."""

import asyncio
import errno
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from mps_aigc_async.ledger import JobRecord, SqliteLedger, opening
from mps_aigc_async.ledger.opening import STALE_S
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind

from .processes import OWNER, other_process

ROOT = Path(__file__).parents[2]


def job(job_id: str) -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content="{}", planned_at=1.0)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = await SqliteLedger.open(path, OWNER)
    try:
        yield ledger
    finally:
        await ledger.close()


def everything_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def refused(path: Path, says: str) -> None:
    """Opening and reading raise LedgerError, and leave the folder as it was."""
    before = everything_in(path.parent)
    with pytest.raises(LedgerError, match=says):
        await SqliteLedger.open(path, OWNER)
    if path.exists():
        with pytest.raises(LedgerError, match=says), open_snapshot(path):
            pass
    assert everything_in(path.parent) == before


async def test_a_new_ledger_is_whole_when_its_name_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db"):
        assert {file.name for file in tmp_path.iterdir()} == {"jobs.db", "jobs.db-wal", "jobs.db-shm"}
    with open_snapshot(tmp_path / "jobs.db") as snapshot:
        assert snapshot.owner() == OWNER
    assert {file.name for file in tmp_path.iterdir()} == {"jobs.db"}


async def test_an_empty_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    await refused(tmp_path / "jobs.db", "it is empty. If it was a ledger, restore it from a backup")


@pytest.mark.parametrize("with_its_wal", [True, False])
async def test_a_ledger_cut_to_nothing_is_not_taken_for_a_new_one(tmp_path: Path, with_its_wal: bool) -> None:
    folder = tmp_path / "after"
    folder.mkdir()
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(job("paid"))
        if with_its_wal:
            shutil.copy(tmp_path / "jobs.db-wal", folder)
    (folder / "jobs.db").touch()
    await refused(folder / "jobs.db", "it is empty|cannot be read as a ledger")


async def test_a_half_made_file_of_an_older_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    await refused(tmp_path / "jobs.db", "it is empty")


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
async def test_the_log_of_a_lost_ledger_is_not_played_into_a_new_one(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"jobs.db{suffix}").write_bytes(b"the last jobs")
    await refused(
        tmp_path / "jobs.db",
        f"its jobs.db{suffix} is there, which holds its latest jobs: put that ledger back beside it",
    )


async def test_where_there_are_no_hard_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", unsupported)
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(job("a"))
    assert {file.name for file in tmp_path.iterdir()} == {"jobs.db"}


async def test_a_ledger_by_a_symlink_lies_where_that_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "jobs.db", tmp_path / "disk" / "real.db"
    link.symlink_to(file)
    async with opened(link) as ledger:
        await ledger.put(job("a"))
        with open_snapshot(link) as snapshot:  # its -wal lies beside the file, not beside the link
            assert snapshot.census() == {(Kind.IMAGE, JobState.PLANNED): 1}
    assert link.is_symlink()
    async with opened(file) as ledger:
        assert await ledger.get("a") == job("a")


async def test_old_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path):
        pass
    old, young, twin = (tmp_path / f".jobs.db.{name}.new" for name in ("old", "young", "twin"))
    users = tmp_path / ".jobs.db.notes"
    for file in (old, young, users):
        file.write_text("half")
    twin.hardlink_to(path)  # killed between its link and its unlink
    for file in (old, users):
        os.utime(file, (file.stat().st_mtime - STALE_S - 60,) * 2)
    async with opened(path) as ledger:
        await ledger.put(job("a"))
    assert {file.name for file in tmp_path.iterdir()} == {"jobs.db", young.name, users.name}


async def test_two_processes_that_make_one_ledger_at_once(tmp_path: Path) -> None:
    with other_process() as first, other_process() as second:
        for number in range(10):
            path = tmp_path / f"{number}.db"
            first.tell(f"open {path}")
            second.tell(f"open {path}")
            answers = {other: other.answer() for other in (first, second)}
            (winner,) = [other for other, answer in answers.items() if answer == "opened"]
            (told,) = [answer for answer in answers.values() if answer != "opened"]
            assert "is being written by" in told
            assert winner.ask("put a") == "kept"
            assert winner.ask("close") == "closed"
            async with opened(path) as ledger:
                assert await ledger.get("a") == job("a")


async def test_a_ledger_that_another_process_makes_meanwhile_is_not_called_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appears, with its log, between the look for the ledger and the look for the log of a lost one."""
    path, look = tmp_path / "jobs.db", opening._refuse_leftovers

    def look_late(ledger: Path) -> None:
        monkeypatch.setattr(opening, "_refuse_leftovers", look)
        opening.put_in_place(path, {})
        opening.wal_of(path).touch()
        look(ledger)

    monkeypatch.setattr(opening, "_refuse_leftovers", look_late)
    assert opening.put_in_place(path, {}) == path


async def test_killed_at_every_step_of_its_making_it_can_be_opened_afterwards(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.ledger.killed_openings", str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"none", "temporary", "whole"}
    assert all(found.values())
    assert sum(found.values()) > 60


@pytest.mark.parametrize("refusal", [errno.EINVAL, errno.ENOTSUP])
async def test_a_file_system_that_syncs_no_folders_may_hold_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    sync = os.fsync

    def refuse_folders(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(refusal, os.strerror(refusal))
        sync(file)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    await (await SqliteLedger.open(tmp_path / "jobs.db", OWNER)).close()
