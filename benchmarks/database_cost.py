"""The cost of a request for PostgreSQL: transactions, rows, log, bytes, CPU, connections; ends a second, and `prune`.

One worker runs queued requests on a quick emulator; ledger, queue and limit store are in one database. Worker, emulator
and database are processes of one machine. Two batches of images differ in their polls alone, and give the cost of each
poll. The rows for `prune` are made by the server itself.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, LiteralString
from unittest.mock import patch

import psycopg

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch_progress import progress_of
from mps_aigc_async.engine.pruning import preview, prune
from mps_aigc_async.engine.workers import drain, make_tables, queue
from mps_aigc_async.ledger.postgres.requests import QueuedRequest, RequestStatements
from mps_aigc_async.sharing.connection import Connection as DatabaseConnection
from mps_aigc_async.sharing.database_url import DatabaseUrl, database_url
from tests.postgres_server import PostgresServer, postgres_server

from .memory import resident_mib
from .server import Server, account, serving
from .table import show

RATE: Final = 2_000
CAP: Final = 60
ACTIONS: Final = tuple(f"{verb}Aigc{kind}Task" for verb in ("Create", "Describe") for kind in ("Image", "Video"))
RESULT: Final = b"\x89PNG\r\n" + bytes(2000)
OLD: Final = 500_000
"""Chains in the ledger that is pruned: half of them are old."""

LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Batch:
    """A batch, and the seconds of its tasks."""

    title: str
    requests: int
    image_s: tuple[float, float] = (0.3, 1.0)
    is_chain: bool = False

    def request(self, number: int) -> ImageRequest | ImageToVideo:
        image = ImageRequest(id=f"shot-{number:06}", prompt=f"a lake by moonlight, seen from the hill, {number}")
        if not self.is_chain:
            return image
        film = VideoRequest(prompt=f"the wind moves the reeds, {number}")
        return ImageToVideo(id=image.id, image=image.model_copy(update={"id": None}), video=film)


BATCHES: Final = (
    Batch("images", 2000),
    Batch("images that take longer", 1000, (4.0, 6.0)),
    Batch("image-to-video chains", 1000, is_chain=True),
)


@dataclass(frozen=True)
class Cost:
    """The figures of a batch."""

    took_s: float
    worker_s: float
    """CPU of the worker."""
    worker_mib: float
    """Its memory at the end."""
    polls: int
    connections: int
    use: "Use"
    table_bytes: int
    """Tables and indexes of the ledger after VACUUM, the queue's and the limit store's included."""
    packed_bytes: int
    """The same after VACUUM FULL."""


async def main() -> None:
    costs: list[tuple[Batch, Cost]] = []
    for batch in BATCHES:
        with postgres_server() as postgres, postgres.database() as database:
            costs.append((batch, await _cost(batch, postgres, database)))
    show(f"Cost of a request, of batches with {CAP} tasks at once", _HEADER, [_row(*each) for each in costs])
    (few, cheap), (many, dear), _ = costs
    show("Cost of a poll, from the two batches of images", ("figure", "each"), _poll_rows(few, cheap, many, dear))
    show(f"Ends of requests a second, by {ENDERS} connections", ("ledgers", *_PLACES), await _ends_by_ledgers())
    with postgres_server() as postgres, postgres.database() as database:
        await _prune(database)


# --- a batch ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def plain(emulator: Emulator) -> AsyncIterator[str]:
    """The emulator with the same few bytes for each result: rendering would take most of the time."""

    async def the_same(_: object) -> bytes:
        return RESULT

    with patch.object(emulator._gallery, "get", the_same):  # noqa: SLF001 — see above
        yield emulator.url


async def _cost(batch: Batch, postgres: PostgresServer, database: str) -> Cost:
    ledger = f"{database}?ledger=spring"
    rates = dict.fromkeys(ACTIONS, RATE)
    quick = {"image_seconds": batch.image_s, "video_seconds": (0.3, 1.0), "fetch_frames": False}
    await make_tables(database_url(database))
    with TemporaryDirectory() as folder, psycopg.connect(database, autocommit=True) as sql:
        empty = _bytes_in(sql)
        async with serving(plain, **quick, limits=rates, log_size=10) as server:
            config = _config(server, database)
            before, began = Use.now(sql, postgres), time.monotonic()
            await queue((batch.request(number) for number in range(batch.requests)), ledger)
            async with _working(config, ledger, folder) as worker:
                connections = await _until_over(sql, ledger)
                took_s = time.monotonic() - began
                await drain(ledger)
                worker_s, worker_mib = await asyncio.to_thread(worker.recv)
            arrivals = (await server.report()).statistics.arrivals
        sql.execute("SELECT pg_stat_clear_snapshot()")
        after = Use.now(sql, postgres)
        sizes = [_vacuumed(sql, statement) - empty for statement in ("VACUUM", "VACUUM FULL")]
    polls = sum(number for action, number in arrivals.items() if action.startswith("Describe"))
    return Cost(took_s, worker_s, worker_mib, polls, connections, after.since(before), *sizes)


def _config(server: Server, database: str) -> dict[str, Any]:
    return {
        "tencentCloud": account(server.url),
        "concurrency": {"maxImageTasks": CAP, "maxVideoTasks": CAP, "pollIntervalMs": 1000},
        "limits": dict.fromkeys(ACTIONS, RATE),
        "limitStore": database,
    }


@asynccontextmanager
async def _working(
    config: Mapping[str, Any], ledger: str, folder: str
) -> "AsyncIterator[Connection[Any, tuple[float, float]]]":
    """A worker in a process of its own, which sends its CPU seconds and its MiB once the batch is drained."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker, args=(theirs, config, ledger, folder), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        await asyncio.to_thread(process.join)


def _worker(pipe: "Connection[tuple[float, float], Any]", config: Mapping[str, Any], ledger: str, folder: str) -> None:
    asyncio.run(_work(Config.parse(config), ledger, folder))
    pipe.send((time.process_time(), resident_mib()))


async def _work(config: Config, ledger: str, folder: str) -> None:
    async with AigcClient(config, ledger=ledger) as client:
        await client.worker(save_to=folder).run()


_CONNECTIONS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


async def _until_over(sql: psycopg.Connection[Any], ledger: str) -> int:
    """Wait for the batch's end; return the most connections that the worker had."""
    most = 0
    while True:
        await asyncio.sleep(LOOK_S)
        most = max(most, _one(sql, _CONNECTIONS))
        progress = await progress_of(database_url(ledger))
        if progress.ends == progress.requests:
            return most


@dataclass(frozen=True)
class Use:
    """The use of the server."""

    cpu_s: float
    """CPU of all its processes."""
    transactions: int
    rows: int
    """Rows that were inserted, updated or deleted."""
    log_bytes: int

    @classmethod
    def now(cls, sql: psycopg.Connection[Any], postgres: PostgresServer) -> "Use":
        time.sleep(1.1)  # the sessions tell their counts once a second
        return cls(
            _cpu_s(postgres),
            _one(sql, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"),
            _one(sql, "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables"),
            _one(sql, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"),
        )

    def since(self, before: "Use") -> "Use":
        return Use(
            self.cpu_s - before.cpu_s,
            self.transactions - before.transactions,
            self.rows - before.rows,
            self.log_bytes - before.log_bytes,
        )


def _cpu_s(postgres: PostgresServer) -> float:
    """The CPU seconds of the server's processes, those that have ended included."""
    assert postgres._process is not None  # noqa: SLF001 — the tests need no process id
    pid, ticks = postgres._process.pid, 0  # noqa: SLF001 — as above
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        is_first = int(stat.parent.name) == pid
        if is_first or int(fields[1]) == pid:
            ticks += sum(map(int, fields[11 : 15 if is_first else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _bytes_in(sql: psycopg.Connection[Any]) -> int:
    return _one(sql, "SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_stat_user_tables")


def _vacuumed(sql: psycopg.Connection[Any], statement: LiteralString) -> int:
    sql.execute(statement)
    return _bytes_in(sql)


def _one(sql: psycopg.Connection[Any], statement: LiteralString) -> int:
    row = sql.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


_HEADER: Final = (
    "batch", "requests", "a second", "worker CPU", "worker MiB", "PostgreSQL CPU", "polls", "transactions",
    "rows written", "WAL", "bytes", "bytes, packed", "connections",
)  # fmt: skip


def _row(batch: Batch, cost: Cost) -> tuple[object, ...]:
    number, use = batch.requests, cost.use
    return (
        batch.title, number, f"{number / cost.took_s:.0f}", f"{1000 * cost.worker_s / number:.1f} ms",
        f"{cost.worker_mib:.0f}", f"{1000 * use.cpu_s / number:.1f} ms", f"{cost.polls / number:.1f}",
        f"{use.transactions / number:.1f}", f"{use.rows / number:.1f}", f"{use.log_bytes / number / 1024:.1f} KiB",
        f"{cost.table_bytes / number:,.0f}", f"{cost.packed_bytes / number:,.0f}", cost.connections,
    )  # fmt: skip


def _poll_rows(few: Batch, cheap: Cost, many: Batch, dear: Cost) -> list[tuple[str, str]]:
    polls = dear.polls / many.requests - cheap.polls / few.requests

    def each(figure: Callable[[Cost], float]) -> float:
        return (figure(dear) / many.requests - figure(cheap) / few.requests) / polls

    return [
        ("worker CPU", f"{1000 * each(lambda cost: cost.worker_s):.2f} ms"),
        ("PostgreSQL CPU", f"{1000 * each(lambda cost: cost.use.cpu_s):.2f} ms"),
        ("transactions", f"{each(lambda cost: cost.use.transactions):.2f}"),
        ("rows written", f"{each(lambda cost: cost.use.rows):.2f}"),
        ("WAL", f"{each(lambda cost: cost.use.log_bytes):.0f} bytes"),
    ]


# --- ends -------------------------------------------------------------------------------------------------------------

ENDERS: Final = 8
ENDS: Final = 2000
LEDGERS: Final = (1, 8)
_PLACES: Final = ("in memory", "on this machine's disk")


async def _ends_by_ledgers() -> list[list[str]]:
    """How many ends are written a second. Each locks its batch's row, and each commit with a notice the database's
    queue of notices, until the server's log is on the disk."""
    rows = [[str(ledgers)] for ledgers in LEDGERS]
    with postgres_server() as in_memory, _on_disk() as on_disk:
        for postgres in (in_memory, on_disk):
            for row, ledgers in zip(rows, LEDGERS, strict=True):
                with postgres.database() as database:
                    row.append(f"{await _ends(database, ledgers):,.0f}")
    return rows


@contextmanager
def _on_disk() -> Iterator[PostgresServer]:
    with TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        server = PostgresServer(Path(name) / "data")
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def _ends(database: str, ledgers: int) -> float:
    url = database_url(database)
    await make_tables(url)
    places = [url.of(f"ledger-{number % ledgers}") for number in range(ENDERS)]
    names = [[f"{number}-{each}" for each in range(ENDS // ENDERS)] for number in range(ENDERS)]
    connections = [DatabaseConnection(place) for place in places]
    for place, connection, own in zip(places, connections, names, strict=True):
        await connection.run(*RequestStatements(place.ledger).add([QueuedRequest(name, "{}") for name in own]))

    async def end_all(place: DatabaseUrl, connection: DatabaseConnection, own: list[str]) -> None:
        for name in own:
            await connection.run(*RequestStatements(place.ledger).note_end(name, "{}", None))

    began = time.monotonic()
    await asyncio.gather(*map(end_all, places, connections, names))
    took_s = time.monotonic() - began
    for connection in connections:
        await connection.close()
    return ENDS / took_s


# --- prune ------------------------------------------------------------------------------------------------------------

_SECOND: Final = 1_700_000_000

_JOBS: Final = """
    INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, content, planned_at, state, intent_at, task_id,
        submitted_at, ended_at, saved_at, urls, files, error, filled_in, token)
    SELECT 'many', '{"account":"a"}', 'shot-' || n || '/' || kind, kind, '{"prompt":"a lake, ' || n || '"}',
        %(at)s + n, 'saved', %(at)s + n, '4-' || kind || n, %(at)s + n, %(at)s + n, %(at)s + n,
        '["https://host.example/' || n || '.png"]', '["/made/shot-' || n || '.png"]', '{}', '{}', md5(n::text)
    FROM generate_series(1, %(number)s) n, unnest(ARRAY['image', 'video']) kind
"""

_REQUESTS: Final = """
    WITH many AS (INSERT INTO mps_aigc_ledger.batches VALUES ('many', %(number)s, %(number)s, 0, %(number)s))
    INSERT INTO mps_aigc_ledger.requests (ledger, name, line, ended, ended_at)
    SELECT 'many', 'shot-' || n, '{}', n, %(at)s + n FROM generate_series(1, %(number)s) n
"""


async def _prune(database: str) -> None:
    await make_tables(database_url(database))
    with psycopg.connect(database, autocommit=True) as sql:
        for statement in (_JOBS, _REQUESTS):
            sql.execute(statement.encode(), {"number": OLD, "at": _SECOND})
        sql.execute("VACUUM ANALYZE")
        before, began = datetime.fromtimestamp(_SECOND + OLD // 2, UTC), time.monotonic()
        await asyncio.to_thread(preview, f"{database}?ledger=many", before)
        previewed, began = time.monotonic() - began, time.monotonic()
        count = await prune(f"{database}?ledger=many", before)
        took_s = time.monotonic() - began
    show(
        f"prune, of {OLD:,} chains",
        ("counted in", "removed", "took", "chains a second"),
        [(f"{previewed:.1f} s", f"{count.requests:,}", f"{took_s:.1f} s", f"{count.requests / took_s:,.0f}")],
    )
