"""Reading a ledger file: without its account's keys, and without disturbing its writer."""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from ..model.budget import Amount
from ..model.errors import DamagedRow, LedgerError
from ..model.states import JobState, Kind
from .damage import damaged_row
from .orphans import Orphan
from .record import JobRecord, job_ids, request_of
from .schema import ALSO, APPLICATION_ID, FACT, FILE_COLUMNS, VERSION, WRITER, Row, from_file_row, text_or_bytes
from .spending import MAY_BE_PAID, TOTALS, total_of
from .versions import parted

_log: Final = logging.getLogger("mps_aigc_async")

LEDGER_FILE: Final = "ledger.db"
"""The ledger's name in the folder of a batch."""

Census = Mapping[tuple[Kind, JobState], int]
"""The number of jobs by kind and state; a missing key means 0."""

_VERSION: Final = "substr(job_id, 1, length(job_id) - length(kind) - 1)"
"""`record.request_of` in SQL: a request's name, with the number of a later version."""


LATEST: Final = 200
"""Tasks of a kind from whose durations later ones are estimated."""


def batch_order(position: str, request: str, version: str, row: str) -> str:
    """Write the order of a batch's jobs in SQL: by the request's place in the batch, else as planned; of a request's
    versions the latest first."""
    of_request = f"OVER (PARTITION BY {request})"
    return (
        f"min({position}) {of_request} NULLS LAST, min({row}) {of_request}, "
        f"min({row}) OVER (PARTITION BY {version}) DESC, {row}"
    )


def ledger_at(place: Path) -> Path:
    """The ledger of a batch's folder; or the file itself, for the ledger of a client or of `--ledger`."""
    return place if place.is_file() else place / LEDGER_FILE


def of_state(jobs: Census, state: JobState) -> int:
    """The number of jobs in one state, of all kinds."""
    return sum(jobs.get((kind, state), 0) for kind in Kind)


PAID: Final = (JobState.INTENT, JobState.SUBMITTED, JobState.DONE, JobState.UNKNOWN)
"""The states of a job that is paid for, or may be, and whose results are not saved."""


def paid_and_unsaved(jobs: Census) -> int:
    """The number of jobs that are paid for, or may be, and whose results are not saved."""
    return sum(of_state(jobs, state) for state in PAID)


class Snapshot(Protocol):
    """The rows of a ledger at one moment: of a file, or of PostgreSQL (`postgres.snapshot`)."""

    def owner(self) -> Mapping[str, str]: ...

    def by_owner(self) -> Sequence[tuple[Mapping[str, str], "Snapshot"]]: ...

    def writer(self) -> str: ...

    def fault(self) -> str: ...

    def has_sent(self) -> bool: ...

    def census(self) -> Census: ...

    def states(self) -> Iterator[tuple[str, Kind, JobState]]: ...

    def unreadable(self) -> int: ...

    def unsaved_results(self) -> tuple[int, float | None]: ...

    def requests(self) -> Iterator[tuple[str, list[JobRecord]]]: ...

    def contents(self) -> Iterator[tuple[str, str]]: ...

    def of_request(self, name: str) -> Mapping[Kind, JobRecord]: ...

    def total(self) -> Amount: ...

    def task_seconds(self) -> Mapping[Kind, float]: ...

    def orphans(self) -> Sequence[Orphan]: ...


class LedgerSnapshot:
    """The rows of a ledger at one moment, from `open_snapshot`. Later writes do not show."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def owner(self) -> Mapping[str, str]:
        """The owner of the ledger: account, backend and endpoint, and on VOD the application. The first of several."""
        rows = self._database.execute("SELECT what, is_for FROM belongs_to WHERE what != ?", (WRITER,))
        return {str(part): str(value) for part, value in rows if not str(part).startswith((FACT, ALSO))}

    def further_owners(self) -> dict[str, Mapping[str, str]]:
        """The owners that a client of several accounts has added, by account."""
        rows = self._database.execute("SELECT what, is_for FROM belongs_to WHERE what LIKE ?", (f"{ALSO}%",))
        return {str(what)[len(ALSO) :]: json.loads(owner) for what, owner in rows}

    def has_running(self, account: str) -> bool:
        """Whether a task of a further account runs, or may run: its account alone can poll it, or create it again in
        its session."""
        states = "('planned', 'intent', 'submitted', 'unknown')"
        query = f"SELECT 1 FROM jobs WHERE state IN {states} AND account = ? LIMIT 1"  # noqa: S608 — constant states
        return bool(self._database.execute(query, (account,)).fetchone())

    def by_owner(self) -> list[tuple[Mapping[str, str], Snapshot]]:
        """The owner with this snapshot: a file has one owner."""
        return [(self.owner(), self)]

    def orphans(self) -> list[Orphan]:
        """None: a file has one writer, and each task a row."""
        return []

    def writer(self) -> str:
        """The process that last opened the ledger for writing; empty if none is recorded."""
        row = self._database.execute("SELECT is_for FROM belongs_to WHERE what = ?", (WRITER,)).fetchone()
        return "" if row is None else str(row[0])

    def fault(self) -> str:
        """SQLite's report of damage on one line; empty without damage (100,000 jobs: 0.1 s, measured 2026-11)."""
        report = str(self._database.execute("PRAGMA quick_check(1)").fetchone()[0])
        return "" if report == "ok" else " ".join(report.removeprefix("*** in database main ***").split())

    def has_sent(self) -> bool:
        """Whether a create was ever sent for one of the jobs."""
        return bool(self._database.execute("SELECT 1 FROM jobs WHERE state != 'planned' LIMIT 1").fetchone())

    def census(self) -> Census:
        """The number of jobs of each kind in each state; damaged rows are logged and skipped."""
        census: dict[tuple[Kind, JobState], int] = {}
        rows = self._database.execute("SELECT kind, state, count(*), min(job_id) FROM jobs GROUP BY kind, state")
        for kind, state, count, first in rows:
            try:
                census[Kind(kind), JobState(state)] = int(count)
            except ValueError:
                _log.error("%s", damaged_row(str(first), f"`kind` or `state` has an unknown value ({count} such jobs)"))
        return census

    def states(self) -> Iterator[tuple[str, Kind, JobState]]:
        """Each job's id, kind and state, without the rest of its row; damaged rows are skipped (`census` logs them)."""
        for job_id, kind, state in self._database.execute("SELECT job_id, kind, state FROM jobs"):
            with suppress(ValueError):
                yield str(job_id), Kind(kind), JobState(state)

    def unreadable(self) -> int:
        """The number of jobs with a damaged kind or state; each may or may not be paid for."""
        kinds, states = (", ".join(f"'{word}'" for word in words) for words in (Kind, JobState))
        query = f"SELECT count(*) FROM jobs WHERE kind NOT IN ({kinds}) OR state NOT IN ({states})"  # noqa: S608 — words of enums
        return int(self._database.execute(query).fetchone()[0])

    def unsaved_results(self) -> tuple[int, float | None]:
        """The number of jobs that are done and not saved, and when the first of their URLs expires (Unix seconds; None
        if unknown)."""
        jobs, ends = self._database.execute(
            "SELECT count(*), min(expires_at) FILTER (WHERE typeof(expires_at) IN ('real', 'integer')) "
            "FROM jobs WHERE state = 'done'"
        ).fetchone()
        return int(jobs), None if ends is None else float(ends)

    def requests(self) -> Iterator[tuple[str, list[JobRecord]]]:
        """Each version of a request and its own jobs, in the order of the batch. SQLite sorts them, so that a million
        requests are never in memory."""
        self._database.create_function("own_name", 1, lambda name: parted(str(name))[0], deterministic=True)
        position = "position" if "position" in self._present else "NULL"
        order = batch_order(position, f"own_name({_VERSION})", _VERSION, "rowid")
        rows = self._database.execute(f"SELECT {self._columns} FROM jobs ORDER BY {order}")  # noqa: S608 — constant column names
        for name, jobs in groupby(readable(rows), key=lambda job: request_of(job.job_id)):
            yield name, list(jobs)

    def contents(self) -> Iterator[tuple[str, str]]:
        """Each job's id and content, without the rest of its row."""
        for job_id, content in self._database.execute("SELECT job_id, content FROM jobs"):
            yield str(job_id), str(content)

    def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        """The jobs of one request, by kind; damaged rows are logged and skipped."""
        ids = list(job_ids(name).values())
        query = f"SELECT {self._columns} FROM jobs WHERE job_id IN ({', '.join('?' * len(ids))})"  # noqa: S608 — constant column names
        return {job.kind: job for job in readable(self._database.execute(query, ids))}

    def total(self) -> Amount:
        """The total of all creates that may be paid for; infinite where a row lacks its size or its price."""
        columns = ", ".join(name if name in self._present else f"NULL AS {name}" for name in ("amount", "cost"))
        jobs = f"(SELECT kind, state, {columns} FROM jobs)"  # noqa: S608 — constant column names
        return total_of(self._database.execute(f"SELECT {TOTALS} FROM {jobs} WHERE {MAY_BE_PAID} GROUP BY kind"))  # noqa: S608 — constant column names

    def task_seconds(self) -> Mapping[Kind, float]:
        """The mean duration of the latest LATEST tasks of each kind that ended with results."""
        query = (
            "SELECT avg(seconds) FROM (SELECT ended_at - submitted_at AS seconds FROM jobs WHERE kind = ? "
            "AND state IN ('done', 'saved') AND ended_at > submitted_at ORDER BY ended_at DESC LIMIT ?)"
        )
        means = {kind: self._database.execute(query, (kind, LATEST)).fetchone()[0] for kind in Kind}
        return {kind: float(mean) for kind, mean in means.items() if mean is not None}

    @cached_property
    def _columns(self) -> str:
        """FILE_COLUMNS, as far as a file of an older version has them."""
        return ", ".join(name if name in self._present else "NULL" for name in FILE_COLUMNS)

    @cached_property
    def _present(self) -> frozenset[str]:
        """The columns of the file."""
        return frozenset(str(name) for _, name, *_ in self._database.execute("PRAGMA table_info(jobs)"))


def readable(rows: Iterable[Row]) -> Iterator[JobRecord]:
    """The jobs of these rows; damaged rows are logged and skipped."""
    for row in rows:
        try:
            yield from_file_row(row)
        except DamagedRow as error:
            _log.error("%s", error)


@contextmanager
def open_snapshot(ledger: Path) -> Iterator[LedgerSnapshot]:
    """Read a ledger file. Raises LedgerError for a file that is missing, no ledger, or of a newer version."""
    if not ledger.is_file():
        raise NoLedger(f"there is no ledger {ledger}: `mps-aigc run … --out DIR` keeps one as DIR/{LEDGER_FILE}")
    # SQLite keeps the WAL beside the file itself, not beside a symlink to it. A ledger without a writer has no WAL, and
    # is opened as immutable: otherwise SQLite would leave an empty WAL, and could not read from a read-only folder.
    file = Path(os.path.realpath(ledger))
    if file.stat().st_size == 0:  # SQLite would remove its -wal, which may hold the last jobs
        raise _empty(ledger)
    has_writer = file.with_name(f"{file.name}-wal").exists()
    mode, before = ("mode=ro", None) if has_writer else ("mode=ro&immutable=1", _stamp(ledger))
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True, isolation_level=None)) as database:
            database.text_factory = text_or_bytes
            database.execute("BEGIN")
            _check(ledger, database)
            yield LedgerSnapshot(database)
    except sqlite3.Error as error:
        _check_undisturbed(ledger, before)
        raise LedgerError(
            f"{ledger} cannot be read as a ledger: {error}; restore it from a backup, or give the ledger another name"
        ) from error
    _check_undisturbed(ledger, before)


class NoLedger(LedgerError):
    """The error for a ledger that does not exist: nothing was ever planned in it."""


class LedgerChanged(LedgerError):
    """The error for a ledger that another process began to write meanwhile: the values may not fit together. Retry."""


def _stamp(ledger: Path) -> tuple[int, int]:
    status = ledger.stat()
    return status.st_mtime_ns, status.st_size


def _check_undisturbed(ledger: Path, before: tuple[int, int] | None) -> None:
    """Raise LedgerChanged if the file has changed: with `immutable` SQLite takes no lock against writers."""
    if before is not None and _stamp(ledger) != before:
        raise LedgerChanged(f"{ledger} was written while it was read: try again")


def _check(ledger: Path, database: sqlite3.Connection) -> None:
    application_id, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    if application_id == version == 0 and not _has_tables(database):
        raise _empty(ledger)
    if application_id != APPLICATION_ID:
        raise LedgerError(
            f"{ledger} cannot be read as a ledger: it is an SQLite file of another program; use another name"
        )
    if version > VERSION:
        raise LedgerError(f"{ledger} was written by a newer version (schema {version}): upgrade mps-aigc-async")


def _empty(ledger: Path) -> LedgerError:
    return LedgerError(
        f"{ledger} cannot be read as a ledger: it is empty. If it was a ledger, restore it from a backup, because a "
        "new one would pay for its jobs again; if it never was, remove it or give the ledger another name"
    )


def _has_tables(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
