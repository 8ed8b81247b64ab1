"""A million requests queued: how many a second, in how much memory, and how long `progress` takes then.

The server is one of this run, on the same machine. Each request is one of a generator.
"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

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
            answers_s = []
            for _ in range(ASKED):
                began = time.monotonic()
                await progress_of(database_url(ledger))
                answers_s.append(time.monotonic() - began)
        rows.append((f"{number:,}", f"{number / took_s:,.0f}", f"{mib:.1f}", f"{1000 * median(answers_s):.0f} ms"))
    show("Requests queued", ("number", "a second", "MiB more", "progress answers in"), rows)


def _requests(number: int) -> Iterator[ImageRequest]:
    return (ImageRequest(id=f"shot-{each}", prompt=f"a lake by moonlight, {each}") for each in range(number))
