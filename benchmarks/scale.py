"""The growth of the client: with the length of a batch, with the tasks in flight, and with the jobs in a ledger file.

Time is virtual and the service is a dict of running tasks, so that the figures are the client's. Each size has a
process of its own: its peak of resident memory is the whole process's.
"""

import asyncio
import gc
import json
import logging
import multiprocessing
import resource
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from mps_aigc_async import AigcClient, Config, ImageRequest, JobState, Kind
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.ledger.schema import COLUMNS, to_row
from mps_aigc_async.model.contents import content
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from .memory import resident_mib
from .record import keep
from .server import account
from .table import show

T = TypeVar("T")

LENGTHS: Final = (1_000, 10_000, 100_000, 1_000_000)
IN_FLIGHT: Final = (100, 1_000, 10_000, 20_000)
ROWS: Final = 100_000
SUBMITTED: Final = (5_000, ROWS)

CAP: Final = 300
TASK_S: Final = 8.0
"""With polls every 5 s a task is asked about twice."""
POLLS: Final = 20_000
"""Polls over which their CPU is measured."""


async def main() -> None:
    lengths = [alone(batch, jobs) for jobs in LENGTHS]
    crowds = [alone(crowd, tasks) for tasks in IN_FLIGHT]
    openings = [alone(opening, submitted) for submitted in SUBMITTED]
    tell(lengths, crowds, openings)


def alone(measure: Callable[[int], Coroutine[Any, Any, T]], size: int) -> T:
    """Measured in virtual time, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_in_virtual_time, measure, size).result()


def _in_virtual_time(measure: Callable[[int], Coroutine[Any, Any, T]], size: int) -> T:
    logging.getLogger("mps_aigc_async").setLevel(logging.ERROR)  # a warning reports tasks that are left running
    return run(measure(size))


# --- a service that costs next to nothing -----------------------------------------------------------------------------


class Service:
    """A transport whose other side is a dict: the end of each running task. A task reported as done is forgotten."""

    def __init__(self, task_s: float) -> None:
        self._task_s = task_s
        self.running: dict[str, float] = {}
        self.created = 0
        self.polled = 0
        self.first_poll_at = 0.0
        """On the real clock."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        return HttpAnswer(200, {}, self.answer(request.headers["X-TC-Action"], request.body))

    def answer(self, action: str, body: bytes) -> bytes:
        now = wall()
        if action.startswith("Create"):
            self.created += 1
            task_id = f"4-AigcImage-{self.created:024}"
            self.running[task_id] = now + self._task_s
            return b'{"Response":{"TaskId":"%s","RequestId":"create"}}' % task_id.encode()
        self.polled += 1
        self.first_poll_at = self.first_poll_at or time.perf_counter()
        task_id = json.loads(body)["TaskId"]
        if now < self.running[task_id]:
            return b'{"Response":{"Status":"RUN","RequestId":"poll"}}'
        del self.running[task_id]
        return b'{"Response":{"Status":"DONE","ImageUrls":["https://results.example/%s.png"],"RequestId":"poll"}}' % (
            task_id.encode()
        )

    async def close(self) -> None:
        """Nothing to close."""


def unlimited(service: Service, cap: int, ledger: Path | None = None) -> AigcClient:
    """Return a client whose only limit is the cap, to measure its cost and not its waits."""
    config = Config.parse(
        {
            "tencentCloud": account("http://127.0.0.1:80"),
            "concurrency": {"maxImageTasks": cap, "maxVideoTasks": 1, "maxAudioTasks": 1},
            "limits": {"CreateAigcImageTask": 10_000, "DescribeAigcImageTask": 10_000},
        }
    )
    return AigcClient(config, ledger=ledger, transport=lambda: service, wall=wall)


def requests(number: int) -> Iterator[ImageRequest]:
    """Without ids and all different: each is named by its content, and remembered for that."""
    return (ImageRequest(prompt=f"picture {one}") for one in range(number))


# --- the length of a batch --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Length:
    jobs: int
    rss_mib: float
    cpu_ms: float
    """Of the client and virtual time, for each job."""
    polls: float
    """For each job."""


async def batch(jobs: int) -> Length:
    service = Service(TASK_S)
    cpu = time.process_time()
    async with unlimited(service, CAP) as client:
        successes = 0
        async for outcome in client.run(requests(jobs)):
            successes += outcome.ok
    assert successes == jobs == service.created
    return Length(jobs, _peak_mib(), 1000 * (time.process_time() - cpu) / jobs, service.polled / jobs)


# --- tasks in flight --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    tasks: int
    kib: float
    """Measure the resident memory per task in flight: the growth of the process since the client was opened."""
    poll_us: float
    """CPU for each poll while nothing else happens."""


async def crowd(tasks: int) -> Crowd:
    service = Service(3600.0)
    async with unlimited(service, tasks) as client:
        gc.collect()
        before = resident_mib()
        async with client.run(requests(tasks)):
            await _until(lambda: len(service.running) == tasks)
            growth = resident_mib() - before
            await asyncio.sleep(10.0)
            polled, cpu = service.polled, time.process_time()
            await _until(lambda: service.polled >= polled + POLLS)
            cpu = time.process_time() - cpu
    return Crowd(tasks, 1024 * growth / tasks, 1e6 * cpu / (service.polled - polled))


async def _until(come: Callable[[], bool]) -> None:
    while not come():  # noqa: ASYNC110 — the service has no events to set, and virtual seconds cost nothing
        await asyncio.sleep(0.1)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- jobs in a ledger file --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    submitted: int
    """Of `ROWS` jobs; the others are done."""
    first_poll_s: float
    """Real seconds from opening the client until its first poll is sent."""
    open_s: float
    """The same until it is open: until all that is submitted has its slots."""


async def opening(submitted: int) -> Opening:
    service = Service(3600.0)
    with TemporaryDirectory() as name:
        ledger = Path(name) / "jobs.db"
        async with unlimited(service, CAP, ledger):
            """Makes the file, and its owner."""
        _fill(ledger, submitted)
        service.running = {f"4-{number}": wall() + 3600.0 for number in range(ROWS)}
        began = time.perf_counter()
        async with unlimited(service, CAP, ledger):
            open_s = time.perf_counter() - began
            await _until(lambda: service.polled > 0)
            return Opening(submitted, service.first_poll_at - began, open_s)


def _fill(ledger: Path, submitted: int) -> None:
    put = f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 — our own names
    with closing(sqlite3.connect(ledger)) as database, database:
        database.executemany(put, (to_row(_job(number, submitted=number < submitted)) for number in range(ROWS)))


def _job(number: int, *, submitted: bool) -> JobRecord:
    now = wall()
    job = JobRecord(
        job_id=f"image-{number:012x}/image",
        kind=Kind.IMAGE,
        content=content(ImageRequest(prompt=f"picture {number}")),
        planned_at=now - 60.0 + number * 1e-5,  # no two are planned at once
        state=JobState.SUBMITTED,
        intent_at=now - 60.0,
        attempts=1,
        sent_at=now - 60.0,
        task_id=f"4-{number}",
        submitted_at=now - 60.0,
        slot_until=now + 1740.0,
        request_id="create",
    )
    if submitted:
        return job
    return job.moved(JobState.DONE, urls=(f"https://results.example/{number}.png",), ended_at=now, expires_at=now + 9e3)


# --- telling ----------------------------------------------------------------------------------------------------------


def tell(lengths: list[Length], crowds: list[Crowd], openings: list[Opening]) -> None:
    show(
        f"images without ids, at most {CAP} at once",
        ("requests", "peak RSS, MiB", "over the smallest", "client CPU per job", "polls per job"),
        [
            (
                f"{one.jobs:,}",
                f"{one.rss_mib:.1f}",
                f"{one.rss_mib - lengths[0].rss_mib:+.1f}",
                f"{one.cpu_ms:.2f} ms",
                f"{one.polls:.1f}",
            )
            for one in lengths
        ],
    )
    show(
        "tasks in flight",
        ("tasks", "RSS for each", "CPU per poll"),
        [(f"{one.tasks:,}", f"{one.kib:.1f} KiB", f"{one.poll_us:.0f} us") for one in crowds],
    )
    show(
        f"a ledger of {ROWS:,} jobs opened",
        ("submitted", "until the first poll", "until it is open"),
        [(f"{one.submitted:,}", f"{one.first_poll_s:.2f} s", f"{one.open_s:.2f} s") for one in openings],
    )
    keep(
        "scale",
        {
            "lengths": [asdict(one) for one in lengths],
            "in_flight": [asdict(one) for one in crowds],
            "ledger": [asdict(one) for one in openings],
        },
    )
