"""What `kill -9` does to a batch of chains, as the ledger and the service saw it. The test and the benchmark use it.

A batch runs in a process of its own, is killed at a random moment, and started again on the same ledger, until it ends
by itself; then the next one begins, until there have been enough kills, and the last one is left to finish. The service
answers creates late, so that most kills find some in flight: accepted there, and not known here.

Each check returns what contradicts it: nothing, if all is well.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

from mps_aigc_async import JobRecord, JobState, Kind
from mps_aigc_async.emulator import Arrival, Emulator, Statistics
from mps_aigc_async.emulator.tasks import Task
from mps_aigc_async.ledger.reading import reading
from mps_aigc_async.ledger.record import request_of

from .crashing_batch import CAPS, SPEED, Listed, Told, chains

ROOT: Final = Path(__file__).parents[1]

LATEST_S: Final = 1.0
"""A kill comes at most this long after the batch has begun: soon enough for several kills in each."""
OPENING_S: Final = 0.06
"""The same of the kills that are to fall into the opening of the ledger, which takes 10 to 50 ms."""
EARLY_KILLS: Final = 3
"""The first kills of each batch are of that sort: there is no ledger yet, until one of them comes after its making."""
ANSWER_S: Final = 0.1
"""How late the service answers a create that it has accepted."""
PATIENCE_S: Final = 120.0
"""A batch left alone takes a few seconds: one that takes this long hangs."""


class Found(StrEnum):
    """The state of the ledger at a kill."""

    NONE = "no ledger"
    TEMPORARY = "a temporary file"
    WHOLE = "a whole ledger"


@dataclass(frozen=True, slots=True)
class Kill:
    at: float
    """Unix seconds."""
    intents: frozenset[str]
    """The jobs that the ledger file held in *intent* just after it."""
    found: Found
    """The state of the ledger file just after the kill."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch after its last run."""

    name: str
    kills: Sequence[Kill]
    rows: Sequence[JobRecord]
    """The ledger's."""
    told: Sequence[Told]
    """The outcomes of the last run."""
    listed: Sequence[Listed]
    """What that run's `client.unknown()` listed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when all is over."""

    batches: Sequence[Batch]
    tasks: Mapping[str, Task]
    """The service's, by TaskId: the truth that no client may see."""
    arrivals: Sequence[Arrival]
    seen: Statistics

    @property
    def kills(self) -> Sequence[Kill]:
        return [kill for batch in self.batches for kill in batch.kills]

    @property
    def intents(self) -> frozenset[str]:
        """The jobs that some kill found in *intent*."""
        return frozenset().union(*(kill.intents for kill in self.kills))

    @property
    def jobs(self) -> Mapping[str, str]:
        """The prompt of every job that was asked for, by its id."""
        return {
            f"{chain.id}/{step}": prompt
            for batch in self.batches
            for chain in chains(batch.name)
            for step, prompt in ((Kind.IMAGE, chain.image.prompt or ""), (Kind.VIDEO, chain.video.prompt or ""))
        }

    @property
    def rows(self) -> Sequence[JobRecord]:
        return [job for batch in self.batches for job in batch.rows]

    @property
    def unknown(self) -> frozenset[str]:
        return frozenset(job.job_id for job in self.rows if job.state is JobState.UNKNOWN)

    @property
    def made(self) -> Sequence[str]:
        """The job of every task at the service."""
        return [job_of(task) for task in self.tasks.values()]


def job_of(task: Task) -> str:
    return task.order.prompt.split(" ")[0]


# --- killing ----------------------------------------------------------------------------------------------------------


async def crash(kills: int, folder: Path, seed: int = 7) -> Facts:
    """Kill batches so many times, with their ledgers in `folder`, and let each of them end."""
    random = Random(seed)  # the same moments again is what the seed is for
    batches: list[Batch] = []
    async with Emulator(speed=SPEED, max_running=CAPS, fetch_frames=False, log_size=1_000_000) as emulator:
        for kind in ("Image", "Video"):
            emulator.faults.add(action=f"CreateAigc{kind}Task", fault="delay", times=None, seconds=ANSWER_S)
        while (left := kills - sum(len(batch.kills) for batch in batches)) > 0:
            batches.append(await _batch(emulator.url, folder, f"batch-{len(batches):02}", left, random))
        tasks = dict(emulator.service._tasks)
        return Facts(batches, tasks, emulator.arrivals, emulator.statistics())


async def _batch(url: str, folder: Path, name: str, most: int, random: Random) -> Batch:
    """One batch to its end, killed at most so many times on the way."""
    ledger, kills = folder / f"{name}.db", list[Kill]()
    while (lines := await _run(url, ledger, name, _moment(len(kills), most, random))) is None:
        kills.append(Kill(time.time(), _intents(ledger), _found(ledger)))
    values = [json.loads(line) for line in lines]
    return Batch(
        name=name,
        kills=kills,
        rows=_rows(ledger),
        told=[Told(**value | {"tasks": tuple(value["tasks"])}) for value in values if "request" in value],
        listed=[Listed(**value) for value in values if "job" in value],
    )


def _moment(kills: int, most: int, random: Random) -> float | None:
    """When the next kill comes, in seconds after the batch has begun; None for the run that is left alone."""
    if kills >= most:
        return None
    return random.uniform(0.0, OPENING_S if kills < EARLY_KILLS else LATEST_S)


def _found(ledger: Path) -> Found:
    if ledger.exists():
        return Found.WHOLE
    return Found.TEMPORARY if any(ledger.parent.glob(f".{ledger.name}.*.new")) else Found.NONE


async def _run(url: str, ledger: Path, name: str, kill_after_s: float | None) -> Sequence[bytes] | None:
    """The lines of a run that ended by itself; None for one that was killed."""
    command = [sys.executable, "-m", "tests.crashing_batch", url, str(ledger), name]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        output = asyncio.create_task(process.communicate())
        # The one real wait in the tests: the moment of a kill is what is tried here.
        await asyncio.wait({output}, timeout=PATIENCE_S if kill_after_s is None else kill_after_s)
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            process.kill()
        await process.wait()
    written, _ = await output
    if process.returncode == 0:
        return written.splitlines()
    if process.returncode == -signal.SIGKILL and kill_after_s is not None:
        return None
    raise AssertionError(f"{name} ended with {process.returncode}, or was still running after {PATIENCE_S:g} s")


def _rows(ledger: Path) -> Sequence[JobRecord]:
    with reading(ledger) as moment:
        return [job for _, jobs in moment.requests() for job in jobs]


def _intents(ledger: Path) -> frozenset[str]:
    """The jobs that a killed process left in *intent*. A ledger that is there can be read."""
    if not ledger.exists():
        return frozenset()
    return frozenset(job.job_id for job in _rows(ledger) if job.state is JobState.INTENT)


# --- checks -----------------------------------------------------------------------------------------------------------


def wrong_rows(facts: Facts) -> list[str]:
    """Jobs without a row, rows without a job, and rows that are in a state in which nothing may be left."""
    jobs, rows = facts.jobs, Counter(job.job_id for job in facts.rows)
    uneven = [f"{job}: {rows[job]} rows" for job in {*jobs, *rows} if rows[job] != (job in jobs)]
    return uneven + [
        f"{job.job_id}: {job.state}" for batch in facts.batches for job in batch.rows if not _may_stay(job, batch)
    ]


def _may_stay(job: JobRecord, batch: Batch) -> bool:
    """A job has ended, or is unknown, or is the video of an image that never came: that one was never begun."""
    if job.state is not JobState.PLANNED:
        return job.state in (JobState.DONE, JobState.FAILED, JobState.UNKNOWN)
    image = _by_id(batch).get(f"{request_of(job.job_id)}/{Kind.IMAGE}")
    came = image is None or image.state not in (JobState.UNKNOWN, JobState.FAILED)
    return job.kind is Kind.VIDEO and job.intent_at is None and not came


def _by_id(batch: Batch) -> Mapping[str, JobRecord]:
    return {job.job_id: job for job in batch.rows}


def untrue_outcomes(facts: Facts) -> list[str]:
    """What the last run told otherwise than the ledger has it, and what it should have told, once, and did not."""
    wrong = []
    for batch in facts.batches:
        rows = _by_id(batch)
        true = Counter(_by_the_ledger(chain.id or "", rows) for chain in chains(batch.name))
        told = Counter(batch.told)
        wrong += [f"told, not true: {outcome}" for outcome in (told - true).elements()]
        wrong += [f"true, not told: {outcome}" for outcome in (true - told).elements()]
    return wrong


def _by_the_ledger(request: str, rows: Mapping[str, JobRecord]) -> Told:
    jobs = [rows[f"{request}/{kind}"] for kind in (Kind.IMAGE, Kind.VIDEO)]
    ended_it = next((job for job in jobs if job.state in (JobState.FAILED, JobState.UNKNOWN)), None)
    return Told(
        request=request,
        error=None if ended_it is None else type(ended_it.recorded_error()).__name__,
        tasks=tuple(job.task_id or "" for job in jobs if job.state is JobState.DONE),
    )


def duplicated(facts: Facts) -> list[str]:
    """Jobs of which the service accepted more than one create."""
    return [job for job, made in Counter(facts.made).items() if made > 1]


def lost(facts: Facts) -> list[str]:
    """Tasks at the service that no row names, and whose jobs nobody lists as unknown: paid for, and forgotten."""
    known = {job.task_id for job in facts.rows}
    listed = {listed.job for batch in facts.batches for listed in batch.listed}
    return [task_id for task_id, task in facts.tasks.items() if task_id not in known and job_of(task) not in listed]


def invented(facts: Facts) -> list[str]:
    """Rows that name a task which the service doesn't have, or which is another job's."""
    return [
        job.job_id
        for job in facts.rows
        if job.task_id is not None
        and (job.task_id not in facts.tasks or job_of(facts.tasks[job.task_id]) != job.job_id)
    ]


def unexplained(facts: Facts) -> list[str]:
    """Jobs of unknown outcome whose create no kill found under way."""
    return sorted(facts.unknown - facts.intents)


def badly_listed(facts: Facts) -> list[str]:
    """Jobs of unknown outcome that are not listed, once, with their prompt and the time of their intent."""
    wrong, prompts = list[str](), facts.jobs
    for batch in facts.batches:
        unknown = {job.job_id for job in batch.rows if job.state is JobState.UNKNOWN}
        listed = Counter(listed.job for listed in batch.listed)
        wrong += [job for job in {*unknown, *listed} if listed[job] != (job in unknown)]
        wrong += [listed.job for listed in batch.listed if listed.prompt != prompts.get(listed.job)]
        wrong += [listed.job for listed in batch.listed if not _before_its_kill(listed, batch)]
    return wrong


def _before_its_kill(listed: Listed, batch: Batch) -> bool:
    """Whether its intent is of the run that was killed over it: after the kill before that one."""
    found = next((number for number, kill in enumerate(batch.kills) if listed.job in kill.intents), None)
    if found is None or listed.intent_at is None:
        return False
    before = batch.kills[found - 1].at if found else 0.0
    return before <= listed.intent_at <= batch.kills[found].at


def left_unpolled(facts: Facts) -> list[str]:
    """Tasks that a row names and that were not polled until they had ended."""
    polled = {a.task_id: a for a in facts.arrivals if a.action.startswith("Describe") and a.task_id is not None}
    return [
        job.job_id
        for job in facts.rows
        if job.task_id is not None and not _ended_by(polled.get(job.task_id), facts.tasks[job.task_id])
    ]


def _ended_by(last: Arrival | None, task: Task) -> bool:
    return last is not None and last.code is None and last.at >= task.ends_at


CHECKS: Final[Mapping[str, Callable[[Facts], list[str]]]] = {
    "duplicated: jobs with more than one task": duplicated,
    "lost: tasks in no row and not listed as unknown": lost,
    "rows with a task that is not theirs": invented,
    "jobs without exactly one row, or left half way": wrong_rows,
    "outcomes that the ledger does not have so": untrue_outcomes,
    "unknown, and no create was under way at a kill": unexplained,
    "unknown, and not listed with prompt and time": badly_listed,
    "tasks in a row and not polled to their end": left_unpolled,
}
"""By what they count; each has to find nothing."""
