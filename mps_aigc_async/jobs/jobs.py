"""One job's life: planned → intent → submitted → done → saved, each step in the ledger before the next is taken.

`Jobs.finish` is idempotent by the ledger's state: called for a job in any state, in this process or a later one, it
does what is left to do and never creates what could exist already.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Final

from ..concurrency.callbacks import ignore
from ..concurrency.owner import TaskOwner
from ..ledger import JobRecord, Ledger
from ..ledger.damage import damaged_row, shared_task
from ..ledger.record import Changes
from ..limits import AccountLimits
from ..model import events
from ..model.contents import content
from ..model.errors import (
    AigcError,
    ClientClosed,
    DamagedRow,
    InvalidRequest,
    JobDropped,
    LedgerError,
    TaskFailed,
    to_record,
)
from ..model.requests import CosStore, Step
from ..model.settlement import Attach, CreateAgain, Drop, Settlement
from ..model.states import JobState, Kind, TaskState
from ..network.calls import Calls
from ..network.clock import ServiceClock
from ..network.downloads import Downloads
from ..policy.deadlines import TASK_DEADLINE_S, Patience
from ..policy.lifetimes import Lifetime, expiry, is_stored_in, made_after
from ..wire.dialect import FILES_AT_ONCE, Dialect, TaskStatus
from . import task_ends
from .creates import UNKNOWN_SLOT_S, Creates, Order, in_doubt
from .poller import Ended, Poller, Watch
from .registry import JobRegistry
from .saving import Saver
from .sessions import NO_TASK, TIME_ANSWER_S, Sessions

_log: Final = logging.getLogger("mps_aigc_async")

CLOCK_ERROR_S: Final = 26 * 3600.0
"""Seconds by which a machine's clock is taken to be wrong at most: a day, or a time zone that was taken for another."""


class Jobs:
    """Drives jobs in one ledger, for one account."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        calls: Calls,
        dialect: Dialect,
        limits: AccountLimits,
        poller: Poller,
        downloads: Downloads,
        owner: TaskOwner,
        work: TaskOwner,
        registry: JobRegistry,
        listeners: events.Events,
        clock: ServiceClock,
        sessions: Sessions,
        store: CosStore | None = None,
        deadlines_s: Mapping[Kind, float] = TASK_DEADLINE_S,
        queue_s: float | None = None,
        save_s: float = inf,
    ) -> None:
        self.ledger = ledger
        self._calls = calls
        self._dialect = dialect
        self._limits = limits
        self._poller = poller
        self._listeners = listeners
        self._wall = clock.now
        self._deadlines_s = deadlines_s
        self._store = store
        self._queue_s = queue_s
        self._creates = Creates(
            ledger=ledger,
            calls=calls,
            dialect=dialect,
            limits=limits,
            owner=owner,
            clock=clock,
            sessions=sessions,
            exchanges=registry.exchanges,
            store=store,
            deadline_s=self._deadline_s,
            watch=self._watch,
            other_holder=self._other_holder,
            emit=self._emit,
        )
        self._saver = Saver(
            ledger,
            downloads,
            url_life_s=dialect.url_life_s,
            wall=clock.now,
            emit=self._emit,
            locate=self._locate,
            save_s=save_s,
        )
        self._work = work
        self._registry = registry

    async def resume(self) -> None:
        """Take the slots of what an earlier process left running, before anything new takes them: every task that is
        known is polled to its end, asked for again or not, and a young create in doubt may be running too. The first
        ones are polled while the rest is still being read.

        Only for the first client that opens the ledger: what the others find in it is driven by one of them."""
        await self._creates.sessions.trust.load()
        async with self._registry.opening:
            if not self._registry.is_resumed:
                await self._resume()
                self._registry.is_resumed = True
            self._registry.enter(self)

    async def _resume(self) -> None:
        async for job in self.ledger.in_state(JobState.SUBMITTED):
            try:
                self._watch(job)
            except DamagedRow as error:  # a request for this job gets the error; the other jobs go on
                _log.error("%s", error)
        unknown = [job async for job in self.ledger.in_state(JobState.UNKNOWN)]
        await self._date(unknown)
        for job in unknown:
            life = UNKNOWN_SLOT_S[job.kind]
            left = (job.ended_at or 0.0) + life - self._wall()
            if left > 0:  # at most `life`: the clock may have been ahead at that time
                self._limits.slots[job.kind].hold_for(in_doubt(job), min(left, life), job.model)

    async def _date(self, unknown: Sequence[JobRecord]) -> None:
        """Have the service tell its time where the age of a create in doubt depends on it: by a machine's clock that is
        ahead, a young one would be old, and its slot would be given to another task while its own may be running."""
        recent = [job for job in unknown if abs(self._wall() - (job.ended_at or 0.0)) < CLOCK_ERROR_S]
        if recent:
            with suppress(TimeoutError):
                async with asyncio.timeout(TIME_ANSWER_S):  # without a network the machine's clock has to do
                    await self._calls.learn_time(self._dialect.describe(recent[0].kind, NO_TASK))

    def stop_creating(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. What is sent goes on."""
        self._creates.stop()

    def leave(self) -> None:
        """Take no more tasks over from other clients: this one closes."""
        self._registry.leave(self)

    def hand_over(self) -> None:
        """Leave the tasks that run on to another client of the ledger."""
        for watch in self._poller.left:
            if watch.follower is self and watch.remembered:
                self._registry.hand_over(watch.job.job_id)

    def take_over(self, job_id: str) -> None:
        """Poll a job's task that a closed client has left, if nobody else does."""
        taking = self._work.start(self._take_over(job_id), f"taking over {job_id}")

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # this client closes as well
                self._registry.hand_over(job_id)

        taking.add_done_callback(ended)

    async def _take_over(self, job_id: str) -> None:
        try:
            async with self._lock(job_id):  # a caller may be driving the job to its end
                job = await self.ledger.get(job_id)
                if job is not None and job.state is JobState.SUBMITTED:
                    self._watch(job)
        except LedgerError as error:  # a request for this job gets it as well
            _log.error("%s", error)

    async def has_begun(self, job_id: str) -> bool:
        """Whether the ledger has the job beyond *planned*: it is then gone on with as it is, and not judged again."""
        job = await self.ledger.get(job_id)
        return job is not None and job.state is not JobState.PLANNED

    async def exists(self, job_id: str) -> bool:
        return await self.ledger.get(job_id) is not None

    async def plan(self, job_id: str, kind: Kind, request: Step, begun: Callable[[], None] = ignore) -> JobRecord:
        """The job of this id, new or as the ledger has it. Raises InvalidRequest if that has other content.

        `begun` is called if another caller makes the job: this one waits for that, and not to be created.
        """
        new = JobRecord(job_id=job_id, kind=kind, content=content(request), planned_at=self._wall())
        lock = self._lock(job_id)
        if lock.locked():
            begun()
        async with lock:
            job = await self.ledger.plan(new)
        if job is new:
            self._emit(events.Planned, job)
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
            order.begun()
        async with lock:
            while True:
                job = await self._submit(job, order)
                order.begun()  # a job that an earlier run has created may still run for long
                if job.state is JobState.SUBMITTED:
                    job = await self._wait(job)
                if job.state is not JobState.PLANNED:
                    break
                await asyncio.sleep(task_ends.delay_s(job.attempts))
            if job.state is JobState.FAILED:
                raise job.recorded_error()
            return job

    async def finish_accepted(self, job: JobRecord, order: Order) -> JobRecord:
        """Bring a job to its end that the service had accepted. Raises InvalidRequest if the user has decided since
        then that it is to be made again: whoever asks for that has its request."""
        now = await self.ledger.get(job.job_id)
        if now is not None and now.state is JobState.PLANNED and not now.error:
            raise InvalidRequest(
                "the job was planned again meanwhile (retry_failed, settle): ask for its request again",
                job_id=job.job_id,
            )
        return await self.finish(job, order)

    async def unsaved(self) -> AsyncIterator[JobRecord]:
        """The jobs that are paid for and not saved, each once: first those that are done, whose URLs expire, then
        those whose tasks run."""
        # Read first: a task that ends meanwhile is then in one of the two lists at least.
        running = {job.job_id: job async for job in self.ledger.in_state(JobState.SUBMITTED)}
        async for job in self.ledger.in_state(JobState.DONE):
            if job.job_id not in running:
                yield job
        for job in running.values():
            yield job

    async def end_task(self, job: JobRecord) -> JobRecord:
        """Bring a job whose task exists to the task's end. Create nothing. Raises the error that ended the job."""
        async with self._lock(job.job_id):
            job = await self.ledger.get(job.job_id) or job
            if job.state is JobState.SUBMITTED:
                job = await self._wait(job)
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
            return await self._saver.save(await self.ledger.get(job.job_id) or job, folder, stem)

    async def _locate(self, file_ids: Sequence[str]) -> Mapping[str, str] | None:
        """The URLs of files that the service keeps, by their ids; None where it tells of none."""
        urls: dict[str, str] = {}
        for first in range(0, len(file_ids), FILES_AT_ONCE):
            call = self._dialect.media_urls(file_ids[first : first + FILES_AT_ONCE])
            if call is None:
                return None
            urls |= await self._calls.send(call)
        return urls

    async def learn_time(self, job: JobRecord) -> None:
        """Have the service tell its time, if it has not yet, by a poll of this job's task."""
        if job.task_id is not None:
            await self._calls.learn_time(self._dialect.describe(job.kind, job.task_id))

    async def attach(self, kind: Kind, task_id: str) -> JobRecord:
        """Wait for a task that was created elsewhere. It gets a slot here and no row: its own ledger has one.

        Raises InvalidRequest for a kind that this service does not make, and for a task that this ledger knows as one
        of another kind.
        """
        self._dialect.describe(kind, task_id)
        known = await self.ledger.of_task(task_id)
        if known is not None and known.kind is not kind:
            raise InvalidRequest(
                f"task {task_id} is no {kind}: the ledger has it as the {known.kind} of {known.job_id}", task_id=task_id
            )
        job = JobRecord(
            job_id=task_id,
            kind=kind,
            content="{}",
            planned_at=self._wall(),
            state=JobState.SUBMITTED,
            task_id=task_id,
            slot_until=self._wall() + self._deadlines_s[kind],
        )
        while (ended := await self._end(job)) is None:
            pass
        job = self._finished(job, ended)
        if job.state is JobState.FAILED:
            raise job.recorded_error()
        return job

    async def settle(self, job_id: str, how: Settlement) -> JobRecord:
        """Carry out the user's word on a job of unknown outcome; return it as it is then.

        Raises InvalidRequest for any other job and for a task that is another job's, and what its poll raises for a
        task that the service does not know: nothing is changed then.
        """
        async with self._lock(job_id):
            job = await self.ledger.get(job_id)
            if job is None or job.state is not JobState.UNKNOWN:
                state = "is not in the ledger" if job is None else f"is {job.state}"
                whole = "" if "/" in job_id else f"; name the job with its kind, such as {job_id}/{Kind.IMAGE}"
                raise InvalidRequest(
                    f"the job {state}: only one of unknown outcome can be settled{whole}", job_id=job_id
                )
            match how:
                case CreateAgain():
                    settled = self._creates.sessions.planned_again(job)
                case Attach(task_id):
                    settled = await self._attached(job, task_id)
                case Drop():
                    dropped = JobDropped("given up: its create was sent, and nothing told whether it was accepted")
                    settled = job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(dropped))
            await self.ledger.put(settled)
        slot = self._limits.slots[job.kind].named.get(in_doubt(job))
        if slot is not None and settled.state is JobState.PLANNED:  # it was not accepted: nothing runs there
            slot.release()
        if settled.state is not JobState.PLANNED:
            self._creates.sessions.end(job)
        if settled.state is JobState.SUBMITTED:
            if slot is not None:
                slot.name(settled.task_id or "")
            self._watch(settled)
            self._emit(events.Submitted, settled, task_id=settled.task_id or "")
        elif settled.state is JobState.FAILED:
            self._emit(events.Failed, settled, error=settled.recorded_error())
        return settled

    async def _attached(self, job: JobRecord, task_id: str) -> JobRecord:
        """The job with the task that its create made, once the service has told that there is one."""
        other = await self.ledger.of_task(task_id)
        if other is not None:
            raise InvalidRequest(f"task {task_id} is {other.job_id}'s already", job_id=job.job_id, task_id=task_id)
        try:
            await self._calls.send(self._dialect.describe(job.kind, task_id))
        except AigcError as error:
            error.with_context(job_id=job.job_id, task_id=task_id)
            raise
        return job.moved(
            JobState.SUBMITTED,
            task_id=task_id,
            # The URLs' life is counted from here if the task has ended already: never later than the truth.
            submitted_at=job.sent_at or job.intent_at or job.planned_at,
            slot_until=self._wall() + self._deadline_s(job),
            ended_at=None,
            error={},
        )

    async def retry_failed(self) -> list[JobRecord]:
        """Let the failed jobs be tried again, by the user's word; return them as they are then.

        They are planned, but for two whose tasks were accepted and may have a result by now, and which are asked about
        again: one that the service did not know when it was asked, and one that it called done without a result. Not
        those that the user dropped: what became of their creates is unknown, and they may have been paid for.
        """
        failed = [job.job_id async for job in self.ledger.in_state(JobState.FAILED)]
        tried = await asyncio.gather(*(self._retry(job_id) for job_id in failed))  # they share their commits
        return [job for job in tried if job is not None]

    async def _retry(self, job_id: str) -> JobRecord | None:
        async with self._lock(job_id):
            job = await self.ledger.get(job_id)
            if job is None or job.state is not JobState.FAILED:
                return None
            error = job.recorded_error()
            if isinstance(error, JobDropped):
                return None
            has_failed = isinstance(error, TaskFailed) and not error.may_have_result
            if job.task_id is not None and not has_failed:
                tried = job.moved(
                    JobState.SUBMITTED,
                    slot_until=self._wall() + self._deadline_s(job),
                    ended_at=None,
                    # Kept where a result was missing: if it is missing again, it does not come.
                    error=job.error if isinstance(error, TaskFailed) else {},
                )
            else:
                tried = job.replanned()
                _warn_of_results(job)
            await self.ledger.put(tried)
        if tried.state is JobState.SUBMITTED:
            self._watch(tried)
        else:
            self._emit(events.Planned, tried)
        return tried

    # --- planned → submitted ------------------------------------------------------------------------------------------

    async def _submit(self, job: JobRecord, order: Order) -> JobRecord:
        job = await self.ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            job = await self._creates.left_behind(job)
        if job.state is JobState.PLANNED or await self._creates.sessions.may_send_again(job):
            job = await self._creates.create(job, order)
        else:
            job = await self._creates.look_for(job)
        if job.state in (JobState.FAILED, JobState.UNKNOWN):
            raise job.recorded_error()
        return job

    # --- submitted → done ---------------------------------------------------------------------------------------------

    def _watch(self, job: JobRecord) -> Watch:
        """Have the poller watch a submitted job's task, in the slot it runs in. Raises DamagedRow."""
        if not job.task_id:
            raise damaged_row(job.job_id, "its state is submitted, but it has no TaskId")
        other = self._registry.watch_of(job.task_id) or self.watch_of(job.task_id)
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
                patience=self._patience(job),
                remembered=self.ledger.durable and job.submitted_at is not None,
            )
        )

    def watch_of(self, task_id: str) -> Watch | None:
        """The watch of a task, if it is of a job in this ledger."""
        watch = self._poller.job_of(task_id)
        return watch if watch is not None and watch.follower is self else None

    async def _end(self, job: JobRecord) -> Ended | None:
        """How a job's task ends; None if another client of the ledger polled it and was closed: ask again then."""
        try:
            return await self._watch(job).end()
        except ClientClosed:
            if self._poller.is_closed:
                raise
            return None

    @property
    def ledger_in_place(self) -> bool:
        return self.ledger.in_place

    def polled(self, job: JobRecord, status: TaskStatus) -> None:
        """The poller's word on a job's task that it has asked about."""
        self._emit(events.Polled, job, task_id=job.task_id or "", status=status.word, progress=status.progress)

    async def ended(self, job: JobRecord, how: Ended | AigcError) -> None:
        """The poller's word on a job's task that has ended."""
        if job.submitted_at is not None:  # one that was attached to has its row elsewhere
            await self._keep_end(job, how)

    async def _wait(self, job: JobRecord) -> JobRecord:
        while (ended := await self._end(job)) is None:
            job = await self.ledger.get(job.job_id) or job
            if job.state is not JobState.SUBMITTED:
                return job
        kept = await self.ledger.get(job.job_id)
        if kept is not None and kept.state is JobState.SUBMITTED:
            # The task was watched already, by somebody who attached to it and keeps no row.
            return await self._keep_end(job, ended)
        if kept is not None and kept.state is JobState.PLANNED:
            return kept
        return self._finished(job, ended)

    async def _keep_end(self, job: JobRecord, how: Ended | AigcError) -> JobRecord:
        if isinstance(how, Ended):
            finished = self._finished(job, how)
            if self._is_planned_again(job, how.status):
                finished = replace(job.replanned(), error=finished.error)
        else:
            finished = job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(how))
        await self.ledger.put(finished)
        if finished.state is JobState.DONE:
            self._emit(events.Done, finished, task_id=finished.task_id or "")
        elif finished.state is JobState.PLANNED:
            self._tell_replanned(job, finished)
        else:
            self._emit(events.Failed, finished, error=finished.recorded_error())
        return finished

    def _is_planned_again(self, job: JobRecord, status: TaskStatus) -> bool:
        others_run = self._limits.slots[job.kind].running > 1  # its own slot is not given back yet
        return task_ends.is_planned_again(status, job.attempts, self._calls.policy.attempts, others_run=others_run)

    def _tell_replanned(self, job: JobRecord, planned: JobRecord) -> None:
        """The row forgets the task, which made nothing: the log and the event keep its TaskId."""
        error, delay_s = planned.recorded_error().with_context(task_id=job.task_id), task_ends.delay_s(planned.attempts)
        _log.warning("the model had no room for a task, its job is created again in %.0f s: %s", delay_s, error)
        self._emit(events.Retried, planned, error=error, delay_s=delay_s)

    def _finished(self, job: JobRecord, ended: Ended) -> JobRecord:
        """The job as its task's end leaves it: the same value for the ledger and for whoever waits."""
        status, left = ended.status, self._left_by(job, ended)
        if status.state is TaskState.DONE and status.has_ended:
            left["error"] = {}
            return job.moved(JobState.DONE, **left)
        # A submitted job has an error only if its task was asked about again for that (`_retry`).
        failure = task_ends.failure_of(status, self._dialect.describe_action(job.kind), confirmed=bool(job.error))
        left["error"] = to_record(failure)
        return job.moved(JobState.FAILED, **left)

    def _left_by(self, job: JobRecord, ended: Ended) -> Changes:
        """The changes that a task's end makes to its job's row. A failed task's results are kept too."""
        status = ended.status
        lifetime = status.lifetime
        bucket = self._bucket(job)
        if bucket and is_stored_in(bucket, (*status.urls, *status.videos)):
            lifetime = Lifetime(permanent=True, endless=True)
        expires = expiry(
            lifetime,
            made_after=made_after(ended.unfinished_at, status.begun_at, ended.seen_at),
            seen_at=ended.seen_at,
            url_life_s=self._dialect.url_life_s,
        )
        return {
            "urls": status.urls,
            "file_ids": status.file_ids,
            "bare_file_ids": status.bare_file_ids,
            "resolution": status.resolution,
            "duration": status.duration,
            "videos": status.videos,
            "request_id": status.request_id,
            "running_at": ended.running_at,
            "unfinished_at": ended.unfinished_at,
            "ended_at": ended.seen_at,
            "expires_at": expires.at if status.has_results else None,
            "never_expires": expires.never and status.has_results,
            "progress": status.progress,
            "usage": status.usage,
            "begun_at": status.begun_at,
            "finished_at": status.finished_at,
        }

    def _bucket(self, job: JobRecord) -> str:
        """The user's own bucket that the job's results should be in: the request's, else the config's; empty if none.
        The URLs tell whether they are."""
        own = job.sent().get("store")
        if isinstance(own, dict):
            return str(own.get("bucket") or "")
        return self._store.bucket if self._store is not None else ""

    async def _other_holder(self, task_id: str, job_id: str) -> str:
        """The job other than this one that a task is of: in this client, whatever the ledger, or in the ledger. Empty
        if there is none."""
        watch = self._poller.job_of(task_id)
        if watch is not None:  # in another ledger the other job may have the same id
            return watch.job.job_id
        held = await self.ledger.of_task(task_id)
        return "" if held is None or held.job_id == job_id else held.job_id

    # --- small parts --------------------------------------------------------------------------------------------------

    def _patience(self, job: JobRecord) -> Patience:
        """How long to wait for the job's task from now on: a resumed job gets the full time again."""
        off_peak = bool(job.sent().get("off_peak"))
        return Patience.of(self._deadlines_s[job.kind], self._queue_s, off_peak=off_peak)

    def _deadline_s(self, job: JobRecord) -> float:
        """Seconds that the job's task holds its slot if nobody polls it."""
        return self._patience(job).running_s

    def _lock(self, job_id: str) -> asyncio.Lock:
        """Two callers of one id do its work once, one after the other, whichever clients they use."""
        return self._registry.lock(job_id)

    def _emit(self, event: type[events.Event], job: JobRecord, **details: Any) -> None:  # noqa: ANN401 — each class has its own fields
        if self._listeners.has_listeners:
            self._listeners.emit(event(at=self._wall(), job_id=job.job_id, kind=job.kind, **details))


def _warn_of_results(failed: JobRecord) -> None:
    """Log what a failed task has made before its row forgets it: it may have been billed."""
    if failed.urls or failed.file_ids:
        _log.warning(
            "%s is made again, although its task %s, which failed, left results: %d URLs, VOD files %s",
            failed.job_id,
            failed.task_id,
            len(failed.urls),
            ", ".join(failed.file_ids) or "none",
        )
