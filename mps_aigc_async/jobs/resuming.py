"""Takes over tasks that others have left: an earlier process, or another client of the ledger that closes."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ..ledger import JobRecord
from ..model.errors import DamagedRow, LedgerError
from ..model.states import JobState
from .context import JobContext
from .sessions import NO_TASK, TIME_ANSWER_S
from .tasks import Tasks
from .unknown_creates import UNKNOWN_SLOT_S, slot_name
from .watch import Watch

_log: Final = logging.getLogger("mps_aigc_async")

CLOCK_ERROR_S: Final = 26 * 3600.0
"""The largest error expected of a machine's clock, in seconds: a day, or a time zone that was taken for another."""


class Resuming:
    """Takes tasks over for one client, and hands them over when the client closes."""

    def __init__(self, context: JobContext, tasks: Tasks) -> None:
        self._context = context
        self._tasks = tasks
        self._ledger = context.ledger
        self._registry = context.registry
        self._wall = context.clock.now

    async def resume(self) -> None:
        """Take the slots of the tasks that an earlier process left running, before anything new takes them: each known
        task is polled to its end, whether or not a request asks for it again, and a young unknown create may be
        running too. Polling begins while the rest of the ledger is still being read.

        Only the first client that opens the ledger resumes: afterwards one of its clients drives each job."""
        await self._context.sessions.load()
        async with self._registry.opening:
            if not self._registry.is_resumed:
                await self._take_slots()
                self._registry.is_resumed = True
            self._registry.enter(self)

    async def _take_slots(self) -> None:
        async for job in self._ledger.in_state(JobState.SUBMITTED):
            if not self._context.is_elsewhere(job):  # of a shared ledger, other members poll their own
                self._watch(job)
        await self._hold_slots([job async for job in self._ledger.in_state(JobState.UNKNOWN)])

    def _watch(self, job: JobRecord) -> None:
        try:
            self._tasks.watch(job)
        except DamagedRow as error:  # a request for this job gets the error; the other jobs go on
            _log.error("%s", error)

    async def adopt(self, jobs: Sequence[JobRecord]) -> None:
        """Go on with jobs of a member that is gone: poll its tasks, and hold the slots of its unknown creates."""
        for job in jobs:
            if job.state is JobState.SUBMITTED:
                self._watch(job)
            else:
                self._context.announcer.tell_unknown(job, job.recorded_error())
        await self._hold_slots([job for job in jobs if job.state is JobState.UNKNOWN])

    async def _hold_slots(self, unknown: Sequence[JobRecord]) -> None:
        await self._learn_time(unknown)
        for job in unknown:
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
                self._registry.hand_over(watch.job.job_id)

    # --- the registry's driver ----------------------------------------------------------------------------------------

    def watch_of(self, task_id: str) -> Watch | None:
        return self._tasks.watch_of(task_id)

    def take_over(self, job_id: str) -> None:
        """Poll a job's task that a closed client has left, if nobody else does."""
        taking = self._context.work.start(self._take_over(job_id), f"taking over {job_id}")

        def on_end(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # this client closes as well
                self._registry.hand_over(job_id)

        taking.add_done_callback(on_end)

    async def _take_over(self, job_id: str) -> None:
        try:
            async with self._registry.lock(job_id):  # a caller may be driving the job to its end
                job = await self._ledger.get(job_id)
                if job is not None and job.state is JobState.SUBMITTED:
                    self._tasks.watch(job)
        except LedgerError as error:  # a request for this job gets it as well
            _log.error("%s", error)
