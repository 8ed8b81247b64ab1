"""The durable ledger: one SQLite file in WAL mode with synchronous=FULL.

Every `put` returns after its commit has reached the disk. Puts that arrive while a commit is under way share the next
one (group commit), so that a saturated batch pays for a few commits a second and not for one a row.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Final

import aiosqlite

from ..errors import CreateOutcomeUnknown, LedgerError, to_record
from ..states import JobState
from . import schema
from .lock import WriterLock
from .reading import reading
from .record import JobRecord
from .schema import COLUMNS, from_row, to_row

_PUT: Final = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 — our own names
    f"ON CONFLICT (job_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM jobs"  # noqa: S608 — our own column names

PORTION: Final = 500
"""Jobs of one state that are read before the loop turns again: 20 ms where they are resumed (measured 2026-11), well
under the 100 ms from which asyncio's debug mode tells of a slow callback."""

_NEXT: Final = (
    f"SELECT {', '.join(COLUMNS)}, rowid FROM jobs "  # noqa: S608 — our own names
    "WHERE state = ? AND (planned_at, rowid) > (?, ?) ORDER BY planned_at, rowid LIMIT ?"
)
"""The first ones after a place. No move changes a job's place, so that none is passed over or comes twice."""


class SqliteLedger:
    """A ledger file. Open it with `SqliteLedger.open`."""

    durable = True

    def __init__(self, path: Path, lock: WriterLock, database: aiosqlite.Connection) -> None:
        self._path = path
        self._lock = lock
        self._database = database
        self._pending: dict[str, JobRecord] = {}
        self._writing: dict[str, JobRecord] = {}
        self._planning = asyncio.Lock()
        self._commit: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<SqliteLedger {self._path}>"

    @classmethod
    async def open(cls, path: Path, belongs_to: Mapping[str, str]) -> "SqliteLedger":
        """Open or make the ledger of an account, backend and endpoint (`belongs_to`, by these names).

        A job found in *intent* is one whose create was under way when its process died: it becomes *unknown*.
        Raises LedgerError, and changes nothing, for a file that is no ledger, is of a newer version or of another
        owner, is being written by another process, or cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"cannot make the folder of the ledger {path}: {error.strerror}") from error
        lock = WriterLock(path)
        try:
            await asyncio.to_thread(_examine, path, belongs_to)
            _try_to_open(path)
            ledger = cls(path, lock, await aiosqlite.connect(path, isolation_level=None))
        except BaseException as error:
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise LedgerError(f"cannot open the ledger {path}: {error}") from error
            raise
        try:
            await ledger._prepare(belongs_to)
        except BaseException as error:
            await ledger.close()
            if isinstance(error, sqlite3.Error):
                raise LedgerError(f"{path} cannot be used as a ledger: {error}") from error
            raise
        return ledger

    async def _prepare(self, belongs_to: Mapping[str, str]) -> None:
        database = self._database
        await database.execute("PRAGMA busy_timeout = 5000")
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = FULL")
        version = await self._number("PRAGMA user_version")
        if version == 0:
            await self._create(belongs_to)
        # It is this owner's, or nothing was ever sent (by a mistyped key perhaps), and it becomes this one's.
        await database.executemany("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", belongs_to.items())
        for later in range(max(version, 1) + 1, schema.VERSION + 1):
            await self._transaction((statement, ()) for statement in schema.MIGRATIONS[later])
        await self._intents_become_unknown()

    async def _create(self, belongs_to: Mapping[str, str]) -> None:
        """Make the tables and the owner in one transaction: a ledger is whole or not there."""
        owner = [("INSERT INTO belongs_to VALUES (?, ?)", item) for item in belongs_to.items()]
        await self._transaction([*((statement, ()) for statement in schema.CREATE), *owner])

    async def _transaction(self, statements: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        await self._database.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            await self._database.execute(statement, values)
        await self._database.execute("COMMIT")

    async def _intents_become_unknown(self) -> None:
        async for job in self.in_state(JobState.INTENT):
            error = CreateOutcomeUnknown("the process ended while the create was under way")
            # Not later than the truth: whether its process lived on for a while, nobody knows.
            await self.put(
                job.moved(JobState.UNKNOWN, ended_at=job.intent_at or job.planned_at, error=to_record(error))
            )

    async def plan(self, job: JobRecord) -> JobRecord:
        async with self._planning:  # looked up and taken in one step; the commit is shared with the next ones
            known = await self.get(job.job_id)
            if known is not None:
                return known.same_as(job)
            commit = self._next_commit(job)
        await self._committed(commit)
        return job

    async def put(self, job: JobRecord) -> None:
        await self._committed(self._next_commit(job))

    def _next_commit(self, job: JobRecord) -> asyncio.Task[None]:
        """The commit that will write this row, and all that come until it begins."""
        self._pending[job.job_id] = job
        if self._commit is None:
            self._commit = asyncio.create_task(self._commit_next(self._running), name="ledger commit")
            # Looked at even when every waiter was cancelled; those that were not get it from the shield.
            self._commit.add_done_callback(lambda commit: commit.cancelled() or commit.exception())
        return self._commit

    async def _committed(self, commit: asyncio.Task[None]) -> None:
        """Wait for a commit. Shielded: a cancelled caller must not take the others' rows with it."""
        try:
            await asyncio.shield(commit)
        except LedgerError as error:  # one for each caller: each adds its own ids
            raise LedgerError(error.message) from error

    async def _commit_next(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._commit = self._commit, None
        self._writing, self._pending = self._pending, {}
        rows = [to_row(job) for job in self._writing.values()]
        try:
            with self._failing("cannot write"):
                await self._database.execute("BEGIN IMMEDIATE")
                await self._database.executemany(_PUT, rows)
                await self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error, ValueError):  # SQLite itself has ended some that fail
                await self._database.execute("ROLLBACK")
            raise
        finally:
            self._writing = {}

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """SQLite's errors, and aiosqlite's ValueError for a closed connection, as ours."""
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise LedgerError(f"{what} the ledger {self._path}: {error}") from error

    async def get(self, job_id: str) -> JobRecord | None:
        known = self._pending.get(job_id) or self._writing.get(job_id)
        if known is not None:
            return known
        jobs = await self._select(f"{_SELECT} WHERE job_id = ?", job_id)
        return jobs[0] if jobs else None

    async def of_task(self, task_id: str) -> JobRecord | None:
        # Rows on their way to the file first; then the file, without an index: asked once for a user's decision.
        for job in (*self._pending.values(), *self._writing.values()):
            if job.task_id == task_id:
                return job
        jobs = await self._select(f"{_SELECT} WHERE task_id = ?", task_id)
        return jobs[0] if jobs else None

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        after = (-inf, 0)
        while True:
            with self._failing("cannot read"):
                rows = [tuple(row) for row in await self._rows(_NEXT, state.value, *after, PORTION)]
                jobs = [from_row(row[:-1]) for row in rows]
            for job in jobs:
                yield job
            if len(rows) < PORTION:
                return
            after = (jobs[-1].planned_at, rows[-1][-1])

    async def counts(self) -> Mapping[JobState, int]:
        with self._failing("cannot read"):
            rows = await self._rows("SELECT state, count(*) FROM jobs GROUP BY state")
        return {JobState(str(state)): int(count) for state, count in rows}

    async def close(self) -> None:
        """Finish what is being written, then close the file."""
        for commit in (self._running, self._commit):
            if commit is not None:
                await asyncio.wait({commit})
        try:
            await self._database.close()
        finally:
            self._lock.release()

    async def _select(self, query: str, value: str) -> list[JobRecord]:
        with self._failing("cannot read"):
            return [from_row(tuple(row)) for row in await self._rows(query, value)]

    async def _number(self, query: str) -> int:
        for row in await self._rows(query):
            return int(row[0])
        return 0

    async def _rows(self, query: str, *values: str | float) -> Iterable[sqlite3.Row]:
        """In one step of the thread: a cursor that a cancelled caller left behind would keep the file open."""
        return await self._database.execute_fetchall(query, values)


def _try_to_open(path: Path) -> None:
    """Raise LedgerError where the file can't be opened: told by SQLite instead, aiosqlite (0.22) would leave a thread
    behind that reports to a loop which may be closed by then."""
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise LedgerError(f"cannot open the ledger {path}: {error.strerror}") from error


def _examine(path: Path, belongs_to: Mapping[str, str]) -> None:
    """Raise LedgerError for a file that is not to be written: damaged, another's, of a newer version. Read-only, so
    that it stays as it is, with what a killed process left beside it. Blocking: run it in a thread."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with reading(path) as kept:
        if fault := kept.fault():
            raise LedgerError(
                f"{path} is damaged ({fault}); nothing was changed: keep a copy, and recover what it holds with "
                f"`sqlite3 {path} .recover`"
            )
        known = kept.owner()
        others = [what for what, whom in belongs_to.items() if known.get(what) != whom]
        if not others or not kept.has_sent():
            return
    what = others[0]
    same = ' (the same account under a new key? set "account" in the config to the former)' if what == "account" else ""
    raise LedgerError(
        f"{path} belongs to {what} {known.get(what)!r}, and this client is of {what} {belongs_to[what]!r}: "
        f"its tasks cannot be polled from here; use another ledger, or the other configuration{same}"
    )
