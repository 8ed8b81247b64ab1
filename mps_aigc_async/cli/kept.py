"""What a ledger file holds, read without the account it belongs to, and without disturbing who writes it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from ..states import JobState, Kind

LEDGER: Final = "ledger.db"
"""The ledger's name in the folder of a batch."""

Census = Mapping[tuple[Kind, JobState], int]
"""Jobs by kind and state; what is not there is none."""


def census(ledger: Path) -> Census:
    """Raises LedgerError for a file that is not there or no ledger, as does `account_of`."""
    with _opened(ledger) as database:
        rows = database.execute("SELECT kind, state, count(*) FROM jobs GROUP BY kind, state").fetchall()
    return {(Kind(kind), JobState(state)): int(count) for kind, state, count in rows}


def of_state(jobs: Census, state: JobState) -> int:
    """Jobs of any kind in one state."""
    return sum(jobs.get((kind, state), 0) for kind in Kind)


def account_of(ledger: Path) -> str:
    """The name of the account it belongs to."""
    with _opened(ledger) as database:
        row = database.execute("SELECT is_for FROM belongs_to WHERE what = 'account'").fetchone()
    return str(row[0]) if row else ""


@contextmanager
def _opened(ledger: Path) -> Iterator[sqlite3.Connection]:
    if not ledger.is_file():
        raise LedgerError(f"there is no ledger {ledger}: `mps-aigc run … --out DIR` keeps one as DIR/ledger.db")
    # A ledger that nobody writes has no WAL beside it. Immutable then, or SQLite would leave an empty one there, and
    # could not read from a folder that is read-only.
    being_written = ledger.with_name(f"{ledger.name}-wal").exists()
    how = "mode=ro" if being_written else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{how}", uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise LedgerError(f"{ledger} cannot be read as a ledger: {error}") from error
