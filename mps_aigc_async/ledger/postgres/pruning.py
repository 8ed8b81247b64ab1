"""Removing old requests from a ledger: the statements.

A request is old if it ended before a time, and each of its jobs is *saved* or *failed* since before that time. All of
its rows go at once. Its number among the ends is not given again, so readers of the ends lose nothing.

The rows are found and removed in portions. Each portion is a transaction that locks its rows first: a job that is
retried meanwhile is no old one any more.
"""

# ruff: noqa: S608 — the statements are put together from constant names

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...model.states import JobState, Kind
from ...sharing.connection import Row, Step, Value
from ..record import job_ids
from ..versions import next_name
from .orphans import ORPHANS

ENDED: Final = (JobState.SAVED, JobState.FAILED)
"""The states of a job that nobody has to poll, to fetch or to settle."""

_STATES: Final = ", ".join(f"'{state}'" for state in ENDED)
_OTHER_STATES: Final = ", ".join(f"'{state}'" for state in JobState if state not in ENDED)
_KINDS: Final = ", ".join(f"'{kind}'" for kind in Kind)

_IS_OLD: Final = f"""(state IN ({_STATES}) AND kind IN ({_KINDS})
    AND greatest(planned_at, intent_at, sent_at, ended_at, saved_at) < %(before)s) IS TRUE"""
"""Whether a job has ended before the time: not a damaged one. `greatest` leaves out NULL."""

_REQUEST: Final = "left(job_id, length(job_id) - position('/' IN reverse(job_id)))"
"""`record.request_of` in SQL, also in a row whose kind is damaged."""

_OLD_REQUESTS: Final = f"""
    WITH jobs AS (
        SELECT {_REQUEST} AS name, bool_and({_IS_OLD}) AS are_old, count(*) AS number
        FROM mps_aigc_ledger.jobs WHERE ledger = %(ledger)s GROUP BY 1
    ), requests AS (
        SELECT name, coalesce(ended_at < %(before)s, false) AS is_old
        FROM mps_aigc_ledger.requests WHERE ledger = %(ledger)s
    )
    SELECT count(*), coalesce(sum(number), 0)::bigint FROM jobs FULL JOIN requests USING (name)
    WHERE coalesce(are_old, true) AND coalesce(is_old, true)
"""

_KEPT_JOBS: Final = f"""
    SELECT state, count(*) FROM mps_aigc_ledger.jobs
    WHERE ledger = %(ledger)s AND state IN ({_OTHER_STATES}) AND planned_at < %(before)s GROUP BY state
"""

_ENDED_REQUESTS: Final = """
    SELECT name, ended, ended_at < %(before)s FROM mps_aigc_ledger.requests
    WHERE ledger = %(ledger)s AND ended > %(after)s ORDER BY ended LIMIT %(most)s
"""
"""In the order of their ends, so the search ends with a portion that has no old request."""

_ENDED_JOBS: Final = f"""
    SELECT {_REQUEST}, planned_at, seq FROM mps_aigc_ledger.jobs
    WHERE ledger = %(ledger)s AND state = %(state)s AND planned_at < %(before)s
        AND (planned_at, seq) > (%(planned_at)s, %(seq)s)
    ORDER BY planned_at, seq LIMIT %(most)s
"""

_NAMES: Final = "name = ANY(ARRAY(SELECT unnest(%(names)s::text[])))"
_IDS: Final = "job_id = ANY(ARRAY(SELECT unnest(%(ids)s::text[])))"
"""By a subquery: the server then uses the index on the column, also in a table that was never analyzed."""

_LOCK_REQUESTS: Final = f"""
    SELECT count(*) FROM (SELECT FROM mps_aigc_ledger.requests
        WHERE ledger = %(ledger)s AND {_NAMES} ORDER BY name FOR UPDATE) mine
"""

_LOCK_JOBS: Final = f"""
    SELECT count(*) FROM (SELECT FROM mps_aigc_ledger.jobs
        WHERE ledger = %(ledger)s AND {_IDS} ORDER BY job_id FOR UPDATE) mine
"""

_REMOVE: Final = f"""
    WITH given AS MATERIALIZED (
        SELECT name, job_id FROM unnest(%(names)s::text[], %(ids)s::text[]) AS given (name, job_id)
    ), needed AS MATERIALIZED (
        SELECT name FROM mps_aigc_ledger.requests
        WHERE ledger = %(ledger)s AND {_NAMES} AND coalesce(ended_at >= %(before)s, true)
        UNION ALL SELECT name FROM given WHERE job_id IN (
            SELECT job_id FROM mps_aigc_ledger.jobs WHERE ledger = %(ledger)s AND {_IDS} AND NOT ({_IS_OLD}))
        UNION ALL SELECT name FROM unnest(%(former)s::text[], %(later)s::text[]) AS versions (name, job_id)
        WHERE job_id IN (SELECT job_id FROM mps_aigc_ledger.jobs
            WHERE ledger = %(ledger)s AND job_id = ANY(ARRAY(SELECT unnest(%(later)s::text[]))))
    ), old AS MATERIALIZED (
        SELECT name, job_id FROM given WHERE name NOT IN (SELECT name FROM needed)
    ), jobs AS (
        DELETE FROM mps_aigc_ledger.jobs
        WHERE ledger = %(ledger)s AND job_id = ANY(ARRAY(SELECT job_id FROM old)) RETURNING {_REQUEST} AS name
    ), requests AS (
        DELETE FROM mps_aigc_ledger.requests
        WHERE ledger = %(ledger)s AND name = ANY(ARRAY(SELECT DISTINCT name FROM old)) RETURNING name, error
    ), counted AS (
        UPDATE mps_aigc_ledger.batches SET
            queued = queued - removed.number, ended = ended - removed.number, failed = failed - removed.failures
        FROM (SELECT count(*) AS number, count(error) AS failures FROM requests) AS removed
        WHERE ledger = %(ledger)s AND removed.number > 0
    )
    SELECT (SELECT count(*) FROM (SELECT name FROM jobs UNION SELECT name FROM requests) AS removed),
        (SELECT count(*) FROM jobs)
"""
"""The batch's row is locked last, so that the ends of other requests wait for the commit alone. A version with a later
one is kept until that is removed: versions are read one after the other, until one is missing."""

_MEMBERS: Final = """
    DELETE FROM mps_aigc_ledger.members WHERE ledger = %(ledger)s AND beat_at < to_timestamp(%(before)s)
"""
"""A member that comes back after days registers anew, and learns that its claims are lost (`members`)."""

_HAS_ITEMS: Final = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"

_ITEMS: Final = """
    WITH portion AS (
        SELECT id, status IN ('succeeded', 'failed', 'cancelled', 'aborted') AS has_ended, args ->> 'name' AS name
        FROM procrastinate_jobs
        WHERE queue_name = %(ledger)s AND task_name = %(task)s AND id > %(after)s ORDER BY id LIMIT %(most)s
    ), removed AS (
        DELETE FROM procrastinate_jobs WHERE id IN (
            SELECT id FROM portion WHERE has_ended AND NOT EXISTS (SELECT FROM mps_aigc_ledger.requests AS stored
                WHERE stored.ledger = %(ledger)s AND stored.name = portion.name))
    )
    SELECT max(id) FROM portion
"""
"""A worker deletes the items that it ends; this finds those that somebody ended by hand."""


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """A queued request that has ended."""

    name: str
    number: int
    """Grows with each end."""
    is_old: bool


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that has ended, with its place in the order of jobs."""

    request: str
    planned_at: float
    seq: int


class PruneStatements:
    """The statements that find and remove the requests of one ledger that are older than `before` (Unix seconds)."""

    def __init__(self, ledger: str, before: float) -> None:
        self._keys: dict[str, Value] = {"ledger": ledger, "before": before}

    def old_requests(self) -> Step:
        """Count the requests to remove, and their jobs. Reads the whole ledger."""
        return self._step(_OLD_REQUESTS)

    def kept_jobs(self) -> Step:
        """Count the jobs that were planned before the time, and are neither *saved* nor *failed*, by state."""
        return self._step(_KEPT_JOBS)

    def orphans(self) -> Step:
        """Read the tasks that no row could take."""
        return self._step(ORPHANS, owners=None)

    def ended_requests(self, after: int, most: int) -> Step:
        """Read the queued requests whose ends have a number above `after` (`EndedRequest`)."""
        return self._step(_ENDED_REQUESTS, after=after, most=most)

    def ended_jobs(self, state: JobState, after: EndedJob, most: int) -> Step:
        """Read the jobs of a state behind `after` that were planned before the time (`EndedJob`)."""
        return self._step(_ENDED_JOBS, state=state.value, planned_at=after.planned_at, seq=after.seq, most=most)

    def remove(self, names: Sequence[str]) -> list[Step]:
        """Remove the old ones of these requests. The last step counts the requests and the jobs that it removed."""
        pairs = [(name, job_id) for name in names for job_id in job_ids(name).values()]
        later = [(name, job_id) for name in names for job_id in job_ids(next_name(name)).values()]
        values = {
            "names": [name for name, _ in pairs], "ids": [job_id for _, job_id in pairs],
            "former": [name for name, _ in later], "later": [job_id for _, job_id in later],
        }  # fmt: skip
        return [self._step(statement, **values) for statement in (_LOCK_REQUESTS, _LOCK_JOBS, _REMOVE)]

    def remove_members(self) -> Step:
        """Remove the members whose hearts have stood still since before the time."""
        return self._step(_MEMBERS)

    def has_items(self) -> Step:
        """Ask whether the database has procrastinate's tables."""
        return self._step(_HAS_ITEMS)

    def remove_items(self, task: str, after: int, most: int) -> Step:
        """Remove the items of a portion of the queue that have ended, and whose request is gone. Returns the last id of
        the portion, or NULL behind the end."""
        return self._step(_ITEMS, task=task, after=after, most=most)

    def _step(self, statement: str, **values: Value) -> Step:
        return statement, {**self._keys, **values}


def ended_requests_of(rows: Sequence[Row]) -> list[EndedRequest]:
    return [EndedRequest(*row) for row in rows]


def ended_jobs_of(rows: Sequence[Row]) -> list[EndedJob]:
    return [EndedJob(*row) for row in rows]
