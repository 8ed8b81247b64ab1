"""The durable ledger: an SQLite file in WAL mode with synchronous=FULL.

Every `put` returns after its commit has reached the disk. Puts that arrive during a commit share the next one
(`commits`), so that a saturated batch makes a few commits a second and not one a row.
"""

import asyncio
import json
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from ..model.budget import Bound
from ..model.error_records import to_record
from ..model.errors import CreateOutcomeUnknown, DamagedRow, LedgerError
from ..model.states import JobState, Kind
from . import schema
from .commits import Commits
from .damage import damaged_row, shared_task
from .database import Database
from .lock import WriterLock, writer_name
from .opening import examine, missing_parts, put_in_place, wal_of
from .place import Place
from .record import JobRecord, job_ids
from .schema import ALSO, FACT, FILE_COLUMNS, from_file_row, text_or_bytes
from .snapshot import readable
from .sole import SoleLedger

_log: Final = logging.getLogger("mps_aigc_async")

_SELECT: Final = f"SELECT {', '.join(FILE_COLUMNS)} FROM jobs"  # noqa: S608 — constant column names

PORTION: Final = 500
"""Jobs of one state to read before the loop turns again: resuming 500 jobs takes 20 ms (measured 2026-11), well under
the 100 ms at which asyncio's debug mode reports a slow callback."""

_NEXT: Final = (
    f"SELECT {', '.join(FILE_COLUMNS)}, rowid FROM jobs "  # noqa: S608 — constant column names
    "WHERE state = ? AND (planned_at, rowid) > (?, ?) ORDER BY planned_at, rowid LIMIT ?"
)
"""The next jobs after a position. No move changes a job's position, so no job is skipped or read twice."""

_DONE: Final = f"""
    {_SELECT} NOT INDEXED WHERE rowid > ? AND rowid <= ? AND state IN ('done', 'saved')
    AND coalesce(finished_at, ended_at) >= ? AND coalesce(finished_at, ended_at) < ?
"""
"""The jobs of a portion of the file that are done, and whose task ended in a span. No index has the times of ends: the
whole file is read, in steps of PORTION rows, so that no commit waits for more than one step. With the index of states
each step would read all jobs that are done."""

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
"""The number of jobs of each state in the file, without the jobs of a list of ids. The index of states is enough for
the first part."""

_PLANNED_AT: Final = FILE_COLUMNS.index("planned_at")
_STATES: Final = frozenset(JobState)

BUSY_TIMEOUT_MS: Final = 2000
"""Milliseconds that SQLite waits for another connection's lock before a statement fails. A tool that writes the file
needs milliseconds. A failed commit is retried, and the ledger can be read in between."""

_never_closed: Final[list[Database]] = []
"""Connections that a fork has copied. A reference is kept here, because Python would close them with the last one."""


class SqliteLedger(SoleLedger):
    """A ledger file. Open it with `SqliteLedger.open`."""

    durable = True

    def __init__(self, path: Path, lock: WriterLock, database: Database) -> None:
        self.path: Final = path
        self._process = os.getpid()
        self._lock = lock
        self._database = database
        self._commits = Commits(database, path)
        self._place: Place | None = None
        self._place_fault = ""
        """The reason why the file is out of place; empty while it is in place."""
        self._is_closed = False
        self.account = ""
        """The account that the file belongs to: a row names its account if that is another one."""
        self._twins: Mapping[str, DamagedRow] = {}
        """Errors for the jobs whose TaskId an earlier job also has; the task's true owner is unknown."""
        self._assumed_owner: Mapping[str, str] = {}
        """The parts of the owner that an earlier version did not store; the next create stores the client's."""

    def __repr__(self) -> str:
        return f"<SqliteLedger {self.path}>"

    @classmethod
    async def open(cls, path: Path, belongs_to: Mapping[str, str], *others: Mapping[str, str]) -> "SqliteLedger":
        """Open or create the ledger of an owner: account, backend, endpoint and all else in which its TaskIds are valid
        (`belongs_to`, by these names). `others` are the owners of the client's further accounts.

        A job found in *intent* becomes *unknown*: its create was under way when its process died.
        Raises LedgerError, and changes nothing, for a file that is no ledger, is of a newer version or of another
        owner, is being written by another process, or cannot be written.
        """
        file = await asyncio.to_thread(put_in_place, path, belongs_to)
        lock = WriterLock(path)
        try:
            lock.require(file)  # `path` may be a symlink that leads elsewhere now, and SQLite opens `file`
            await asyncio.to_thread(examine, path, (belongs_to, *others))
            # mode=rw: SQLite must not create a new file if the ledger has just been removed.
            ledger = cls(path, lock, await Database.open(f"{file.as_uri()}?mode=rw"))
        except BaseException as error:
            lock.release()
            if isinstance(error, sqlite3.Error | OSError):
                raise LedgerError(f"cannot open the ledger {path}: {error}") from error
            raise
        try:
            await ledger._prepare((belongs_to, *others), wal_of(file))
        except BaseException as error:
            await ledger.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise LedgerError(f"{path} cannot be used as a ledger: {error}") from error
            raise
        return ledger

    async def _prepare(self, owners: Sequence[Mapping[str, str]], wal: Path) -> None:
        if (mode := await self._database.run(_set_up)) != "wal":
            raise LedgerError(
                f"the file system of {self.path} cannot hold a ledger (journal mode {mode}): keep it on a local disk"
            )
        rows = await self._database.rows("SELECT what, is_for FROM belongs_to")
        stored = {str(part): str(value) for part, value in rows}
        # The ledger belongs to one of the owners, or to the first: nothing was ever sent from it (a mistyped key?).
        belongs_to = next((owner for owner in owners if owner.get("account") == stored.get("account")), owners[0])
        self.account = belongs_to.get("account", "")
        missing = missing_parts(belongs_to, stored)
        parts = {part: value for part, value in belongs_to.items() if part not in missing}
        parts[schema.WRITER] = writer_name()
        further = {f"{ALSO}{owner['account']}": json.dumps(dict(owner)) for owner in owners if owner is not belongs_to}
        items = (parts | further).items()
        await self._transaction(("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", item) for item in items)
        self._lock.renew()
        self._place = await asyncio.to_thread(Place, self.path, wal, self._lock.inode)
        for later in sorted(schema.MIGRATIONS):
            await self._migrate(later)
        await self._find_damage()
        await self._intents_become_unknown()
        if missing:
            await self._adopt(missing)

    async def _transaction(self, statements: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.execute("COMMIT")

        await self._database.run(work)

    async def _migrate(self, version: int) -> None:
        """Bring the tables to a version. Their version is read inside the transaction: a second process, let in by a
        file system without locks, may have made the migration meanwhile."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            [current] = connection.execute("PRAGMA user_version").fetchone()
            if current < version:
                for statement in schema.MIGRATIONS[version]:
                    connection.execute(statement)
            connection.execute("COMMIT")

        await self._database.run(work)

    async def _find_damage(self) -> None:
        """Log the damage that no list of jobs by state shows: a TaskId of two jobs, and unknown states."""
        self._twins = {
            str(job_id): shared_task(str(task_id), str(first), str(job_id))
            for job_id, task_id, first in await self._database.rows(_TWINS)
        }
        for error in self._twins.values():
            _log.error("%s", error)
        for (state,) in await self._database.rows("SELECT DISTINCT state FROM jobs"):  # by the index: few milliseconds
            if state not in _STATES:
                for row in await self._database.rows("SELECT job_id FROM jobs WHERE state IS ?", state):
                    _log.error("%s", damaged_row(str(row[0]), "`state` has an unknown value"))

    async def _intents_become_unknown(self) -> None:
        async for job in self.in_state(JobState.INTENT):
            error = CreateOutcomeUnknown("the process ended while the create was under way")
            # The earliest possible moment, because the process may have died at once.
            last = max(job.intent_at or job.planned_at, job.ended_at or 0.0)  # the intent may be of an earlier create
            await self.put(job.moved(JobState.UNKNOWN, ended_at=last, error=to_record(error)))

    async def _adopt(self, missing: Mapping[str, str]) -> None:
        """Take over a ledger that does not name the application in which it was written.

        The application of the config is assumed: an upgrade seldom changes it too, and a refusal would stop every
        ledger. If the assumption is wrong, a second send of an unknown create would be accepted and paid for twice. So
        unknown creates are not sent again by themselves; the user settles them. Polls in a wrong application cost
        nothing. The application is stored with the next create only, so that a wrong config can still be corrected.
        """
        self._assumed_owner = missing
        unknown = [job async for job in self.in_state(JobState.UNKNOWN) if job.session_id]
        for job in unknown:
            await self.put(replace(job, error={**job.error, "repeatable": "no"}))
        if await self._value("SELECT 1 FROM jobs WHERE state != 'planned' LIMIT 1"):
            _log.warning(
                "the ledger %s of an earlier version does not name its %s: the config's is assumed, %s. If the ledger "
                "was written with another one, stop and correct the config before anything is created. %d of its jobs "
                "are unknown (they may or may not have been accepted) and are not sent again by themselves: settle "
                "them",
                self.path,
                ", ".join(missing),
                ", ".join(missing.values()),
                len(unknown),
            )

    async def plan(self, job: JobRecord) -> JobRecord:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def enter_unless_planned(connection: sqlite3.Connection) -> JobRecord | None:
            """The look-up and the entry of a job are one piece of the thread's work: no commit comes between them."""
            row = connection.execute(f"{_SELECT} WHERE job_id = ?", (job.job_id,)).fetchone()
            existing = self._commits.latest(job.job_id) or (None if row is None else self._latest(from_file_row(row)))
            if existing is None:
                self._commits.enter(job, waiter)
            return existing

        with self._failing("cannot read"):
            existing = await self._database.run(enter_unless_planned)
        if existing is not None:
            return existing
        self._commits.drive()
        await waiter
        return job

    async def put(self, job: JobRecord) -> None:
        if job.state is JobState.INTENT:
            await self._store_assumed_owner()
        await self._commits.add(job)

    async def put_within(self, intent: JobRecord, bound: Bound) -> None:
        await self._store_assumed_owner()
        await self._commits.add(intent, bound)

    async def _store_assumed_owner(self) -> None:
        for item in self._assumed_owner.items():
            await self._commits.execute("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", item)
        self._assumed_owner = {}

    def require_in_place(self) -> None:
        """Raise LedgerError if the file is or was out of place. Once out of place, a ledger stays so for this process:
        the old and the new file may both lack rows that were written in between."""
        if self._place_fault or not self.in_place:
            raise LedgerError(f"the ledger {self.path} {self._place_fault} while it was open")

    @property
    def in_place(self) -> bool:
        if not self._place_fault and not self._is_closed and self._place is not None:
            self._place_fault = self._place.fault()
        return not self._place_fault

    async def get(self, job_id: str) -> JobRecord | None:
        waiting = self._commits.latest(job_id)
        if waiting is not None:
            return waiting
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
        """The error for a job that would receive another job's result. A job that has its results keeps them."""
        return self._twins.get(job.job_id) if job.state is JobState.SUBMITTED else None

    async def of_task(self, task_id: str) -> JobRecord | None:
        waiting = self._commits.of_task(task_id)
        if waiting is not None:
            return waiting
        for job in await self._select(f"{_SELECT} WHERE task_id = ? ORDER BY rowid", task_id):
            if (self._commits.latest(job.job_id) or job).task_id == task_id:
                return job
        return None

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        waiting = [job for job in self._commits.waiting().values() if job.state is state]
        waiting_ids = {job.job_id for job in waiting}
        after = (-inf, 0)
        while True:
            with self._failing("cannot read"):
                rows = await self._database.rows(_NEXT, state.value, *after, PORTION)
            read = list(readable(row[:-1] for row in rows))
            until = read[-1].planned_at if read and len(rows) == PORTION else inf
            portion = [self._commits.latest(job.job_id) or job for job in read if job.job_id not in waiting_ids]
            portion += [job for job in waiting if job.planned_at <= until]
            waiting = [job for job in waiting if job.planned_at > until]
            for job in sorted(portion, key=lambda job: job.planned_at):
                if job.state is state and self._submitted_twin(job) is None:
                    yield job
            if len(rows) < PORTION:
                return
            after = (rows[-1][_PLANNED_AT], rows[-1][-1])

    async def done_between(self, since: float, until: float) -> AsyncIterator[JobRecord]:
        waiting = self._commits.waiting()
        for job in waiting.values():
            if job.is_done_between(since, until):
                yield job
        with self._failing("cannot read"):
            last = int(await self._value("SELECT coalesce(max(rowid), 0) FROM jobs"))
        for start in range(0, last, PORTION):
            with self._failing("cannot read"):
                rows = await self._database.rows(_DONE, start, start + PORTION, since, until)
            for job in readable(rows):
                if job.job_id not in waiting:
                    yield job

    async def facts(self) -> Mapping[str, str]:
        with self._failing("cannot read"):
            rows = await self._database.rows("SELECT what, is_for FROM belongs_to")
        return {str(name)[len(FACT) :]: str(value) for name, value in rows if str(name).startswith(FACT)}

    async def keep_fact(self, name: str, value: str) -> None:
        await self._commits.execute("INSERT OR REPLACE INTO belongs_to VALUES (?, ?)", (FACT + name, value))

    async def counts(self) -> Mapping[JobState, int]:
        waiting = self._commits.waiting()
        with self._failing("cannot read"):
            rows = await self._database.rows(_COUNTS, json.dumps(list(waiting)))
        counts = Counter(job.state for job in waiting.values())
        for state, count in rows:
            if state in _STATES:
                counts[JobState(state)] += int(count)
        return +counts

    def hurry(self) -> None:
        self._commits.hurry()

    async def close(self) -> None:
        """Finish the writing, also of rows that closed loops have left, then close the file.

        A forked child does not close its copy of the connection: the parent goes on with the file, and SQLite must not
        be used across a fork, not even to close ("How To Corrupt An SQLite Database File", 2.6). The fork has already
        closed the child's copy of the lock's descriptor (`lock`).
        """
        if self._process != os.getpid():
            _never_closed.append(self._database)
            return
        if self._is_closed:
            return
        try:
            await self._commits.close()
        finally:
            _ = self.in_place  # check while the file is open: no other file can have the same inode yet
            self._is_closed = True
            await self._database.close(then=self._lock.release)

    @contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        """Map SQLite's errors, and ValueError for text that is no Unicode, to LedgerError."""
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise LedgerError(f"{action} the ledger {self.path}: {error}") from error

    async def _select(self, query: str, *values: str) -> list[JobRecord]:
        with self._failing("cannot read"):
            rows = await self._database.rows(query, *values)
        return [from_file_row(row) for row in rows]

    async def _value(self, query: str) -> str:
        for row in await self._database.rows(query):
            return str(row[0])
        return ""


def _set_up(connection: sqlite3.Connection) -> str:
    """Set the connection up; return its journal mode."""
    connection.text_factory = text_or_bytes
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    return str(mode)
