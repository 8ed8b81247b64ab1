"""The user's decisions about jobs: to settle an unknown job, and to retry a failed one."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ..ledger import JobRecord, JobTaken
from ..ledger.versions import version_for
from ..model.error_records import to_record
from ..model.errors import AigcError, InvalidRequest, JobCancelled, JobDropped, TaskFailed
from ..model.requests import Request
from ..model.settlement import Attach, CreateAgain, Drop, Settlement
from ..model.states import JobState, Kind
from ..wire.dialect import scope_of
from .context import JobContext
from .own_sessions import replan
from .tasks import Tasks
from .unknown_creates import slot_name

_log: Final = logging.getLogger("mps_aigc_async")


class Settling:
    """Carries out the user's decisions about the jobs of one ledger."""

    def __init__(self, context: JobContext, tasks: Tasks) -> None:
        self._context = context
        self._tasks = tasks
        self._ledger = context.ledger
        self._sessions = context.sessions
        self._announcer = context.announcer
        self._wall = context.clock.now

    async def settle(self, job_id: str, how: Settlement) -> JobRecord:
        """Carry out the user's decision about an unknown job; return the changed job.

        Raises InvalidRequest for any other job, and for a task that is another job's; for a task that the service does
        not know, the error of its poll. Nothing is changed then.
        """
        async with self._context.registry.lock(job_id):
            job = _require_unknown(await self._ledger.get(job_id), job_id)
            row = await self._row_after(job, how)
            await self._ledger.settle(row)
        self._follow(job, row)
        return row

    async def _row_after(self, job: JobRecord, how: Settlement) -> JobRecord:
        match how:
            case CreateAgain():
                return self._sessions.planned_again(job)
            case Attach(task_id):
                return await self._attach(job, task_id)
            case Drop():
                error = JobDropped("given up: its create was sent, and no reply told whether it was accepted")
                return job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(error))

    async def _attach(self, job: JobRecord, task_id: str) -> JobRecord:
        """The job with the task that its create made, once the service has confirmed the task."""
        other = await self._ledger.of_task(task_id)
        if other is not None:
            raise InvalidRequest(f"task {task_id} is {other.job_id}'s already", job_id=job.job_id, task_id=task_id)
        try:
            await self._context.calls.send(self._context.dialect.describe(job.kind, task_id))
        except AigcError as error:
            error.with_context(job_id=job.job_id, task_id=task_id)
            raise
        return job.moved(
            JobState.SUBMITTED,
            task_id=task_id,
            # The URLs' life is counted from here if the task has ended already: never later than the truth.
            submitted_at=job.sent_at or job.intent_at or job.planned_at,
            slot_until=self._wall() + self._context.patience(job).running_s,
            ended_at=None,
            error={},
        )

    def _follow(self, job: JobRecord, row: JobRecord) -> None:
        """Adapt slot, session and poller to the new row of a job that was unknown, and announce the row."""
        slot = self._context.limits.slots[job.kind].find(slot_name(job))
        if row.state is JobState.PLANNED:
            if slot is not None:  # the create was not accepted: nothing runs there
                slot.release()
            return
        self._sessions.end(job)
        if row.state is JobState.SUBMITTED:
            if slot is not None:
                slot.name(row.task_id or "", scope_of(self._context.dialect))
            self._tasks.watch(row)
            self._announcer.tell_submitted(row)
        else:
            self._announcer.tell_failed(row, row.recorded_error())

    async def retry_failed(self, only: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Retry the failed jobs that `only` accepts; return the changed jobs.

        Most are planned again. A task that was accepted and may have a result by now is polled again instead: a task
        that the service did not know, and a task that it called done without a result. Jobs that the user dropped stay
        failed: the outcomes of their creates are unknown, and they may have been paid for.
        """
        ids = [job.job_id async for job in self._ledger.in_state(JobState.FAILED) if only(job)]
        jobs = await asyncio.gather(*(self._retry(job_id) for job_id in ids))  # at once: the rows share their commits
        return [job for job in jobs if job is not None]

    async def cancel(self, job_id: str) -> None:
        """Give up a job that is planned: it has failed then, until its request is made again. Any other job stays."""
        try:
            async with self._context.registry.lock(job_id):  # who holds it waits to create the job, and ends
                await self._give_up(job_id)
        finally:
            self._context.registry.cancellations.discard(job_id)

    async def _give_up(self, job_id: str) -> None:
        job = await self._ledger.get(job_id)
        if job is None or job.state is not JobState.PLANNED:
            return
        # A create that is made again (`CreateAgain`) may have been accepted before.
        cls = JobDropped if job.has_sent_session else JobCancelled
        error = cls("cancelled before it was created", job_id=job_id)
        row = job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(error))
        with suppress(JobTaken):  # another member creates it
            await self._ledger.put(row)
            self._announcer.tell_failed(row, error)

    async def retry_request(self, request: Request, name: str, only: Callable[[JobRecord], bool]) -> None:
        """Retry the failed jobs that `only` accepts of the version that a request means, as `retry_failed` does. Raises
        InvalidRequest if the ledger has the request with other content."""
        for job in (await version_for(self._ledger, request, name)).jobs.values():
            if job.state is JobState.FAILED and only(job):
                await self._retry(job.job_id)

    async def _retry(self, job_id: str) -> JobRecord | None:
        async with self._context.registry.lock(job_id):
            job = await self._ledger.get(job_id)
            if job is None or job.state is not JobState.FAILED:
                return None
            error = job.recorded_error()
            if isinstance(error, JobDropped):
                return None
            row = self._row_to_retry(job, error)
            if row.state is JobState.SUBMITTED and row.account not in ("", self._ledger.account):
                _log.warning("%s is not retried: its task %s is in the account %s", job_id, job.task_id, row.account)
                return None
            try:
                await self._ledger.put(row)
            except JobTaken:  # another member retries it
                return None
        if row.state is JobState.SUBMITTED:
            self._tasks.watch(row)
        else:
            self._announcer.tell_planned(row)
        return row

    def _row_to_retry(self, job: JobRecord, error: AigcError) -> JobRecord:
        has_failed = isinstance(error, TaskFailed) and not error.may_have_result
        if job.task_id is None or has_failed:
            _warn_of_results(job)
            return replan(job)
        return job.moved(
            JobState.SUBMITTED,
            slot_until=self._wall() + self._context.patience(job).running_s,
            ended_at=None,
            # Kept for a task whose result was missing: if the result is missing again, it will not come.
            error=job.error if isinstance(error, TaskFailed) else {},
        )


def _require_unknown(job: JobRecord | None, job_id: str) -> JobRecord:
    if job is not None and job.state is JobState.UNKNOWN:
        return job
    if job is not None and job.state is JobState.INTENT:
        raise InvalidRequest(
            "the job's create is under way in a client that has the ledger open: wait for its answer. If that client "
            "has died, the next `run` or client with the ledger makes the job unknown, and then it can be settled",
            job_id=job_id,
        )
    state = "is not in the ledger" if job is None else f"is {job.state}"
    whole = "" if "/" in job_id else f"; name the job with its kind, such as {job_id}/{Kind.IMAGE}"
    raise InvalidRequest(f"the job {state}: only one of unknown outcome can be settled{whole}", job_id=job_id)


def _warn_of_results(job: JobRecord) -> None:
    """Log the results of a failed task before its row forgets them: they may have been billed."""
    if job.urls or job.file_ids:
        _log.warning(
            "%s is created again, although its failed task %s left results: %d URLs, VOD files %s",
            job.job_id,
            job.task_id,
            len(job.urls),
            ", ".join(job.file_ids) or "none",
        )
