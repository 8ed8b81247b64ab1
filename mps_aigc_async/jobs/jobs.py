"""A job's life: planned → intent → submitted → done → saved, each step in the ledger before the next is taken.

`Jobs.finish` is idempotent by the ledger's state: called for a job in any state, in this process or a later one, it
does the rest of the work and never creates a task that could exist already.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from ..catalog.prices import Estimate
from ..concurrency.across_loops import Turn
from ..concurrency.callbacks import ignore
from ..ledger import JobRecord, JobTaken
from ..ledger.record import CANCELLED, request_of
from ..ledger.versions import Version, changed_request, is_free, parted, version_for
from ..model.contents import content
from ..model.errors import AigcError, InvalidRequest, LedgerError
from ..model.requests import Request, Step
from ..model.states import JobState, Kind
from ..wire.dialect import FILES_AT_ONCE
from .acceptance import Acceptance
from .context import JobContext
from .creates import Creates
from .creation import Order
from .lookahead import Lookahead
from .new_steps import is_of_begun_chain
from .own_sessions import replan_as
from .places import Place
from .pricing import with_price
from .redoing import Redoing
from .resuming import Resuming
from .saving import Saver
from .settling import Settling
from .task_ends import delay_s
from .tasks import Tasks
from .terms import Terms

Judge = Callable[[Mapping[Kind, JobRecord]], Awaitable[None]]
"""Judges a request by the jobs that the ledger has of it, by kind. Raises InvalidRequest."""

Work = Callable[[JobRecord, Order], Awaitable[JobRecord]]
"""Works on a job whose lock the caller holds."""


class Jobs:
    """Drives the jobs of one ledger, for one client."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._ledger = context.ledger
        self.tasks: Final = Tasks(context)
        self.redoing: Final = Redoing(context)
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
            readable=context.buckets.readable,
            doubt_keys=context.buckets.doubt_keys,
            why_refused=context.buckets.why_refused,
            save_s=context.waits.save_s,
        )

    def stop_creating(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. Sent creates go on."""
        self._creates.stop()

    def stop_one(self, job_id: str) -> bool:
        """See to it that a job is not created until `Settling.cancel` has written that. Whether its create is on its
        way."""
        is_on_its_way = self._creates.stop_one(job_id)
        if not is_on_its_way:
            self._context.registry.cancellations.add(job_id)
        return is_on_its_way

    async def plan(self, steps: Sequence[Step], version: Version, terms: Terms) -> list[JobRecord]:
        """The jobs of a request's steps, new or as the ledger has them. Other content replaces that of a job that has
        cost nothing. Raises InvalidRequest for any other job.

        One after the other: whoever has the first step has the others too, where callers race with other contents.
        """
        jobs: list[JobRecord] = []
        for step in steps:
            job_id = version.id_of(step.kind)
            async with self._lock(job_id, terms.on_begin):
                jobs.append(await self._plan(step, request_of(job_id), terms))
        await self._leave_out(version, terms)
        return jobs

    async def _leave_out(self, version: Version, terms: Terms) -> None:
        """Write into the jobs that an edit has left out that nobody asks for them any more."""
        for kind, job in version.jobs.items():
            if kind not in terms.steps and request_of(job.job_id) == version.name and is_free(job):
                await self._note_terms(job, terms)

    async def submit_single(self, step: Step, name: str, order: Order, judge: Judge) -> JobRecord:
        """Plan the job of a request of one step, and work on it until the service has accepted it. A job beyond that is
        returned.

        `judge` raises for jobs of the request that do not allow this step. Raises the error that ended the job,
        CreateOutcomeUnknown among them; InvalidRequest for a job that may be paid for with other content.
        """
        return await self._work_on_single(step, name, order, judge, self._submit)

    async def finish_single(self, step: Step, name: str, order: Order, judge: Judge) -> JobRecord:
        """Plan the job of a request of one step, and work on it until its task has succeeded. `judge` and the errors
        are those of `submit_single`."""
        return await self._work_on_single(step, name, order, judge, self._finish)

    async def _work_on_single(self, step: Step, name: str, order: Order, judge: Judge, work: Work) -> JobRecord:
        """Do the work on the job in which the request's version makes the step, under that job's lock."""
        job_id = f"{name}/{step.kind}"
        if self._context.registry.lock(job_id).locked():  # perhaps for long, by a version that is not meant
            job_id = (await self.version_for(step, name)).id_of(step.kind)
        while True:
            async with self._lock(job_id, order.terms.on_begin):
                version = await self.version_for(step, name)
                if version.id_of(step.kind) == job_id:
                    await judge(version.jobs)
                    await self._leave_out(version, order.terms)
                    job = await self._plan(step, request_of(job_id), order.terms)
                    await order.terms.confirm()
                    return await work(job, order)
            job_id = version.id_of(step.kind)

    async def _plan(self, step: Step, name: str, terms: Terms) -> JobRecord:
        now = self._context.clock.now()
        new = JobRecord(job_id=f"{name}/{step.kind}", kind=step.kind, content=content(step), planned_at=now)
        new = terms.written_to(new)
        while True:
            job = await self._ledger.plan(new)
            if (job.kind, job.content) == (new.kind, new.content) and job.error.get("type") != CANCELLED:
                if job is not new:
                    return await self._note_terms(job, terms)
                self._context.announcer.tell_planned(job)
                return job
            with suppress(JobTaken):  # another member has changed the row: it is read again
                job = await self._replace(job, new)
                self._context.announcer.tell_planned(job)
                return await self._note_terms(job, terms)

    async def _note_terms(self, job: JobRecord, terms: Terms) -> JobRecord:
        """Write the terms of the latest batch into a job's row, if they differ."""
        if terms.written_to(job) == job or self._context.is_elsewhere(job):
            return job
        if job.task_id is not None and (watch := self._context.registry.watch_of(job.task_id)) is not None:
            watch.job = terms.written_to(watch.job)  # the row at the task's end is made from it
        return await self._note(job, terms.written_to) or job

    async def _note(self, job: JobRecord, change: Callable[[JobRecord], JobRecord]) -> JobRecord | None:
        """Change the terms in a job's row as it is now; return the row, or None if others have taken the job."""
        row = await self._ledger.get(job.job_id)  # the task may have ended meanwhile
        if row is None or self._context.is_elsewhere(row):
            return None
        row = change(row)
        try:
            await self._ledger.note(row)
        except JobTaken:
            return None
        return row

    async def _replace(self, job: JobRecord, new: JobRecord) -> JobRecord:
        if not is_free(job):
            name = request_of(job.job_id)
            raise changed_request(Version(parted(name)[1], name, {job.kind: job}), {new.kind: new.content})
        return await self._ledger.replace(job, replan_as(job, new.content))

    async def version_for(self, request: Request, name: str) -> Version:
        """The version that a request of this name means, as the ledger has it. Raises InvalidRequest."""
        return await version_for(self._ledger, request, name)

    def estimate(self, step: Step) -> Estimate:
        """The size and the price of a step's task."""
        return self._context.prices.estimate(step)

    async def steps_of_begun_chains(self) -> list[JobRecord]:
        """The planned jobs of chains whose first step is made or under way, and can still be used."""
        steps: list[JobRecord] = []
        now = self._context.clock.now()
        async for job in self._ledger.in_state(JobState.PLANNED):
            if job.steps and job.kind is not job.steps[0]:  # the other rows need no reading
                own = await self._ledger.of_request(request_of(job.job_id))
                steps += [job] if is_of_begun_chain(job, own, now) else []
        return steps

    @property
    def are_shared(self) -> bool:
        """Whether other processes may use the ledger meanwhile."""
        return bool(self._ledger.member)

    async def note_room(self, job: JobRecord, estimate: Estimate) -> None:
        """Write the amount of a begun chain's planned step into its row: the ledger keeps it free for the step."""
        if (job.amount, job.cost) != (estimate.number, estimate.cost):
            await self._note(job, partial(_with_amounts, estimate.number, estimate.cost))

    async def leave_room(self, name: str) -> None:
        """Leave the room of a failed chain's planned steps to other requests."""
        with suppress(LedgerError):  # it stays reserved, and nothing is lost
            for job in (await self._ledger.of_request(name)).values():
                if job.state is JobState.PLANNED and (job.amount, job.cost) != (None, None):
                    await self._note(job, partial(_with_amounts, None, None))

    async def price_ended(self) -> None:
        """Write size and price into the rows that may be paid for and lack them, so that a budget can count them. A job
        that a caller drives, or whose task is polled, gets them at its end."""
        for state in (JobState.DONE, JobState.SAVED, JobState.UNKNOWN, JobState.FAILED):
            for job in [
                job async for job in self._ledger.in_state(state) if with_price(job, self._context.prices) != job
            ]:
                lock = self._context.registry.lock(job.job_id)
                if not lock.locked():
                    async with lock:
                        await self._price(job.job_id)

    async def _price(self, job_id: str) -> None:
        job = await self._ledger.get(job_id)
        if job is not None and (row := with_price(job, self._context.prices)) != job:
            with suppress(JobTaken):  # another member has changed the row since then
                await self._ledger.note(row)

    def place(self, name: str, kind: Kind, lookahead: Lookahead) -> Place:
        """A place for a request's chain ahead of its step of a kind, to be acquired."""
        return Place(self._ledger, name, kind, lookahead)

    async def prepare(self, job: JobRecord) -> None:
        """Look for what would refuse a later create of a planned job, before an earlier step of its chain is paid for:
        an unreadable bucket, and a session id that another job has. The session id is kept for the job until
        `release`. Raises the create's error."""
        try:
            await self._context.require_room_for_results(job)
            await self._context.sessions.reserve(job)
        except AigcError as error:
            error.with_context(job_id=job.job_id)
            raise

    def release(self, job: JobRecord) -> None:
        """Leave a session id that `prepare` has kept to other jobs, unless the job's create has begun."""
        self._context.sessions.release(job)

    async def submit(self, job: JobRecord, order: Order) -> JobRecord:
        """Bring the job to where the service has accepted it, or further if it was there already.

        Raises the error that ended it, CreateOutcomeUnknown among them.
        """
        async with self._lock(job.job_id):
            return await self._submit(await self._row_of(job), order)

    async def finish(self, job: JobRecord, order: Order) -> JobRecord:
        """Work on the job until its task has succeeded. Raises the error that ended the job otherwise."""
        async with self._lock(job.job_id, order.terms.on_begin):
            return await self._finish(await self._row_of(job), order)

    async def finish_accepted(self, job: JobRecord, order: Order) -> JobRecord:
        """Work on an accepted job until its task has succeeded. Raises InvalidRequest if the user has planned the job
        again since then: a new create needs the request."""
        async with self._lock(job.job_id, order.terms.on_begin):
            now = await self._ledger.get(job.job_id) or job
            if now.state is JobState.PLANNED and not now.error:
                raise InvalidRequest(
                    "the job was planned again meanwhile (retry_failed, settle): run its request again",
                    job_id=job.job_id,
                )
            return await self._finish(now, order)

    async def _finish(self, job: JobRecord, order: Order) -> JobRecord:
        """`job` is the row that the ledger has, and the caller holds its lock."""
        while True:
            job = await self._submit(job, order)
            order.terms.on_begin()  # a job that an earlier run has created may still run for long
            if job.state is JobState.SUBMITTED:
                job = await self.tasks.wait(job)
            if self._context.is_elsewhere(job):
                continue
            if job.state is not JobState.PLANNED:
                break
            await asyncio.sleep(delay_s(job.attempts))
        if job.state is JobState.FAILED:
            raise job.recorded_error()
        return job

    async def _submit(self, job: JobRecord, order: Order) -> JobRecord:
        """`job` as in `_finish`."""
        while True:
            job = await self._when_free(job, order)
            try:
                return await self._submit_free(job, order)
            except JobTaken as taken:  # another member has claimed the job, or has taken it over from this one
                if await self._ledger.get(job.job_id) is None:
                    raise taken.with_context(job_id=job.job_id) from None
                job = await self._row_of(job)

    async def _when_free(self, job: JobRecord, order: Order) -> JobRecord:
        """The job once no other member drives it: its task has ended then, or the member is gone."""
        while self._context.is_elsewhere(job):
            order.terms.on_begin()  # the wait is not for a slot or a send time
            job = await self._changed(job)
        return job

    async def _changed(self, job: JobRecord) -> JobRecord:
        """Wait until the job's row is another than this one; return it."""
        await self._ledger.changed(job)
        return await self._row_of(job)

    async def _row_of(self, job: JobRecord) -> JobRecord:
        """The job's row now. Raises InvalidRequest if it has other content by now: the caller would send its own."""
        row = await self._ledger.get(job.job_id)
        if row is not None and row.content != job.content:
            raise InvalidRequest(
                "another caller has replaced the job's content before it was sent: it makes the job", job_id=job.job_id
            )
        return row or job

    async def _submit_free(self, job: JobRecord, order: Order) -> JobRecord:
        """`job` as in `_finish`, and no other member drives it. Raises JobTaken if that changes."""
        if job.state is JobState.INTENT:
            job = await self._creates.rejoin(job)
        if job.state is JobState.PLANNED or await self._context.sessions.may_send_again(job):
            job = await self._creates.create(job, order)
        else:
            job = await self._acceptance.find(job)
        if job.state in (JobState.FAILED, JobState.UNKNOWN):
            raise job.recorded_error()
        return job

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
            while job.state is JobState.SUBMITTED:
                job = await (self._changed(job) if self._context.is_elsewhere(job) else self.tasks.wait(job))
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
        """The URLs of stored files by their ids; None if the service has no such action."""
        urls: dict[str, str] = {}
        for first in range(0, len(file_ids), FILES_AT_ONCE):
            call = self._context.dialect.media_urls(file_ids[first : first + FILES_AT_ONCE])
            if call is None:
                return None
            urls |= await self._context.calls.send(call)
        return urls

    async def learn_time(self, job: JobRecord) -> None:
        """Learn the service's time, if it is not known yet, by a poll of this job's task."""
        if job.task_id is not None:
            await self._context.calls.learn_time(self._context.dialect.describe(job.kind, job.task_id))

    def _lock(self, job_id: str, on_begin: Callable[[], None] = ignore) -> Turn:
        """A turn with a job's id: two callers do its work once, one after the other, whichever clients they use.

        `on_begin` is called if another caller holds the lock: this one waits for that caller, and not to be created.
        """
        turn = self._context.registry.lock(job_id)
        if turn.locked():
            on_begin()
        return turn


def _with_amounts(amount: float | None, cost: float | None, job: JobRecord) -> JobRecord:
    """The row with these amounts, while the job is planned."""
    return replace(job, amount=amount, cost=cost) if job.state is JobState.PLANNED else job
