"""A queued batch as people see it: its numbers at a moment, the workers that run it, and the pace of its creates.

A batch may have a million requests, and jobs in any state. So each statement reads a counter, or at most a few thousand
entries of an index.
"""

# ruff: noqa: S608 — the statements are put together from constant names

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...model.states import JobState, Kind
from ...sharing.connection import Row, Step, Value
from .open_members import OPEN_MEMBERS
from .requests import IS_UNKNOWN, NOW

MOST: Final = 10_000
"""Rows that are counted one by one. A number as large as this one means: so many, or more."""

SENDS_S: Final = 10.0
"""Seconds over which the creates are counted."""

SHOWN_S: Final = 60
"""Seconds after its last heartbeat for which a worker without requests is shown."""

SHOWN_STATES: Final = (JobState.PLANNED, JobState.INTENT, JobState.SUBMITTED)
"""The states of jobs that are not at their ends."""

_RATE: Final = f"""
    WITH latest AS (SELECT ends FROM mps_aigc_ledger.batches WHERE ledger = %(ledger)s)
    SELECT count(*), max(ended_at) - min(ended_at), {NOW} - max(ended_at) FROM mps_aigc_ledger.requests
    WHERE ledger = %(ledger)s
        AND ended > (SELECT ends FROM latest) - %(most)s AND ended <= (SELECT ends FROM latest)
"""
"""Between two numbers of ends: the server takes the index for a range, and not for `>` alone, which might be true of a
third of the rows. A table that was never analyzed would be sorted for `ORDER BY ended DESC LIMIT`."""

_UNKNOWN: Final = f"""
    SELECT count(*) FROM (
        SELECT FROM mps_aigc_ledger.requests WHERE ledger = %(ledger)s AND {IS_UNKNOWN} LIMIT {MOST}
    ) few
"""

_JOBS: Final = " UNION ALL ".join(
    f"""SELECT '{state}', count(*) FROM (
        SELECT FROM mps_aigc_ledger.jobs WHERE ledger = %(ledger)s AND state = '{state}'
        ORDER BY planned_at, seq LIMIT {MOST}
    ) few"""
    for state in SHOWN_STATES
)
"""In the order of an index: otherwise a state that many jobs have is looked for in the whole table."""

_SENDS: Final = f"""
    WITH latest AS (SELECT max(sent_at) AS at FROM mps_aigc_ledger.jobs WHERE ledger = %(ledger)s)
    SELECT kind, count(*) FROM mps_aigc_ledger.jobs
    WHERE ledger = %(ledger)s AND sent_at > (SELECT at FROM latest) - {SENDS_S} AND sent_at <= (SELECT at FROM latest)
        AND (SELECT at FROM latest) > {NOW} - {SENDS_S} GROUP BY kind
"""
"""The seconds before the latest send, whose time is the service's: the server's clock may differ from it. A range, as
above."""

_ITEMS: Final = """
    SELECT worker_id, count(*) AS number FROM procrastinate_jobs
    WHERE queue_name || '' = %(ledger)s AND status = 'doing' AND worker_id IS NOT NULL GROUP BY worker_id
"""
"""Procrastinate's index of the items at workers has the last two conditions. `|| ''` keeps the server from its index of
the queues' names, in which a table that was never analyzed would read the entries of a million items."""

_RUNNING: Final = f"SELECT coalesce(sum(number), 0)::bigint FROM ({_ITEMS}) items"

_WORKERS: Final = f"""
    SELECT host, pid, coalesce(number, 0), extract(epoch from clock_timestamp() - last_heartbeat)::float8
    FROM mps_aigc_ledger.workers AS stored JOIN procrastinate_workers AS alive ON alive.id = stored.worker
    LEFT JOIN ({_ITEMS}) items ON items.worker_id = stored.worker
    WHERE ledger = %(ledger)s AND (number > 0 OR last_heartbeat > clock_timestamp() - interval '{SHOWN_S} s')
    ORDER BY host, pid, stored.worker
"""

_FORGET: Final = "DELETE FROM mps_aigc_ledger.workers WHERE worker NOT IN (SELECT id FROM procrastinate_workers)"

_ENTER: Final = """
    INSERT INTO mps_aigc_ledger.workers VALUES (%(worker)s, %(ledger)s, %(host)s, %(pid)s)
    ON CONFLICT (worker) DO UPDATE SET ledger = excluded.ledger, host = excluded.host, pid = excluded.pid
"""
"""Procrastinate counts from 1 again if its tables are made anew."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker of a batch at a moment."""

    host: str
    pid: int
    requests: int
    """The number of requests that it runs."""
    heartbeat_s: float
    """Seconds since its latest heartbeat. After 8 s others take its requests."""


class BatchViewStatements:
    """The statements on the batch of one ledger."""

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger

    def rate(self, most: int) -> Step:
        """Read over how many seconds the latest ends came, and how long ago the last one was (`rate_of`)."""
        return self._step(_RATE, most=most)

    def unknown(self) -> Step:
        """Count the requests that have ended with an unknown create; at most MOST."""
        return self._step(_UNKNOWN)

    def jobs(self) -> Step:
        """Count the jobs of each state in SHOWN_STATES; at most MOST of each (`jobs_of`)."""
        return self._step(_JOBS)

    def sends(self) -> Step:
        """Count the creates of the latest SENDS_S seconds by kind (`sends_of`)."""
        return self._step(_SENDS)

    def running(self) -> Step:
        """Count the requests that workers run."""
        return self._step(_RUNNING)

    def workers(self) -> Step:
        """Read the workers that run requests, or are ready to (`workers_of`)."""
        return self._step(_WORKERS)

    def members(self) -> Step:
        """Read the members that have the ledger open (`open_members.in_words`)."""
        return self._step(OPEN_MEMBERS)

    def enter(self, worker: int, host: str, pid: int) -> list[Step]:
        """Name the host and the process of a worker, and forget the workers that have left."""
        return [(_FORGET, {}), self._step(_ENTER, worker=worker, host=host, pid=pid)]

    def _step(self, statement: str, **values: Value) -> Step:
        return statement, {"ledger": self._ledger, **values}


def rate_of(rows: Sequence[Row]) -> float:
    """The ends per second, among the latest ones; 0 if there are too few of them, or none for as long as they took."""
    [(number, took_s, ago_s)] = rows
    if number < 2 or not took_s or ago_s > 2 * took_s:
        return 0.0
    return float((number - 1) / max(took_s, ago_s))


def jobs_of(rows: Sequence[Row]) -> dict[JobState, int]:
    """The jobs by state; states without jobs are left out."""
    return {JobState(state): int(number) for state, number in rows if number}


def sends_of(rows: Sequence[Row]) -> dict[Kind, float]:
    """The creates per second, by kind. Damaged kinds are left out: `status` logs them."""
    return {Kind(kind): number / SENDS_S for kind, number in rows if kind in set(Kind)}


def workers_of(rows: Sequence[Row]) -> list[WorkerView]:
    return [WorkerView(*row) for row in rows]
