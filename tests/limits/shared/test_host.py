"""The host's home: SQLite files that the processes of a user share."""

import asyncio
import json
import logging
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mps_aigc_async.limits.shared import host
from mps_aigc_async.limits.shared.host import HostDatabase, default_folder
from mps_aigc_async.limits.shared.store import LimitsLost, NewerStore, Schema, Step, StoreUnusable
from mps_aigc_async.testing import run

SCHEMA = Schema("test", 1, ("CREATE TABLE t (n BIGINT)",), at_boot=("DELETE FROM t",))
COUNT: Step = ("SELECT count(*) FROM t", {})


async def _open(path: Path, boot: str = "boot-1", version: int = 1) -> HostDatabase:
    schema = Schema("test", version, SCHEMA.tables, SCHEMA.at_boot)
    return await HostDatabase.open(path, [schema], clock=asyncio.get_running_loop().time, boot=boot)


async def test_a_transaction_returns_the_rows_of_each_statement(tmp_path: Path) -> None:
    database = await _open(tmp_path / "paces.sqlite")
    rows = await database.run(
        ("INSERT INTO t VALUES (%(n)s) RETURNING n", {"n": 7}),
        ("SELECT greatest(n, 9, NULL), least(n, 9) FROM t", {}),
        ("SELECT {now}", {}),
    )
    assert rows[:2] == [[(7,)], [(9, 7)]]
    assert rows[2][0][0] == pytest.approx(asyncio.get_running_loop().time(), abs=1)
    await database.close()
    with pytest.raises(LimitsLost, match="was closed"):
        await database.run(COUNT)


async def test_a_statement_that_fails_undoes_its_transaction(tmp_path: Path) -> None:
    database, other = await _open(tmp_path / "paces.sqlite"), await _open(tmp_path / "paces.sqlite")
    with pytest.raises(LimitsLost, match="no such table"):
        await database.run(("INSERT INTO t VALUES (1)", {}), ("SELECT * FROM nowhere", {}))
    assert await other.run(COUNT) == await database.run(COUNT) == [[(0,)]]
    await database.close()
    await other.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "with its folder"])
async def test_a_file_that_is_gone_is_made_anew_and_begins_another_generation(tmp_path: Path, how: str) -> None:
    path = tmp_path / "folder" / "paces.sqlite"
    database, other = await _open(path), await _open(path)
    await database.run(("INSERT INTO t VALUES (1)", {}))
    for file in list(path.parent.iterdir()):
        file.unlink()
    if how == "with its folder":
        path.parent.rmdir()
    if how == "replaced":
        path.touch()
    assert await database.run(COUNT) == [[(0,)]]
    await database.run(("INSERT INTO t VALUES (1)", {}))
    assert await other.run(COUNT) == [[(1,)]], "both are in the new file"
    assert (database.generation, other.generation) == (1, 1)
    await database.close()
    await other.close()


async def test_another_boot_drops_the_times_of_the_earlier_one(tmp_path: Path) -> None:
    database = await _open(tmp_path / "paces.sqlite")
    await database.run(("INSERT INTO t VALUES (1)", {}))
    await database.close()
    for boot, count in (("boot-1", 1), ("boot-2", 0)):
        database = await _open(tmp_path / "paces.sqlite", boot)
        assert await database.run(COUNT) == [[(count,)]]
        await database.close()


def test_a_clock_that_went_back_is_another_boot_where_the_system_names_none(tmp_path: Path) -> None:
    async def main(uptime: float, count: int) -> None:
        await asyncio.sleep(uptime)
        database = await _open(tmp_path / "paces.sqlite", boot="")
        assert await database.run(COUNT) == [[(count,)]]
        await database.run(("INSERT INTO t VALUES (1)", {}))
        await database.close()

    run(main(100, 0))
    run(main(101, 1))
    run(main(3, 0))


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "paces.sqlite"
    await (await _open(path, version=2)).close()
    before = path.read_bytes()
    with pytest.raises(NewerStore, match=r"paces\.sqlite was made by a newer version .* upgrade"):
        await _open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, though a file of some size" * 50, b"SQLite format 3\0" * 300])
async def test_a_damaged_file_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "paces.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match=r"paces\.sqlite cannot be used: .*; remove the file once no"):
        await _open(path)
    assert path.read_bytes() == content


async def test_a_folder_that_is_a_file_is_refused_without_the_advice_to_remove_it(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(StoreUnusable, match=r"notes is not a folder; set limitStore to another one"):
        await _open(tmp_path / "notes" / "paces.sqlite")


async def test_a_folder_that_this_user_may_not_write_is_refused_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(StoreUnusable, match=r"this user may not write into .*; allow it \(chown"):
        await _open(tmp_path / "paces.sqlite")


def test_a_process_that_stands_still_inside_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "paces.sqlite"
    program = (
        "import sqlite3, sys\n"
        f"c = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); print('inside', flush=True); sys.stdin.read()\n"
    )

    async def main() -> None:
        database = await _open(path)
        with subprocess.Popen(  # noqa: ASYNC220 — nothing else runs in this loop
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            other.stdout.readline()
            for _ in range(2):
                with pytest.raises(LimitsLost, match=rf"process {other.pid}\) has held the limit store .*: continue"):
                    await database.run(COUNT)
            other.stdin.close()
        assert await database.run(COUNT) == [[(0,)]]
        await database.close()

    with caplog.at_level(logging.WARNING):
        run(main())
    assert len(caplog.records) == 1


async def test_a_killed_process_leaves_no_half_transaction(tmp_path: Path) -> None:
    path = tmp_path / "paces.sqlite"
    database = await _open(path)
    program = """
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = PERSIST"); c.execute("PRAGMA synchronous = OFF")
c.execute("PRAGMA cache_size = 1"); c.execute("BEGIN IMMEDIATE")
c.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100_000)])  # spills into the file
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, path)
    assert await process.wait() == -signal.SIGKILL
    assert await database.run(COUNT, ("PRAGMA integrity_check", {})) == [[(0,)], [("ok",)]]
    await database.close()


def test_a_forked_child_opens_a_connection_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "paces.sqlite"
    parent: list[HostDatabase] = []

    async def before() -> None:
        parent.append(await _open(path))
        await parent[0].run(("INSERT INTO t VALUES (1)", {}))

    async def child() -> int:
        inherited = parent[0]._connection
        database = await _open(path)
        [[(count,)]] = await database.run(COUNT)
        await database.run(("INSERT INTO t VALUES (2)", {}))
        await database.close()
        return 0 if inherited is None and count == 1 else 1

    async def after() -> list[list[tuple[int]]]:
        return await parent[0].run(COUNT)

    asyncio.run(before())
    pid = os.fork()
    if not pid:
        os._exit(asyncio.run(child()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert asyncio.run(after()) == [[(2,)]]
    assert parent[0].generation == 0
    asyncio.run(parent[0].close())


async def test_a_wait_ends_with_another_members_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, other = await _open(tmp_path / "slots.sqlite"), await _open(tmp_path / "slots.sqlite")
    await asyncio.wait_for(database.wait_for_change(), 5)  # by the look that comes without a change as well
    monkeypatch.setattr(host, "LOOK_S", 60.0)
    waiting = asyncio.create_task(database.wait_for_change())
    await asyncio.sleep(0)
    await other.run(("INSERT INTO t VALUES (1)", {}))
    await asyncio.wait_for(waiting, 5)
    await database.close()
    await other.close()


def test_the_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_place", lambda: tmp_path / "mps-aigc-1")
    assert default_folder() == tmp_path / "mps-aigc-1"
    assert default_folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("link", "is not a folder: have it removed"),
        ("file", "is not a folder: have it removed"),
        ("another user's", "belongs to another user: have it removed"),
        ("open to all", "chmod 700"),
        ("nowhere", "cannot be made"),
    ],
)
def test_a_folder_that_others_can_write_is_refused_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    place = tmp_path / "mps-aigc-1"
    if kind == "link":
        (tmp_path / "own").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "own")
    elif kind == "file":
        place.touch()
    elif kind == "nowhere":
        place = tmp_path / "missing" / "mps-aigc-1"
    else:
        place.mkdir(mode=0o700)
    if kind == "open to all":
        place.chmod(0o777)
    if kind == "another user's":
        monkeypatch.setattr(os, "getuid", lambda: 4711)
    monkeypatch.setattr(host, "_place", lambda: place)
    with pytest.raises(StoreUnusable, match=words):
        default_folder()


def test_the_folder_does_not_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TMPDIR", "TEMP", "TMP", "HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    assert tmp_path not in host._place().parents


async def test_an_older_sqlite_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreUnusable, match=r"needs SQLite 3\.35 or newer"):
        await _open(tmp_path / "paces.sqlite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["another user's", "open to all", "link"])
async def test_the_folder_is_checked_again_if_it_was_removed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Anybody may make a folder of this name in /tmp then, and would read the accounts and TaskIds in it."""
    place = tmp_path / "mps-aigc-1"
    monkeypatch.setattr(host, "_place", lambda: place)
    database = await _open(default_folder() / "paces.sqlite")
    shutil.rmtree(place)
    if kind == "link":
        (tmp_path / "another").mkdir()
        place.symlink_to(tmp_path / "another")
    else:
        place.mkdir(mode=0o777 if kind == "open to all" else 0o700)
        place.chmod(0o777 if kind == "open to all" else 0o700)
    if kind == "another user's":
        monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(LimitsLost, match=r"have it removed|chmod 700"):
        await database.run(COUNT)
    assert not list(place.iterdir())
    await database.close()


async def test_a_file_that_is_damaged_meanwhile_is_told_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "paces.sqlite"
    database = await _open(path)
    path.write_bytes(b"not a database, though a file of some size" * 500)
    for _ in range(2):
        with pytest.raises(LimitsLost, match=r"cannot be used any more \(file is not a database\): remove the file"):
            await database.run(COUNT)
    path.unlink()
    assert await database.run(COUNT) == [[(0,)]]
    path.unlink()
    path.mkdir()
    with pytest.raises(LimitsLost, match=r"unable to open database file\): let this user write the folder"):
        await database.run(COUNT)
    await database.close()


async def test_a_full_disk_is_told_once_and_over_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "paces.sqlite"
    database = await _open(path)
    await database.run(("INSERT INTO t VALUES (1)", {}))
    many: Step = ("INSERT INTO t SELECT value FROM json_each(%(n)s)", {"n": json.dumps(list(range(9000)))})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(LimitsLost, match="look at the disk's free space"):
                await database.run(many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert await database.run(COUNT) == [[(1,)]], "the rows are those of before"
    assert "removed or replaced" not in caplog.text
    await database.close()
