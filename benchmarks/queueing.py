"""A million requests queued: how many a second, in how much memory, and how long `progress` takes then.

The server is one of this run, on the same machine. Each request is one of a generator. `progress` is asked of a batch
that waits, and of one in the middle: half of its requests have ended, one in ten of these with an error, and each has a
job that was sent; 2000 run at 4 workers. These rows are written by SQL, and the server has not analyzed them yet.
"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

import psycopg

from mps_aigc_async import ImageRequest
from mps_aigc_async.engine.batch_progress import progress_of
from mps_aigc_async.engine.workers import queue
from mps_aigc_async.sharing.database_url import database_url
from tests.postgres_server import postgres_server

from .memory import resident_mib
from .table import show

NUMBERS: Final = (10_000, 1_000_000)
ASKED: Final = 9


async def main() -> None:
    rows = []
    for number in NUMBERS:
        with postgres_server() as postgres, postgres.database() as database:
            ledger, before, began = f"{database}?ledger=many", resident_mib(), time.monotonic()
            await queue(_requests(number), ledger)
            took_s, mib = time.monotonic() - began, resident_mib() - before
            waiting_s = await _answer_s(ledger)
            _bring_to_the_middle(database, number)
            running_s = await _answer_s(ledger)
        rows.append(
            (
                f"{number:,}",
                f"{number / took_s:,.0f}",
                f"{mib:.1f}",
                *(f"{1000 * s:.0f} ms" for s in (waiting_s, running_s)),
            )
        )
    headings = ("number", "a second", "MiB more", "progress answers in", "and in the middle of the batch")
    show("Requests queued", headings, rows)


async def _answer_s(ledger: str) -> float:
    """The seconds of an answer, by the median: most of them are for the connection."""
    answers_s = []
    for _ in range(ASKED):
        began = time.monotonic()
        await progress_of(database_url(ledger))
        answers_s.append(time.monotonic() - began)
    return median(answers_s)


def _bring_to_the_middle(database: str, number: int) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in _MIDDLE:
            connection.execute(statement, {"half": number // 2, "running": min(2000, number // 10)})


_MIDDLE: Final = (
    """UPDATE mps_aigc_ledger.requests SET ended = seq, ended_at = extract(epoch from now()) - %(half)s + seq,
        error = CASE WHEN seq %% 10 = 0 THEN '{"type": "TaskFailed"}' WHEN seq %% 1001 = 0
            THEN '{"type": "CreateOutcomeUnknown"}' END
        WHERE seq <= %(half)s""",
    "UPDATE mps_aigc_ledger.batches SET ended = %(half)s, ends = %(half)s, failed = %(half)s / 10",
    """INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, content, state, planned_at, sent_at, token)
        SELECT ledger, '{}', name || '/image', 'image', '{}', CASE WHEN error IS NULL THEN 'saved' ELSE 'failed' END,
            ended_at, ended_at, '' FROM mps_aigc_ledger.requests WHERE ended IS NOT NULL""",
    """INSERT INTO mps_aigc_ledger.jobs (ledger, owner, job_id, kind, content, state, planned_at, sent_at, token)
        SELECT ledger, '{}', name || '/image', 'image', '{}', 'submitted', extract(epoch from now()),
            extract(epoch from now()) - seq %% 100, ''
        FROM mps_aigc_ledger.requests WHERE seq > %(half)s AND seq <= %(half)s + %(running)s""",
    "INSERT INTO procrastinate_workers SELECT FROM generate_series(1, 4)",
    "INSERT INTO mps_aigc_ledger.workers SELECT id, 'many', 'host', id FROM procrastinate_workers",
    """UPDATE procrastinate_jobs SET status = 'doing', worker_id = 1 + id %% 4
        WHERE id > %(half)s AND id <= %(half)s + %(running)s""",
    "DELETE FROM procrastinate_jobs WHERE id <= %(half)s",
)


def _requests(number: int) -> Iterator[ImageRequest]:
    return (ImageRequest(id=f"shot-{each}", prompt=f"a lake by moonlight, {each}") for each in range(number))
