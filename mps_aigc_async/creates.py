"""A job's create: planned → intent → submitted, in the five ways that it can end (`policy.AFTER`).

The exchange belongs to the client and not to its caller: who is cancelled leaves it, and its answer is still kept.
Where the service refuses a second create of one session (VOD, the relay), one in doubt is sent again with its session:
it is accepted now, or the refusal proves that it was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Final, Protocol

from pydantic import JsonValue

from . import events
from .callbacks import ignore
from .calls import Calls
from .errors import (
    AigcError,
    CreateOutcomeUnknown,
    LedgerError,
    ServiceError,
    Throttled,
    TooManyTasks,
    TransportError,
    to_record,
)
from .faults import as_aigc_error
from .ledger import JobRecord, Ledger
from .limits import PROBE_S, AccountLimits, SendTime, Slot, judged, learn_cap
from .ownership import Owner
from .policy import AFTER, clock_is_off
from .requests import CosStore, beyond
from .sessions import Sessions
from .states import Ending, JobState, Kind
from .wire.dialect import Call, Created, Dialect, TaskRequest

_log: Final = logging.getLogger("mps_aigc_async")

UNKNOWN_SLOT_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 180.0, Kind.VIDEO: 300.0, Kind.AUDIO: 300.0}
"""Seconds that a create of unknown outcome keeps its slot: the task may be running, and nobody can ask. The longest
that the guide of 2026-05-29 calls usual: images 1 to 3 minutes, videos 3 to 5; audio, of which it is silent, as a
video."""

MOST_TOLD: Final = 100
"""Most TaskIds to name when their ledger is gone."""


@dataclass(frozen=True, slots=True)
class Order:
    """How to make the request of a job's create."""

    resolve: Callable[[], TaskRequest]
    """Makes the request to send. Called when the job has its slot, and again for a create in another session, because
    the answer may change (a URL's age)."""
    begun: Callable[[], None] = ignore
    """Called when the job no longer waits to be created, or holds up no other job by it: its create is sent, or not
    needed, or waits for room for its model alone."""
    model: str = ""
    """The model that is asked for, by name and version: some have a cap of their own on tasks running at once."""


class Emit(Protocol):
    """Tells of something that happened to a job."""

    def __call__(self, event: type[events.Event], job: JobRecord, **details: Any) -> None: ...  # noqa: ANN401 — each class has its own fields


class _NoRoom(Exception):
    """The service has no room for the task: its create was refused for that (`refusal`), or need not be sent."""

    def __init__(self, refusal: ServiceError | None = None) -> None:
        self.refusal = refusal


def in_doubt(job: JobRecord) -> str:
    """The name of the slot that a create in doubt keeps: one for each, in any ledger."""
    return f"{job.job_id} {job.intent_at}"


def _require_room(slot: Slot) -> None:
    """Raise _NoRoom if the service is known to have no room for the create in a slot."""
    if slot.is_too_many:
        raise _NoRoom


@dataclass(slots=True)
class _Creation:
    """What the attempts of one create share."""

    job: JobRecord
    """As the latest attempt left it: *unknown* if one of them may have been accepted."""
    filled_in: dict[str, JsonValue]
    order: Order
    call: Call[Created]
    slot: Slot


class Creates:
    """Creates the tasks of one ledger's jobs."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        calls: Calls,
        dialect: Dialect,
        limits: AccountLimits,
        owner: Owner,
        wall: Callable[[], float],
        store: CosStore | None,
        deadline_s: Callable[[JobRecord], float],
        watch: Callable[[JobRecord], object],
        other_holder: Callable[[str, str], Awaitable[str]],
        emit: Emit,
    ) -> None:
        self._ledger = ledger
        self._calls = calls
        self._dialect = dialect
        self._limits = limits
        self._owner = owner
        self._wall = wall
        self._store = store
        self._deadline_s = deadline_s
        self._watch = watch
        self._other_holder = other_holder
        self._emit = emit
        self._answered: dict[str, str] = {}
        """The job whose create was answered with a TaskId first, until the ledger knows."""
        self.sessions = Sessions(calls, dialect, wall)
        self._exchanges: dict[str, asyncio.Task[JobRecord]] = {}
        self._to_send: dict[asyncio.Task[JobRecord], SendTime] = {}
        self._lost = ""
        """The message about a ledger that is out of place; empty while it is in place."""

    def stop(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. What is sent goes on."""
        for exchange, send_time in self._to_send.items():
            if not send_time.has_come:
                exchange.cancel()

    async def look_for(self, job: JobRecord) -> JobRecord:
        """The job with its task, if that is found by its session."""
        task_id = await self.sessions.find_task(job)
        if not task_id:
            return job
        slot = self._limits.slots[job.kind].named.get(in_doubt(job))
        return await self._accepted(job, Created(task_id, ""), slot, since=job.intent_at)

    async def left_behind(self, job: JobRecord) -> JobRecord:
        """A job found in *intent*: a cancelled caller left its exchange behind, whose answer is ours as well."""
        exchange = self._exchanges.get(job.job_id)
        if exchange is None:  # it ended, and the ledger could not keep how
            raise await self._unknown(None, job, "the ledger could not keep the answer")
        await asyncio.wait({exchange})
        job = await self._ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            exchange.result()  # raises: the ledger could not keep how it ended, and the error knows
        return job

    async def create(self, job: JobRecord, order: Order) -> JobRecord:
        """Create the job's task in a slot; refused for want of room at the service, wait for another one."""
        self._calls.check_account(self._dialect.create_action(job.kind))
        slots, give_up_at = self._limits.slots[job.kind], inf
        kept = slots.named.get(in_doubt(job))  # the one that it is in doubt in
        slot = kept if kept is not None and kept.take_back() else await self._slot(job, order)
        while True:
            try:
                return await self._create_in(slot, job, order)
            except _NoRoom as no_room:
                job = await self._ledger.get(job.job_id) or job
                if no_room.refusal is not None:
                    now = asyncio.get_running_loop().time()
                    # While another one of ours runs, there is an end to wait for.
                    others = slots.occupied - (in_doubt(job) in slots.named)
                    give_up_at = inf if others else min(give_up_at, now + self._calls.policy.busy_seconds)
                    if now >= give_up_at:
                        raise await self._without_room(job, no_room.refusal) from None
                    self._retried(job, no_room.refusal, PROBE_S)
                    if isinstance(no_room.refusal, Throttled):  # its slot is free again at once
                        await self._limits.retries.acquire()
            slot = await self._slot(job, order, again=slot)
            job = await self._ledger.get(job.job_id) or job

    async def _without_room(self, job: JobRecord, refusal: ServiceError) -> AigcError:
        """The error of a job for which the service has had no room for long. One in doubt stays so."""
        job = await self._ledger.get(job.job_id) or job
        if job.state is not JobState.UNKNOWN:
            return refusal.about(job_id=job.job_id)
        doubt = job.recorded_error()
        self._emit(events.Unknown, job, error=doubt)
        return doubt

    async def _slot(self, job: JobRecord, order: Order, again: Slot | None = None) -> Slot:
        slots = self._limits.slots[job.kind]
        return await slots.acquire(again, model=order.model, held_up=order.begun)

    async def _create_in(self, slot: Slot, job: JobRecord, order: Order) -> JobRecord:
        creation: _Creation | None = None
        try:
            creation = self._prepared(job, order, slot)
            return await self._calls.repeat(
                creation.call,
                partial(self._attempt, creation),
                partial(self._retried, creation.job),
                partial(_require_room, slot),
            )
        except BaseException as error:
            left = creation.job if creation is not None else job
            held = in_doubt(left) in self._limits.slots[job.kind].named
            if left.state is JobState.UNKNOWN and not slot.handed_on and not held:  # its task may be running
                slot.keep_for(UNKNOWN_SLOT_S[job.kind], in_doubt(left))
            self._give_back(slot, job.job_id)
            if isinstance(error, Throttled):  # as often as the policy allows; while tasks run it may be patient
                raise _NoRoom(error) from None
            if not isinstance(error, AigcError):
                raise
            error.about(job_id=job.job_id)
            if left.state is not JobState.UNKNOWN or not self._dialect.takes_sessions:
                raise
            # Whatever ended the asking, what is to be told is that it is in doubt, and only now: it was asked again.
            doubt = error if isinstance(error, CreateOutcomeUnknown) else left.recorded_error()
            self._emit(events.Unknown, left, error=doubt)
            raise doubt from error

    def _prepared(self, job: JobRecord, order: Order, slot: Slot) -> _Creation:
        request = order.resolve()
        job = self.sessions.begin(job)
        return _Creation(job, beyond(request, job.content), order, self._call(request, job), slot)

    def _call(self, request: TaskRequest, job: JobRecord) -> Call[Created]:
        return self._dialect.create(request, self._store, job.session_id)

    async def _attempt(self, creation: _Creation, send_time: SendTime) -> JobRecord:
        """The exchange belongs to the client: a caller that is cancelled leaves it, and its answer is still kept."""
        job = creation.job
        self._calls.check_account(self._dialect.create_action(job.kind))
        if job.state is JobState.UNKNOWN:
            if not self.sessions.may_send_again(job):  # it has waited too long for this
                raise job.recorded_error()
            if not creation.slot.take_back():
                raise _NoRoom
        _require_room(creation.slot)
        if job.session_id != (job := self.sessions.begin(job)).session_id:
            creation.job, creation.call = job, self._call(creation.order.resolve(), job)
        creation.order.begun()
        exchange = self._owner.start(self._exchange(creation, send_time), f"create of {job.job_id}")
        self._exchanges[job.job_id] = exchange
        self._to_send[exchange] = send_time
        exchange.add_done_callback(lambda _: self._exchanges.pop(job.job_id, None))
        exchange.add_done_callback(self._to_send.pop)
        try:
            return await asyncio.shield(exchange)
        except TooManyTasks as error:
            raise _NoRoom(error) from None

    async def _exchange(self, creation: _Creation, send_time: SendTime) -> JobRecord:
        may_exist = creation.job.state is JobState.UNKNOWN
        intent = creation.job.moved(
            JobState.INTENT,
            filled_in=creation.filled_in,
            # A session's life is counted from its first create.
            intent_at=creation.job.intent_at if may_exist else self._wall(),
            sent_at=None,
        )
        not_sent = JobState.UNKNOWN if may_exist else JobState.PLANNED
        try:
            await self._ledger.put(intent)
        except asyncio.CancelledError:  # closed meanwhile; the intent reaches the disk all the same
            await self._ledger.put(intent.moved(not_sent))
            raise
        self._emit(events.Paced, intent)
        created: Created | None = None
        send_time.confirm_with(self._ledger.confirm)
        try:
            created = await self._calls.once(creation.call, send_time, partial(judged, creation.slot))
            await self._require_own_task(created.task_id, intent.job_id)
        except LedgerError as error:  # raised before the first byte: the next process would not know of this create
            creation.job = intent.moved(not_sent)
            await self._ledger.put(creation.job)
            raise await self._out_of_place_error(error) from error
        except AigcError as error:
            return await self._refused(creation, self._sent(intent, send_time), error, may_exist=may_exist)
        except asyncio.CancelledError:
            sent = self._sent(intent, send_time)
            if created is not None:
                await self._accepted(sent, created, creation.slot)
            elif send_time.has_come:
                await self._unknown(creation, sent, "the client was closed before the create was answered")
            else:
                await self._ledger.put(intent.moved(not_sent))
            raise
        return await self._accepted(self._sent(intent, send_time), created, creation.slot)

    async def _require_own_task(self, task_id: str, job_id: str) -> None:
        """Raise TransportError if the create was answered with another job's task: that job's answer was delivered
        twice, and says nothing about this create. Otherwise the task belongs to this job from now on."""
        other = self._answered.setdefault(task_id, job_id)
        if other == job_id:
            try:
                other = await self._other_holder(task_id, job_id)
            except Exception as error:  # noqa: BLE001 — of whatever class: a look that fails must not cost a TaskId
                as_aigc_error(error, "looking for a task's job")
                return
            if not other:
                return
            del self._answered[task_id]
        raise TransportError(
            f"the create was answered with task {task_id}, which belongs to {other}", ending=Ending.UNKNOWN
        )

    async def _out_of_place_error(self, error: LedgerError) -> LedgerError:
        """The error for a ledger that is out of place, with the TaskIds that no other process will find; it is logged
        once."""
        if not self._lost:
            running = [job.task_id or "" async for job in self._ledger.in_state(JobState.SUBMITTED)]
            told = ", ".join(running[:MOST_TOLD]) + (", …" if len(running) > MOST_TOLD else "")
            self._lost = (
                f"{error.message}: nothing more is created, because the next run would pay for it again. "
                f"{f'This process still polls and saves the tasks that run: {told}' if told else 'No task runs'}. "
                "When it has ended, put the ledger back (restore a backup if it was deleted) before the next run"
            )
            _log.error("%s", self._lost)
        return LedgerError(self._lost)

    async def _accepted(
        self, intent: JobRecord, created: Created, slot: Slot | None, since: float | None = None
    ) -> JobRecord:
        """The job, submitted: just now, or at the earliest `since` (a task that was found may have ended long ago)."""
        now = self._wall()
        submitted = intent.moved(
            JobState.SUBMITTED,
            task_id=created.task_id,
            request_id=created.request_id,
            submitted_at=now if since is None else since,
            slot_until=now + self._deadline_s(intent),
            error={},
        )
        if slot is not None:
            slot.name(created.task_id)
        try:
            await self._ledger.put(submitted)
        except Exception as error:  # noqa: BLE001 — after an exception of any class the TaskId must be reported
            _log.error(
                "the service accepted %s as task %s, which the ledger could not keep", intent.job_id, created.task_id
            )
            raise as_aigc_error(error, "keeping a TaskId").about(
                job_id=intent.job_id, task_id=created.task_id
            ) from None
        finally:
            self._answered.pop(created.task_id, None)
            self._watch(submitted)
        self._emit(events.Submitted, submitted, task_id=created.task_id)
        return submitted

    def _sent(self, intent: JobRecord, send_time: SendTime) -> JobRecord:
        """The intent with the time its create went out, and counted, if it did."""
        age_s = send_time.age_s
        return intent if age_s is None else replace(intent, sent_at=self._wall() - age_s, attempts=intent.attempts + 1)

    async def _refused(self, creation: _Creation, intent: JobRecord, error: AigcError, *, may_exist: bool) -> JobRecord:
        """Keep what an unsuccessful exchange means for the job, by `policy.AFTER`. Raises the error it comes to."""
        after = AFTER[error.ending or Ending.REFUSED]
        if isinstance(error, TooManyTasks):
            learn_cap(creation.slot, error)
        if error.ending is Ending.ACCEPTED_BEFORE:
            return await self._accepted_before(creation, intent, error)
        if after.create_again or after.stops_creating or clock_is_off(error):
            # Certainly not accepted. Whether the service remembers its session all the same is not documented, so the
            # next one has another; but one in doubt keeps the session that tells what became of it.
            creation.job = (
                intent.moved(JobState.UNKNOWN) if may_exist else intent.moved(JobState.PLANNED, session_id="")
            )
            await self._ledger.put(creation.job)
            raise error
        if error.ending is Ending.UNKNOWN:
            raise await self._unknown(creation, intent, str(error)) from error
        if may_exist:  # that this one was refused says nothing of the first
            doubt = await self._unknown(creation, intent, f"sent again, it was refused: {error}")
            doubt.ending = Ending.REFUSED  # and a third would fare no better
            raise doubt from error
        await self._ledger.put(intent.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(error)))
        self._emit(events.Failed, intent, error=error)
        raise error

    async def _accepted_before(self, creation: _Creation, intent: JobRecord, proof: AigcError) -> JobRecord:
        """Its session was refused: the task is there. It is looked for in the account's list, where there is one; what
        is known is written down first."""
        error = await self._unknown(creation, intent, str(proof), accepted=True)
        found = await self.look_for(creation.job)
        if found.state is not JobState.SUBMITTED:
            raise error from proof
        return found

    async def _unknown(
        self, creation: _Creation | None, intent: JobRecord, reason: str, *, accepted: bool = False
    ) -> CreateOutcomeUnknown:
        if creation is not None:
            creation.slot.keep_for(UNKNOWN_SLOT_S[intent.kind], in_doubt(intent))
        what, then = (
            ("the service has accepted the create, and as which task is not known", "look for it in the console")
            if accepted
            else ("the create was sent and nothing told whether it was accepted", "it is not sent again by itself")
        )
        error = CreateOutcomeUnknown(f"{what} ({reason}); {then}", job_id=intent.job_id)
        if accepted:
            error.as_accepted()
        unknown = intent.moved(JobState.UNKNOWN, ended_at=self._wall(), error=to_record(error))
        if creation is not None:
            creation.job = unknown
        await self._ledger.put(unknown)
        if not self._dialect.takes_sessions:
            self._emit(events.Unknown, intent, error=error)
        return error

    def _give_back(self, slot: Slot, job_id: str) -> None:
        """The create did not succeed, or its caller left: nobody is in the slot, once that is certain."""
        exchange = self._exchanges.get(job_id)
        if exchange is not None:
            exchange.add_done_callback(lambda _: self._give_back(slot, job_id))
        elif not slot.handed_on:
            slot.release()

    def _retried(self, job: JobRecord, error: AigcError, delay_s: float) -> None:
        self._emit(events.Retried, job, error=error, delay_s=delay_s)
        if isinstance(error, Throttled):
            self._emit(events.Throttled, job, action=error.action or "")
