"""Old requests are removed from a ledger: all of their rows, and nothing that anybody may need."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from mps_aigc_async.engine import pruning
from mps_aigc_async.engine.batch_progress import progress_of
from mps_aigc_async.engine.pruning import PruneCount, preview, prune
from mps_aigc_async.engine.request_queue import TASK
from mps_aigc_async.engine.workers import make_tables
from mps_aigc_async.ledger.postgres import prepare_database
from mps_aigc_async.ledger.postgres.requests import QueuedRequest, RequestStatements, ends_of
from mps_aigc_async.model.errors import ConfigError, InvalidRequest, LedgerError
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.sharing.connection import Connection
from mps_aigc_async.sharing.database_url import database_url

NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(days=30)
OLD, YOUNG = (BEFORE - timedelta(hours=1)).timestamp(), (BEFORE + timedelta(hours=1)).timestamp()

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
async def ledger(database: str) -> str:
    await prepare_database(database_url(database))
    return f"{database}?ledger=spring"


@pytest.fixture
async def queue(ledger: str) -> None:
    """The tables of the ledger's queue, which `progress_of` reads."""
    await make_tables(database_url(ledger))


@pytest.fixture
def sql(ledger: str) -> Iterator[Sql]:
    with psycopg.connect(ledger.partition("?")[0], autocommit=True) as connection:
        yield connection


def add_job(sql: Sql, job_id: str, state: str, at: float = OLD, ledger: str = "spring") -> None:
    """A job that was planned long ago, and came to its state at a time."""
    sql.execute(
        "INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, content, planned_at, state, ended_at, token) "
        "VALUES (%s, '{}', %s, %s, '{}', %s, %s, %s, 't')",
        (ledger, job_id, job_id.rpartition("/")[2], OLD - 60, state, None if state == "planned" else at),
    )


def add_request(sql: Sql, name: str, at: float | None = OLD, error: str | None = None) -> None:
    """A queued request that ended at a time; one that waits for None."""
    sql.execute(
        "WITH number AS (INSERT INTO mps_aigc_ledger.batches AS batch (ledger, queued, ended, failed, ends) "
        "VALUES ('spring', 1, %(is_over)s, %(failed)s, %(is_over)s) ON CONFLICT (ledger) DO UPDATE SET queued = "
        "batch.queued + 1, ended = batch.ended + excluded.ended, failed = batch.failed + excluded.failed, "
        "ends = batch.ends + excluded.ends RETURNING ends) "
        "INSERT INTO mps_aigc_ledger.requests (ledger, name, line, ended, ended_at, error) "
        "SELECT 'spring', %(name)s, '{}', CASE WHEN %(is_over)s = 1 THEN ends END, %(at)s, %(error)s FROM number",
        {"name": name, "at": at, "is_over": int(at is not None), "failed": int(error is not None), "error": error},
    )


def names_in(sql: Sql, table: str, column: str) -> set[str]:
    return {name for (name,) in sql.execute(f"SELECT {column} FROM mps_aigc_ledger.{table}".encode())}  # noqa: S608 — own words


def is_left(sql: Sql, name: str) -> bool:
    jobs = {job_id.rpartition("/")[0] for job_id in names_in(sql, "jobs", "job_id")}
    return name in jobs | names_in(sql, "requests", "name")


@pytest.mark.parametrize(
    ("jobs", "end", "is_removed"),
    [
        ({"image": "saved"}, OLD, True),
        ({"image": "saved", "video": "saved", "audio": "failed"}, OLD, True),
        ({}, OLD, True),
        ({"image": "saved"}, YOUNG, False),
        ({"image": "saved"}, None, False),
        ({}, None, False),
        ({"image": "saved", "video": "done"}, OLD, False),
        ({"image": "saved", "video": "submitted"}, OLD, False),
        ({"image": "saved", "video": "intent"}, OLD, False),
        ({"image": "saved", "video": "unknown"}, OLD, False),
        ({"image": "failed", "video": "planned"}, OLD, False),
        ({"image": "odd"}, OLD, False),
    ],
    ids=lambda value: ("old" if value == OLD else "young") if isinstance(value, float) else None,
)
async def test_a_queued_request_goes_as_a_whole_or_stays(
    ledger: str, sql: Sql, jobs: dict[str, str], end: float | None, is_removed: bool
) -> None:
    add_request(sql, "a", end)
    for kind, state in jobs.items():
        add_job(sql, f"a/{kind}", state)
    kept = {JobState(state): 1 for state in jobs.values() if state not in {"saved", "failed", "odd"}}
    count = PruneCount(int(is_removed), len(jobs) if is_removed else 0, kept, 0)
    assert preview(ledger, BEFORE) == await prune(ledger, BEFORE) == count
    assert is_left(sql, "a") is not is_removed
    assert preview(ledger, BEFORE) == await prune(ledger, BEFORE) == PruneCount(0, 0, kept, 0)


@pytest.mark.parametrize(
    ("jobs", "is_removed"),
    [
        ({"image": ("saved", OLD)}, True),
        ({"video": ("failed", OLD)}, True),
        ({"image": ("failed", OLD), "video": ("saved", OLD)}, True),
        ({"image": ("saved", YOUNG)}, False),
        ({"image": ("saved", OLD), "video": ("failed", YOUNG)}, False),
        ({"image": ("saved", OLD), "video": ("unknown", OLD)}, False),
    ],
)
async def test_a_request_that_was_never_queued_goes_by_the_end_of_its_jobs(
    ledger: str, sql: Sql, jobs: dict[str, tuple[str, float]], is_removed: bool
) -> None:
    for kind, (state, at) in jobs.items():
        add_job(sql, f"a/{kind}", state, at)
    add_job(sql, "a/image", "saved", ledger="another")
    counts = preview(ledger, BEFORE), await prune(ledger, BEFORE)
    assert {count.requests for count in counts} == {int(is_removed)}
    assert {count.jobs for count in counts} == {len(jobs) if is_removed else 0}
    assert sql.execute("SELECT ledger, count(*) FROM mps_aigc_ledger.jobs GROUP BY 1 ORDER BY 1").fetchall() == [
        ("another", 1), *([] if is_removed else [("spring", len(jobs))]),
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["kind = 'picture'", "planned_at = NULL, ended_at = NULL", "ended_at = 'NaN'"])
async def test_a_request_with_a_damaged_job_is_kept(ledger: str, sql: Sql, damage: str) -> None:
    add_request(sql, "a")
    add_job(sql, "a/image", "saved")
    add_job(sql, "a/video", "saved")
    sql.execute(f"UPDATE mps_aigc_ledger.jobs SET {damage} WHERE job_id = 'a/image'".encode())  # noqa: S608 — own words
    assert preview(ledger, BEFORE) == await prune(ledger, BEFORE) == PruneCount(0, 0, {}, 0)
    assert names_in(sql, "jobs", "job_id") == {"a/image", "a/video"}


@pytest.mark.usefixtures("queue")
async def test_a_prune_that_is_cancelled_goes_on_with_the_next_call(
    ledger: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PORTION", 1)
    for number in range(40):
        add_request(sql, f"a-{number}")
    removing = asyncio.create_task(prune(ledger, BEFORE))
    while len(names_in(sql, "requests", "name")) > 30:  # noqa: ASYNC110 — the server tells nobody
        await asyncio.sleep(0)
    removing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removing
    left = len(names_in(sql, "requests", "name"))
    assert 0 < left <= 30
    assert (await progress_of(database_url(ledger))).requests == left
    assert (await prune(ledger, BEFORE)).requests == left


async def test_a_ledger_of_every_sort_keeps_all_that_may_be_needed(
    ledger: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PORTION", 7)
    draw = random.Random(5)
    needed: set[str] = set()
    old: set[str] = set()
    for number in range(300):
        name = draw.choice(["shot", "a/b", "50%", "'x", "image/image"]) + f"-{number}"
        jobs = {kind: draw.choice(["saved"] * 8 + ["failed", *JobState]) for kind in draw.sample(list(Kind), 2)}
        ends = {kind: draw.choice([OLD, OLD, OLD, YOUNG]) for kind in jobs}
        end = draw.choice([OLD, OLD, OLD, YOUNG, None])
        is_queued = draw.random() < 0.6
        if is_queued:
            add_request(sql, name, end)
        for kind, state in jobs.items():
            add_job(sql, f"{name}/{kind}", state, ends[kind])
        is_old = all(jobs[kind] in {"saved", "failed"} and ends[kind] == OLD for kind in jobs)
        (old if is_old and (not is_queued or end == OLD) else needed).add(name)
    assert (await prune(ledger, BEFORE)).requests == len(old) > 50
    assert {job_id.rpartition("/")[0] for job_id in names_in(sql, "jobs", "job_id")} == needed
    assert names_in(sql, "requests", "name") <= needed


@pytest.mark.usefixtures("queue")
async def test_progress_and_ends_stay_true(ledger: str, sql: Sql) -> None:
    for number in range(5):
        add_request(sql, f"old-{number}", error='{"type":"TaskFailed"}' if number < 2 else None)
    add_request(sql, "young", YOUNG, error='{"type":"TaskFailed"}')
    add_request(sql, "waits", None)
    assert (await prune(ledger, BEFORE)).requests == 5
    progress = await progress_of(database_url(ledger))
    assert (progress.requests, progress.ends, progress.failures) == (2, 1, 1)
    connection, statements = Connection(database_url(ledger)), RequestStatements("spring")
    await connection.run(*statements.note_end("waits", "{}", None))
    [rows] = await connection.run(statements.ends_after(6, 9))
    assert [(end.name, end.number) for end in ends_of(rows)] == [("waits", 7)]
    *_, new = await connection.run(*statements.add([QueuedRequest("old-1", "{}")]))
    assert new == [("old-1",)]
    await connection.close()


@pytest.mark.usefixtures("queue")
async def test_ends_are_counted_while_portions_are_removed(
    ledger: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PORTION", 3)
    for number in range(90):
        add_request(sql, f"old-{number}")
        add_request(sql, f"new-{number}", None)
    connection, statements = Connection(database_url(ledger)), RequestStatements("spring")

    async def end_all() -> None:
        for number in range(90):
            await connection.run(*statements.note_end(f"new-{number}", "{}", None))

    counts = await asyncio.gather(prune(ledger, BEFORE), prune(ledger, BEFORE), end_all())
    await connection.close()
    assert sum(count.requests for count in counts if count) == 90
    progress = await progress_of(database_url(ledger))
    assert (progress.requests, progress.ends, progress.failures) == (90, 90, 0)


async def test_a_job_that_is_retried_meanwhile_is_kept_with_its_request(ledger: str, sql: Sql) -> None:
    add_request(sql, "a")
    add_job(sql, "a/image", "saved")
    add_job(sql, "a/video", "failed")
    with psycopg.connect(ledger.partition("?")[0]) as other:
        other.execute("UPDATE mps_aigc_ledger.jobs SET state = 'planned' WHERE job_id = 'a/video'")
        removing = asyncio.create_task(prune(ledger, BEFORE))
        while not sql.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall():  # noqa: ASYNC110 — the server tells nobody
            await asyncio.sleep(0)
        other.commit()
    assert await removing == PruneCount(0, 0, {JobState.PLANNED: 1}, 0)
    assert names_in(sql, "jobs", "job_id") == {"a/image", "a/video"}
    assert names_in(sql, "requests", "name") == {"a"}


async def test_orphans_are_kept_and_members_that_are_long_gone_go(ledger: str, sql: Sql) -> None:
    sql.execute("INSERT INTO mps_aigc_ledger.orphans VALUES ('spring', '{}', 'a/image', 't', '4-1', 'image', '', 1)")
    for name, days in (("gone", 31), ("here", 29)):
        sql.execute(
            "INSERT INTO mps_aigc_ledger.members VALUES (%s, 'spring', '', '', '', 1, '', '', 2, 1, '', "
            "now() - make_interval(days => %s))",
            (name, days),
        )
    assert preview(ledger, BEFORE) == await prune(ledger, BEFORE) == PruneCount(0, 0, {}, 1)
    assert names_in(sql, "members", "id") == {"here"}


@pytest.mark.usefixtures("queue")
async def test_items_that_somebody_ended_go_with_their_requests(ledger: str, sql: Sql) -> None:
    add_request(sql, "stays", YOUNG)
    add_request(sql, "goes", OLD)
    for queue, task, name, status in (
        ("spring", TASK, "goes", "cancelled"),
        ("spring", TASK, "goes", "todo"),
        ("spring", TASK, "stays", "failed"),
        ("spring", "users.own", "goes", "failed"),
        ("summer", TASK, "goes", "failed"),
    ):
        sql.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) "
            "VALUES (%s, %s, jsonb_build_object('name', %s::text), %s)",
            (queue, task, name, status),
        )
    await prune(ledger, BEFORE)
    rows = sql.execute(
        "SELECT queue_name, task_name, args ->> 'name', status::text FROM procrastinate_jobs ORDER BY id"
    )
    assert rows.fetchall() == [
        ("spring", TASK, "goes", "todo"), ("spring", TASK, "stays", "failed"),
        ("spring", "users.own", "goes", "failed"), ("summer", TASK, "goes", "failed"),
    ]  # fmt: skip


def test_the_items_are_those_of_the_queue() -> None:
    assert pruning.TASK == TASK


async def previewed(ledger: str, before: datetime) -> PruneCount:
    return preview(ledger, before)


@pytest.mark.parametrize("remove", [prune, previewed])
async def test_a_time_that_is_too_late_and_another_ledger_are_refused(
    ledger: str, sql: Sql, remove: Callable[[str, datetime], Awaitable[PruneCount]]
) -> None:
    async def refusal(name: str, before: datetime) -> str:
        with pytest.raises((InvalidRequest, ConfigError, LedgerError)) as caught:
            await remove(name, before)
        return str(caught.value)

    assert "2 days after their end at the earliest" in await refusal(ledger, NOW - timedelta(hours=47))
    assert "needs a time zone" in await refusal(ledger, BEFORE.replace(tzinfo=None))
    assert "workers share a ledger in PostgreSQL" in await refusal("jobs.db", BEFORE)
    assert "cannot be" in await refusal("postgresql://nobody@127.0.0.1:1/x", BEFORE)
    sql.execute("UPDATE mps_aigc_ledger.version SET version = 1")
    assert "`mps-aigc migrate`" in await refusal(ledger, BEFORE)
    sql.execute("UPDATE mps_aigc_ledger.version SET version = 99")
    assert "upgrade" in await refusal(ledger, BEFORE)
    sql.execute("DROP SCHEMA mps_aigc_ledger CASCADE")
    assert "there is no ledger" in await refusal(ledger, BEFORE)
