"""One job's life: planned → intent → submitted → done → saved, each step in the ledger before the next is taken.

`Jobs.finish` is idempotent by the ledger's state: called for a job in any state, in this process or a later one, it
does the rest of the work and never creates a task that could exist already.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ..concurrency.callbacks import ignore
from ..ledger import JobRecord
from ..model.errors import InvalidRequest
from ..model.requests import Step, content
from ..model.states import JobState, Kind
from ..wire.dialect import FILES_AT_ONCE
from .acceptance import Acceptance
from .context import JobContext
from .creates import Creates, Order
from .resuming import Resuming
from .saving import Saver
from .settling import Settling
from .task_ends import delay_s
from .tasks import Tasks


class Jobs:
    """Drives the jobs of one ledger, for one client."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._ledger = context.ledger
        self.tasks: Final = Tasks(context)
        self.settling: Final = Settling(context, self.tasks)
        self.resuming: Final = Resuming(context, self.tasks)
        self._acceptance = Acceptance(context, self.tasks)
        self._creates = Creates(context, self._acceptance)
        self._saver = Saver(
            context.ledger,
            context.downloads,
            context.announcer,
            url_life_s=context.dialect.url_life_s,
            wall=context.clock.now,
            locate=self._locate,
            save_s=context.waits.save_s,
        )

    def stop_creating(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. Sent creates go on."""
        self._creates.stop()

    async def get(self, job_id: str) -> JobRecord | None:
        """The job of this id, as the ledger has it."""
        return await self._ledger.get(job_id)

    async def plan(self, job_id: str, kind: Kind, request: Step, on_begin: Callable[[], None] = ignore) -> JobRecord:
        """The job of this id, new or as the ledger has it. Raises InvalidRequest if that has other content.

        `on_begin` is called if another caller makes the job: this one waits for that, and not to be created.
        """
        new = JobRecord(job_id=job_id, kind=kind, content=content(request), planned_at=self._context.clock.now())
        lock = self._lock(job_id)
        if lock.locked():
            on_begin()
        async with lock:
            job = await self._ledger.plan(new)
        if job is new:
            self._context.announcer.tell_planned(job)
        return job

    async def submit(self, job: JobRecord, order: Order) -> JobRecord:
        """Bring the job to where the service has accepted it, or further if it was there already.

        Raises the error that ended it, CreateOutcomeUnknown among them.
        """
        async with self._lock(job.job_id):
            return await self._submit(job, order)

    async def finish(self, job: JobRecord, order: Order) -> JobRecord:
        """Bring the job to where its task has ended well. Raises the error that ended it otherwise."""
        lock = self._lock(job.job_id)
        if lock.locked():  # as in `plan`
            order.on_begin()
        async with lock:
            while True:
                job = await self._submit(job, order)
                order.on_begin()  # a job that an earlier run has created may still run for long
                if job.state is JobState.SUBMITTED:
                    job = await self.tasks.wait(job)
                if job.state is not JobState.PLANNED:
                    break
                await asyncio.sleep(delay_s(job.attempts))
            if job.state is JobState.FAILED:
                raise job.recorded_error()
            return job

    async def _submit(self, job: JobRecord, order: Order) -> JobRecord:
        job = await self._ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            job = await self._creates.rejoin(job)
        if job.state is JobState.PLANNED or await self._context.sessions.may_send_again(job):
            job = await self._creates.create(job, order)
        else:
            job = await self._acceptance.find(job)
        if job.state in (JobState.FAILED, JobState.UNKNOWN):
            raise job.recorded_error()
        return job

    async def finish_accepted(self, job: JobRecord, order: Order) -> JobRecord:
        """Bring a job to its end that the service had accepted. Raises InvalidRequest if the user has decided since
        then that the job is to be made again: the caller that asks for that has the request."""
        now = await self._ledger.get(job.job_id)
        if now is not None and now.state is JobState.PLANNED and not now.error:
            raise InvalidRequest(
                "the job was planned again meanwhile (retry_failed, settle): ask for its request again",
                job_id=job.job_id,
            )
        return await self.finish(job, order)

    async def unsaved(self) -> AsyncIterator[JobRecord]:
        """The jobs that are paid for and not saved, each once: first the jobs that are done, whose URLs expire, then
        the jobs whose tasks run."""
        # Read first: a task that ends meanwhile is then in one of the two lists at least.
        running = {job.job_id: job async for job in self._ledger.in_state(JobState.SUBMITTED)}
        async for job in self._ledger.in_state(JobState.DONE):
            if job.job_id not in running:
                yield job
        for job in running.values():
            yield job

    async def end_task(self, job: JobRecord) -> JobRecord:
        """Bring a job whose task exists to the task's end. Create nothing. Raises the error that ended the job."""
        async with self._lock(job.job_id):
            job = await self._ledger.get(job.job_id) or job
            if job.state is JobState.SUBMITTED:
                job = await self.tasks.wait(job)
        if job.state in (JobState.DONE, JobState.SAVED):
            return job
        if not job.error:
            raise InvalidRequest(f"the job is {job.state} by now: there is no result to save", job_id=job.job_id)
        raise job.recorded_error()

    async def save(self, job: JobRecord, folder: Path, stem: str) -> JobRecord:
        """Save a done job's results as `folder/stem.*`; files that are there already are left as they are.

        Raises ResultExpired or DownloadError.
        """
        async with self._lock(job.job_id):  # two callers of one id must not write one file
            return await self._saver.save(await self._ledger.get(job.job_id) or job, folder, stem)

    async def _locate(self, file_ids: Sequence[str]) -> Mapping[str, str] | None:
        """The URLs of files that the service keeps, by their ids; None where it tells of none."""
        urls: dict[str, str] = {}
        for first in range(0, len(file_ids), FILES_AT_ONCE):
            call = self._context.dialect.media_urls(file_ids[first : first + FILES_AT_ONCE])
            if call is None:
                return None
            urls |= await self._context.calls.send(call)
        return urls

    async def learn_time(self, job: JobRecord) -> None:
        """Have the service tell its time, if it has not yet, by a poll of this job's task."""
        if job.task_id is not None:
            await self._context.calls.learn_time(self._context.dialect.describe(job.kind, job.task_id))

    def _lock(self, job_id: str) -> asyncio.Lock:
        """Two callers of one id do its work once, one after the other, whichever clients they use."""
        return self._context.registry.lock(job_id)
