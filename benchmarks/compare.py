"""Our client and the code that a user would write without it, in the same run and under the same conditions.

Each contestant gets a fresh server with the same seed, and the server's cap on running tasks is the contestant's. Each
has run once before, briefly, so that nothing is imported or first made while the clock runs. The server counts creates
and refusals, the caller counts results. Durations are drawn in the order of the creates: a contestant that creates in
another order gets the same durations for other jobs.
"""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .peers import CONTESTANTS, Contestant, Seen, Work
from .server import Report, serving
from .table import show


@dataclass(frozen=True)
class Scenario:
    title: str
    work: Work
    image_seconds: tuple[float, float]
    video_seconds: tuple[float, float] = (0.0, 0.0)


WARM_UP = Scenario("warm-up", Work(jobs=1, chains=True, images=1), (0.1, 0.1), (0.1, 0.1))

SCENARIOS = (
    Scenario("100 images of 2-6 s, at most 50 at once", Work(jobs=100, chains=False, images=50), (2.0, 6.0)),
    Scenario(
        "30 chains: images of 2-6 s, at most 20 at once; videos of 4-8 s, at most 10",
        Work(jobs=30, chains=True, images=20, videos=10),
        (2.0, 6.0),
        (4.0, 8.0),
    ),
)

HEADER = (
    "client",
    "done",
    "refused: rate",
    "refused: cap",
    "created",
    "duplicated",
    "never seen",
    "makespan",
    "noticed after",
    "client CPU",
)


async def main() -> None:
    for contestant in CONTESTANTS.values():
        await _measured(WARM_UP, contestant)
    for scenario in SCENARIOS:
        rows = [(name, *await _measured(scenario, contestant)) for name, contestant in CONTESTANTS.items()]
        show(scenario.title, HEADER, rows)


async def _measured(scenario: Scenario, contestant: Contestant) -> Sequence[object]:
    work, notes = scenario.work, Seen()
    async with serving(
        image_seconds=scenario.image_seconds,
        video_seconds=scenario.video_seconds,
        max_running={"image": work.images, "video": work.videos},
        fetch_frames=False,  # rendering them takes the cores that the client needs
    ) as server:
        gc.collect()
        gc.freeze()  # no contestant pays for the collector's walk over imports or over another contestant's objects
        began, cpu = time.monotonic(), time.process_time()
        successes = await contestant(server, work, notes)
        makespan, cpu = time.monotonic() - began, time.process_time() - cpu
        report = await server.report()
    return (successes, *_served(report, notes), f"{makespan:.1f} s", _noticed(report, notes), f"{cpu:.2f} s")


def _served(report: Report, notes: Seen) -> Sequence[int]:
    refused, prompts = report.statistics.refused, report.prompts
    return (
        refused.get("RequestLimitExceeded", 0),
        refused.get("LimitExceeded.CreateTask", 0),
        len(prompts),
        len(prompts) - len(set(prompts.values())),  # each job's prompts are its own
        len(prompts.keys() - notes.keys()),
    )


def _noticed(report: Report, notes: Seen) -> str:
    """The mean time from a task's end at the service until the caller was told."""
    return f"{fmean(at - report.lives[task_id][1] for task_id, at in notes.items()):.2f} s" if notes else "-"
