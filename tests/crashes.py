"""Lost answers and `kill -9` for a batch of chains: by the ledger and the service, nothing is made twice or lost. The
tests and the benchmark use this module.

A batch runs in a process of its own, is killed at a random moment, and started again on the same ledger, until it has
been killed often enough and may finish; if a batch ends earlier, the next one begins. The service is a stand-in in
another process. The stand-in loses some creates, half of them before a task is made and half after, and answers the
others late, so that most kills find some in flight: accepted there, and not known here.

Each check returns its contradictions; none if all is well.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

from mps_aigc_async import JobRecord, JobState, Kind
from mps_aigc_async.ledger.record import request_of
from mps_aigc_async.ledger.snapshot import open_snapshot

from .crashing_batch import CAP, PATIENCE_S, Listed, Orders, Told, chains, results_file, sections_of
from .standins.book import Manners, Seen, Task
from .standins.serving import running

ROOT: Final = Path(__file__).parents[1]

LATEST_S: Final = 0.9
"""A kill comes at most this long after the batch has begun: soon enough for several kills in each."""
OPENING_S: Final = 0.1
"""The same of the kills that are to fall into the opening of the ledger."""
EARLY_KILLS: Final = 2
"""The first kills of each batch are of that sort: there is no ledger yet, until one of them comes after its making."""
MOST_BATCHES: Final = 20
"""Most batches to try because no kill has found a create under way, which on a slow machine can happen once."""
ANSWER_S: Final = 0.1
"""How late the service answers a create that it has accepted."""
LOST: Final = 0.12
"""The share of creates whose answer is lost."""


class Found(StrEnum):
    """The state of the ledger at a kill."""

    NONE = "no ledger"
    TEMPORARY = "a temporary file"
    WHOLE = "a whole ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One trial."""

    backend: str = "mps"
    """`mps`, `vod`, or the relay: `relay-trusted` honours sessions and the user says so, `relay-ignoring` does not and
    nobody says anything."""
    chains: int = 50
    kills: int = 12
    seed: int = 7
    """Of the kills' moments, the creates that are lost and the tasks' durations."""


@dataclass(frozen=True, slots=True)
class Kill:
    began_at: float
    """Unix seconds, of the run that was killed."""
    at: float
    intents: frozenset[str]
    """The jobs that the ledger file held in *intent* just after it."""
    found: Found
    """The state of the ledger file just after the kill."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch after its last run."""

    name: str
    chains: int
    kills: Sequence[Kill]
    rows: Sequence[JobRecord]
    """The ledger's."""
    told: Sequence[Told]
    """The outcomes of the last run."""
    listed: Sequence[Listed]
    """The list of the last run's `client.unknown()`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts when all is over."""

    batches: Sequence[Batch]
    seen: Seen

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The service's, by TaskId."""
        return {task.task_id: task for task in self.seen.tasks}

    @property
    def kills(self) -> Sequence[Kill]:
        return [kill for batch in self.batches for kill in batch.kills]

    @property
    def intents(self) -> frozenset[str]:
        """The jobs that some kill found in *intent*."""
        return frozenset().union(*(kill.intents for kill in self.kills))

    @property
    def unanswered(self) -> frozenset[str]:
        """The jobs with a lost create."""
        return frozenset(job_of(prompt) for prompt in (*self.seen.lost_before, *self.seen.lost_after))

    @property
    def jobs(self) -> Mapping[str, str]:
        """The prompt of every job that was asked for, by its id."""
        return {
            f"{chain.id}/{step}": prompt
            for batch in self.batches
            for chain in chains(batch.name, batch.chains)
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
        return [job_of(task.prompt) for task in self.seen.tasks]


def job_of(prompt: str) -> str:
    return prompt.partition(" ")[0]


# --- killing ----------------------------------------------------------------------------------------------------------


def manners_of(plan: Plan) -> Manners:
    """How the stand-in behaves: as the documents say of its backend, and as badly as the plan has it."""
    shared = Manners(seed=plan.seed, seconds=(0.1, 0.4), answer_s=ANSWER_S, lost=LOST)
    values = asdict(shared)
    match plan.backend:
        case "mps":
            return Manners(**values | {"running": CAP})
        case "vod":
            return Manners(**values | {"processing": CAP, "list_lag_s": 0.3})
        case _:
            honours = plan.backend == "relay-trusted"
            more = {"processing": CAP, "honours_sessions": honours, "envelopes": ("response", "wrapped")}
            return Manners(**values | more)


async def crash(plan: Plan, folder: Path) -> Facts:
    """Kill batches as often as the plan says, with their ledgers in `folder`, and let each of them end."""
    random = Random(plan.seed)
    batches: list[Batch] = []
    async with _forks() as forks, running(plan.backend.partition("-")[0], manners_of(plan)) as standin:
        assert forks.stdout is not None
        assert await forks.stdout.readline() == b"ready\n"  # its imports ran at the same time as the stand-in's
        sections = sections_of(plan.backend, standin.url)
        while (left := _kills_left(batches, plan)) > 0 or not batches:
            name = f"batch-{len(batches):02}"
            batches.append(await _batch(forks, sections, folder / f"{name}.db", plan.chains, _moments(left, random)))
        return Facts(batches, await standin.seen())


def _kills_left(batches: Sequence[Batch], plan: Plan) -> int:
    """How many kills are still to come: more than were planned if none has found a create under way."""
    kills = [kill for batch in batches for kill in batch.kills]
    is_tame = bool(kills) and not any(kill.intents for kill in kills) and len(batches) < MOST_BATCHES
    return max(plan.kills - len(kills), EARLY_KILLS + 2 if is_tame else 0)


def _moments(kills: int, random: Random) -> list[float | None]:
    """When each run of a batch is killed, in seconds after it has begun; None for the run that is left alone."""
    latest = [OPENING_S] * min(kills, EARLY_KILLS) + [LATEST_S] * max(0, kills - EARLY_KILLS)
    return [*(random.uniform(0.0, most) for most in latest), None]


async def _batch(
    forks: asyncio.subprocess.Process,
    sections: Mapping[str, object],
    ledger: Path,
    number: int,
    moments: Sequence[float | None],
) -> Batch:
    """Run a batch to its end, killed at these moments on the way."""
    kills = list[Kill]()
    for moment in moments:
        began_at = time.time()
        orders = Orders(sections=sections, ledger=str(ledger), name=ledger.stem, chains=number, kill_after_s=moment)
        killed_at = await _run(forks, orders)
        if killed_at is None:
            break
        kills.append(Kill(began_at, killed_at, _intents(ledger), _found(ledger)))
    values = [json.loads(line) for line in results_file(ledger).read_text(encoding="utf-8").splitlines()]
    return Batch(
        name=ledger.stem,
        chains=number,
        kills=kills,
        rows=_rows(ledger),
        told=[Told(**value | {"tasks": tuple(value["tasks"])}) for value in values if "request" in value],
        listed=[Listed(**value) for value in values if "job" in value],
    )


def _found(ledger: Path) -> Found:
    if ledger.exists():
        return Found.WHOLE
    return Found.TEMPORARY if any(ledger.parent.glob(f".{ledger.name}.*.new")) else Found.NONE


@asynccontextmanager
async def _forks() -> AsyncIterator[asyncio.subprocess.Process]:
    """The process that forks each run of a batch."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.crashing_batch"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        await process.communicate()


async def _run(forks: asyncio.subprocess.Process, orders: Orders) -> float | None:
    """When a run was killed, in Unix seconds; None for one that ended by itself."""
    assert forks.stdin is not None
    assert forks.stdout is not None
    forks.stdin.write(f"{json.dumps(asdict(orders))}\n".encode())
    # A real wait, one of the few in the tests: the moment of a kill is the point of this test.
    ended = json.loads(await forks.stdout.readline())
    if ended["code"] and (ended["code"] != -signal.SIGKILL or orders.kill_after_s is None):
        raise AssertionError(f"{orders.name} ended with {ended['code']}, or was still running after {PATIENCE_S:g} s")
    return ended["at"] if ended["code"] else None


def _rows(ledger: Path) -> Sequence[JobRecord]:
    with open_snapshot(ledger) as moment:
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
        return job.state in (JobState.SAVED, JobState.FAILED, JobState.UNKNOWN)
    image = _by_id(batch).get(f"{request_of(job.job_id)}/{Kind.IMAGE}")
    came = image is None or image.state not in (JobState.UNKNOWN, JobState.FAILED)
    return job.kind is Kind.VIDEO and job.intent_at is None and not came


def _by_id(batch: Batch) -> Mapping[str, JobRecord]:
    return {job.job_id: job for job in batch.rows}


def untrue_outcomes(facts: Facts) -> list[str]:
    """Find reports of the last run that contradict the ledger, and reports that are missing or came twice."""
    wrong = []
    for batch in facts.batches:
        rows = _by_id(batch)
        true = Counter(_by_the_ledger(chain.id or "", rows) for chain in chains(batch.name, batch.chains))
        told = Counter(batch.told)
        wrong += [f"told, not true: {outcome}" for outcome in (told - true).elements()]
        wrong += [f"true, not told: {outcome}" for outcome in (true - told).elements()]
    return wrong


def _by_the_ledger(request: str, rows: Mapping[str, JobRecord]) -> Told:
    jobs = [rows[f"{request}/{kind}"] for kind in (Kind.IMAGE, Kind.VIDEO)]
    ended_it = next((job for job in jobs if job.state in (JobState.FAILED, JobState.UNKNOWN)), None)
    done = [job for job in jobs if job.state is JobState.SAVED]
    return Told(
        request=request,
        error=None if ended_it is None else type(ended_it.recorded_error()).__name__,
        tasks=tuple(job.task_id or "" for job in done),
        saved=len(done),
    )


def duplicated(facts: Facts) -> list[str]:
    """Find jobs with more than one accepted create."""
    return [job for job, made in Counter(facts.made).items() if made > 1]


def lost(facts: Facts) -> list[str]:
    """Tasks at the service that no row names, and whose jobs nobody lists as unknown: paid for, and forgotten."""
    known = {job.task_id for job in facts.rows}
    listed = {listed.job for batch in facts.batches for listed in batch.listed}
    return [
        task.task_id for task in facts.seen.tasks if task.task_id not in known and job_of(task.prompt) not in listed
    ]


def invented(facts: Facts) -> list[str]:
    """Rows that name a task which the service doesn't have, or which is another job's."""
    tasks = facts.tasks
    return [
        job.job_id
        for job in facts.rows
        if job.task_id is not None and (job.task_id not in tasks or job_of(tasks[job.task_id].prompt) != job.job_id)
    ]


def strange_frames(facts: Facts) -> list[str]:
    """Videos that do not begin with the image of their own chain."""
    images = {job_of(task.prompt).removesuffix("/image"): task.task_id for task in facts.seen.tasks if not task.frame}
    videos = {job_of(task.prompt).removesuffix("/video"): task.frame for task in facts.seen.tasks if task.frame}
    return [chain for chain, frame in videos.items() if images.get(chain, "no image") not in frame]


def unexplained(facts: Facts) -> list[str]:
    """Jobs of unknown outcome whose create was not lost, and which no kill found under way."""
    return sorted(facts.unknown - facts.intents - facts.unanswered)


def badly_listed(facts: Facts) -> list[str]:
    """Jobs of unknown outcome that are not listed, once, with their prompt and the time of their intent."""
    wrong, prompts = list[str](), facts.jobs
    for batch in facts.batches:
        unknown = {job.job_id for job in batch.rows if job.state is JobState.UNKNOWN}
        listed = Counter(listed.job for listed in batch.listed)
        wrong += [job for job in {*unknown, *listed} if listed[job] != (job in unknown)]
        wrong += [listed.job for listed in batch.listed if listed.prompt != prompts.get(listed.job)]
        wrong += [
            listed.job
            for listed in batch.listed
            if listed.job not in facts.unanswered and not _before_its_kill(listed, batch)
        ]
    return wrong


def _before_its_kill(listed: Listed, batch: Batch) -> bool:
    """Whether its intent is of the first run that was killed over it."""
    kill = next((kill for kill in batch.kills if listed.job in kill.intents), None)
    return kill is not None and listed.intent_at is not None and kill.began_at <= listed.intent_at <= kill.at


def left_unpolled(facts: Facts) -> list[str]:
    """Tasks that a row names and that were not polled until they had ended."""
    tasks = facts.tasks
    return [
        job.job_id
        for job in facts.rows
        if job.task_id is not None
        and job.task_id in tasks
        and facts.seen.polled.get(job.task_id, 0.0) < tasks[job.task_id].ends_at
    ]


CHECKS: Final[Mapping[str, Callable[[Facts], list[str]]]] = {
    "duplicated: jobs with more than one task": duplicated,
    "lost: tasks in no row and not listed as unknown": lost,
    "rows with a task that is not theirs": invented,
    "videos that do not begin with their chain's image": strange_frames,
    "jobs without exactly one row, or left half way": wrong_rows,
    "outcomes that the ledger does not have so": untrue_outcomes,
    "unknown, and no create was lost or under way at a kill": unexplained,
    "unknown, and not listed with prompt and time": badly_listed,
    "tasks in a row and not polled to their end": left_unpolled,
}
"""The checks by name; each must find nothing."""
