"""Four workers run 300 chains, and two of them are killed (-9) in the middle: what was lost or made twice, how much of
the rate was used meanwhile, and how many tasks ran at once.

The workers are commands (`mps-aigc worker`), each a process of its own, on the emulator in another one. The rate of the
videos bounds the batch: 5 creates a second, half of the documented limit, so that two cores have time for the workers,
the service and the database. In each fourth trial the videos take longer, so that the cap bounds the batch; the service
itself lets twice as many run, and would show a task above the cap.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from mps_aigc_async import ImageRequest, ImageToVideo, Outcome, VideoRequest
from mps_aigc_async.emulator import Piece
from mps_aigc_async.emulator.tasks.orders import VideoOrder
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.engine.batch_progress import outcomes_of
from mps_aigc_async.engine.workers import queue
from mps_aigc_async.model.errors import CreateOutcomeUnknown
from mps_aigc_async.model.results import Result
from mps_aigc_async.sharing.database_url import database_url
from tests.postgres_server import postgres_server

from .server import Report, account, serving
from .table import show

TRIALS: Final = 20
SEED: Final = 7
WORKERS: Final = 4
CHAINS: Final = 300
CAP: Final = 40
CONCURRENCY: Final = 40
IMAGE_S: Final = 2.0
VIDEO_S: Final = 6.0
"""About 30 videos run at once, so that the rate is the bound and not the cap."""
LONG_VIDEO_S: Final = 12.0
"""At the full rate 60 videos would run at once, so that the cap is the bound."""
CAPPED: Final = 4
"""Each trial with this number has long videos."""
POLL_MS: Final = 2000
KILLS_S: Final = ((8.0, 14.0), (18.0, 26.0))
"""When the first and the second worker are killed, in seconds from the first create."""
LIMITS: Final = {"CreateAigcVideoTask": 5}
PER_S: Final = LIMITS["CreateAigcVideoTask"]
"""Video creates a second."""
LOG: Final = "workers.log"
MOST_S: Final = 180.0
"""Seconds of a trial, after which it is a failure."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A batch that has ended, by the service and the ledger."""

    ends: Counter[str]
    twice: int
    used: float
    most: int
    """Videos at once, at the service."""
    seconds: float


Workers = Sequence[asyncio.subprocess.Process]
Disturb = Callable[[Workers], Coroutine[None, None, None]]


async def main(seed: int = SEED, trials: int = TRIALS) -> None:
    random = Random(seed)
    done: dict[float, list[Trial]] = {VIDEO_S: [], LONG_VIDEO_S: []}
    with postgres_server() as postgres:
        for number in range(1, trials + 1):
            video_s = LONG_VIDEO_S if number % CAPPED == 0 else VIDEO_S
            with postgres.database() as database, TemporaryDirectory() as folder:
                trial = await run(database, Path(folder), partial(_kill, random=random), video_s=video_s)
            done[video_s].append(trial)
            print(
                f"{number}: {dict(trial.ends)}, {trial.twice} twice, {trial.used:.1%}, {trial.most} at once",
                flush=True,
            )
    show(
        f"{WORKERS} workers and {CHAINS} chains, {len(KILLS_S)} workers killed in each trial",
        ("bound", "trials", "finished", "unknown", "failed", "twice", "used: least, median", "most at once", "s"),
        [_row(bound_of(video_s), ended) for video_s, ended in done.items() if ended],
    )


def bound_of(video_s: float) -> str:
    """The limit that bounds the batch, in words."""
    return f"rate {PER_S}/s" if CAP / video_s > PER_S else f"cap {CAP}"


def _row(bound: str, trials: Sequence[Trial]) -> tuple[object, ...]:
    used = sorted(trial.used for trial in trials)
    ends = sum((trial.ends for trial in trials), Counter[str]())
    return (
        bound, len(trials), ends["finished"], ends["unknown"], ends["failed"], sum(trial.twice for trial in trials),
        f"{used[0]:.1%}, {used[len(used) // 2]:.1%}", max(trial.most for trial in trials),
        f"{max(trial.seconds for trial in trials):.0f}",
    )  # fmt: skip


async def run(
    database: str,
    folder: Path,
    disturb: Disturb,
    *,
    port: int = 0,
    elsewhere: Sequence[str] = (),
    chains: int = CHAINS,
    video_s: float = VIDEO_S,
) -> Trial:
    """Run a batch to its end, and disturb its workers from the first create on. `elsewhere` is the command that starts
    the first worker in another place; `port` is the service's."""
    ledger = f"{database}?ledger=trial"
    caps = {"image": 2 * CAP, "video": 2 * CAP}  # of the service: one task too many shows instead of being refused
    images, videos = (IMAGE_S, IMAGE_S), (video_s, video_s)
    async with serving(
        port=port, image_seconds=images, video_seconds=videos, max_running=caps, limits=LIMITS, media=_no_picture
    ) as server:
        config = folder / "config.json"
        concurrency = {"maxImageTasks": CAP, "maxVideoTasks": CAP, "pollIntervalMs": POLL_MS}
        sections = {
            "tencentCloud": account(server.url), "concurrency": concurrency, "limits": LIMITS, "limitStore": database,
        }  # fmt: skip
        config.write_text(json.dumps(sections))
        config.chmod(0o600)
        await queue(_chains(chains), ledger)
        async with _workers(config, ledger, folder, elsewhere) as workers:
            while not (await server.report()).arrivals:  # noqa: ASYNC110 — the server tells nobody
                await asyncio.sleep(0.1)
            disturbing = asyncio.create_task(disturb(workers))
            async with asyncio.timeout(MOST_S):
                outcomes = [outcome async for outcome in outcomes_of(database_url(ledger))]
            await disturbing
        return _judge(outcomes, await server.report(), min(PER_S, CAP / video_s))


def _no_picture(piece: Piece) -> bytes:
    """Instead of pictures and films, which take a core of the two."""
    return b"\0\0\0\x18ftypmp42" if isinstance(piece.order, VideoOrder) else b"\x89PNG\r\n\x1a\n"


def _chains(number: int) -> Sequence[ImageToVideo]:
    return [
        ImageToVideo(id=f"shot-{n}", image=ImageRequest(prompt=f"scene {n}"), video=VideoRequest(prompt=f"move {n}"))
        for n in range(number)
    ]


@asynccontextmanager
async def _workers(config: Path, ledger: str, folder: Path, elsewhere: Sequence[str]) -> AsyncIterator[Workers]:
    command = (
        sys.executable, "-m", "mps_aigc_async", "worker", "--out", str(folder / "out"), "--ledger", ledger,
        "--config", str(config), "--concurrency", str(CONCURRENCY),
    )  # fmt: skip
    with (folder / LOG).open("wb") as log:
        workers = [
            await asyncio.create_subprocess_exec(*(elsewhere if number == 0 else ()), *command, stdout=log, stderr=log)
            for number in range(WORKERS)
        ]
        try:
            yield workers
        finally:
            for worker in workers:
                if worker.returncode is None:
                    worker.send_signal(signal.SIGTERM)
            await asyncio.gather(*(worker.wait() for worker in workers))


async def _kill(workers: Workers, random: Random) -> None:
    victims = random.sample(workers, len(KILLS_S))
    began = asyncio.get_running_loop().time()
    for victim, between in zip(victims, KILLS_S, strict=True):
        await asyncio.sleep(began + random.uniform(*between) - asyncio.get_running_loop().time())
        victim.kill()


def _judge(outcomes: Sequence[Outcome[BatchItem, Result]], report: Report, most_per_s: float) -> Trial:
    latest = {outcome.job_id: outcome for outcome in outcomes}
    ends = Counter(
        "finished" if end.ok else "unknown" if isinstance(end.error, CreateOutcomeUnknown) else "failed"
        for end in latest.values()
    )
    prompts = Counter(report.prompts.values())
    creates = [one.at for one in report.arrivals if one.action == "CreateAigcVideoTask" and one.task_id is not None]
    since = int(0.1 * len(creates))  # before, few images are made
    until = int(0.95 * len(creates))  # afterwards only the chains of the killed workers are left
    return Trial(
        ends=ends,
        twice=sum(number - 1 for number in prompts.values()),
        used=(until - since) / (creates[until] - creates[since]) / most_per_s,
        most=report.statistics.most_running["video"],
        seconds=report.arrivals[-1].at - report.arrivals[0].at,
    )
