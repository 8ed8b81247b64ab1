"""The ledger of a client without a ledger file; lasts as long as the client."""

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from statistics import fmean
from typing import Final

from ..model.budget import NOTHING, Amount, Bound
from ..model.states import JobState, Kind
from .record import JobRecord, job_ids
from .sole import SoleLedger
from .spending import total_of_jobs

MOST_ENDED: Final = 10_000
"""Most ended jobs in memory: a server that runs for months must not grow with every job."""

_ENDED: Final = frozenset({JobState.DONE, JobState.SAVED, JobState.FAILED})


class MemoryLedger(SoleLedger):
    """Rows in a dict: all that have not ended or are unknown, and the latest ended ones."""

    durable = False
    in_place = True
    account = ""

    def __init__(self) -> None:
        self._jobs: dict[str, JobRecord] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        """The ids of ended jobs in the order of their ends. A plain dict would be slow: it finds its first key by
        passing over every key deleted before it."""
        self._tasks: dict[str, str] = {}
        """Job ids by TaskId. An entry may be older than its job's row."""
        self._former_states: Counter[JobState] = Counter()
        """The dropped jobs by state."""
        self._former_total = NOTHING
        """The dropped jobs' total."""
        self._facts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<MemoryLedger of {len(self._jobs)} jobs>"

    def rows(self) -> "MemoryRows":
        """The rows of this moment."""
        return MemoryRows(dict(self._jobs))

    async def plan(self, job: JobRecord) -> JobRecord:
        return self._jobs.setdefault(job.job_id, job)

    async def put(self, job: JobRecord) -> None:
        if job.state is JobState.SAVED and job.job_id not in self._jobs:  # dropped while its files were fetched
            self._former_states[JobState.DONE] -= 1
        self._jobs[job.job_id] = job
        if job.task_id is not None and await self.of_task(job.task_id) is None:
            self._tasks[job.task_id] = job.job_id
        if job.state not in _ENDED:  # an ended job may be retried
            self._ended.pop(job.job_id, None)
        elif job.job_id not in self._ended:
            self._ended[job.job_id] = None
            if len(self._ended) > MOST_ENDED:
                oldest, _ = self._ended.popitem(last=False)
                former = self._jobs.pop(oldest)
                self._former_states[former.state] += 1
                self._former_total += total_of_jobs([former])
                if former.task_id is not None and self._tasks.get(former.task_id) == oldest:
                    del self._tasks[former.task_id]

    async def put_within(self, intent: JobRecord, bound: Bound) -> None:
        others = (job for job_id, job in self._jobs.items() if job_id != intent.job_id)
        total = self._former_total + total_of_jobs((*others, intent))
        if (error := bound.refusal(total, intent.job_id)) is not None:
            raise error
        await self.put(intent)

    async def get(self, job_id: str) -> JobRecord | None:
        return self._jobs.get(job_id)

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        return {kind: job for kind, job_id in job_ids(name).items() if (job := self._jobs.get(job_id)) is not None}

    async def of_task(self, task_id: str) -> JobRecord | None:
        job = self._jobs.get(self._tasks.get(task_id, ""))
        return job if job is not None and job.task_id == task_id else None

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        for job in sorted((job for job in self._jobs.values() if job.state is state), key=lambda job: job.planned_at):
            yield job

    async def done_between(self, since: float, until: float) -> AsyncIterator[JobRecord]:
        for job in [job for job in self._jobs.values() if job.is_done_between(since, until)]:
            yield job

    async def facts(self) -> Mapping[str, str]:
        return dict(self._facts)

    async def keep_fact(self, name: str, value: str) -> None:
        self._facts[name] = value

    async def counts(self) -> Mapping[JobState, int]:
        return self._former_states + Counter(job.state for job in self._jobs.values())

    def require_in_place(self) -> None:
        """Do nothing: memory stays in place."""

    def hurry(self) -> None:
        """Do nothing: no write ever waits."""

    async def close(self) -> None:
        """Do nothing: no file is open."""


class MemoryRows:
    """The rows of a ledger in memory at this moment, for readers (`snapshot.Snapshot`)."""

    def __init__(self, jobs: Mapping[str, JobRecord]) -> None:
        self._jobs = jobs

    def states(self) -> Iterator[tuple[str, Kind, JobState]]:
        """Each job's id, kind and state."""
        return ((job.job_id, job.kind, job.state) for job in self._jobs.values())

    def contents(self) -> Iterator[tuple[str, str]]:
        """Each job's id and content."""
        return ((job.job_id, job.content) for job in self._jobs.values())

    def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        """The jobs of one request, by kind."""
        return {kind: job for kind, job_id in job_ids(name).items() if (job := self._jobs.get(job_id)) is not None}

    def total(self) -> Amount:
        """The total of all creates that may be paid for."""
        return total_of_jobs(self._jobs.values())

    def task_seconds(self) -> Mapping[Kind, float]:
        """The mean duration of the tasks of each kind that ended with results."""
        seconds: dict[Kind, list[float]] = {}
        for job in self._jobs.values():
            if job.done_at is not None and job.submitted_at is not None and job.done_at > job.submitted_at:
                seconds.setdefault(job.kind, []).append(job.done_at - job.submitted_at)
        return {kind: fmean(values) for kind, values in seconds.items()}
