"""An accepted create: its task gets the job's slot, and the job's row the TaskId."""

import logging
from typing import Final

from ..ledger import JobRecord
from ..limits import Slot
from ..model.errors import TransportError
from ..model.states import Ending, JobState
from ..model.unexpected import as_aigc_error
from ..wire.dialect import Created, scope_of
from .context import JobContext
from .tasks import Tasks
from .unknown_creates import slot_name

_log: Final = logging.getLogger("mps_aigc_async")


class Acceptance:
    """Keeps the tasks that the service has accepted for the jobs of one ledger."""

    def __init__(self, context: JobContext, tasks: Tasks) -> None:
        self._context = context
        self._tasks = tasks
        self._ledger = context.ledger
        self._sessions = context.sessions
        self._exchanges = context.registry.exchanges

    async def require_own_task(self, task_id: str, job_id: str) -> None:
        """Raise TransportError if the create was answered with another job's task: that job's answer was delivered
        twice, and shows nothing about this create. Otherwise the task belongs to this job from now on."""
        other = self._exchanges.answers.setdefault(task_id, job_id)
        if other == job_id:
            try:
                other = await self._tasks.other_holder(task_id, job_id)
            except Exception as error:  # noqa: BLE001 — of whatever class: a look that fails must not cost a TaskId
                as_aigc_error(error, "looking for a task's job")
                return
            if not other:
                return
            del self._exchanges.answers[task_id]
        raise TransportError(
            f"the create was answered with task {task_id}, which belongs to {other}", ending=Ending.UNKNOWN
        )

    async def keep(
        self, intent: JobRecord, answer: Created, slot: Slot | None, since: float | None = None
    ) -> JobRecord:
        """Submit the job: accepted just now, or at the earliest `since` (a task that was found may have ended long
        ago). Raises LedgerError if the ledger cannot keep the TaskId, which the log then has."""
        now = self._context.clock.now()
        job = intent.moved(
            JobState.SUBMITTED,
            task_id=answer.task_id,
            request_id=answer.request_id,
            submitted_at=now if since is None else since,
            slot_until=now + self._context.patience(intent).running_s,
            ended_at=None,
            error={},
        )
        if slot is not None:
            slot.name(answer.task_id, scope_of(self._context.dialect))
        try:
            await self._ledger.put(job)
        except Exception as error:  # noqa: BLE001 — after an exception of any class the TaskId must be reported
            _log.error(
                "the service accepted %s as task %s, but the ledger could not record it", intent.job_id, answer.task_id
            )
            raise as_aigc_error(error, "keeping a TaskId").with_context(
                job_id=intent.job_id, task_id=answer.task_id
            ) from None
        finally:
            self._sessions.end(job)
            self._exchanges.answers.pop(answer.task_id, None)
            self._tasks.watch(job)
        self._context.announcer.tell_submitted(job)
        return job

    async def find(self, job: JobRecord) -> JobRecord:
        """The unknown job with its task, if the service lists the task of its session; else the job unchanged."""
        if not self._sessions.may_have_task(job):
            return job
        task_id = await self._sessions.find_task(job)
        if not task_id:
            return job
        slot = self._context.limits.slots[job.kind].find(slot_name(job))
        return await self.keep(job, Created(task_id, ""), slot, since=job.intent_at)
