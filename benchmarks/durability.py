"""The cost of the ledger on disk: the same batch of images with the ledger in memory and in a file, taking turns.

At the documented rate the service decides how long a batch takes; a ledger can only cost CPU. With the limits raised so
far that the client itself is the bottleneck, a ledger can cost time as well. Each image is polled once, so that a job
is one create, one poll and, in the file, four states.
"""

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from mps_aigc_async import AigcClient, ImageRequest

from .server import serving
from .table import show

RUNS = 3


@dataclass(frozen=True)
class Load:
    title: str
    images: int
    cap: int
    image_seconds: tuple[float, float]
    poll_ms: int
    limits: Mapping[str, int] = field(default_factory=dict)


ACTIONS = ("CreateAigcImageTask", "DescribeAigcImageTask")
DOCUMENTED = Load("300 images at the documented 20 a second", 300, 50, (0.3, 0.8), 1000)
UNLIMITED = Load("3000 images at 5000 a second allowed", 3000, 200, (0.02, 0.08), 100, dict.fromkeys(ACTIONS, 5000))
WARM_UP = Load("warm-up", 20, 20, (0.02, 0.08), 100)

LEDGERS = ("in memory", "in a file")


@dataclass(frozen=True)
class Cost:
    jobs_per_s: float
    cpu_ms: float
    """Of the client, for each job."""


async def main() -> None:
    for ledger in LEDGERS:
        await _measured(WARM_UP, ledger)
    for load in (DOCUMENTED, UNLIMITED):
        costs: dict[str, list[Cost]] = {ledger: [] for ledger in LEDGERS}
        for _ in range(RUNS):
            for ledger in LEDGERS:
                costs[ledger].append(await _measured(load, ledger))
        _show(load, costs)


async def _measured(load: Load, ledger: str) -> Cost:
    batch = [ImageRequest(prompt=f"picture {number}") for number in range(load.images)]
    async with serving(image_seconds=load.image_seconds, limits=load.limits) as server:
        config = server.config(load.cap, videos=1, poll_ms=load.poll_ms, limits=load.limits)
        gc.collect()
        gc.freeze()  # the collector's walk over imports, or over the last run's objects, must cost no run anything
        with _kept(ledger) as path:
            began, cpu = time.monotonic(), time.process_time()
            async with AigcClient(config, ledger=path) as client:
                successes = sum([outcome.ok async for outcome in client.run(batch)])
            took, cpu = time.monotonic() - began, time.process_time() - cpu
    assert successes == load.images
    return Cost(successes / took, 1000 * cpu / successes)


@contextmanager
def _kept(ledger: str) -> Iterator[Path | None]:
    with TemporaryDirectory() as folder:
        yield Path(folder) / "jobs.db" if ledger == "in a file" else None


def _show(load: Load, costs: Mapping[str, list[Cost]]) -> None:
    speeds = {ledger: [cost.jobs_per_s for cost in of_it] for ledger, of_it in costs.items()}
    cpus = {ledger: [cost.cpu_ms for cost in of_it] for ledger, of_it in costs.items()}
    rows = [(ledger, _spread(speeds[ledger]), f"{_spread(cpus[ledger])} ms") for ledger in LEDGERS]
    ratios = [median(figures["in a file"]) / median(figures["in memory"]) for figures in (speeds, cpus)]
    header = ("ledger", "jobs per second", "client CPU per job")
    show(f"{load.title}, median of {RUNS} (least to most)", header, [*rows, ("ratio", *map("{:.2f}".format, ratios))])


def _spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
