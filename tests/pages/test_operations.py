"""The SQL of the pages: each query runs on a ledger, its figures are the metrics that the page names, and a restored
backup is treated as the page says."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest
from mps_aigc_async.concurrency.alongside import running_alongside
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch_progress import outcomes_of, progress_of
from mps_aigc_async.engine.workers import drain, make_tables, queue
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.sharing.database_url import database_url

from ..support import KEYS
from .blocks import ROOT, Block, blocks_of

QUERIES: Final = blocks_of("sql")
PAGE: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

Sql = psycopg.Connection[tuple[Any, ...]]


def name_of(block: Block) -> str:
    return block.text.splitlines()[0].removeprefix("-- ")


def query(name: str) -> str:
    [text] = [block.text for block in QUERIES if name_of(block) == name]
    return text


@pytest.fixture
async def ledger(database: str) -> str:
    await make_tables(database_url(database))
    ledger = f"{database}?ledger=spring"
    await queue((ImageRequest(id=f"scene-{number}", prompt=f"scene {number}") for number in range(4)), ledger)
    return ledger


@pytest.fixture
def sql(ledger: str) -> Iterator[Sql]:
    with psycopg.connect(ledger.partition("?")[0], autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("block", QUERIES, ids=name_of)
async def test_a_query_runs(block: Block, sql: Sql) -> None:
    assert block.text.startswith("-- ")
    sql.execute(block.text.encode())


async def test_each_metric_of_the_page_is_a_number_of_its_query(sql: Sql) -> None:
    metrics = set()
    for block in QUERIES:
        if name_of(block).startswith("mps_aigc_"):
            cursor = sql.execute(block.text.encode())
            rows, columns = cursor.fetchall(), [column.name for column in cursor.description or ()]
            assert rows, block
            numbers = [column for column, value in zip(columns, rows[0], strict=True) if not isinstance(value, str)]
            metrics |= {f"{name_of(block)}_{column}" for column in numbers}
    named = set(re.findall(r"`(mps_aigc_\w+?_\w+)`", PAGE)) - {"mps_aigc_ledger"}
    assert named
    assert named <= metrics


async def test_the_queries_count_the_ledger(sql: Sql) -> None:
    assert sql.execute(query("mps_aigc_batch").encode()).fetchall() == [("spring", 4, 0, 0, 4)]
    assert sql.execute(query("mps_aigc_unsaved").encode()).fetchall() == [("spring", 43200)]
    sql.execute(
        "INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, state, token, expires_at) VALUES "
        "('spring', '', 'a/image', 'image', 'done', '', extract(epoch FROM clock_timestamp()) + 60)"
    )
    assert sql.execute(query("mps_aigc_jobs").encode()).fetchall() == [("spring", 0, 0, 1, 0)]
    [(_, seconds)] = sql.execute(query("mps_aigc_unsaved").encode())
    assert 0 < seconds <= 60


async def test_no_metric_reads_all_jobs(sql: Sql) -> None:
    sql.execute(
        "INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, state, token, planned_at) "
        "SELECT 'spring', '', n || '/image', 'image', 'saved', '', n FROM generate_series(1, 20000) n"
    )
    sql.execute("VACUUM ANALYZE mps_aigc_ledger.jobs")
    for block in QUERIES:
        if name_of(block).startswith("mps_aigc_"):
            plan = [line for (line,) in sql.execute(f"EXPLAIN {block.text}".encode())]
            assert [line for line in plan if "Seq Scan on jobs" in line] == [], block


async def test_requests_that_are_taken_out_are_not_created(ledger: str, sql: Sql) -> None:
    lines = [json.loads(line) for _, line in sql.execute(query("open_requests").encode())]
    assert [parse(line).id for line in lines] == [f"scene-{number}" for number in range(4)]
    sql.execute(query("take_out").encode())
    async with Emulator(speed=600) as emulator:
        config = Config.parse(
            {"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": {"pollIntervalMs": 100}}
        )
        async with AigcClient(config, ledger=ledger) as client:
            worker = client.worker()
            async with running_alongside(worker.run()) as running:
                ended = {outcome.job_id async for outcome in outcomes_of(database_url(ledger))}
                await drain(ledger)
                await running
        assert emulator.statistics().created["image"] == 2
    progress = await progress_of(database_url(ledger))
    assert (ended, progress.requests, progress.ends) == ({"scene-0", "scene-3"}, 2, 2)
    assert sql.execute("SELECT count(*) FROM procrastinate_jobs").fetchall() == [(0,)]
