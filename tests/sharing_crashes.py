"""Three processes with the same batch on one ledger in PostgreSQL, killed (-9) and stopped at random moments: by the
ledger and the service, nothing is made twice or lost. The tests and the benchmark use this module.

Each process runs all requests, and counts its limits in the same database. A process that is killed is started again;
one that is stopped goes on when the others have taken it for gone. If the batch ends before all kills have come, the
next one begins. The service is the stand-in of `crashes`: it answers late, loses some creates, and refuses a create
beyond its cap. Triggers of the database keep each move of a job, and each member.

Each check returns its contradictions; none if all is well.
"""

import asyncio
import json
import os
import select
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg

from mps_aigc_async import JobRecord, JobState
from mps_aigc_async.engine.workers import queue
from mps_aigc_async.ledger.postgres.rows import FIELDS, record_of
from mps_aigc_async.ledger.postgres.schema import CREATE
from mps_aigc_async.model.requests import steps_of

from . import crashes
from .crashes import ANSWER_S, LOST, ROOT, Batch, Facts
from .crashing_batch import PATIENCE_S, Listed, Told
from .sharing_batch import CAP, RHYTHM, Heard, Orders, requests
from .standins.book import Manners
from .standins.serving import running

MEMBERS: Final = 3
AWAY: Final = 2
"""The process that seems to be on another machine: the others judge it by its heartbeat alone."""
STOPPED_S: Final = 20.0 * RHYTHM
"""Twice as long as the others' looks take."""
BETWEEN_S: Final = (0.1, 1.4)
"""Seconds between two kills."""

AT_THE_BUSIEST: Final = 0.6
"""The share of the kills that meet the process with the most jobs; the others meet any."""

_BUSIEST: Final = """
    SELECT members.pid FROM mps_aigc_ledger.jobs JOIN mps_aigc_ledger.members ON members.id = jobs.member
    GROUP BY members.pid ORDER BY count(*) DESC LIMIT 1
"""

_AUDIT: Final = """
    CREATE TABLE moves (at float8, job_id text, before text, after text, was_of text, is_of text, adoption text);
    CREATE TABLE seen_members (id text PRIMARY KEY, pid integer);
    CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO moves VALUES (extract(epoch FROM clock_timestamp()), NEW.job_id, OLD.state, NEW.state,
            OLD.member, NEW.member, CASE WHEN NEW.adoption IS DISTINCT FROM OLD.adoption THEN NEW.adoption END);
        RETURN NULL; END $$;
    CREATE FUNCTION note_member() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen_members VALUES (NEW.id, NEW.pid) ON CONFLICT DO NOTHING; RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON mps_aigc_ledger.jobs FOR EACH ROW EXECUTE FUNCTION note_move();
    CREATE TRIGGER note AFTER INSERT ON mps_aigc_ledger.members FOR EACH ROW EXECUTE FUNCTION note_member();
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One trial."""

    requests: int = 60
    kills: int = 10
    seed: int = 7
    stops: float = 0.3
    """The share of the kills that only stop the process."""
    works: bool = False
    """Whether the batch is queued, and the processes are its workers."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a job's row."""

    at: float
    job: str
    before: str | None
    after: str
    was_of: str | None
    """The member that drove the job before."""
    is_of: str | None
    adoption: str | None
    """Set by a move of an adoption."""


@dataclass(frozen=True)
class SharedFacts(Facts):
    """The facts when all is over."""

    killed: Sequence[int]
    """The process of each kill."""
    stopped: Sequence[int]
    """The process of each stop."""
    moves: Sequence[Move]
    pids: Mapping[str, int]
    """By member."""
    orphans: frozenset[str]
    """TaskIds."""
    heard: Sequence[Heard]
    """Of each process that has run a batch to its end."""

    @property
    def jobs(self) -> Mapping[str, str]:
        """The prompt of every job that was asked for, by its id."""
        return {
            f"{request.id}/{step.kind}": step.prompt or ""
            for batch in self.batches
            for request in requests(batch.name, batch.chains)
            for step in steps_of(request)
        }

    @property
    def gone(self) -> frozenset[int]:
        """The processes that were killed or stopped."""
        return frozenset((*self.killed, *self.stopped))

    @property
    def orphaned_intents(self) -> Sequence[Move]:
        """The creates under way whose process was taken for gone."""
        return [move for move in self.moves if move.adoption and move.after == JobState.UNKNOWN]

    @property
    def adopted(self) -> Sequence[Move]:
        """The tasks whose process was taken for gone."""
        return [move for move in self.moves if move.adoption and move.after == JobState.SUBMITTED]


@dataclass
class _Trial:
    """The state of a trial under way."""

    plan: Plan
    random: Random
    kills_left: int
    killed: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)


class _Member:
    """A process that runs the batch, and is started again when it was killed."""

    def __init__(self, trial: _Trial, forks: asyncio.subprocess.Process, orders: Orders) -> None:
        self._trial = trial
        self._forks = forks
        self._orders = orders
        self.pid = 0
        self._is_stopped = False

    async def start(self) -> None:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(f"{json.dumps(asdict(self._orders))}\n".encode())
        self.pid = int(await self._forks.stdout.readline())

    @property
    def is_over(self) -> bool:
        return Path(self._orders.told).exists()

    @property
    def can_be_killed(self) -> bool:
        return not (self.is_over or self._is_stopped)

    async def kill(self) -> None:
        """End the process and start the next one."""
        self._trial.killed.append(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        await self.start()

    async def stop(self) -> None:
        """Stop the process for a while."""
        self._trial.stopped.append(self.pid)
        self._is_stopped = True
        os.kill(self.pid, signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        os.kill(self.pid, signal.SIGCONT)
        self._is_stopped = False

    async def end(self) -> None:
        """Wait for the end of the latest process, and keep what it was told."""
        with suppress(ProcessLookupError):
            end = os.pidfd_open(self.pid)
            try:
                await asyncio.to_thread(select.select, [end], [], [], PATIENCE_S)
            finally:
                os.close(end)
        if not self.is_over:
            raise AssertionError(f"{self._orders.told} is missing: the process hangs or failed")
        value = json.loads(Path(self._orders.told).read_text(encoding="utf-8"))
        outcomes = [Told(**told | {"tasks": tuple(told["tasks"])}) for told in value["outcomes"]]
        listed = [Listed(**job) for job in value["listed"]]
        self._trial.heard.append(Heard(outcomes, listed))


async def crash(plan: Plan, database: str, folder: Path) -> SharedFacts:
    """Kill members of batches as often as the plan says, and let each batch end."""
    trial = _Trial(plan, Random(plan.seed), plan.kills)
    manners = Manners(seed=plan.seed, seconds=(0.4, 1.2), answer_s=ANSWER_S, lost=LOST, running=CAP)
    _prepare(database)
    batches: list[Batch] = []
    async with _forks() as forks, running("mps", manners) as standin:
        while trial.kills_left > 0 or not batches:
            name = f"batch-{len(batches):02}"
            batches.append(await _batch(trial, forks, standin.url, database, folder / name))
        seen = await standin.seen()
    with psycopg.connect(database) as connection:
        moves = [Move(*row) for row in connection.execute("SELECT * FROM moves ORDER BY at")]
        pids: dict[str, int] = dict(connection.execute("SELECT id, pid FROM seen_members").fetchall())
        orphans = [row[0] for row in connection.execute("SELECT task_id FROM mps_aigc_ledger.orphans")]
    return SharedFacts(batches, seen, trial.killed, trial.stopped, moves, pids, frozenset(orphans), trial.heard)


def _prepare(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement, _ in CREATE:
            connection.execute(statement.encode())
        connection.execute(_AUDIT.encode())


@asynccontextmanager
async def _forks() -> AsyncIterator[asyncio.subprocess.Process]:
    """The process that forks the members."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.sharing_batch"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def _batch(trial: _Trial, forks: asyncio.subprocess.Process, url: str, database: str, folder: Path) -> Batch:
    """Run a batch to its end by all members, killed on the way."""
    name, plan = folder.name, trial.plan
    folder.mkdir()
    members = [
        _Member(
            trial, forks,
            Orders(
                url=url, database=database, name=name, requests=plan.requests,
                machine="another" if number == AWAY else "", folder=str(folder / f"out-{number}"),
                told=str(folder / f"told-{number}.json"), works=plan.works,
            ),
        )
        for number in range(MEMBERS)
    ]  # fmt: skip
    if plan.works:
        await queue(requests(name, plan.requests), f"{database}?ledger={name}")
    for member in members:
        await member.start()
    stops: set[asyncio.Task[None]] = set()
    while trial.kills_left > 0 and not all(member.is_over for member in members):
        await asyncio.sleep(trial.random.uniform(*BETWEEN_S))
        candidates = [member for member in members if member.can_be_killed]
        if not candidates:
            continue
        trial.kills_left -= 1
        busiest = _busiest(database) if trial.random.random() < AT_THE_BUSIEST else 0
        member = next((each for each in candidates if each.pid == busiest), trial.random.choice(candidates))
        if trial.random.random() < plan.stops:
            stops.add(asyncio.create_task(member.stop()))
        else:
            await member.kill()
    await asyncio.gather(*stops)
    await asyncio.gather(*(member.end() for member in members))
    with psycopg.connect(database) as connection:
        statement = f"SELECT {FIELDS} FROM mps_aigc_ledger.jobs WHERE ledger = %s ORDER BY seq"  # noqa: S608
        rows = [record_of(row) for row in connection.execute(statement.encode(), [name])]
    heard = trial.heard[-MEMBERS:]
    listed = {listed.job: listed for one in heard for listed in one.listed}
    return Batch(name, plan.requests, [], rows, [], list(listed.values()))


def _busiest(database: str) -> int:
    """The process that drives the most jobs; 0 if none does."""
    with psycopg.connect(database) as connection:
        row = connection.execute(_BUSIEST.encode()).fetchone()
        return 0 if row is None else int(row[0])


# --- checks -----------------------------------------------------------------------------------------------------------


def lost(facts: SharedFacts) -> list[str]:
    """Tasks at the service in no row, not listed as unknown and no orphan: paid for, and forgotten."""
    return [task for task in crashes.lost(facts) if task not in facts.orphans]


def untrue_outcomes(facts: SharedFacts) -> list[str]:
    """Find outcomes that contradict the ledger. An outcome that was unknown may be known by now."""
    rows = {job.job_id: job for job in facts.rows}
    was_unknown = {move.job for move in facts.moves if move.after == JobState.UNKNOWN}
    wrong = []
    for heard in facts.heard:
        told = Counter(outcome.request for outcome in heard.outcomes)
        wrong += [f"{request}: {times} outcomes" for request, times in told.items() if times > 1]
        for outcome in heard.outcomes:
            jobs = [rows[job] for kind in ("image", "video") if (job := f"{outcome.request}/{kind}") in rows]
            if (fault := _fault(outcome, jobs, was_unknown)) is not None:
                wrong.append(f"{outcome}: {fault}")
    return wrong


def _fault(outcome: Told, jobs: Sequence[JobRecord], was_unknown: Container[str]) -> str | None:
    states = [job.state for job in jobs]
    match outcome.error:
        case None:
            is_true = all(state is JobState.SAVED for state in states) and outcome.saved == len(jobs)
        case "CreateOutcomeUnknown":
            is_true = any(job.job_id in was_unknown for job in jobs)
        case name:
            is_true = any(job.state is JobState.FAILED and type(job.recorded_error()).__name__ == name for job in jobs)
    return None if is_true else f"the ledger has {', '.join(states)}"


def missing_outcomes(facts: SharedFacts) -> list[str]:
    """Processes that ended without an outcome for each request."""
    wanted = facts.batches[0].chains
    return [f"{len(heard.outcomes)} outcomes" for heard in facts.heard if len(heard.outcomes) != wanted]


def unexplained(facts: SharedFacts) -> list[str]:
    """Jobs of unknown outcome whose create was neither lost nor under way in a process that was killed or stopped."""
    gone = facts.gone
    taken = {move.job for move in facts.orphaned_intents if facts.pids.get(move.was_of or "") in gone}
    return sorted(facts.unknown - taken - facts.unanswered)


def wrongly_judged(facts: SharedFacts) -> list[str]:
    """Creates that were taken from a process which was neither killed nor stopped."""
    gone = facts.gone
    return [
        f"{move.job}, of process {facts.pids.get(move.was_of or '')}"
        for move in facts.orphaned_intents
        if facts.pids.get(move.was_of or "") not in gone
    ]


def unlisted(facts: SharedFacts) -> list[str]:
    """Jobs of unknown outcome that no member's `client.unknown()` lists."""
    listed = {listed.job for batch in facts.batches for listed in batch.listed}
    return sorted(facts.unknown - listed)


def beyond_the_cap(facts: SharedFacts) -> list[str]:
    """Creates that the service refused because too many tasks ran."""
    refused = facts.seen.refused.get("LimitExceeded.CreateTask", 0)
    return [f"{refused} refused"] if refused else []


def strange_moves(facts: SharedFacts) -> list[str]:
    """Creates of a job that was accepted before, or that was unknown: this service honours no session."""
    begun: set[str] = set()
    wrong = []
    for move in facts.moves:
        if (move.before, move.after) == (JobState.UNKNOWN, JobState.PLANNED):
            begun.discard(move.job)  # the answer of a process that was stopped before it sent the create
        if move.after == JobState.INTENT and move.before != JobState.INTENT and move.job in begun:
            wrong.append(move.job)
        if move.after in (JobState.SUBMITTED, JobState.UNKNOWN):
            begun.add(move.job)
    return wrong


def without_files(facts: SharedFacts) -> list[str]:
    """Saved jobs without their files."""
    return [
        job.job_id
        for job in facts.rows
        if job.state is JobState.SAVED and not (job.files and all(Path(file).is_file() for file in job.files))
    ]


Check = Callable[[Any], list[str]]

CHECKS: Final[Mapping[str, Check]] = {
    "duplicated: jobs with more than one task": crashes.duplicated,
    "lost: tasks in no row, not listed as unknown, no orphan": lost,
    "rows with a task that is not theirs": crashes.invented,
    "videos that do not begin with their chain's image": crashes.strange_frames,
    "jobs without exactly one row, or left half way": crashes.wrong_rows,
    "outcomes that the ledger does not have so": untrue_outcomes,
    "processes that ended without all outcomes": missing_outcomes,
    "unknown, and no create was lost or under way at a kill": unexplained,
    "unknown, and not listed": unlisted,
    "taken from a process that was there": wrongly_judged,
    "refused, because more tasks ran than the cap": beyond_the_cap,
    "created again after an accepted or an unknown create": strange_moves,
    "saved, without a file": without_files,
    "tasks in a row and not polled to their end": crashes.left_unpolled,
}
"""The checks by name; each must find nothing."""


def contradictions(facts: SharedFacts) -> dict[str, list[str]]:
    return {what: found for what, check in CHECKS.items() if (found := check(facts))}


def figures(facts: SharedFacts) -> list[tuple[str, object]]:
    """The figures of the trial, for people."""
    states = Counter(job.state for job in facts.rows)
    return [
        ("batches", len(facts.batches)),
        ("kills", len(facts.killed)),
        ("stops", len(facts.stopped)),
        ("jobs", len(facts.jobs)),
        ("tasks at the service", len(facts.seen.tasks)),
        ("creates lost", len(facts.seen.lost_before) + len(facts.seen.lost_after)),
        ("creates under way that were taken over", len(facts.orphaned_intents)),
        ("tasks taken over", len(facts.adopted)),
        ("unknown in the end", len(facts.unknown)),
        ("saved", states[JobState.SAVED]),
        ("failed", states[JobState.FAILED]),
        ("planned: videos whose image did not come", states[JobState.PLANNED]),
        ("orphans", len(facts.orphans)),
        ("refused by the service", dict(facts.seen.refused)),
        ("most in any 1 s", dict(facts.seen.most_per_second)),
    ]
