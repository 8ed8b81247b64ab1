"""Commits that fail, with SQLite's own errors: tried again, told, and given up only where the ledger closes. In virtual
time, so that minutes of a full disk take none."""

import asyncio
import logging
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async.errors import LedgerError
from mps_aigc_async.ledger import JobRecord, SqliteLedger, sqlite
from mps_aigc_async.ledger.commits import CHECKPOINT_S, LAST_TRY_S
from mps_aigc_async.states import JobState, Kind
from mps_aigc_async.testing import run

from .processes import OWNER

LARGE = '{"prompt":"' + "x" * 100_000 + '"}'


@pytest.fixture(autouse=True)
def _short_waits_for_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 5)


def job(job_id: str, content: str = "{}") -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content=content, planned_at=1.0)


def submitted(job_id: str, task_id: str, content: str = "{}") -> JobRecord:
    return job(job_id, content).moved(JobState.INTENT).moved(JobState.SUBMITTED, task_id=task_id, submitted_at=2.0)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = await SqliteLedger.open(path, OWNER)
    try:
        yield ledger
    finally:
        await ledger.close()


async def limit_pages(ledger: SqliteLedger, more: int) -> None:
    """The disk is full after so many pages more."""
    pages = int(await ledger._value("PRAGMA page_count"))
    await ledger._value(f"PRAGMA max_page_count = {pages + more}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection writes the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def rows_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        return [name for (name,) in database.execute("SELECT job_id FROM jobs ORDER BY job_id")]


def test_on_a_full_disk_a_commit_waits_until_there_is_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            await limit_pages(ledger, 0)
            put = asyncio.create_task(ledger.put(submitted("paid", "4-1", LARGE)))
            await asyncio.sleep(150.0)
            assert not put.done()
            warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
            assert len(warned) == 3  # at once, after a minute, after two
            assert "database or disk is full; 1 jobs wait until" in warned[0]
            assert await ledger.get("paid") == submitted("paid", "4-1", LARGE)
            assert await ledger.of_task("4-1") == submitted("paid", "4-1", LARGE)
            await limit_pages(ledger, 1000)
            await put
            assert "can be written again" in caplog.records[-1].message
        async with opened(tmp_path / "jobs.db") as ledger:
            assert await ledger.of_task("4-1") == submitted("paid", "4-1", LARGE)

    run(main())


def test_a_lock_held_for_longer_than_sqlite_waits_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            with locked(tmp_path / "jobs.db"):
                puts = [asyncio.create_task(ledger.put(job(name))) for name in ("a", "b")]
                await asyncio.sleep(20.0)
                assert not any(put.done() for put in puts)
            await asyncio.gather(*puts)
            assert dict(await ledger.counts()) == {JobState.PLANNED: 2}

    run(main())


def test_newer_rows_replace_older_ones_while_they_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            intent = job("a").moved(JobState.INTENT)
            with locked(tmp_path / "jobs.db"):
                puts = [asyncio.create_task(ledger.put(row)) for row in (job("b"), intent)]
                await asyncio.sleep(5.0)
                puts.append(asyncio.create_task(ledger.put(submitted("a", "4-1"))))
                await asyncio.sleep(5.0)
                assert await ledger.get("a") == submitted("a", "4-1")
            await asyncio.gather(*puts)  # who waits for the older row is told as well
            assert await ledger.get("a") == submitted("a", "4-1")
            assert await ledger.get("b") == job("b")

    run(main())


def test_closing_gives_up_after_a_last_try_and_tells_the_reason_and_every_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        ledger = await SqliteLedger.open(tmp_path / "jobs.db", OWNER)
        await ledger.put(job("kept"))
        await limit_pages(ledger, 0)
        puts = [asyncio.create_task(ledger.put(submitted(f"{n}", f"4-{n}", LARGE))) for n in range(3)]
        puts.append(asyncio.create_task(ledger.put(job("planned", LARGE))))
        await asyncio.sleep(30.0)
        began = asyncio.get_running_loop().time()
        await ledger.close()
        assert asyncio.get_running_loop().time() - began < LAST_TRY_S + 1.0
        errors = [put.exception() for put in puts]
        assert all(type(error) is LedgerError and "disk is full" in str(error) for error in errors)
        assert len({id(error) for error in errors}) == len(errors)
        (told,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        assert re.findall(r"4-\d \(\d\)", told) == ["4-0 (0)", "4-1 (1)", "4-2 (2)"]
        with pytest.raises(LedgerError, match="it is closed"):
            await ledger.put(job("later"))

    run(main())
    assert rows_in(tmp_path / "jobs.db") == ["kept"]


def test_the_last_try_succeeds_where_it_can(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await SqliteLedger.open(tmp_path / "jobs.db", OWNER)
        with locked(tmp_path / "jobs.db"):
            put = asyncio.create_task(ledger.put(submitted("a", "4-1")))
            await asyncio.sleep(30.0)
        await ledger.close()
        await put

    run(main())
    assert rows_in(tmp_path / "jobs.db") == ["a"]


def test_once_it_is_to_close_a_failing_commit_is_given_up_and_a_good_one_is_not(tmp_path: Path) -> None:
    """Tasks that closing cancels still write their rows, and closing waits for them."""

    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            await limit_pages(ledger, 0)
            ledger.hurry()
            await asyncio.sleep(2 * LAST_TRY_S)
            with pytest.raises(LedgerError, match="disk is full"):
                await ledger.put(job("large", LARGE))
            await ledger.put(job("small"))

    run(main())
    assert rows_in(tmp_path / "jobs.db") == ["small"]


@pytest.mark.parametrize(
    "unwritable",
    [
        replace(job("bad"), attempts=2**70),
        replace(job("bad"), planned_at=object()),  # type: ignore[arg-type] # as a bug would have it
        replace(job("bad"), filled_in={"prompt": object()}),  # type: ignore[dict-item] # the same
        replace(job("bad"), planned_at=None),  # type: ignore[arg-type] # the same
        replace(job("bad"), planned_at=float("nan")),
    ],
    ids=["too large", "no value", "no JSON", "null", "not a number"],
)
def test_a_row_that_cannot_be_written_for_its_own_sake_fails_alone(tmp_path: Path, unwritable: JobRecord) -> None:
    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            rows = [job("a"), unwritable, job("b")]
            a, bad, b = await asyncio.gather(*map(ledger.put, rows), return_exceptions=True)
            assert (a, b) == (None, None)
            assert type(bad) is LedgerError
            await ledger.put(job("c"))

    run(main())
    assert rows_in(tmp_path / "jobs.db") == ["a", "b", "c"]


def test_where_waiting_cannot_help_it_fails_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
                connection.execute("DROP TABLE jobs")
            with pytest.raises(LedgerError, match="no such table"):
                await ledger.put(submitted("a", "4-1"))
            assert "4-1 (a)" in caplog.text

    run(main())


@pytest.mark.parametrize("busy", [True, False])
def test_a_few_seconds_after_a_commit_the_ledger_file_alone_has_its_rows(tmp_path: Path, busy: bool) -> None:
    async def keep_busy(ledger: SqliteLedger) -> None:
        number = 0
        while True:
            await ledger.put(job(f"other-{number % 10}"))
            number += 1
            await asyncio.sleep(0.2)

    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            others = asyncio.create_task(keep_busy(ledger) if busy else asyncio.sleep(1e6))
            await asyncio.sleep(100.0)
            await ledger.put(submitted("paid", "4-1"))
            await asyncio.sleep(CHECKPOINT_S + 0.5)
            await ledger.counts()  # the checkpoint is done: one thread, one statement after the other
            shutil.copy(tmp_path / "jobs.db", tmp_path / "alone.db")
            others.cancel()

    run(main())
    assert "paid" in rows_in(tmp_path / "alone.db")


def test_a_reader_that_keeps_the_file_as_it_was_only_puts_it_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            await ledger.put(job("before"))
            with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM jobs").fetchall()
                await ledger.put(submitted("paid", "4-1"))
                await asyncio.sleep(3 * CHECKPOINT_S)
            await asyncio.sleep(2 * CHECKPOINT_S)
            await ledger.counts()
            shutil.copy(tmp_path / "jobs.db", tmp_path / "alone.db")

    run(main())
    assert rows_in(tmp_path / "alone.db") == ["before", "paid"]


def test_a_loop_that_ends_cancels_every_task_and_the_ledger_still_keeps_its_rows(tmp_path: Path) -> None:
    """A second Ctrl-C, and the usual recipe to shut down: `for task in all_tasks(): task.cancel()`."""

    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with opened(path) as ledger:
            with locked(path):
                put = asyncio.create_task(ledger.put(submitted("paid", "4-1")))
                await asyncio.sleep(1.0)
                await cancel_all_others()
                assert put.cancelled()
        assert rows_in(path) == ["paid"]

    run(main())


def test_a_commit_that_is_cancelled_before_it_begins_is_made_by_the_next_put(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with opened(path) as ledger:
            ledger._commits.add(submitted("paid", "4-1"))
            await cancel_all_others()
            await ledger.put(job("next"))
            with closing(sqlite3.connect(path)) as other:
                assert other.execute("SELECT count(*) FROM jobs").fetchone() == (2,)

    run(main())


def test_cancelled_again_while_it_closes_a_ledger_tells_which_tasks_it_could_not_keep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with opened(path) as ledger:
            with locked(path):
                waiter = ledger._commits.add(submitted("paid", "4-1"))
                closing_task = asyncio.create_task(ledger.close())
                await asyncio.sleep(1.0)
                await cancel_all_others()
                assert closing_task.cancelled()
                assert isinstance(waiter.exception(), LedgerError)

    run(main())
    assert any("4-1 (paid)" in record.message for record in caplog.records if record.levelno == logging.ERROR)


async def cancel_all_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.wait(others)
