"""The ledger of a client that was given none: it lasts as long as the client."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from ..states import JobState
from .record import JobRecord

KEPT_ENDED: Final = 10_000
"""Ended jobs remembered: a server that runs for months must not grow with everything it ever made."""

_ENDED: Final = frozenset({JobState.DONE, JobState.SAVED, JobState.FAILED})


class MemoryLedger:
    """Keeps the rows in a dict: all that have not ended or are unknown, and the latest that have."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobRecord] = {}
        self._ended: deque[str] = deque()

    def __repr__(self) -> str:
        return f"<MemoryLedger of {len(self._jobs)} jobs>"

    async def plan(self, job: JobRecord) -> JobRecord:
        return self._jobs.setdefault(job.job_id, job).same_as(job)

    async def put(self, job: JobRecord) -> None:
        before = self._jobs.get(job.job_id)
        self._jobs[job.job_id] = job
        if job.state in _ENDED and (before is None or before.state not in _ENDED):
            self._ended.append(job.job_id)
            if len(self._ended) > KEPT_ENDED:
                self._jobs.pop(self._ended.popleft(), None)

    async def get(self, job_id: str) -> JobRecord | None:
        return self._jobs.get(job_id)

    async def of_task(self, task_id: str) -> JobRecord | None:
        return next((job for job in self._jobs.values() if job.task_id == task_id), None)

    async def in_state(self, state: JobState) -> list[JobRecord]:
        return sorted((job for job in self._jobs.values() if job.state is state), key=lambda job: job.planned_at)

    async def counts(self) -> Mapping[JobState, int]:
        return Counter(job.state for job in self._jobs.values())

    async def close(self) -> None:
        """Nothing to close."""
