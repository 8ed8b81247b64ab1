"""A ledger read by who does not write it: one moment, by request, of any version up to ours."""

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async.ledger import JobRecord, SqliteLedger
from mps_aigc_async.ledger.schema import CREATE, FILE_COLUMNS, MIGRATIONS, VERSION, to_file_row
from mps_aigc_async.ledger.snapshot import LedgerChanged, LedgerSnapshot, of_state, open_snapshot
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.results import Usage
from mps_aigc_async.model.states import JobState, Kind

OWNER = {"account": "AKID…1", "backend": "mps", "endpoint": "https://mps.tencentcloudapi.com/"}


def job(name: str, kind: Kind = Kind.IMAGE) -> JobRecord:
    return JobRecord(job_id=f"{name}/{kind}", kind=kind, content='{"prompt":"a cat"}', planned_at=1.0)


@asynccontextmanager
async def written(path: Path, *jobs: JobRecord) -> AsyncIterator[SqliteLedger]:
    """A ledger with these rows, open for writing."""
    ledger = await SqliteLedger.open(path, OWNER)
    try:
        for row in jobs:
            await ledger.put(row)
        yield ledger
    finally:
        await ledger.close()


async def test_requests_come_whole_and_in_the_order_of_planning(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    rows = [job("b"), job("a"), job("b", Kind.VIDEO), job("a/1"), job("a", Kind.VIDEO)]
    async with written(path, *rows) as ledger:
        await ledger.put(rows[1].moved(JobState.INTENT, intent_at=2.0))  # written anew, it keeps its place
        with open_snapshot(path) as snapshot:
            found = [(name, [row.kind for row in jobs]) for name, jobs in snapshot.requests()]
    both = [Kind.IMAGE, Kind.VIDEO]
    assert found == [("b", both), ("a", both), ("a/1", [Kind.IMAGE])]


async def test_counts_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with written(path, job("a"), job("b"), job("a", Kind.VIDEO)):
        pass
    with open_snapshot(path) as snapshot:
        census = snapshot.census()
        assert snapshot.owner() == OWNER
    assert census == {(Kind.IMAGE, JobState.PLANNED): 2, (Kind.VIDEO, JobState.PLANNED): 1}
    assert (of_state(census, JobState.PLANNED), of_state(census, JobState.FAILED)) == (3, 0)
    assert {file.name for file in tmp_path.iterdir()} == {"ledger.db"}


async def test_what_is_done_and_not_saved_is_told_with_the_first_end_of_its_urls(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    done = [
        replace(job(name), state=state, expires_at=at)
        for name, state, at in [
            ("a", JobState.DONE, 300.0),
            ("b", JobState.DONE, 200.0),
            ("c", JobState.DONE, None),
            ("d", JobState.SAVED, 100.0),
            ("e", JobState.SUBMITTED, None),
        ]
    ]
    async with written(path, *done), _reading(path) as snapshot:
        assert snapshot.unsaved_results() == (3, 200.0)
    async with written(tmp_path / "none.db", job("a")), _reading(tmp_path / "none.db") as snapshot:
        assert snapshot.unsaved_results() == (0, None)


@asynccontextmanager
async def _reading(path: Path) -> AsyncIterator[LedgerSnapshot]:
    with open_snapshot(path) as snapshot:
        yield snapshot


async def test_what_is_written_meanwhile_is_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with written(path, job("a")) as ledger:
        with open_snapshot(path) as snapshot:
            assert of_state(snapshot.census(), JobState.PLANNED) == 1
            await ledger.put(job("b"))
            assert [name for name, _ in snapshot.requests()] == ["a"]


async def test_a_writer_that_comes_while_a_still_ledger_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with written(path, job("a")):
        pass
    disturbed = open_snapshot(path)
    disturbed.__enter__().census()
    async with written(path, job("b")):
        pass
    with pytest.raises(LedgerChanged, match="was written while it was read"):
        disturbed.__exit__(None, None, None)
    with open_snapshot(path) as snapshot:
        assert [name for name, _ in snapshot.requests()] == ["a", "b"]


NEW_COLUMNS: Mapping[int, tuple[str, ...]] = {
    2: ("filled_in", "attempts", "sent_at", "running_at", "unfinished_at"),
    3: ("session_id", "file_ids"),
    4: (),
    5: ("bare_file_ids", "never_expires", "progress", "usage", "begun_at", "finished_at"),
    6: ("durations",),
    7: ("account",),
    8: ("position", "save_to", "steps", "amount", "cost"),
}
"""By version: the columns that came with it."""


def first_version(path: Path, *jobs: JobRecord) -> None:
    """A ledger as version 1 left it."""
    older_version(1, path, *jobs)


def older_version(version: int, path: Path, *jobs: JobRecord) -> None:
    """A ledger as an older version left it."""
    with closing(sqlite3.connect(path)) as database:
        statements = [statement for step in range(2, version + 1) for statement in MIGRATIONS[step]]
        for statement in (*CREATE, *statements):
            database.execute(statement)
        database.executemany("INSERT INTO belongs_to VALUES (?, ?)", OWNER.items())
        later = {name for number, names in NEW_COLUMNS.items() if number > version for name in names}
        columns = [name for name in FILE_COLUMNS if name not in later]
        marks = ", ".join("?" * len(columns))
        places = [FILE_COLUMNS.index(name) for name in columns]
        rows = [[to_file_row(row)[place] for place in places] for row in jobs]
        database.executemany(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 — our own names
        database.commit()


async def test_a_ledger_of_the_first_version_is_read_as_it_is_and_written_as_a_current_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    before = job("a").moved(JobState.INTENT, intent_at=2.0).moved(JobState.SUBMITTED, task_id="4-1", submitted_at=3.0)
    first_version(path, before)
    untouched = path.read_bytes()
    with open_snapshot(path) as snapshot:
        assert list(snapshot.requests()) == [("a", [before])]
    assert path.read_bytes() == untouched
    async with written(path) as ledger:
        assert await ledger.get("a/image") == before
        later = replace(before, attempts=2, filled_in={"model_name": "Kling"}, sent_at=2.5, running_at=4.0)
        await ledger.put(later)
    with open_snapshot(path) as snapshot:
        assert list(snapshot.requests()) == [("a", [later])]


@pytest.mark.parametrize("version", [1, *sorted(NEW_COLUMNS)[:-1]])
async def test_a_ledger_of_an_older_version_is_read_and_becomes_a_current_one(tmp_path: Path, version: int) -> None:
    assert max(NEW_COLUMNS) == VERSION
    path = tmp_path / "ledger.db"
    before = job("a").moved(JobState.INTENT, intent_at=2.0).moved(JobState.SUBMITTED, task_id="4-1", submitted_at=3.0)
    if version >= 3:
        before = replace(before, session_id="s", file_ids=("7",))
    older_version(version, path, before)
    with open_snapshot(path) as snapshot:
        assert list(snapshot.requests()) == [("a", [before])]
    async with written(path) as ledger:
        assert await ledger.get("a/image") == before
        later = before.moved(
            JobState.DONE,
            file_ids=("7", "8"),
            bare_file_ids=("8",),
            never_expires=True,
            progress=100,
            usage=Usage(output_seconds=5, input_images=1),
            begun_at=4.0,
            finished_at=5.5,
            duration=12,
            durations=(12, None, 7.5),
            videos=("https://a/1.mp4",),
            video_durations=(5,),
        )
        await ledger.put(later)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with open_snapshot(path) as snapshot:
        assert list(snapshot.requests()) == [("a", [later])]


async def test_a_ledger_of_the_first_version_and_another_owner_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first_version(path, job("a").moved(JobState.INTENT, intent_at=2.0))
    untouched = path.read_bytes()
    with pytest.raises(LedgerError, match="belongs to account"):
        await SqliteLedger.open(path, {**OWNER, "account": "another"})
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
    assert path.stat().st_size == len(untouched)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("PRAGMA user_version = 99", r"newer version \(schema 99\): upgrade"),
        ("PRAGMA application_id = 5", "SQLite file of another program"),
    ],
)
async def test_what_cannot_be_read_is_refused(tmp_path: Path, statement: str, says: str) -> None:
    path = tmp_path / "ledger.db"
    async with written(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    with pytest.raises(LedgerError, match=says), open_snapshot(path):
        pass


def test_a_file_that_is_not_there_or_no_database(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"), open_snapshot(tmp_path / "ledger.db"):
        pass
    (tmp_path / "notes.txt").write_text("my notes\n" * 1000, encoding="utf-8")
    with pytest.raises(LedgerError, match="cannot be read as a ledger"), open_snapshot(tmp_path / "notes.txt"):
        pass


def test_an_empty_file_is_refused_before_its_log_is_lost(tmp_path: Path) -> None:
    """SQLite removes the `-wal` of an empty file, and that one may hold the last jobs."""
    ledger, log = tmp_path / "ledger.db", tmp_path / "ledger.db-wal"
    ledger.touch()
    log.write_bytes(b"the last jobs")
    with pytest.raises(LedgerError, match="it is empty"), open_snapshot(ledger):
        pass
    assert log.read_bytes() == b"the last jobs"


async def test_by_a_symlink_the_rows_that_only_the_log_has_are_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "ledger.db").symlink_to(tmp_path / "snapshot" / "jobs.db")
    async with written(tmp_path / "snapshot" / "jobs.db", job("a")):
        assert (tmp_path / "snapshot" / "jobs.db-wal").stat().st_size > 0
        with open_snapshot(tmp_path / "ledger.db") as snapshot:
            assert [name for name, _ in snapshot.requests()] == ["a"]
