"""Takes over work that others have left: an earlier process, another client of the ledger that closes, or one whose
loop was closed without it."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from ..ledger import JobRecord, JobTaken
from ..model.error_records import to_record
from ..model.errors import ClientClosed, CreateOutcomeUnknown, DamagedRow, LedgerError
from ..model.states import JobState
from .context import JobContext
from .pricing import with_price
from .registry import Driver
from .sessions import NO_TASK, TIME_ANSWER_S
from .tasks import Tasks
from .unknown_creates import UNKNOWN_SLOT_S, slot_name
from .watch import Watch

_log: Final = logging.getLogger("mps_aigc_async")

CLOCK_ERROR_S: Final = 26 * 3600.0
"""The largest error expected of a machine's clock, in seconds: a day, or a time zone that was taken for another."""

LOOK_OUT_S: Final = 1.0
"""Seconds between two looks for closed loops, while clients of several loops have the ledger open: asyncio does not
report the end of a loop."""


class Resuming:
    """Takes tasks over for one client, and hands them over when the client closes."""

    def __init__(self, context: JobContext, tasks: Tasks) -> None:
        self._context = context
        self._tasks = tasks
        self._ledger = context.ledger
        self._registry = context.registry
        self._wall = context.clock.now
        self.loop: Final = asyncio.get_running_loop()
        self.account: Final = context.ledger.account
        self._lookout: asyncio.Task[None] | None = None

    async def resume(self) -> None:
        """Take the slots of the tasks that an earlier process left running, before anything new takes them: each known
        task is polled to its end, whether or not a request asks for it again, and a young unknown create may be
        running too. Polling begins while the rest of the ledger is still being read.

        Only the first client that opens the ledger resumes: afterwards one of its clients drives each job."""
        await self._context.sessions.load()
        async with self._registry.opening.turn():
            if self.account not in self._registry.resumed_accounts:
                await self._take_slots()
                self._registry.resumed_accounts.add(self.account)
            self._registry.enter(self)
        if self._ledger.member:
            self._context.work.start(self._adopt_later(), "adoption of jobs of members that are gone")
        await self._take_up()

    async def _take_slots(self) -> None:
        await self._ledger.adopt()  # their rows are among those that are read now
        async for job in self._ledger.in_state(JobState.SUBMITTED):
            if not self._context.is_elsewhere(job):  # of a shared ledger, other members poll their own
                self._watch(await self._priced(job))
        await self._hold_slots([job async for job in self._ledger.in_state(JobState.UNKNOWN)])

    async def _priced(self, job: JobRecord) -> JobRecord:
        """The job with its size and price, which budgets count while the task runs."""
        row = with_price(job, self._context.prices)
        if row != job:
            with suppress(JobTaken):
                await self._ledger.put(row)
        return row

    def _watch(self, job: JobRecord) -> None:
        try:
            self._tasks.watch(job)
        except DamagedRow as error:  # a request for this job gets the error; the other jobs go on
            _log.error("%s", error)

    async def _adopt_later(self) -> None:
        """Go on with the jobs of each member that is gone: poll its tasks, and hold the slots of its unknown
        creates."""
        while True:
            await self._ledger.absence()
            try:
                jobs = await self._ledger.adopt()
            except LedgerError as error:
                _log.warning("%s", error)
                continue
            for job in jobs:
                if job.state is JobState.SUBMITTED:
                    self._watch(await self._priced(job))
                else:
                    self._context.announcer.tell_unknown(job, job.recorded_error())
            await self._hold_slots([job for job in jobs if job.state is JobState.UNKNOWN])

    async def _hold_slots(self, unknown: Sequence[JobRecord]) -> None:
        await self._learn_time(unknown)
        for job in unknown:
            self._take_slot_of_unknown(job)

    def _take_slot_of_unknown(self, job: JobRecord) -> None:
        life_s = UNKNOWN_SLOT_S[job.kind]
        left_s = (job.ended_at or 0.0) + life_s - self._wall()
        if left_s > 0:  # at most `life_s`: the clock may have been ahead at that time
            self._context.limits.slots[job.kind].take_for(min(left_s, life_s), slot_name(job), job.model)

    async def _learn_time(self, unknown: Sequence[JobRecord]) -> None:
        """Learn the service's time if the age of an unknown create depends on it. By a machine's clock that is ahead, a
        young create would be old, and its slot would be given to another task while its own may be running."""
        recent = [job for job in unknown if abs(self._wall() - (job.ended_at or 0.0)) < CLOCK_ERROR_S]
        if recent:
            read = self._context.dialect.describe(recent[0].kind, NO_TASK)
            with suppress(TimeoutError):
                async with asyncio.timeout(TIME_ANSWER_S):  # without a network the machine's clock has to do
                    await self._context.calls.learn_time(read)

    def leave(self) -> None:
        """Take no more tasks over from other clients: this one closes."""
        self._registry.leave(self)

    def hand_over(self) -> None:
        """Leave the tasks that run on to another client of the ledger."""
        for watch in self._context.poller.left:
            if watch.follower is self._tasks and watch.is_in_ledger:
                self._registry.hand_over(watch.job.job_id, self.account)

    # --- clients whose loops are closed -------------------------------------------------------------------------------

    async def _look_out(self) -> None:
        while self._registry.has_others(self.loop):
            await asyncio.sleep(LOOK_OUT_S)
            try:
                await self._take_up()
            except LedgerError as error:
                _log.error("cannot take over the tasks of a client whose event loop was closed: %s", error)

    async def _take_up(self) -> None:
        """Take over the work of clients whose loops were closed: poll their tasks, and call their creates *unknown* if
        no answer can come any more."""
        gone = self._registry.drop_gone(self.account)
        try:
            if gone:
                await self._take_work_of(gone)
        except BaseException:
            self._registry.put_back(gone)
            raise

    async def _take_work_of(self, gone: Iterable[Driver]) -> None:
        for driver in gone:
            driver.abandon()
        async for job in self._ledger.in_state(JobState.SUBMITTED):
            if job.task_id and self._registry.watch_of(job.task_id) is None:
                self.take_over(job.job_id)
        async for job in self._ledger.in_state(JobState.INTENT):
            await self._end_lost_create(job.job_id)

    async def _end_lost_create(self, job_id: str) -> None:
        if (exchange := self._registry.exchanges.by_job.get(job_id)) is None or not exchange.get_loop().is_closed():
            return
        async with self._registry.lock(job_id):
            job = await self._ledger.get(job_id)
            if job is None or job.state is not JobState.INTENT or not self._registry.exchanges.forget_lost(job_id):
                return
            error = CreateOutcomeUnknown("its event loop was closed before the create was answered", job_id=job_id)
            unknown = job.moved(JobState.UNKNOWN, ended_at=self._wall(), error=to_record(error))
            await self._ledger.put(unknown)
            self._take_slot_of_unknown(unknown)
            self._context.announcer.tell_unknown(unknown, error)

    # --- the registry's driver ----------------------------------------------------------------------------------------

    def watch_of(self, task_id: str) -> Watch | None:
        return self._tasks.watch_of(task_id)

    def look_out(self) -> None:
        if self._lookout is None or self._lookout.done():
            with suppress(ClientClosed):
                self._lookout = self._context.work.start(self._look_out(), "lookout for closed loops")

    def abandon(self) -> None:
        self._context.poller.abandon()

    def take_over(self, job_id: str) -> None:
        """Poll a job's task that a closed client has left, if nobody else does."""
        taking = self._context.work.start(self._take_over(job_id), f"taking over {job_id}")

        def on_end(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # this client closes as well
                self._registry.hand_over(job_id, self.account)

        taking.add_done_callback(on_end)

    async def _take_over(self, job_id: str) -> None:
        try:
            async with self._registry.lock(job_id):  # a caller may be driving the job to its end
                job = await self._ledger.get(job_id)
                if job is not None and job.state is JobState.SUBMITTED:
                    self._tasks.watch(job)
        except LedgerError as error:  # a request for this job gets it as well
            _log.error("%s", error)
