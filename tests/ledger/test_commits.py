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

from mps_aigc_async.ledger import JobRecord, SqliteLedger, sqlite
from mps_aigc_async.ledger.commits import (
    CHECKPOINT_S,
    LAST_TRY_S,
    RETRY_MOST_S,
)
from mps_aigc_async.ledger.row_writes import is_fault_of_row, is_temporary
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind
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


def test_a_commit_that_failed_is_rolled_back_and_holds_no_lock(tmp_path: Path) -> None:
    """Left open, its transaction would lock other tools out, and no later commit could begin."""

    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with opened(path) as ledger:
            await ledger.put(job("before"))
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("ALTER TABLE jobs RENAME TO aside")
                with pytest.raises(LedgerError, match="no such table"):
                    await ledger.put(job("lost"))
                assert not await ledger._database.run(lambda connection: connection.in_transaction)
                other.execute("ALTER TABLE aside RENAME TO jobs")
            await ledger.put(job("after"))

    run(main())
    assert rows_in(tmp_path / "jobs.db") == ["after", "before"]


def in_order(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("SELECT job_id FROM jobs ORDER BY rowid")]


def test_rows_of_one_commit_are_written_in_the_order_of_their_puts(tmp_path: Path) -> None:
    """The rows' order is that of planning, in which reports and resumed batches come."""
    names = [f"{number * 7 % 20}" for number in range(20)]

    async def main() -> None:
        async with opened(tmp_path / "jobs.db") as ledger:
            await asyncio.gather(*(ledger.put(job(name)) for name in names))
            assert in_order(tmp_path / "jobs.db") == names

    run(main())


def test_rows_that_waited_for_a_failing_commit_come_before_newer_ones(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with opened(path) as ledger:
            with locked(path):
                puts = [asyncio.create_task(ledger.put(job(name))) for name in ("c", "a")]
                await asyncio.sleep(1.0)
                puts += [asyncio.create_task(ledger.put(row)) for row in (job("b"), submitted("c", "4-1"))]
                await asyncio.sleep(1.0)
            await asyncio.gather(*puts)
            assert in_order(path) == ["c", "a", "b"]
            assert await ledger.get("c") == submitted("c", "4-1")

    run(main())


def test_while_a_commit_is_under_way_its_rows_and_newer_ones_are_found(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with opened(path) as ledger:
            await ledger.put(job("a"))
            with locked(path):
                writing = ledger._commits.add(submitted("a", "4-1"))
                while ledger._commits._pending:  # noqa: ASYNC110 — until the thread has taken the row
                    await asyncio.sleep(0)
                assert await ledger.get("a") == submitted("a", "4-1")
                assert await ledger.of_task("4-1") == submitted("a", "4-1")
                newer = replace(submitted("a", "4-2"), attempts=2)
                pending = ledger._commits.add(newer)
                assert await ledger.get("a") == newer
                assert await ledger.of_task("4-2") == newer
                assert await ledger.of_task("4-1") is None
            await asyncio.gather(writing, pending)
            assert ledger._commits.latest("a") is None
            assert await ledger.get("a") == newer

    run(main())


def test_a_failing_commit_is_tried_at_doubling_intervals_and_at_short_ones_after_a_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        path, loop = tmp_path / "jobs.db", asyncio.get_running_loop()
        tries: list[float] = []

        def note(statement: str) -> None:
            if statement.startswith("BEGIN"):
                tries.append(loop.time())

        async with opened(path) as ledger:
            await ledger._database.run(lambda connection: connection.set_trace_callback(note))
            for name in ("a", "b"):
                tries.clear()
                with locked(path):
                    put = asyncio.create_task(ledger.put(job(name)))
                    await asyncio.sleep(17.0)
                    assert [round(at - tries[0], 1) for at in tries] == [0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 11.3, 16.3]
                await put
                assert tries[-1] - tries[-2] == pytest.approx(RETRY_MOST_S, abs=0.01)
        warned = [record.message.rpartition("; ")[2] for record in caplog.records if record.levelno == logging.WARNING]
        assert warned == ["1 jobs wait until it can be written again (retrying)", "nothing was lost"] * 2

    run(main())


def test_told_twice_to_hurry_it_gives_up_no_later(tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with opened(tmp_path / "jobs.db") as ledger:
            with locked(tmp_path / "jobs.db"):
                put = asyncio.create_task(ledger.put(job("a")))
                await asyncio.sleep(10.0)
                began = loop.time()
                ledger.hurry()
                await asyncio.sleep(LAST_TRY_S - 0.5)
                assert not put.done()
                ledger.hurry()
                with pytest.raises(LedgerError, match="locked"):
                    await put
                assert loop.time() - began == pytest.approx(LAST_TRY_S, abs=0.2)

    run(main())


def error_of(code: int | None, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("of a test")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "temporary", "of_row"),
    [
        (error_of(sqlite3.SQLITE_BUSY), True, False),
        (error_of(sqlite3.SQLITE_BUSY_SNAPSHOT), True, False),  # an extended code
        (error_of(sqlite3.SQLITE_IOERR_WRITE), True, False),
        (error_of(sqlite3.SQLITE_FULL), True, False),
        (error_of(sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError), False, False),
        (error_of(sqlite3.SQLITE_NOTADB, sqlite3.DatabaseError), False, False),
        (error_of(sqlite3.SQLITE_CONSTRAINT_NOTNULL, sqlite3.IntegrityError), False, True),
        (error_of(sqlite3.SQLITE_TOOBIG, sqlite3.DataError), False, True),
        (error_of(sqlite3.SQLITE_ERROR), False, False),
        (error_of(None), False, False),
        (error_of(None, sqlite3.ProgrammingError), False, True),
        (error_of(None, sqlite3.InterfaceError), False, True),
        (OverflowError(), False, True),
        (TypeError(), False, True),
        (ValueError(), False, True),
        (OSError(), False, False),
    ],
)
def test_errors_that_pass_and_errors_of_one_row_are_told_apart(error: Exception, temporary: bool, of_row: bool) -> None:
    assert (is_temporary(error), is_fault_of_row(error)) == (temporary, of_row)


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
                with pytest.raises(LedgerError):  # once SQLite's thread has let go
                    await waiter

    run(main())
    assert any("4-1 (paid)" in record.message for record in caplog.records if record.levelno == logging.ERROR)


async def cancel_all_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.wait(others)
