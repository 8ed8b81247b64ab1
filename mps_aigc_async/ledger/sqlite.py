"""The durable ledger: one SQLite file in WAL mode with synchronous=FULL.

Every `put` returns after its commit has reached the disk. Puts that arrive while a commit is under way share the next
one (`commits`), so that a saturated batch pays for a few commits a second and not for one a row.
"""

import asyncio
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

import aiosqlite

from ..concurrency.home import Home
from ..model.errors import CreateOutcomeUnknown, DamagedRow, LedgerError, to_record
from ..model.states import JobState, Kind
from . import schema
from .commits import Commits
from .damage import damaged_row, shared_task
from .lock import WriterLock, writer_name
from .opening import examine, put_in_place, unwritten, wal_of
from .place import Place
from .record import JobRecord, job_ids
from .schema import COLUMNS, FACT, from_row, text_or_bytes
from .snapshot import readable

_log: Final = logging.getLogger("mps_aigc_async")

_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM jobs"  # noqa: S608 — our own column names

PORTION: Final = 500
"""Jobs of one state to read before the loop turns again: resuming as many takes 20 ms (measured 2026-11), well under
the 100 ms at which asyncio's debug mode reports a slow callback."""

_NEXT: Final = (
    f"SELECT {', '.join(COLUMNS)}, rowid FROM jobs "  # noqa: S608 — our own names
    "WHERE state = ? AND (planned_at, rowid) > (?, ?) ORDER BY planned_at, rowid LIMIT ?"
)
"""The next jobs after a position. No move changes a job's position, so that none is skipped or read twice."""

_TWINS: Final = """
    SELECT jobs.job_id, jobs.task_id, first.job_id FROM jobs
    JOIN (
        SELECT task_id, min(rowid) AS row FROM jobs WHERE task_id IS NOT NULL AND task_id != ''
        GROUP BY task_id HAVING count(*) > 1
    ) AS twins ON twins.task_id = jobs.task_id AND jobs.rowid > twins.row
    JOIN jobs AS first ON first.rowid = twins.row
"""
"""Jobs whose TaskId an earlier job also has, with that earlier job."""

_COUNTS: Final = """
    SELECT state, count(*) FROM jobs GROUP BY state
    UNION ALL
    SELECT state, -count(*) FROM jobs WHERE job_id IN (SELECT value FROM json_each(?)) GROUP BY state
"""
"""The jobs of each state in the file, less those of a list of ids: the index of states alone counts the first."""

_PLANNED_AT: Final = COLUMNS.index("planned_at")
_STATES: Final = frozenset(JobState)

BUSY_TIMEOUT_MS: Final = 2000
"""How long SQLite waits for another connection's lock before a statement fails. A tool that writes the file needs
milliseconds; a failed commit is retried, and the ledger can be read in between."""

_never_closed: Final[list[aiosqlite.Connection]] = []
"""Connections that a fork has copied: kept, or Python would close them with their last reference."""


class SqliteLedger:
    """A ledger file. Open it with `SqliteLedger.open`."""

    durable = True

    def __init__(self, path: Path, lock: WriterLock, database: aiosqlite.Connection) -> None:
        self.path: Final = path
        self._home = Home.here()
        self._lock = lock
        self._database = database
        self._commits = Commits(database, path)
        self._planning = asyncio.Lock()
        self._place: Place | None = None
        self._gone = ""
        """The fault that a check has found in the file's place; empty while there is none."""
        self._closed = False
        self._twins: Mapping[str, DamagedRow] = {}
        """Errors for the jobs whose TaskId an earlier job also has; the task's true owner is unknown."""
        self._unwritten: Mapping[str, str] = {}
        """The owner that an earlier version's ledger is taken to have, until the next create writes it down."""

    def __repr__(self) -> str:
        return f"<SqliteLedger {self.path}>"

    @classmethod
    async def open(cls, path: Path, belongs_to: Mapping[str, str]) -> "SqliteLedger":
        """Open or make the ledger of an account, backend and endpoint, and whatever else its TaskIds are valid in
        (`belongs_to`, by these names).

        A job found in *intent* is one whose create was under way when its process died: it becomes *unknown*.
        Raises LedgerError, and changes nothing, for a file that is no ledger, is of a newer version or of another
        owner, is being written by another process, or cannot be written.
        """
        file = await asyncio.to_thread(put_in_place, path, belongs_to)
        lock = WriterLock(path)
        try:
            lock.require(file)  # `path` may be a symlink that leads elsewhere by now, and SQLite opens `file`
            await asyncio.to_thread(examine, path, belongs_to)
            # mode=rw: SQLite must not create a new file if the ledger has just been removed.
            ledger = cls(
                path, lock, await aiosqlite.connect(f"{file.as_uri()}?mode=rw", uri=True, isolation_level=None)
            )
        except BaseException as error:
            lock.release()
            if isinstance(error, sqlite3.Error | OSError):
                raise LedgerError(f"cannot open the ledger {path}: {error}") from error
            raise
        try:
            await ledger._prepare(belongs_to, wal_of(file))
        except BaseException as error:
            await ledger.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise LedgerError(f"{path} cannot be used as a ledger: {error}") from error
            raise
        return ledger

    async def _prepare(self, belongs_to: Mapping[str, str], wal: Path) -> None:
        database = self._database
        database.text_factory = text_or_bytes
        await database.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if (mode := await self._value("PRAGMA journal_mode = WAL")) != "wal":
            raise LedgerError(
                f"the file system of {self.path} cannot hold a ledger (journal mode {mode}): keep it on a local disk"
            )
        await database.execute("PRAGMA synchronous = FULL")
        version = int(await self._value("PRAGMA user_version"))
        written = await self._rows("SELECT what, is_for FROM belongs_to")
        added = unwritten(belongs_to, {str(what): str(whom) for what, whom in written})
        # The ledger is this owner's, or nothing was ever sent from it (a mistyped key?), and it becomes this owner's.
        owner = {what: whom for what, whom in belongs_to.items() if what not in added}
        owner[schema.WRITER] = writer_name()
        await self._transaction(("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", item) for item in owner.items())
        self._lock.renew()
        self._place = await asyncio.to_thread(Place, self.path, wal, self._lock.inode)
        for later in range(version + 1, schema.VERSION + 1):
            await self._transaction((statement, ()) for statement in schema.MIGRATIONS[later])
        await self._find_damage()
        await self._intents_become_unknown()
        if added:
            await self._adopt(added)

    async def _transaction(self, statements: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        await self._database.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            await self._database.execute(statement, values)
        await self._database.execute("COMMIT")

    async def _find_damage(self) -> None:
        """Log the damage that no list of a state would show: a TaskId that two jobs have, and unknown states."""
        self._twins = {
            str(job_id): shared_task(str(task_id), str(first), str(job_id))
            for job_id, task_id, first in await self._rows(_TWINS)
        }
        for error in self._twins.values():
            _log.error("%s", error)
        for (state,) in await self._rows("SELECT DISTINCT state FROM jobs"):  # by the index: few milliseconds
            if state not in _STATES:
                for row in await self._rows("SELECT job_id FROM jobs WHERE state IS ?", state):
                    _log.error("%s", damaged_row(str(row[0]), "`state` has an unknown value"))

    async def _intents_become_unknown(self) -> None:
        async for job in self.in_state(JobState.INTENT):
            error = CreateOutcomeUnknown("the process ended while the create was under way")
            # The earliest possible moment: nobody knows how long the process lived on.
            last = max(job.intent_at or job.planned_at, job.ended_at or 0.0)  # the intent may be of an earlier create
            await self.put(job.moved(JobState.UNKNOWN, ended_at=last, error=to_record(error)))

    async def _adopt(self, added: Mapping[str, str]) -> None:
        """Take over a ledger that does not say in which application it was written.

        It is taken for the config's: an upgrade seldom changes that as well, and to refuse would stop every ledger. But
        if it was another one, the creates in doubt would be accepted again there, and paid for twice: they are not sent
        again by themselves. They can be settled, and polls in a wrong application cost nothing. So it is written down
        with the next create only, and a config that was wrong can still be corrected.
        """
        self._unwritten = added
        doubtful = [job async for job in self.in_state(JobState.UNKNOWN) if job.session_id]
        for job in doubtful:
            await self.put(replace(job, error={**job.error, "repeatable": "no"}))
        if await self._value("SELECT 1 FROM jobs WHERE state != 'planned' LIMIT 1"):
            _log.warning(
                "the ledger %s of an earlier version does not name its %s: it is taken for the config's, %s. If it was "
                "written with another one, stop and correct the config before anything is created. %d of its jobs are "
                "in doubt, and are not sent again by themselves: settle them",
                self.path,
                ", ".join(added),
                ", ".join(added.values()),
                len(doubtful),
            )

    async def plan(self, job: JobRecord) -> JobRecord:
        async with self._planning:  # one look-up and entry at a time; the commit is shared
            known = await self.get(job.job_id)
            if known is not None:
                return known.require_same_request(job)
            written = self._commits.add(job)
        await written
        return job

    async def put(self, job: JobRecord) -> None:
        if self._unwritten and job.state is JobState.INTENT:
            for item in self._unwritten.items():
                await self._commits.execute("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", item)
            self._unwritten = {}
        await self._commits.add(job)

    def confirm(self) -> None:
        """A ledger that was out of place once stays so for this process: the old and the new file may both lack rows
        that were written in between."""
        if self._gone or not self.in_place:
            raise LedgerError(f"the ledger {self.path} {self._gone} while it was open")

    @property
    def in_place(self) -> bool:
        if not self._gone and not self._closed and self._place is not None:
            self._gone = self._place.fault()
        return not self._gone

    async def get(self, job_id: str) -> JobRecord | None:
        known = self._commits.latest(job_id)
        if known is not None:
            return known
        for row in await self._select(f"{_SELECT} WHERE job_id = ?", job_id):
            return self._latest(row)
        return None

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        ids = job_ids(name)
        rows = await self._select(f"{_SELECT} WHERE job_id IN ({', '.join('?' * len(ids))})", *ids.values())
        jobs = {job.job_id: job for job in map(self._latest, rows)}
        found = ((kind, self._commits.latest(job_id) or jobs.get(job_id)) for kind, job_id in ids.items())
        return {kind: job for kind, job in found if job is not None}

    def _latest(self, row: JobRecord) -> JobRecord:
        """The job of a row that was read: a newer one may have come meanwhile. Raises DamagedRow for a twin."""
        job = self._commits.latest(row.job_id) or row
        if twin := self._submitted_twin(job):
            raise DamagedRow(twin.message, job_id=job.job_id, task_id=twin.task_id)
        return job

    def _submitted_twin(self, job: JobRecord) -> DamagedRow | None:
        """The error for a job that would receive another job's result; a job that has its results keeps them."""
        return self._twins.get(job.job_id) if job.state is JobState.SUBMITTED else None

    async def of_task(self, task_id: str) -> JobRecord | None:
        known = self._commits.of_task(task_id)
        if known is not None:
            return known
        for job in await self._select(f"{_SELECT} WHERE task_id = ? ORDER BY rowid", task_id):
            if (self._commits.latest(job.job_id) or job).task_id == task_id:
                return job
        return None

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        waiting = [job for job in self._commits.waiting().values() if job.state is state]
        listed = {job.job_id for job in waiting}
        after = (-inf, 0)
        while True:
            with self._failing("cannot read"):
                rows = [tuple(row) for row in await self._rows(_NEXT, state.value, *after, PORTION)]
            read = list(readable(row[:-1] for row in rows))
            until = read[-1].planned_at if read and len(rows) == PORTION else inf
            portion = [self._commits.latest(job.job_id) or job for job in read if job.job_id not in listed]
            portion += [job for job in waiting if job.planned_at <= until]
            waiting = [job for job in waiting if job.planned_at > until]
            for job in sorted(portion, key=lambda job: job.planned_at):
                if job.state is state and self._submitted_twin(job) is None:
                    yield job
            if len(rows) < PORTION:
                return
            after = (rows[-1][_PLANNED_AT], rows[-1][-1])

    async def facts(self) -> Mapping[str, str]:
        with self._failing("cannot read"):
            rows = await self._rows("SELECT what, is_for FROM belongs_to")
        return {str(what)[len(FACT) :]: str(value) for what, value in rows if str(what).startswith(FACT)}

    async def keep_fact(self, name: str, value: str) -> None:
        await self._commits.execute("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", (FACT + name, value))

    async def counts(self) -> Mapping[JobState, int]:
        waiting = self._commits.waiting()
        with self._failing("cannot read"):
            rows = await self._rows(_COUNTS, json.dumps(list(waiting)))
        counts = Counter(job.state for job in waiting.values())
        for state, count in rows:
            if state in _STATES:
                counts[JobState(state)] += int(count)
        return +counts

    def hurry(self) -> None:
        self._commits.hurry()

    async def close(self) -> None:
        """Finish what is being written, then close the file. A loop that is closed has left rows: write them from here.

        A forked child lets its copy of the connection be. The parent goes on with the file, and SQLite must not be used
        across a fork, not even to close it ("How To Corrupt An SQLite Database File", 2.6). The fork has closed the
        child's copy of the lock's descriptor already (`lock`).
        """
        if self._home.is_of_another_process:
            _never_closed.append(self._database)
            return
        if self._closed:
            return
        try:
            await (self._commits.close() if self._home.is_here else self._commits.close_elsewhere())
        finally:
            _ = self.in_place  # check while the file is open: no other file can have its inode yet
            self._closed = True
            try:
                await self._database.close()
            finally:
                self._lock.release()

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Map SQLite's errors, and aiosqlite's ValueError for a closed connection, to LedgerError."""
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise LedgerError(f"{what} the ledger {self.path}: {error}") from error

    async def _select(self, query: str, *values: str) -> list[JobRecord]:
        with self._failing("cannot read"):
            rows = await self._rows(query, *values)
        return [from_row(tuple(row)) for row in rows]

    async def _value(self, query: str) -> str:
        for row in await self._rows(query):
            return str(row[0])
        return ""

    async def _rows(self, query: str, *values: str | float) -> Iterable[sqlite3.Row]:
        """Fetch in one step of the thread: a cursor left behind by a cancelled caller would keep the file open."""
        return await self._database.execute_fetchall(query, values)
