"""The queue of a client's jobs: first into the ledger, then to the service as the limits allow, in order.

    enqueue ──▶ entering ──▶ in the ledger ──▶ waiting ──▶ the fan-out ──▶ ended
                             (`Job.stored`)    (`position`)

A client has one queue for its own ledger. The fan-out reads a job only when few of those read still wait to be created,
so thousands of jobs cost little more than their rows.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final
from weakref import WeakSet

from ..concurrency.at_once import all_at_once
from ..concurrency.fan_out import Begun, FanOut, Run
from ..concurrency.ranks import Rank, Ranks
from ..jobs.terms import Terms
from ..jobs.watch import Watch
from ..ledger.record import job_ids, request_of
from ..model import events
from ..model.errors import AigcError, ClientClosed
from ..model.outcomes import Failure, Outcome
from ..model.requests import Request, steps_of
from ..model.results import Result
from ..model.states import JobState, Kind
from ..model.unexpected import as_aigc_error
from ..policy.finish import USUAL_S, Load, earliest_finish_s
from .assembly import Engine
from .batch import Folders, bounds_of
from .job import Job
from .ledgers import LedgerPlace
from .resume_run import StoredRequest, exact_name

PORTION: Final = 200
"""Jobs that are written into the ledger together: they share a commit."""

AnyJob = Job[Result]


class JobQueue:
    """Drives the jobs of one client in its own ledger."""

    def __init__(self, engine: Engine, place: LedgerPlace | None) -> None:
        self.engine: Final = engine
        self._place = place
        self._jobs = JobIndex()
        """The jobs that somebody holds and the ledger has, for their events."""
        self._under_way: dict[AnyJob, str] = {}
        """The jobs that this queue drives until they end, with the names by which the ledger finds their versions."""
        self._queued: dict[tuple[str, str], AnyJob] = {}
        """The latest job that was queued by a name and a folder, until it ends."""
        self._keys: dict[AnyJob, tuple[str, str]] = {}
        """The keys of jobs in `_queued`."""
        self._giving_up: dict[str, asyncio.Task[None]] = {}
        """The jobs whose cancelling still has to reach the ledger, by name: the same request again waits for that."""
        self._cancelled: WeakSet[AnyJob] = WeakSet()
        """The jobs that were cancelled: nobody begins them again."""
        self._entering: deque[AnyJob] = deque()
        self._waiting: dict[AnyJob, None] = {}
        """The jobs that have not begun, in their order."""
        self._works: dict[AnyJob, asyncio.Task[Outcome[Request, Result]]] = {}
        self._stored: asyncio.Queue[AnyJob] = asyncio.Queue()
        self._news = asyncio.Event()
        self._folders = Folders()
        self._ranks = Ranks()
        self._seconds: dict[Kind, float] = dict(USUAL_S)
        """The duration of the latest task of each kind that ended."""
        self._submitted_at: dict[str, float] = {}
        self._unsubscribe: Callable[[], None] | None = None

    def enqueue(self, request: Request, name: str, save_to: str | Path | None) -> AnyJob:
        """Queue a request. A request that is under way with the same content and folder is the same job."""
        key = name, str(save_to)
        queued = self._queued.get(key)
        if queued is not None and queued.request == request:
            return queued
        job = self._queued[key] = Job(name, request, self, save_to)
        self._keys[job] = key
        return self._begin(job, name)

    def handle(self, stored: StoredRequest) -> AnyJob:
        """The handle of a request of the ledger: the job that is under way, or a new one that begins nothing."""
        self._listen()
        name = stored.version.name
        for job in self._jobs.of(name):
            if job in self._under_way:
                return job
        job = Job(name, stored.request, self, stored.save_to or None, stored.version.jobs)
        self._jobs.add(job)
        return job

    # --- the driver of jobs -------------------------------------------------------------------------------------------

    def begin(self, job: AnyJob) -> None:
        self.engine.home.require()
        if job not in self._under_way and job not in self._cancelled and not job.is_told:
            self._begin(job, exact_name(job.id))

    def cancel(self, job: AnyJob) -> JobState:
        self.engine.home.require()
        if job in self._cancelled:
            return job.state
        is_on_its_way, state = self._stop_creates(job), job.state
        if is_on_its_way and state is JobState.PLANNED:  # its event comes with its send time
            state = JobState.INTENT
        error = job.cancelled(state)
        self._waiting.pop(job, None)
        work = self._works.get(job)
        if work is not None:
            work.cancel()
        self._let_go(job)
        self._cancelled.add(job)
        end = Failure(job_id=job.id, request=job.request, error=error)
        # Closing waits for it: the next process would create a job that the ledger has as planned.
        giving_up = self.engine.writes.start(self._cancel(job, work, end), f"cancelling {job.id}")
        self._giving_up[job.id] = giving_up
        giving_up.add_done_callback(lambda _: self._giving_up.pop(job.id, None))
        return state

    def _stop_creates(self, job: AnyJob) -> bool:
        """End the job's creates that are prepared and not sent. Whether one is on its way."""
        in_use = self.engine.ready_ledger(self._place)
        accounts = () if in_use is None else in_use.accounts.values()
        stops = [one.jobs.stop_one(job_id) for one in accounts for job_id in job_ids(job.id).values()]
        return any(stops)

    def position_of(self, job: AnyJob) -> int | None:
        if job not in self._waiting:
            return None
        return next(number for number, other in enumerate(self._waiting) if other is job)

    def seconds_to_end(self, job: AnyJob) -> float | None:
        if job.has_ended:
            return None
        before = (self.position_of(job) or 0) + 1
        loads, after = dict[Kind, Load](), dict[Kind, Kind]()
        kinds = [step.kind for step in steps_of(job.request)]
        kinds = [kind for kind in kinds if job.states.get(kind) not in (JobState.DONE, JobState.SAVED)]
        for number, kind in enumerate(kinds):
            is_running = job.states.get(kind) is JobState.SUBMITTED
            loads[kind] = Load(
                creates=0 if is_running else before,
                running=int(is_running),
                capacity=self.engine.capacities[kind],
                per_second=self.engine.creates_per_second(kind),
                task_s=self._seconds[kind],
            )
            if number:
                after[kind] = kinds[number - 1]
        return earliest_finish_s(loads, after)

    def watch_of(self, name: str) -> Watch | None:
        return self.engine.watch_of_request(name)

    # --- a job's way --------------------------------------------------------------------------------------------------

    def _begin(self, job: AnyJob, name: str) -> AnyJob:
        self._listen()
        self._under_way[job] = name
        self._waiting[job] = None
        self._entering.append(job)
        self._news.set()
        return job

    def _listen(self) -> None:
        """Begin with the first job: events, the way into the ledger, and the fan-out."""
        if self._unsubscribe is None:
            self._unsubscribe = self.engine.events.subscribe(self._on_event)
            self.engine.work.start(self._serve(), "job queue")

    async def _serve(self) -> None:
        """Drive jobs until the client closes."""
        fan_out: FanOut[AnyJob, None] = FanOut(
            self._in_order(), self._work, bounds_of(self.engine), self.engine.work, _ready, _never
        )
        entering = self.engine.work.start(self._enter(), "jobs on their way into the ledger")
        try:
            async for _ in Run(fan_out):
                pass
        finally:
            entering.cancel()
            if self._unsubscribe is not None:
                self._unsubscribe()
            error = ClientClosed("the client was closed before this was finished")
            for job in tuple(self._under_way):
                self._end(job, Failure(job_id=job.id, request=job.request, error=error.with_context(job_id=job.id)))

    async def _enter(self) -> None:
        """Write jobs into the ledger, as many at once as have come, and hand them on in their order."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._entering:
                jobs = [self._entering.popleft() for _ in range(min(PORTION, len(self._entering)))]
                # Closing waits for it: a job that is cancelled meanwhile is given up once its rows are there.
                await asyncio.shield(self.engine.writes.start(self._store_all(jobs), "planning of jobs"))
                for job in jobs:
                    if job in self._under_way:
                        self._stored.put_nowait(job)

    async def _store_all(self, jobs: Sequence[AnyJob]) -> None:
        await all_at_once([self._store(job) for job in jobs])

    async def _store(self, job: AnyJob) -> None:
        try:
            if (giving_up := self._giving_up.get(job.id)) is not None:
                await asyncio.wait({giving_up})
            name, runner = self._under_way.get(job), await self.engine.runner(self._place)
            if name is None:  # cancelled meanwhile
                return
            job.id = await runner.plan(job.request, name, await self._terms(job))
        except Exception as error:  # noqa: BLE001 — the job's error; the other jobs go on
            failure = as_aigc_error(error, f"planning {job.id}").with_context(job_id=job.id)
            self._end(job, Failure(job_id=job.id, request=job.request, error=failure))
            return
        if job not in self._under_way:  # cancelled while its rows were written
            await self._give_up(job)
            return
        self._jobs.add(job)
        self._under_way[job] = exact_name(job.id)
        if not job.stored.done():
            job.stored.set_result(None)

    async def _terms(self, job: AnyJob) -> Terms:
        return Terms() if job.save_to is None else Terms(save_to=await self._folders.at(job.save_to))

    async def _in_order(self) -> AsyncIterator[AnyJob]:
        while True:
            job = await self._stored.get()
            if job in self._under_way:  # it may have been cancelled meanwhile
                yield job

    async def _work(self, job: AnyJob, on_begin: Begun) -> None:
        """Run a job to its end."""
        rank = self._ranks.enter()
        try:
            await self._run(job, rank, on_begin)
        finally:
            rank.let_pass()

    async def _run(self, job: AnyJob, rank: Rank, on_begin: Begun) -> None:
        def begin() -> None:
            on_begin()
            self._waiting.pop(job, None)

        terms, runner = await self._terms(job), await self.engine.runner(self._place)
        if job not in self._under_way:  # cancelled meanwhile
            return
        terms = replace(terms, rank=rank, on_begin=rank.and_let_pass(begin))
        work = self.engine.work.start(runner.outcome(job.request, self._under_way[job], terms), f"request {job.id}")
        self._works[job] = work
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            self._works.pop(job, None)
        if not work.cancelled():
            self._end(job, work.result())

    def _end(self, job: AnyJob, outcome: Outcome[Request, Result]) -> None:
        self._let_go(job)
        job.end(outcome)

    def _let_go(self, job: AnyJob) -> None:
        """Drive the job no more: the same request again is another job."""
        self._under_way.pop(job, None)
        self._waiting.pop(job, None)
        key = self._keys.pop(job, None)
        if key is not None and self._queued.get(key) is job:
            del self._queued[key]

    async def _cancel(
        self, job: AnyJob, work: asyncio.Task[Outcome[Request, Result]] | None, end: Outcome[Request, Result]
    ) -> None:
        """Give a cancelled job up once its work has ended, and then tell those who wait for it."""
        try:
            if work is not None:
                await asyncio.wait({work})
            await self._give_up(job)
        finally:
            job.end(end)

    async def _give_up(self, job: AnyJob) -> None:
        """Mark the steps of a cancelled job that are planned as failed, so that nothing creates them."""
        in_use = await self.engine.resume_ledger(self._place)
        for job_id in job_ids(job.id).values():
            with suppress(AigcError):  # the next process finds the job planned
                await in_use.of_job(await in_use.common.ledger.get(job_id)).jobs.settling.cancel(job_id)

    # --- events -------------------------------------------------------------------------------------------------------

    def _on_event(self, event: events.Event) -> None:
        self._learn_duration(event)
        for job in self._jobs.of(request_of(event.job_id)):
            job.on_event(event)

    def _learn_duration(self, event: events.Event) -> None:
        if isinstance(event, events.Submitted):
            self._submitted_at[event.job_id] = event.at
        elif isinstance(event, events.Done | events.Failed):
            begun = self._submitted_at.pop(event.job_id, inf)
            if isinstance(event, events.Done) and begun < event.at:
                self._seconds[event.kind] = event.at - begun


async def _ready() -> None:
    """Prepare nothing: the ledger is opened for each job."""


def _never(_: None) -> None:
    """Stop for no outcome: each job has its own caller."""


class JobIndex:
    """Jobs by their names, as long as somebody holds them. Several jobs may be of one request: with other folders."""

    def __init__(self) -> None:
        self._by_name: dict[str, WeakSet[AnyJob]] = {}
        self._most_names = 1024
        """Names from which on those without jobs are dropped."""

    def add(self, job: AnyJob) -> None:
        self._by_name.setdefault(job.id, WeakSet()).add(job)
        if len(self._by_name) > self._most_names:
            self._by_name = {name: jobs for name, jobs in self._by_name.items() if jobs}
            self._most_names = max(self._most_names, 2 * len(self._by_name))

    def of(self, name: str) -> list[AnyJob]:
        """The jobs of a name."""
        return list(self._by_name.get(name, ()))
