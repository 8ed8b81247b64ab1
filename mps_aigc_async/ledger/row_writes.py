"""The writes of a commit into a ledger file, row by row where one of them cannot be written."""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from ..model.budget import Bound
from .record import JobRecord
from .schema import FILE_COLUMNS, Row, to_file_row
from .spending import MAY_BE_PAID, TOTALS, total_of

_PUT: Final = (
    f"INSERT INTO jobs ({', '.join(FILE_COLUMNS)}) VALUES ({', '.join('?' * len(FILE_COLUMNS))}) "  # noqa: S608 — constant column names
    f"ON CONFLICT (job_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in FILE_COLUMNS[1:])}"
)

_TOTALS: Final = f"SELECT {TOTALS} FROM jobs WHERE {MAY_BE_PAID} GROUP BY kind"  # noqa: S608 — constants

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

UNWRITABLE: Final = (TypeError, ValueError, OverflowError)
"""Exceptions with which Python refuses a value before SQLite sees it."""


def is_temporary(error: Exception) -> bool:
    """Whether the same commit may succeed later: the disk is full, or another process has the lock."""
    return isinstance(error, sqlite3.Error) and _code(error) in _CAN_PASS


def is_fault_of_row(error: Exception) -> bool:
    """Whether the fault is in one row: it has a value that SQLite cannot bind or the table refuses."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, UNWRITABLE)
    code = _code(error)
    return code in _FAULTS_OF_ROW or (
        code is None and isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError)
    )


def _code(error: sqlite3.Error) -> int | None:
    """The primary result code; None for errors of Python's module itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def write(
    connection: sqlite3.Connection, jobs: Mapping[str, JobRecord], bounds: Mapping[str, Bound]
) -> Mapping[str, Exception]:
    """Commit the rows; return the errors of single rows, by the job's id. A row with a budget is written only if the
    ledger's total allows it, the rows before it included.

    Raises an error that concerns all rows.
    """
    rows, refusals = dict[str, Row](), dict[str, Exception]()
    for job_id, job in jobs.items():
        try:
            rows[job_id] = to_file_row(job)
        except UNWRITABLE as error:
            refusals[job_id] = error
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_PUT, [row for job_id, row in rows.items() if job_id not in bounds])
        except (sqlite3.Error, *UNWRITABLE) as error:
            if not is_fault_of_row(error):
                raise
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            refusals |= _write_each(connection, {job_id: row for job_id, row in rows.items() if job_id not in bounds})
        for job_id, bound in bounds.items():
            if job_id in rows and (refusal := _write_within(connection, jobs[job_id], rows[job_id], bound)):
                refusals[job_id] = refusal
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # after some errors SQLite has rolled back already
            connection.execute("ROLLBACK")
        raise
    return refusals


def _write_each(connection: sqlite3.Connection, rows: Mapping[str, Row]) -> dict[str, Exception]:
    refusals = dict[str, Exception]()
    for job_id, row in rows.items():
        try:
            connection.execute(_PUT, row)
        except (sqlite3.Error, *UNWRITABLE) as error:
            if not is_fault_of_row(error):
                raise
            refusals[job_id] = error
    return refusals


def _write_within(connection: sqlite3.Connection, job: JobRecord, row: Row, bound: Bound) -> Exception | None:
    """Write an intent, and take it back if the ledger's total exceeds the budget with it. Returns the row's error."""
    connection.execute("SAVEPOINT bound")
    error: Exception | None = None
    try:
        connection.execute(_PUT, row)
        error = bound.refusal(total_of(connection.execute(_TOTALS)), job.job_id)
    except (sqlite3.Error, *UNWRITABLE) as reason:
        if not is_fault_of_row(reason):
            raise
        error = reason
    if error is not None:
        connection.execute("ROLLBACK TO bound")
    connection.execute("RELEASE bound")
    return error
