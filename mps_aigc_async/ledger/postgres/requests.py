"""The requests that are queued for workers: a row each, with its line of the batch and, once it has ended, its end.

A batch is the requests of one ledger. Its row counts them, because a count of a million rows would take too long.
"""

# ruff: noqa: S608 — the statements are put together from constant names

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...sharing.connection import Row, Step, Value
from ..record import JobRecord, job_ids
from .rows import FIELDS, JOBS
from .schema import DURABLE

ENDS: Final = "mps_aigc_ends"
"""The channel of the notices that a request has ended, with the ledger's name."""

_GIVEN: Final = "unnest(%(names)s::text[], %(lines)s::text[]) WITH ORDINALITY AS given (name, line, position)"

_ADD: Final = f"""
    WITH new AS (
        INSERT INTO mps_aigc_ledger.requests (ledger, name, line)
        SELECT %(ledger)s, name, line FROM {_GIVEN} ORDER BY position ON CONFLICT DO NOTHING RETURNING name
    ), counted AS (
        INSERT INTO mps_aigc_ledger.batches (ledger, queued) SELECT %(ledger)s, count(*) FROM new
        ON CONFLICT (ledger) DO UPDATE SET queued = batches.queued + excluded.queued
    )
    SELECT name FROM new
"""

_STORED: Final = f"""FROM {_GIVEN} JOIN mps_aigc_ledger.requests AS stored
    ON stored.ledger = %(ledger)s AND stored.name = given.name"""

_EDITED: Final = f"SELECT given.name {_STORED} WHERE stored.line <> given.line ORDER BY position"
_LOCK_EDITED: Final = f"{_EDITED} FOR UPDATE OF stored"

_IS_LATER: Final = """jobs.ledger = %(ledger)s AND jobs.job_id > name || '@' AND jobs.job_id < name || 'A'
    AND substr(jobs.job_id, length(name) + 1) ~ '^@[1-9][0-9]*/'"""
"""Whether a job is a later version's of a request. In the order of bytes, which the index has, A comes after @."""

_OF_NAME: Final = "FROM mps_aigc_ledger.requests WHERE ledger = %(ledger)s AND name = %(name)s"

_LINE: Final = f"SELECT line, EXISTS (SELECT FROM mps_aigc_ledger.jobs WHERE {_IS_LATER}) {_OF_NAME}"

_HAS_LINE: Final = f"SELECT line = %(line)s {_OF_NAME}"

NOW: Final = "extract(epoch from clock_timestamp())::float8"
"""The server's time in SQL, in Unix seconds."""

_COUNT_END: Final = "UPDATE mps_aigc_ledger.batches SET ends = ends + 1 WHERE ledger = %(ledger)s"
"""A statement of its own, before the end is written: it holds the batch's row until the commit. So ends become visible
in the order of their numbers."""

_END: Final = f"""
    WITH before AS (
        SELECT ended, error {_OF_NAME} AND line = %(line)s
            AND (ended IS NULL OR error IS DISTINCT FROM %(error)s::text) FOR UPDATE
    ), changed AS (
        UPDATE mps_aigc_ledger.requests SET ended_at = {NOW}, error = %(error)s,
            ended = (SELECT ends FROM mps_aigc_ledger.batches WHERE ledger = %(ledger)s)
        WHERE ledger = %(ledger)s AND name = %(name)s AND EXISTS (SELECT FROM before)
    )
    UPDATE mps_aigc_ledger.batches SET
        ended = batches.ended + (before.ended IS NULL)::int,
        failed = batches.failed + (%(error)s::text IS NOT NULL)::int
            - (before.ended IS NOT NULL AND before.error IS NOT NULL)::int
    FROM before WHERE batches.ledger = %(ledger)s
"""
"""A request that has ended before gets its latest end, and counts once. The same end once more changes nothing, and
neither does the end of other content than the request has by now."""

IS_UNKNOWN: Final = """error LIKE '{"type": "CreateOutcomeUnknown"%%'"""
_IS_DROPPED: Final = """error LIKE '{"type": "JobDropped"%%'"""
"""By the beginning of the text (`errors.to_record`): a text of the service's in it may be no JSON of PostgreSQL's.
The index of unknown ends has the same words (`schema`)."""

_JOBS_OF: Final = "jobs.ledger = %(ledger)s AND jobs.job_id IN (name || '/image', name || '/video', name || '/audio')"

_REOPENED: Final = """reopened AS (
        UPDATE mps_aigc_ledger.requests SET ended = NULL, ended_at = NULL, error = NULL FROM chosen
        WHERE requests.ledger = %(ledger)s AND requests.name = chosen.name RETURNING requests.name
    ), counted AS (
        UPDATE mps_aigc_ledger.batches SET
            ended = ended - (SELECT count(*) FROM reopened), failed = failed - (SELECT count(*) FROM reopened)
        WHERE ledger = %(ledger)s AND EXISTS (SELECT FROM reopened)
    )"""
"""Takes the end away from chosen requests, each of which has failed."""

_REOPEN: Final = f"""
    WITH chosen AS (
        SELECT name FROM mps_aigc_ledger.requests
        WHERE ledger = %(ledger)s AND {IS_UNKNOWN}
            AND NOT EXISTS (SELECT FROM mps_aigc_ledger.jobs WHERE jobs.state = 'unknown' AND {_JOBS_OF})
            AND NOT EXISTS (SELECT FROM mps_aigc_ledger.jobs WHERE jobs.state = 'unknown' AND {_IS_LATER})
        ORDER BY ended LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ), {_REOPENED}
    SELECT name FROM reopened
"""

_IS_FAILED: Final = f"error IS NOT NULL AND NOT {IS_UNKNOWN} AND NOT {_IS_DROPPED}"

_LAST_END: Final = "SELECT ends FROM mps_aigc_ledger.batches WHERE ledger = %(ledger)s"

_OF_ENDS: Final = "requests.ledger = %(ledger)s AND ended > %(after)s AND ended <= %(until)s"
"""By the numbers of the ends: by `ORDER BY ended LIMIT`, a table that was never analyzed is sorted for each portion."""

_FAILED: Final = f"SELECT name FROM mps_aigc_ledger.requests WHERE {_OF_ENDS} AND {_IS_FAILED} ORDER BY ended"

_HOLD_BATCH: Final = "SELECT FROM mps_aigc_ledger.batches WHERE ledger = %(ledger)s FOR UPDATE"
"""Before the requests' rows, as at an end (`_COUNT_END`): in the other order, the two would wait for each other."""

_MARK: Final = "token || ' ' || (1000 * coalesce(ended_at, 0))::bigint FROM mps_aigc_ledger.jobs"

_RETRY: Final = f"""
    WITH chosen AS (
        SELECT name FROM mps_aigc_ledger.requests
        WHERE {_OF_ENDS} AND {_IS_FAILED} AND name = ANY(%(names)s) FOR UPDATE
    ), {_REOPENED}
    SELECT name, ARRAY(
        SELECT {_MARK} WHERE jobs.state || '' = 'failed' AND {_JOBS_OF}
        UNION ALL SELECT {_MARK} WHERE jobs.state || '' = 'failed' AND {_IS_LATER}
    ) FROM reopened
"""
"""The jobs of all versions that have failed, by their `failure_mark`. `|| ''` keeps the server from its index of the
states: it would read all failed jobs for each request, in a table that was never analyzed."""

_RENEW: Final = f"""
    WITH chosen AS (
        SELECT given.name, given.line, stored.ended, stored.error {_STORED} FOR UPDATE OF stored
    ), renewed AS (
        UPDATE mps_aigc_ledger.requests SET line = chosen.line, ended = NULL, ended_at = NULL, error = NULL FROM chosen
        WHERE requests.ledger = %(ledger)s AND requests.name = chosen.name
    ), counted AS (
        UPDATE mps_aigc_ledger.batches SET
            ended = batches.ended - (SELECT count(ended) FROM chosen),
            failed = batches.failed - (SELECT count(error) FROM chosen)
        WHERE ledger = %(ledger)s
    )
    SELECT name FROM chosen WHERE ended IS NOT NULL
"""

_NOTIFY: Final = f"SELECT pg_notify('{ENDS}', %(ledger)s)"

_ENDS: Final = """
    SELECT name, line, ended, error FROM mps_aigc_ledger.requests
    WHERE ledger = %(ledger)s AND ended > %(after)s ORDER BY ended LIMIT %(most)s
"""

_JOBS: Final = f"SELECT {FIELDS} FROM {JOBS} WHERE ledger = %(ledger)s AND job_id = ANY(%(ids)s)"

_LOCK_JOBS: Final = f"{_JOBS} ORDER BY job_id FOR UPDATE"
"""In the order in which all members lock rows (`commits`)."""

_BATCH: Final = "SELECT queued, ended, failed, drained_at FROM mps_aigc_ledger.batches WHERE ledger = %(ledger)s"

_DRAIN: Final = f"UPDATE mps_aigc_ledger.batches SET drained_at = {NOW} WHERE ledger = %(ledger)s RETURNING drained_at"

TIME: Final[Step] = (f"SELECT {NOW}", {})
"""The server's time, in Unix seconds."""


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request as it is queued."""

    name: str
    line: str
    """The request as a batch file's line, with its id."""


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A request in the queue."""

    name: str
    retries: Sequence[str] = ()
    """The failed jobs that the user wants to retry, by their `failure_mark`."""


@dataclass(frozen=True, slots=True)
class RequestEnd:
    """A request that has ended."""

    name: str
    line: str
    number: int
    """Grows with each end."""
    error: str | None
    """`errors.to_record` of the error that ended it, as JSON; None if it has all results."""


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The numbers of a ledger's queued requests."""

    requests: int
    """The number of requests that were queued."""
    ends: int
    """The number of requests that have ended."""
    failures: int
    """The number of requests that have ended with an error."""
    drained_at: float
    """When workers were last told to take no request any more (the server's Unix time); 0 if never."""


class RequestStatements:
    """The statements on the queued requests of one ledger."""

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger

    def add(self, requests: Sequence[QueuedRequest]) -> list[Step]:
        """Add requests. The last step returns the names of those that are new."""
        return [DURABLE, self._given(_ADD, requests)]

    def edited(self, requests: Sequence[QueuedRequest], *, is_locked: bool = False) -> Step:
        """Read the names of the requests that were queued before with other content. `is_locked` as in `jobs`."""
        return self._given(_LOCK_EDITED if is_locked else _EDITED, requests)

    def renew(self, requests: Sequence[QueuedRequest]) -> list[Step]:
        """Write these lines over those of the requests, which wait again from now on. The last step returns the names
        of those that had ended."""
        return [DURABLE, self._given(_RENEW, requests)]

    def line(self, name: str) -> Step:
        """Read a request's line, and whether it has later versions."""
        return self._step(_LINE, name=name)

    def has_line(self, name: str, line: str) -> Step:
        """Read whether a request still has this line; wait for a transaction that is about to change it."""
        return self._step(f"{_HAS_LINE} FOR SHARE", name=name, line=line)

    def note_end(self, name: str, line: str, error: str | None) -> list[Step]:
        """Write how a request ended that was run with this line. The last step reads whether it still has the line;
        nothing is written otherwise. A request that was dropped meanwhile stays so."""
        end, has_line = self._step(_END, name=name, line=line, error=error), self._step(_HAS_LINE, name=name, line=line)
        return [DURABLE, self._step(_COUNT_END), end, self._step(_NOTIFY), has_line]

    def reopen(self, most: int) -> list[Step]:
        """Let requests run again that ended because the outcome of a create was unknown, once it is known: by a late
        answer, or by the user's word (`settle`). The last step returns their names."""
        return [DURABLE, self._step(_REOPEN, most=most)]

    def last_end(self) -> Step:
        """Read the number of the latest end, if there is a batch."""
        return self._step(_LAST_END)

    def failed(self, after: int, until: int) -> Step:
        """Read the names of requests that failed and may be retried, by the numbers of their ends. A request whose
        create is unknown is to be settled, and a dropped one stays dropped."""
        return self._step(_FAILED, after=after, until=until)

    def retry(self, names: Sequence[str], after: int, until: int) -> list[Step]:
        """Let some of these requests run again. The last step returns them (`items_of`)."""
        return [DURABLE, self._step(_HOLD_BATCH), self._step(_RETRY, names=names, after=after, until=until)]

    def ends_after(self, number: int, most: int) -> Step:
        """Read requests that ended after a number, the first ones first (`RequestEnd`)."""
        return self._step(_ENDS, after=number, most=most)

    def jobs(self, names: Sequence[str], *, is_locked: bool = False) -> Step:
        """Read the own jobs of versions, of all accounts (`rows.record_of`); `is_locked` keeps all others from changing
        them until the transaction ends."""
        ids = [job_id for name in names for job_id in job_ids(name).values()]
        return self._step(_LOCK_JOBS if is_locked else _JOBS, ids=ids)

    def counts(self) -> Step:
        """Read the numbers (`counts_of`)."""
        return self._step(_BATCH)

    def drain(self) -> list[Step]:
        """Tell the workers to take no request any more. The last step returns the server's time, if there is a
        batch."""
        return [DURABLE, self._step(_DRAIN)]

    def _given(self, statement: str, requests: Sequence[QueuedRequest]) -> Step:
        return self._step(statement, names=[one.name for one in requests], lines=[one.line for one in requests])

    def _step(self, statement: str, **values: Value) -> Step:
        return statement, {"ledger": self._ledger, **values}


def items_of(rows: Sequence[Row]) -> list[QueueItem]:
    return [QueueItem(*row) for row in rows]


def failure_mark(job: JobRecord) -> str:
    """A text that tells a failure of a job from its next one."""
    return f"{job.token} {round(1000 * (job.ended_at or 0.0))}"


def ends_of(rows: Sequence[Row]) -> list[RequestEnd]:
    return [RequestEnd(*row) for row in rows]


def counts_of(rows: Sequence[Row]) -> BatchCounts | None:
    """The numbers of a batch; None if nothing was queued in the ledger."""
    return BatchCounts(*rows[0]) if rows else None
