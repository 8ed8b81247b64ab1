"""The tasks of one ledger's submitted jobs: polled, waited for, and their ends kept in the ledger."""

import asyncio
import logging
from typing import Final

from ..concurrency.home import LOOK_S
from ..ledger import JobRecord, JobTaken
from ..ledger.damage import damaged_row, shared_task
from ..model.error_records import to_record
from ..model.errors import AigcError, ClientClosed, InvalidRequest
from ..model.states import JobState, Kind
from ..wire.dialect import TaskStatus
from .context import JobContext
from .pricing import with_price
from .task_ends import TaskEnd, delay_s, expiry_of, is_planned_again, planned_row, row_at
from .watch import Watch

_log: Final = logging.getLogger("mps_aigc_async")


class Tasks:
    """Follows the tasks of one ledger's jobs for one client."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._ledger = context.ledger
        self._poller = context.poller
        self._announcer = context.announcer
        self._wall = context.clock.now

    def watch(self, job: JobRecord) -> Watch:
        """Have the poller watch a submitted job's task, in the slot that it runs in. Raises DamagedRow."""
        if not job.task_id:
            raise damaged_row(job.job_id, "its state is submitted, but it has no TaskId")
        other = self._context.registry.watch_of(job.task_id) or self.watch_of(job.task_id)
        if other is not None and job.submitted_at is not None and other.job.job_id != job.job_id:
            raise shared_task(job.task_id, other.job.job_id, job.job_id)
        if other is not None and other.kind is job.kind:
            return other
        return self._poller.watch(
            Watch(
                job=job,
                follower=self,
                kind=job.kind,
                task_id=job.task_id,
                cohort=job.cohort(),
                accepted_at=job.submitted_at,
                patience=self._context.patience(job),
                is_in_ledger=self._ledger.durable and job.submitted_at is not None,
            )
        )

    def watch_of(self, task_id: str) -> Watch | None:
        """The watch of a task, if the task is of a job in this ledger."""
        watch = self._poller.job_of(task_id)
        return watch if watch is not None and watch.follower is self else None

    async def wait(self, job: JobRecord) -> JobRecord:
        """Wait for the end of a submitted job's task; return the job as it is then."""
        while (result := await self._end(job)) is None:
            job = await self._ledger.get(job.job_id) or job
            if job.state is not JobState.SUBMITTED:
                return job
        row, end = result
        if row is not None and row.job_id == job.job_id:
            return row
        # The watch may be one of a caller that attached to the task, or one of another ledger that has the same job
        # (a copy): both keep no row here.
        row = await self._ledger.get(job.job_id) or job
        return row if row.state is not JobState.SUBMITTED else await self.keep_end(job, end)

    async def attach(self, kind: Kind, task_id: str) -> JobRecord:
        """Wait for a task that was created elsewhere. The task gets a slot here and no row: its own ledger has one.

        Raises InvalidRequest for a kind that this service does not make, and for a task that this ledger has as one of
        another kind.
        """
        self._context.dialect.describe(kind, task_id)
        own = await self._ledger.of_task(task_id)
        if own is not None and own.kind is not kind:
            raise InvalidRequest(
                f"task {task_id} is no {kind}: the ledger has it as the {own.kind} of {own.job_id}", task_id=task_id
            )
        job = JobRecord(
            job_id=task_id,
            kind=kind,
            content="{}",
            planned_at=self._wall(),
            state=JobState.SUBMITTED,
            task_id=task_id,
            slot_until=self._wall() + self._context.waits.running_s[kind],
        )
        while (result := await self._end(job)) is None:
            pass
        _, end = result
        job = self._row_at(job, end)
        if job.state is JobState.FAILED:
            raise job.recorded_error()
        return job

    async def _end(self, job: JobRecord) -> tuple[JobRecord | None, TaskEnd] | None:
        """Wait for the end of a job's task: the row that is kept for it here (None if another client or ledger follows
        the task), and the end itself. Returns None if another client of the ledger polled the task and was closed, or
        its loop stands still: wait again then."""
        watch = self.watch(job)
        try:
            row = await _end_of(watch)
        except ClientClosed:
            if self._poller.is_closed:
                raise
            return None
        assert watch.end is not None  # noqa: S101 — the poller sets it before it tells a row
        return row if watch.follower is self else None, watch.end

    async def other_holder(self, task_id: str, job_id: str) -> str:
        """The job other than this one that has the task: in this client, with any ledger, or in the ledger. Empty if
        there is none."""
        watch = self._poller.job_of(task_id)
        if watch is not None:  # in another ledger the other job may have the same id
            return watch.job.job_id
        holder = await self._ledger.of_task(task_id)
        return "" if holder is None or holder.job_id == job_id else holder.job_id

    # --- the poller's follower ----------------------------------------------------------------------------------------

    @property
    def ledger_in_place(self) -> bool:
        return self._ledger.in_place

    def on_poll(self, job: JobRecord, status: TaskStatus) -> None:
        self._announcer.tell_polled(job, status)

    def forget(self, watch: Watch) -> None:
        self._poller.forget(watch)

    async def keep_end(self, job: JobRecord, end: TaskEnd | AigcError) -> JobRecord:
        """Keep the end of the job's task in the ledger, and announce it. A task that a caller attached to has its row
        elsewhere: nothing is kept for it here."""
        if isinstance(end, TaskEnd):
            row = self._row_at(job, end)
            if self._is_planned_again(job, end.status):
                row = planned_row(row)
        else:
            row = job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(end))
        row = with_price(row, self._context.prices)
        if job.submitted_at is not None:
            try:
                await self._ledger.put(row)
            except JobTaken:  # another member has taken the task over, and keeps its end
                return await self._ledger.get(job.job_id) or row
            self._tell_end(job, row)
        return row

    def _tell_end(self, job: JobRecord, row: JobRecord) -> None:
        if row.state is JobState.DONE:
            self._announcer.tell_done(row)
        elif row.state is JobState.PLANNED:
            # The row forgets the task, which made nothing: the log and the event keep its TaskId.
            error, wait_s = row.recorded_error().with_context(task_id=job.task_id), delay_s(row.attempts)
            _log.warning("the model had no room for a task, its job is created again in %.0f s: %s", wait_s, error)
            self._announcer.tell_retry(row, error, wait_s)
        else:
            self._announcer.tell_failed(row, row.recorded_error())

    def _row_at(self, job: JobRecord, end: TaskEnd) -> JobRecord:
        dialect = self._context.dialect
        expires = expiry_of(end, self._context.bucket(job), dialect.url_life_s)
        return row_at(end, job, expires, dialect.describe_action(job.kind))

    def _is_planned_again(self, job: JobRecord, status: TaskStatus) -> bool:
        others_run = self._context.limits.slots[job.kind].running > 1  # its own slot is not given back yet
        return is_planned_again(status, job.attempts, self._context.calls.policy.attempts, others_run=others_run)


async def _end_of(watch: Watch) -> JobRecord:
    """Wait for a task's end. Raises ClientClosed if the task is to be polled by another client from now on: the loop of
    its poller stands still, and nobody knows for how long."""
    waiter = watch.wait()
    if watch.loop is not asyncio.get_running_loop():
        while not waiter.done():
            await asyncio.wait({waiter}, timeout=LOOK_S)
            if not watch.loop.is_running():
                watch.follower.forget(watch)
    return await waiter
