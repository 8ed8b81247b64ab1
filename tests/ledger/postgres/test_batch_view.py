"""A batch's numbers for people: each is right, and none of them reads a whole table."""

# ruff: noqa: S608 — the statements are put together from the test's own texts

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from procrastinate.schema import SchemaManager

from mps_aigc_async.ledger.postgres import prepare_database
from mps_aigc_async.ledger.postgres.batch_view import (
    MOST,
    BatchViewStatements,
    WorkerView,
    jobs_of,
    rate_of,
    sends_of,
    workers_of,
)
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.sharing.connection import Connection, Row, Step
from mps_aigc_async.sharing.database_url import database_url

from .members import World

MANY: Final = 30_000
"""Rows by which a statement that reads a whole table is found out."""

FEW: Final = 3_000
"""Rows that a statement may read."""


class Batch:
    """A ledger of many rows, and the statements on it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.connection = Connection(database_url(world.url))
        self.view = BatchViewStatements("spring")

    async def make(self) -> None:
        await prepare_database(self.connection.url)
        self.world.sql(SchemaManager.get_schema())
        self.world.sql("INSERT INTO mps_aigc_ledger.batches (ledger, queued, ends) VALUES ('spring', 1, 30000)")
        await self.connection.run(*self.view.enter(1, "gpu-1", 4711))

    async def rows(self, step: Step) -> list[Row]:
        [rows] = await self.connection.run(step)
        return rows

    def requests(self, number: int, error: str | None = None) -> None:
        """Add requests that have ended, one a second."""
        told = "NULL" if error is None else f"'{json.dumps({'type': error})}'"
        self.world.sql(
            "INSERT INTO mps_aigc_ledger.requests (ledger, name, line, ended, ended_at, error) "
            f"SELECT 'spring', '{error}-' || n, '{{}}', n, 1000 + n, {told} FROM generate_series(1, {number}) n "
            "ORDER BY random()"
        )

    def jobs(self, number: int, state: str, sent_ago_s: float | None = None, kind: str = "image") -> None:
        sent = "NULL" if sent_ago_s is None else f"extract(epoch from clock_timestamp()) - {sent_ago_s}"
        self.world.sql(
            "INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, content, state, planned_at, token, sent_at)"
            f" SELECT 'spring', '{{}}', '{state}-' || n || '-{sent_ago_s}/{kind}', '{kind}', '{{}}', '{state}', n, '', "
            f"{sent} - random() / 10 FROM generate_series(1, {number}) n ORDER BY random()"
        )

    def items(self, number: int, worker: int | None = None) -> None:
        status, at = ("'todo'", "NULL") if worker is None else ("'doing'", str(worker))
        self.world.sql(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, worker_id) "
            f"SELECT 'spring', 't', '{{}}', {status}, {at} FROM generate_series(1, {number})"
        )

    def worker(self, seconds_ago: float) -> None:
        self.world.sql(
            f"INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '{seconds_ago} s')"
        )


@pytest.fixture
async def batch(world: World) -> Any:  # noqa: ANN401 — a generator of Batch
    batch = Batch(world)
    world.sql("SELECT 1")
    try:
        await batch.make()
        yield batch
    finally:
        await batch.connection.close()


async def test_requests_of_unknown_outcome_are_counted_up_to_a_bound(batch: Batch) -> None:
    batch.requests(5, "TaskFailed")
    batch.requests(3, "CreateOutcomeUnknown")
    assert await batch.rows(batch.view.unknown()) == [(3,)]
    batch.requests(MOST + 5, "CreateOutcomeUnknown2")
    batch.world.sql("""UPDATE mps_aigc_ledger.requests SET error = '{"type": "CreateOutcomeUnknown"}'""")
    assert await batch.rows(batch.view.unknown()) == [(MOST,)]


async def test_the_rate_is_read_from_the_latest_ends(batch: Batch) -> None:
    batch.requests(MANY)
    [(number, took_s, ago_s)] = await batch.rows(batch.view.rate(200))
    assert (number, took_s) == (200, 199.0)
    assert ago_s > 0


async def test_jobs_are_counted_by_state(batch: Batch) -> None:
    batch.jobs(4, "planned")
    batch.jobs(2, "submitted")
    batch.jobs(7, "saved")
    assert jobs_of(await batch.rows(batch.view.jobs())) == {JobState.PLANNED: 4, JobState.SUBMITTED: 2}


async def test_creates_are_counted_over_the_latest_seconds(batch: Batch) -> None:
    assert sends_of(await batch.rows(batch.view.sends())) == {}
    batch.jobs(30, "submitted", sent_ago_s=1)
    batch.jobs(20, "saved", sent_ago_s=9)
    batch.jobs(15, "saved", sent_ago_s=5, kind="video")
    batch.jobs(50, "saved", sent_ago_s=30)
    batch.jobs(1, "planned")
    assert sends_of(await batch.rows(batch.view.sends())) == {Kind.IMAGE: 5.0, Kind.VIDEO: 1.5}


async def test_creates_of_a_while_ago_are_no_pace(batch: Batch) -> None:
    batch.jobs(30, "saved", sent_ago_s=11)
    assert sends_of(await batch.rows(batch.view.sends())) == {}


async def test_workers_are_named_with_the_requests_that_they_run(batch: Batch) -> None:
    batch.worker(seconds_ago=1)
    batch.worker(seconds_ago=300)
    batch.worker(seconds_ago=300)
    batch.items(5)
    batch.items(3, worker=1)
    batch.items(1, worker=3)
    await batch.connection.run(*batch.view.enter(2, "gpu-2", 12))
    await batch.connection.run(*batch.view.enter(3, "gpu-3", 13))
    first, dead = workers_of(await batch.rows(batch.view.workers()))
    assert first == WorkerView("gpu-1", 4711, 3, first.heartbeat_s)
    assert 1 <= first.heartbeat_s < 60
    assert (dead.host, dead.requests) == ("gpu-3", 1)  # gone, and its request not taken over yet
    assert await batch.rows(batch.view.running()) == [(4,)]


async def test_a_worker_that_has_left_is_forgotten_by_the_next_one(batch: Batch) -> None:
    batch.worker(seconds_ago=1)
    await batch.connection.run(*batch.view.enter(1, "gpu-9", 12))
    await batch.connection.run(*batch.view.enter(8, "gpu-8", 12))
    assert batch.world.sql("SELECT worker, host FROM mps_aigc_ledger.workers ORDER BY worker") == [
        (1, "gpu-9"), (8, "gpu-8"),
    ]  # fmt: skip
    batch.world.sql("DELETE FROM procrastinate_workers")
    batch.worker(seconds_ago=1)
    await batch.connection.run(*batch.view.enter(2, "gpu-9", 12))
    assert batch.world.sql("SELECT worker FROM mps_aigc_ledger.workers") == [(2,)]


@pytest.mark.parametrize("is_analyzed", [True, False])
async def test_no_statement_reads_the_rows_of_a_large_batch(batch: Batch, *, is_analyzed: bool) -> None:
    batch.requests(MANY)
    batch.requests(MANY, "TaskFailed")
    batch.requests(20, "CreateOutcomeUnknown")
    batch.jobs(MANY, "saved", sent_ago_s=3600)
    batch.jobs(200, "submitted", sent_ago_s=1)
    batch.worker(seconds_ago=1)
    batch.items(MANY)
    batch.items(100, worker=1)
    if is_analyzed:
        batch.world.sql("ANALYZE")
    view = batch.view
    for step in (view.rate(200), view.unknown(), view.jobs(), view.sends(), view.running(), view.workers()):
        statement, values = step
        [[(plan,)]] = await batch.connection.run((f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values))
        assert _rows_read(plan[0]["Plan"]) < FEW, json.dumps(plan, indent=1)
        assert _rows_expected(plan[0]["Plan"]) < FEW, json.dumps(plan, indent=1)


def _rows_read(plan: Mapping[str, Any]) -> int:
    """The rows that a plan and its parts read, including those that a filter leaves out."""
    names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    own = sum(int(plan.get(name, 0)) for name in names) * int(plan["Actual Loops"])
    return own + sum(_rows_read(part) for part in plan.get("Plans", ()))


def _rows_expected(plan: Mapping[str, Any]) -> int:
    """The rows for which the server has chosen the plan: for many of a large table it would read the whole table."""
    is_cut = plan["Node Type"] == "Limit"
    parts = [part for part in plan.get("Plans", ()) if not is_cut]
    return max([int(plan["Plan Rows"]), *(_rows_expected(part) for part in parts)])


def test_the_rate_is_that_of_the_latest_ends() -> None:
    assert rate_of([(0, None, None)]) == rate_of([(1, 0.0, 3.0)]) == 0.0
    assert rate_of([(11, 5.0, 1.0)]) == 2.0
    assert rate_of([(11, 5.0, 8.0)]) == 1.25
    assert rate_of([(11, 5.0, 60.0)]) == 0.0
