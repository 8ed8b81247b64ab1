"""Reading a ledger in PostgreSQL: without its account's keys, and without joining its members."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Final

from ...model.budget import Amount
from ...model.errors import LedgerError
from ...model.requests import VERSION as VERSION_END
from ...model.states import JobState, Kind
from ...sharing.connection import Lost, Row, Value
from ...sharing.database_url import DatabaseUrl
from ...sharing.reading import Reader, reading
from ..damage import damaged_row
from ..orphans import Orphan
from ..record import JobRecord, job_ids, request_of
from ..snapshot import LATEST, Census, batch_order
from ..spending import MAY_BE_PAID, TOTALS, total_of
from .open_members import OPEN_MEMBERS, in_words
from .orphans import ORPHANS, orphan_of
from .rows import FIELDS, JOBS, readable
from .schema import require_version, version_in

_log: Final = logging.getLogger("mps_aigc_async")

_OF_LEDGER: Final = f"FROM {JOBS} WHERE ledger = %(ledger)s AND (%(owner)s::text IS NULL OR owner = %(owner)s)"
_OWNERS: Final = f"""SELECT owner {_OF_LEDGER}
    UNION SELECT owner FROM mps_aigc_ledger.orphans WHERE ledger = %(ledger)s ORDER BY owner"""  # noqa: S608 — constants
_NAMES: Final = """
    WITH RECURSIVE names AS (
        SELECT min(ledger) AS ledger FROM mps_aigc_ledger.jobs
        UNION ALL SELECT (SELECT min(jobs.ledger) FROM mps_aigc_ledger.jobs WHERE jobs.ledger > names.ledger)
        FROM names WHERE names.ledger IS NOT NULL
    )
    SELECT ledger FROM names WHERE ledger IS NOT NULL UNION SELECT ledger FROM mps_aigc_ledger.batches
    UNION SELECT ledger FROM mps_aigc_ledger.orphans UNION SELECT ledger FROM mps_aigc_ledger.members ORDER BY ledger
"""
"""From one entry of the index to the next: DISTINCT would read all jobs of the database."""
_VERSION: Final = "left(job_id, length(job_id) - length(kind) - 1)"
"""`record.request_of` in SQL: a request's name, with the number of a later version."""
_ORDER: Final = batch_order("position", f"regexp_replace({_VERSION}, '{VERSION_END.pattern}', '')", _VERSION, "seq")

_TASK_SECONDS: Final = f"""SELECT avg(seconds) FROM (
    SELECT ended_at - submitted_at AS seconds {_OF_LEDGER} AND kind = %(kind)s AND state IN ('done', 'saved')
    AND ended_at > submitted_at ORDER BY coalesce(finished_at, ended_at) DESC LIMIT %(latest)s
) AS latest"""  # noqa: S608 — constants

_SPENT: Final = f"SELECT {TOTALS} {_OF_LEDGER} AND {MAY_BE_PAID} GROUP BY kind"

MOST_NAMES: Final = 20
"""Names of ledgers that a message lists."""


class PostgresSnapshot:
    """The rows of a ledger at one moment, of all its owners or of one. Later writes do not show."""

    def __init__(self, reader: Reader, ledger: str, owner: str | None = None) -> None:
        self._reader = reader
        self._ledger = ledger
        self._owner = owner

    def owners(self) -> list[Mapping[str, str]]:
        """The owners of the ledger's jobs: account, backend and endpoint, and on VOD the application."""
        return [owner for owner, _ in self.by_owner()]

    def by_owner(self) -> list[tuple[Mapping[str, str], "PostgresSnapshot"]]:
        """Each owner with the snapshot of its jobs."""
        rows = self._rows(_OWNERS)
        owners = [str(owner) for (owner,) in rows]
        return [(json.loads(owner), PostgresSnapshot(self._reader, self._ledger, owner)) for owner in owners]

    def owner(self) -> Mapping[str, str]:
        """The owner of the ledger; empty if it has no jobs. Raises LedgerError if it has jobs of several owners."""
        owners = self.owners()
        if len(owners) > 1:
            names = ", ".join(owner.get("account", "") for owner in owners)
            raise LedgerError(f"the ledger {self._ledger} has jobs of several owners: {names}; name the one you mean")
        return owners[0] if owners else {}

    def writer(self) -> str:
        """The members that have the ledger open; empty if no member has."""
        return ", ".join(in_words(list(self._rows(OPEN_MEMBERS))))

    def names(self) -> list[str]:
        """The names of all ledgers in the database."""
        return [str(name) for (name,) in self._rows(_NAMES)]

    def fault(self) -> str:
        """Always empty: PostgreSQL checks its own pages."""
        return ""

    def has_sent(self) -> bool:
        """Whether a create was ever sent for one of the jobs."""
        return any(True for _ in self._rows(f"SELECT 1 {_OF_LEDGER} AND state <> 'planned' LIMIT 1"))

    def census(self) -> Census:
        """The number of jobs of each kind in each state; damaged rows are logged and skipped."""
        census: dict[tuple[Kind, JobState], int] = {}
        statement = f"SELECT kind, state, count(*), min(job_id) {_OF_LEDGER} GROUP BY kind, state"
        for kind, state, count, first in self._rows(statement):
            try:
                census[Kind(kind), JobState(state)] = int(count)
            except ValueError:
                _log.error("%s", damaged_row(str(first), f"`kind` or `state` has an unknown value ({count} such jobs)"))
        return census

    def states(self) -> Iterator[tuple[str, Kind, JobState]]:
        """Each job's id, kind and state, without the rest of its row; damaged rows are skipped (`census` logs them)."""
        for job_id, kind, state in self._rows(f"SELECT job_id, kind, state {_OF_LEDGER} ORDER BY seq"):
            with suppress(ValueError):
                yield str(job_id), Kind(kind), JobState(state)

    def unreadable(self) -> int:
        """The number of jobs with a damaged kind or state; each may or may not be paid for."""
        statement = f"SELECT count(*) {_OF_LEDGER} AND NOT (kind = ANY(%(kinds)s) AND state = ANY(%(states)s))"
        [(number,)] = self._rows(statement, kinds=list(Kind), states=list(JobState))
        return int(number)

    def unsaved_results(self) -> tuple[int, float | None]:
        """The number of jobs that are done and not saved, and when the first of their URLs expires (Unix seconds; None
        if unknown)."""
        [(jobs, ends)] = self._rows(f"SELECT count(*), min(expires_at) {_OF_LEDGER} AND state = 'done'")
        return int(jobs), ends

    def requests(self) -> Iterator[tuple[str, list[JobRecord]]]:
        """Each version of a request and its own jobs, in the order of the batch."""
        rows = self._rows(f"SELECT {FIELDS} {_OF_LEDGER} ORDER BY {_ORDER}")
        for name, jobs in groupby(readable(rows), key=lambda job: request_of(job.job_id)):
            yield name, list(jobs)

    def contents(self) -> Iterator[tuple[str, str]]:
        """Each job's id and content, without the rest of its row."""
        for job_id, content in self._rows(f"SELECT job_id, content {_OF_LEDGER}"):
            yield str(job_id), str(content)

    def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        """The jobs of one request, by kind; damaged rows are logged and skipped."""
        rows = self._rows(f"SELECT {FIELDS} {_OF_LEDGER} AND job_id = ANY(%(ids)s)", ids=list(job_ids(name).values()))
        return {job.kind: job for job in readable(rows)}

    def total(self) -> Amount:
        """The total of all creates that may be paid for; infinite where a row lacks its size or its price."""
        return total_of(self._rows(_SPENT))

    def task_seconds(self) -> Mapping[Kind, float]:
        """The mean duration of the latest LATEST tasks of each kind that ended with results."""
        means = {kind: next(self._rows(_TASK_SECONDS, kind=kind.value, latest=LATEST))[0] for kind in Kind}
        return {kind: float(mean) for kind, mean in means.items() if mean is not None}

    def orphans(self) -> list[Orphan]:
        """The tasks that no row could take, the oldest first."""
        return [orphan_of(row) for row in self._rows(ORPHANS, owners=None if self._owner is None else [self._owner])]

    def _rows(self, statement: str, **values: Value) -> Iterator[Row]:
        return self._reader.rows(statement, {"ledger": self._ledger, "owner": self._owner, **values})


def require_ledger(url: DatabaseUrl) -> None:
    """Raise LedgerError for a name that no ledger of the database has: it may be mistyped, and an empty ledger would
    look well."""
    with open_postgres_snapshot(url) as snapshot:
        names = snapshot.names()
    if url.ledger not in names:
        others = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
        raise LedgerError(f"there is no ledger {url.ledger} in {url}; it has: {others or 'none yet'}")


@contextmanager
def open_postgres_snapshot(url: DatabaseUrl) -> Iterator[PostgresSnapshot]:
    """Read a ledger. Raises LedgerError for a database that cannot be reached, has no ledgers, or newer ones."""
    try:
        with reading(url) as reader:
            version = version_in(reader)
            require_version(url, version)  # the columns of jobs differ
            yield PostgresSnapshot(reader, url.ledger)
    except Lost as loss:
        raise LedgerError(str(loss)) from loss
