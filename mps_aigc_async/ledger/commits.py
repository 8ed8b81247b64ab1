"""Group commit: each commit writes all rows that are waiting.

A failed commit is retried until the ledger closes, and its callers wait: a disk that is full for a minute must not cost
the TaskId of an accepted create. Meanwhile a job's newer row replaces its older one.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Final

import aiosqlite

from ..model.errors import LedgerError
from ..model.states import JobState
from .record import JobRecord
from .schema import COLUMNS, Row, to_row

_log: Final = logging.getLogger("mps_aigc_async")

_PUT: Final = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 — constant column names
    f"ON CONFLICT (job_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0
"""Seconds between two tries of a commit: doubled after each failure, from the first value to the second."""

WARN_EVERY_S: Final = 60.0
"""Seconds between two warnings while commits fail."""

LAST_TRY_S: Final = 3.0
"""Seconds of retries of a failing commit once the ledger is closing: the user waits for the end."""

CHECKPOINT_S: Final = 2.5
"""Seconds from a commit until its rows are copied from the `-wal` into the ledger file: a lost `-wal` costs the rows of
this time at most. A checkpoint has two syncs; every 2.5 s they cost 1% of a disk that syncs in 10 ms."""

_CAN_PASS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip
"""SQLite's result codes that a retry may cure (sqlite.org/rescode.html, 2026-11)."""

_FAULTS_OF_ROW: Final = frozenset(
    {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE}
)
"""Result codes that concern only the row being written."""

_UNWRITABLE: Final = (TypeError, ValueError, OverflowError)
"""Exceptions with which Python refuses a value before SQLite sees it."""


def is_temporary(error: Exception) -> bool:
    """Whether the same commit may succeed later: the disk is full, or another process has the lock."""
    return isinstance(error, sqlite3.Error) and _code(error) in _CAN_PASS


def is_fault_of_row(error: Exception) -> bool:
    """Whether the fault is in one row: it has a value that SQLite cannot bind or the table refuses."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, _UNWRITABLE)
    code = _code(error)
    return code in _FAULTS_OF_ROW or (
        code is None and isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError)
    )


def _code(error: sqlite3.Error) -> int | None:
    """The primary result code; None for errors of Python's module itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


class Commits:
    """Writes rows through one connection."""

    def __init__(self, database: aiosqlite.Connection, ledger: Path) -> None:
        self._database = database
        self._ledger = ledger
        self._pending: dict[str, JobRecord] = {}
        self._writing: dict[str, JobRecord] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._turn = asyncio.Lock()
        """The lock of a transaction: the connection has one at a time."""
        self._task: asyncio.Task[None] | None = None
        self._checkpoint: asyncio.Task[None] | None = None
        self._needs_checkpoint = False
        """Whether the `-wal` has commits that the ledger file lacks."""
        self._give_up_at = inf
        """When to stop retrying a failing commit (on the loop's clock)."""
        self._hurry = asyncio.Event()
        self._warn_at = 0.0
        self._failures = 0
        self._is_closed = False

    def latest(self, job_id: str) -> JobRecord | None:
        """The job's row, if one is waiting or being written."""
        return self._pending.get(job_id) or self._writing.get(job_id)

    def waiting(self) -> dict[str, JobRecord]:
        """The latest row of each job that has one waiting or being written, by the job's id."""
        return {**self._writing, **self._pending}

    def of_task(self, task_id: str) -> JobRecord | None:
        """The job of a task, if its row is waiting or being written."""
        return next((job for job in self.waiting().values() if job.task_id == task_id), None)

    def add(self, job: JobRecord) -> asyncio.Future[None]:
        """Write a row with the next commit. The future ends when this row, or a newer row of the job, is on the disk.

        The future raises LedgerError if the row cannot be written. Cancelling the future does not take the row back.
        """
        if self._is_closed:
            raise LedgerError(f"cannot write the ledger {self._ledger}: it is closed")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[job.job_id] = job
        self._waiters.setdefault(job.job_id, []).append(waiter)
        self._begin()
        return waiter

    async def execute(self, statement: str, values: tuple[str, ...]) -> None:
        """Run a statement on its own, between two commits; on the disk when this returns. Raises LedgerError."""
        if self._is_closed:
            raise LedgerError(f"cannot write the ledger {self._ledger}: it is closed")
        async with self._turn:
            try:
                await self._database.execute(statement, values)
            except (sqlite3.Error, *_UNWRITABLE) as error:
                raise LedgerError(f"cannot write the ledger {self._ledger}: {error}") from error

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="ledger commits")
        return self._task

    def hurry(self) -> None:
        """Retry a failing commit for a few more seconds only: the ledger is closing."""
        if self._give_up_at == inf:
            self._give_up_at = asyncio.get_running_loop().time() + LAST_TRY_S
            self._hurry.set()

    async def close(self) -> None:
        """Finish the writing, or give up after LAST_TRY_S. The caller closes the connection."""
        self.hurry()
        try:
            while self._pending or self._writing:  # a loop that ends cancels its tasks, the commit's too
                await asyncio.wait({self._begin()})
        finally:
            self._is_closed = True
            if self._task is None or self._task.done():
                self._give_up()
            else:  # the task is being cancelled as well and puts its rows back first
                self._task.add_done_callback(lambda _: self._give_up())
            if self._checkpoint is not None:
                self._checkpoint.cancel()
                await asyncio.wait({self._checkpoint})

    async def close_elsewhere(self) -> None:
        """Write the rows left by a loop that ended without closing the ledger. Call this from another loop.

        Intents are dropped: `put` has not returned for them, so their creates were not sent.
        """
        rest = {job_id: job for job_id, job in self.waiting().items() if job.state is not JobState.INTENT}
        self._is_closed, self._writing, self._pending, self._waiters = True, {}, {}, {}
        with suppress(sqlite3.Error, ValueError):  # a transaction may be open, and its rows are written again
            await self._database.execute("ROLLBACK")
        try:
            refusals = await self._write(rest) if rest else {}
        except Exception as error:  # noqa: BLE001 — for errors of any class the TaskIds must be logged
            self._fail(rest, {}, error)
        else:
            for job_id, reason in refusals.items():
                self._fail({job_id: rest[job_id]}, {}, reason)

    def _give_up(self) -> None:
        """Fail the callers of the rows that no commit will write."""
        pending, self._pending = self._pending, {}
        waiters, self._waiters = self._waiters, {}
        self._fail(pending, waiters, asyncio.CancelledError("cancelled while it was closed"))

    # --- commits ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Commit until no row waits. On cancellation, leave the rows to the next task."""
        try:
            while self._pending:
                await self._commit()
        finally:
            self._writing = {}

    async def _commit(self) -> None:
        self._writing, self._pending = self._pending, {}
        waiters, self._waiters = self._waiters, {}
        try:
            async with self._turn:
                refusals = await self._write(self._writing)
        except asyncio.CancelledError:
            self._put_back(waiters)
            raise
        except Exception as error:  # noqa: BLE001 — callers must get an error of any class, or they wait for ever
            if is_temporary(error) and asyncio.get_running_loop().time() < self._give_up_at:
                self._put_back(waiters)
                await self._pause(error)
            else:
                self._fail(self._writing, waiters, error)
        else:
            self._after_commit()
            for job_id, reason in refusals.items():
                self._fail({job_id: self._writing[job_id]}, {job_id: waiters.pop(job_id)}, reason)
            _end(waiter for group in waiters.values() for waiter in group)
        self._writing = {}

    def _put_back(self, waiters: Mapping[str, list[asyncio.Future[None]]]) -> None:
        """Put the rows back for the next try, except those that a newer row has replaced."""
        self._pending = self.waiting()
        for job_id, earlier in waiters.items():
            self._waiters[job_id] = [*earlier, *self._waiters.get(job_id, ())]

    async def _pause(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if not self._failures or now >= self._warn_at:
            self._warn_at = now + WARN_EVERY_S
            _log.warning(
                "cannot write the ledger %s: %s; %d jobs wait until it can be written again (retrying)",
                self._ledger,
                error,
                len(self._pending),
            )
        delay_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        if self._hurry.is_set():
            await asyncio.sleep(RETRY_FIRST_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()

    def _after_commit(self) -> None:
        if self._failures:
            self._failures = 0
            _log.warning("the ledger %s can be written again; nothing was lost", self._ledger)
        self._needs_checkpoint = True
        if self._checkpoint is None or self._checkpoint.done():
            self._checkpoint = asyncio.create_task(self._checkpoint_later(), name="ledger checkpoint")

    def _fail(
        self,
        jobs: Mapping[str, JobRecord],
        waiters: Mapping[str, list[asyncio.Future[None]]],
        error: BaseException,
    ) -> None:
        """Fail the callers that wait for these rows, and log the TaskIds: the ledger may lack them now."""
        reason = f"cannot write the ledger {self._ledger}: {error}"
        if tasks := [f"{job.task_id} ({job.job_id})" for job in jobs.values() if job.task_id is not None]:
            _log.error("%s; the ledger may lack the latest state of these tasks: %s", reason, ", ".join(tasks))
        for group in waiters.values():
            for waiter in group:
                if not waiter.done():
                    waiter.set_exception(LedgerError(reason))  # a new error for each caller, which adds its own ids
                    waiter.exception()  # marks it as retrieved, in case its caller is being cancelled

    async def _write(self, jobs: Mapping[str, JobRecord]) -> Mapping[str, Exception]:
        """Commit the rows; return the errors of single rows, by the job's id.

        Raises an error that concerns all rows.
        """
        rows, refusals = dict[str, Row](), dict[str, Exception]()
        for job_id, job in jobs.items():
            try:
                rows[job_id] = to_row(job)
            except _UNWRITABLE as error:
                refusals[job_id] = error
        try:
            await self._database.execute("BEGIN IMMEDIATE")
            try:
                await self._database.executemany(_PUT, rows.values())
            except (sqlite3.Error, *_UNWRITABLE) as error:
                if not is_fault_of_row(error):
                    raise
                await self._database.execute("ROLLBACK")
                await self._database.execute("BEGIN IMMEDIATE")
                refusals |= await self._write_each(rows)
            await self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error, ValueError):  # after some errors SQLite has rolled back already
                await self._database.execute("ROLLBACK")
            raise
        return refusals

    async def _write_each(self, rows: Mapping[str, Row]) -> dict[str, Exception]:
        refusals = dict[str, Exception]()
        for job_id, row in rows.items():
            try:
                await self._database.execute(_PUT, row)
            except (sqlite3.Error, *_UNWRITABLE) as error:
                if not is_fault_of_row(error):
                    raise
                refusals[job_id] = error
        return refusals

    # --- checkpoints --------------------------------------------------------------------------------------------------

    async def _checkpoint_later(self) -> None:
        """Copy the `-wal` into the ledger file a few seconds after the first commit that only the `-wal` has."""
        while self._needs_checkpoint:
            await asyncio.sleep(CHECKPOINT_S)
            self._needs_checkpoint = False  # a commit from now on may be too late for this checkpoint
            try:
                rows = await self._database.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
                busy, pages, copied_pages = (int(number) for number in next(iter(rows)))
            except sqlite3.Error as error:
                _log.info("the -wal of the ledger %s cannot be copied yet: %s", self._ledger, error)
                self._needs_checkpoint = True
            else:  # incomplete if a reader still needs the old pages
                self._needs_checkpoint = self._needs_checkpoint or bool(busy) or copied_pages < pages


def _end(waiters: Iterable[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
