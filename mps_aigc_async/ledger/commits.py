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
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 — our own names
    f"ON CONFLICT (job_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0
"""Seconds between two tries of a commit: doubled after each failure, from the first value to the second."""

WARN_EVERY_S: Final = 60.0
"""Seconds between two warnings while commits fail."""

LAST_TRY_S: Final = 3.0
"""Seconds for which a failing commit is retried once the ledger is closing: the user waits for it."""

CHECKPOINT_S: Final = 2.5
"""Seconds from a commit until its rows are copied from the `-wal` into the ledger file: losing the `-wal` loses no more
than this. A checkpoint has two syncs; every 2.5 s they cost 1% of a disk that syncs in 10 ms."""

_CAN_PASS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip
"""SQLite's result codes that a retry may cure (sqlite.org/rescode.html, 2026-11)."""

_ONE_ROWS: Final = frozenset(
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
    return code in _ONE_ROWS or (code is None and isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError))


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
        """Held by a transaction: the connection has one at a time."""
        self._task: asyncio.Task[None] | None = None
        self._checkpoint: asyncio.Task[None] | None = None
        self._uncopied = False
        """Whether the `-wal` has commits that the ledger file does not have."""
        self._give_up_at = inf
        """When to stop retrying a failing commit (on the loop's clock)."""
        self._hurried = asyncio.Event()
        self._warn_at = 0.0
        self._failures = 0
        self._closed = False

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
        """Write a row with the next commit; the future ends when this row, or a newer one of the job, is on the disk.

        It ends with LedgerError if the row cannot be written. Cancelling the future does not take the row back.
        """
        if self._closed:
            raise LedgerError(f"cannot write the ledger {self._ledger}: it is closed")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[job.job_id] = job
        self._waiters.setdefault(job.job_id, []).append(waiter)
        self._begin()
        return waiter

    async def execute(self, statement: str, values: tuple[str, ...]) -> None:
        """A statement of its own, between two commits; on the disk when this returns. Raises LedgerError."""
        if self._closed:
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
            self._hurried.set()

    async def close(self) -> None:
        """Finish the writing, or give it up after LAST_TRY_S. The caller closes the connection."""
        self.hurry()
        try:
            while self._pending or self._writing:  # a loop that ends cancels its tasks, and this one's with them
                await asyncio.wait({self._begin()})
        finally:
            self._closed = True
            if self._task is None or self._task.done():
                self._give_up()
            else:  # it is being cancelled as well, and puts its rows back first
                self._task.add_done_callback(lambda _: self._give_up())
            if self._checkpoint is not None:
                self._checkpoint.cancel()
                await asyncio.wait({self._checkpoint})

    async def close_elsewhere(self) -> None:
        """Write the rows that a loop has left which ended without closing the ledger. Call this from another loop.

        Not an intent: nobody was told that it is on the disk, so its create was not sent.
        """
        left = {job_id: job for job_id, job in self.waiting().items() if job.state is not JobState.INTENT}
        self._closed, self._writing, self._pending, self._waiters = True, {}, {}, {}
        with suppress(sqlite3.Error, ValueError):  # a transaction may be open, and its rows are written again
            await self._database.execute("ROLLBACK")
        try:
            refused = await self._write(left) if left else {}
        except Exception as error:  # noqa: BLE001 — of any class: the TaskIds must be told
            self._fail(left, {}, error)
        else:
            for job_id, reason in refused.items():
                self._fail({job_id: left[job_id]}, {}, reason)

    def _give_up(self) -> None:
        """Fail the callers of the rows that no commit will write."""
        pending, self._pending = self._pending, {}
        waiters, self._waiters = self._waiters, {}
        self._fail(pending, waiters, asyncio.CancelledError("cancelled while it was closed"))

    # --- commits ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Commit until nothing waits. Cancelled, it leaves its rows to the next one."""
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
                refused = await self._write(self._writing)
        except asyncio.CancelledError:
            self._put_back(waiters)
            raise
        except Exception as error:  # noqa: BLE001 — whoever waits must hear of it, or waits for ever
            if is_temporary(error) and asyncio.get_running_loop().time() < self._give_up_at:
                self._put_back(waiters)
                await self._pause(error)
            else:
                self._fail(self._writing, waiters, error)
        else:
            self._written()
            for job_id, reason in refused.items():
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
        if self._hurried.is_set():
            await asyncio.sleep(RETRY_FIRST_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._hurried.wait()

    def _written(self) -> None:
        if self._failures:
            self._failures = 0
            _log.warning("the ledger %s can be written again; nothing was lost", self._ledger)
        self._uncopied = True
        if self._checkpoint is None or self._checkpoint.done():
            self._checkpoint = asyncio.create_task(self._checkpoint_later(), name="ledger checkpoint")

    def _fail(
        self,
        jobs: Mapping[str, JobRecord],
        waiters: Mapping[str, list[asyncio.Future[None]]],
        error: BaseException,
    ) -> None:
        """Fail the callers that wait for these rows, and log the TaskIds, which may be in no ledger now."""
        reason = f"cannot write the ledger {self._ledger}: {error}"
        if tasks := [f"{job.task_id} ({job.job_id})" for job in jobs.values() if job.task_id is not None]:
            _log.error("%s; the ledger may lack the latest state of these tasks: %s", reason, ", ".join(tasks))
        for group in waiters.values():
            for waiter in group:
                if not waiter.done():
                    waiter.set_exception(LedgerError(reason))  # one error a caller: each adds its own ids
                    waiter.exception()  # marks it as retrieved, in case its caller is being cancelled

    async def _write(self, jobs: Mapping[str, JobRecord]) -> Mapping[str, Exception]:
        """Commit the rows; return the errors of those that are themselves at fault.

        Raises an error that concerns all rows.
        """
        rows, refused = dict[str, Row](), dict[str, Exception]()
        for job_id, job in jobs.items():
            try:
                rows[job_id] = to_row(job)
            except _UNWRITABLE as error:
                refused[job_id] = error
        try:
            await self._database.execute("BEGIN IMMEDIATE")
            try:
                await self._database.executemany(_PUT, rows.values())
            except (sqlite3.Error, *_UNWRITABLE) as error:
                if not is_fault_of_row(error):
                    raise
                await self._database.execute("ROLLBACK")
                await self._database.execute("BEGIN IMMEDIATE")
                refused |= await self._write_each(rows)
            await self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error, ValueError):  # after some errors SQLite has rolled back already
                await self._database.execute("ROLLBACK")
            raise
        return refused

    async def _write_each(self, rows: Mapping[str, Row]) -> dict[str, Exception]:
        refused = dict[str, Exception]()
        for job_id, row in rows.items():
            try:
                await self._database.execute(_PUT, row)
            except (sqlite3.Error, *_UNWRITABLE) as error:
                if not is_fault_of_row(error):
                    raise
                refused[job_id] = error
        return refused

    # --- checkpoints --------------------------------------------------------------------------------------------------

    async def _checkpoint_later(self) -> None:
        """Copy the `-wal` into the ledger file a few seconds after the first commit that only the `-wal` has."""
        while self._uncopied:
            await asyncio.sleep(CHECKPOINT_S)
            self._uncopied = False  # a commit from now on may come too late for this checkpoint
            try:
                rows = await self._database.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
                busy, pages, copied = (int(number) for number in next(iter(rows)))
            except sqlite3.Error as error:
                _log.info("the -wal of the ledger %s cannot be copied yet: %s", self._ledger, error)
                self._uncopied = True
            else:  # incomplete if a reader still needs the old pages
                self._uncopied = self._uncopied or bool(busy) or copied < pages


def _end(waiters: Iterable[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
