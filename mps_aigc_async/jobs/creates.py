"""A job's create: planned → intent → submitted, in the five ways that it can end (`policy.retries.CONSEQUENCES`).

The exchange belongs to the client and not to its caller: who is cancelled leaves it, and its answer is still kept.
Where the service is known to refuse a second create of one session, one in doubt is sent again with its session, as it
was sent first: it is accepted now, or the refusal proves that it was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Final, Protocol

from ..concurrency.callbacks import ignore
from ..concurrency.owner import TaskOwner
from ..ledger import JobRecord, Ledger
from ..limits import PROBE_S, AccountLimits, SendTime, Slot, judged, learn_cap
from ..model import events
from ..model.errors import (
    AigcError,
    CreateOutcomeUnknown,
    LedgerError,
    NoTaskId,
    ServiceError,
    Throttled,
    TooManyTasks,
    TransportError,
    to_record,
)
from ..model.requests import CosStore, Step, beyond
from ..model.states import Ending, JobState, Kind
from ..model.unexpected import as_aigc_error
from ..network.calls import Calls
from ..network.clock import Mark, ServiceClock
from ..policy.retries import CONSEQUENCES, clock_is_off
from ..wire.dialect import Call, Created, Dialect, SessionRule
from .doubts import Doubt, as_first_sent
from .exchanges import Exchanges
from .sessions import Sessions, as_create

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

    resolve: Callable[[], Step]
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


class _InDoubt(Exception):
    """Nothing more is sent for a create in doubt."""

    def __init__(self, doubt: AigcError) -> None:
        self.doubt = doubt


def _not_accepted(creation: "_Creation", intent: JobRecord) -> JobRecord:
    """The job after an attempt that certainly was not accepted, sent or not.

    Whether the service remembers the session of a create that it refused is not documented, so the next one has
    another. One in doubt keeps the session that tells what became of it, and so does one that the user makes again.
    """
    if creation.job.state is JobState.UNKNOWN:
        return intent.moved(JobState.UNKNOWN)
    return intent.moved(JobState.PLANNED, session_id=creation.kept_session, ended_at=None)


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
    """As the latest attempt left it, with what its request has beyond its content: *unknown* if one of them may have
    been accepted."""
    order: Order
    call: Call[Created]
    slot: Slot
    begun: Mark | None = None
    """When its session was begun; None for one that an earlier create has begun."""
    kept_session: str = ""
    """The session of an earlier create that the user has made again."""
    is_final: bool = False
    """Whether another attempt would fare no better."""
    is_left: bool = False
    """Whether its caller was cancelled."""
    is_told: bool = False
    """Whether listeners know that it is in doubt."""


class Creates:
    """Creates the tasks of one ledger's jobs."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        calls: Calls,
        dialect: Dialect,
        limits: AccountLimits,
        owner: TaskOwner,
        clock: ServiceClock,
        sessions: Sessions,
        exchanges: Exchanges,
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
        self._clock = clock
        self._wall = clock.now
        self.sessions = sessions
        self._store = store
        self._deadline_s = deadline_s
        self._watch = watch
        self._other_holder = other_holder
        self._emit = emit
        self._exchanges = exchanges
        self._to_send: dict[asyncio.Task[JobRecord], SendTime] = {}

    def stop(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. What is sent goes on."""
        for exchange, send_time in self._to_send.items():
            if not send_time.has_come:
                exchange.cancel()

    async def look_for(self, job: JobRecord) -> JobRecord:
        """The job with its task, if that is found by its session."""
        if not self.sessions.may_have_task(job):
            return job
        task_id = await self.sessions.find_task(job)
        if not task_id:
            return job
        slot = self._limits.slots[job.kind].named.get(in_doubt(job))
        return await self._accepted(job, Created(task_id, ""), slot, since=job.intent_at)

    async def left_behind(self, job: JobRecord) -> JobRecord:
        """A job found in *intent*: a cancelled caller left its exchange behind, whose answer is ours as well."""
        exchange = self._exchanges.by_job.get(job.job_id)
        if exchange is None:  # it ended, and the ledger could not keep how
            raise await self._unknown(None, job, "the ledger could not keep the answer")
        await asyncio.wait({exchange})
        job = await self._ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            if exchange.cancelled():  # by another client that closed: its caller's end is not ours
                raise await self._unknown(None, job, "the client was closed before the create was answered")
            exchange.result()  # raises: the ledger could not keep how it ended, and the error knows
        return job

    async def create(self, job: JobRecord, order: Order) -> JobRecord:
        """Create the job's task in a slot; refused for want of room at the service, wait for another one."""
        self._calls.check_account(self._dialect.create_action(job.kind))
        slots, give_up_at = self._limits.slots[job.kind], inf
        slot = self._taken_back(job) or await self._slot(job, order)
        while True:
            try:
                return await self._create_in(slot, job, order)
            except _NoRoom as no_room:
                job = await self._ledger.get(job.job_id) or job
                if no_room.refusal is not None:
                    now = asyncio.get_running_loop().time()
                    # While another one of ours runs, there is an end to wait for.
                    others = slots.running - (in_doubt(job) in slots.named)
                    give_up_at = inf if others else min(give_up_at, now + self._calls.policy.busy_seconds)
                    if now >= give_up_at:
                        raise await self._without_room(job, no_room.refusal) from None
                    self._retried(job, no_room.refusal, PROBE_S)
                refusal = no_room.refusal
            slot = await self._next_slot(slot, job, order, refusal)

    async def _next_slot(self, slot: Slot, job: JobRecord, order: Order, refusal: ServiceError | None) -> Slot:
        """A slot for the next attempt after one that found no room. A caller that leaves meanwhile leaves nobody who
        could end a doubt: listeners are told of it."""
        try:
            if isinstance(refusal, Throttled):  # its slot is free again at once
                await self._limits.retries.acquire()
            slot = await self._slot(job, order, again=slot)
        except asyncio.CancelledError:
            if job.state is JobState.UNKNOWN:
                self._emit(events.Unknown, job, error=job.recorded_error())
            raise
        if kept := self._taken_back(job):  # one task needs one slot
            slot.release()
        return kept or slot

    def _taken_back(self, job: JobRecord) -> Slot | None:
        """The slot that a create in doubt keeps, held for its next attempt; None if it keeps none by now."""
        kept = self._limits.slots[job.kind].named.get(in_doubt(job))
        return kept if kept is not None and kept.reclaim() else None

    async def _without_room(self, job: JobRecord, refusal: ServiceError) -> AigcError:
        """The error of a job for which the service has had no room for long. One in doubt stays so."""
        job = await self._ledger.get(job.job_id) or job
        if job.state is not JobState.UNKNOWN:
            return refusal.with_context(job_id=job.job_id)
        doubt = job.recorded_error()
        self._emit(events.Unknown, job, error=doubt)
        return doubt

    async def _slot(self, job: JobRecord, order: Order, again: Slot | None = None) -> Slot:
        slots = self._limits.slots[job.kind]
        return await slots.acquire(again, model=order.model, held_up=order.begun)

    async def _create_in(self, slot: Slot, job: JobRecord, order: Order) -> JobRecord:
        creation: _Creation | None = None
        try:
            creation = await self._prepared(job, order, slot)
            return await self._calls.with_retries(
                creation.call,
                partial(self._attempt, creation),
                partial(self._retried, creation.job),
                partial(_require_room, slot),
            )
        except BaseException as error:
            left = creation.job if creation is not None else job
            if left.state is JobState.UNKNOWN and not slot.transferred and self._is_its_only(slot, left):
                self._keep_slot(slot, left)
            self._give_back(slot, job.job_id)
            ended = error.doubt if isinstance(error, _InDoubt) else error
            if isinstance(ended, Throttled):  # as often as the policy allows; while tasks run it may be patient
                raise _NoRoom(ended) from None
            if not isinstance(ended, AigcError):
                if isinstance(error, asyncio.CancelledError) and creation is not None:
                    self._tell_of_doubt(creation)  # nobody asks again now
                raise
            ended.with_context(job_id=job.job_id)
            if left.state is not JobState.UNKNOWN:
                raise
        return await self._left_in_doubt(left, ended, is_told=creation is not None and creation.is_told)

    def _keep_slot(self, slot: Slot, job: JobRecord) -> None:
        """Keep the slot of a create in doubt for as long as its task may be running."""
        slot.hold_for(UNKNOWN_SLOT_S[job.kind], in_doubt(job))

    def _is_its_only(self, slot: Slot, job: JobRecord) -> bool:
        """Whether no other slot is kept for a create in doubt."""
        return self._limits.slots[job.kind].named.get(in_doubt(job), slot) is slot

    def _tell_of_doubt(self, creation: _Creation) -> None:
        """Tell listeners of a create in doubt, if none is under way that could end the doubt."""
        job = creation.job
        if job.state is JobState.UNKNOWN and job.job_id not in self._exchanges.by_job and not creation.is_told:
            creation.is_told = True
            self._emit(events.Unknown, job, error=job.recorded_error())

    async def _left_in_doubt(self, job: JobRecord, ended: AigcError, *, is_told: bool) -> JobRecord:
        """However the attempts ended, the job is in doubt. It is looked for, unless it may be sent again; if it is not
        found, the doubt is raised."""
        if not self.sessions.may_repeat(job):
            try:
                job = await self.look_for(job)
            except asyncio.CancelledError:
                if not is_told:
                    self._emit(events.Unknown, job, error=job.recorded_error())
                raise
            if job.state is JobState.SUBMITTED:
                return job
        is_doubt = isinstance(ended, CreateOutcomeUnknown)
        doubt = ended if is_doubt else job.recorded_error()
        if not is_told:
            self._emit(events.Unknown, job, error=doubt)
        raise doubt from (ended.__cause__ if is_doubt else ended)

    async def _prepared(self, job: JobRecord, order: Order, slot: Slot) -> _Creation:
        request = order.resolve()
        first = as_first_sent(job, request) if job.session_id else None
        if first is None and job.state is JobState.UNKNOWN:
            raise _InDoubt(job.recorded_error())
        if first is not None:
            kept = job.session_id if job.state is JobState.PLANNED else ""
            return _Creation(job, order, self._call(first, job), slot, kept_session=kept)
        begun = self._clock.mark()
        job = await self.sessions.begin(replace(job, session_id="", filled_in=beyond(request, job.content)))
        return _Creation(job, order, self._call(request, job), slot, begun=begun)

    def _call(self, request: Step, job: JobRecord) -> Call[Created]:
        call = self._dialect.create(request, self._store, job.session_id)
        honoured = bool(job.session_id) and self.sessions.trust.holds_for(job)
        return replace(as_create(call, signs_time=self._dialect.signs_time), is_deduplicated=honoured)

    async def _begin_session(self, creation: _Creation) -> None:
        """Give the next attempt a session of its own, if the latest has lost its one to a refusal."""
        if creation.job.session_id or self._dialect.sessions is SessionRule.NONE:
            return
        request = creation.order.resolve()
        job = replace(creation.job, filled_in=beyond(request, creation.job.content))
        creation.begun = self._clock.mark()
        creation.job = await self.sessions.begin(job)
        creation.call = self._call(request, creation.job)

    async def _attempt(self, creation: _Creation, send_time: SendTime) -> JobRecord:
        """The exchange belongs to the client: a caller that is cancelled leaves it, and its answer is still kept."""
        job = creation.job
        self._calls.check_account(self._dialect.create_action(job.kind))
        if job.state is JobState.UNKNOWN:
            if not await self.sessions.may_send_again(job):  # too old by now, by the time that a refusal has told
                raise _InDoubt(job.recorded_error())
            if not creation.slot.reclaim():
                raise _NoRoom
        _require_room(creation.slot)
        await self._begin_session(creation)
        creation.order.begun()
        exchange = self._owner.start(self._exchange(creation, send_time), f"create of {job.job_id}")
        self._exchanges.by_job[job.job_id] = exchange
        self._to_send[exchange] = send_time
        exchange.add_done_callback(lambda _: self._exchanges.by_job.pop(job.job_id, None))
        exchange.add_done_callback(self._to_send.pop)
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            creation.is_left = True
            raise
        except TooManyTasks as error:
            raise _NoRoom(error) from None
        except CreateOutcomeUnknown as error:
            if creation.is_final:
                raise _InDoubt(error) from error.__cause__
            raise

    async def _exchange(self, creation: _Creation, send_time: SendTime) -> JobRecord:
        may_exist, now = creation.job.state is JobState.UNKNOWN, self._wall()
        is_repeat = may_exist or bool(creation.kept_session)
        intent = creation.job.moved(
            JobState.INTENT,
            # A session's life is counted from its first create.
            intent_at=creation.job.intent_at if is_repeat else now,
            sent_at=None,
            # If this process is killed now, the next one has to know how young the latest create is.
            ended_at=now if is_repeat else None,
        )
        not_sent = _not_accepted(creation, intent)
        try:
            await self._ledger.put(intent)
        except asyncio.CancelledError:  # closed meanwhile; the intent reaches the disk all the same
            await self._ledger.put(not_sent)
            raise
        self._emit(events.Paced, intent)
        created: Created | None = None
        send_time.confirm_with(self._ledger.confirm)
        try:
            created = await self._calls.attempt(creation.call, send_time, partial(judged, creation.slot))
            await self._require_own_task(created.task_id, intent.job_id)
        except LedgerError as error:  # raised before the first byte: the next process would not know of this create
            creation.job = not_sent
            await self._ledger.put(not_sent)
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
                await self._ledger.put(not_sent)
            raise
        return await self._accepted(self._sent(intent, send_time), created, creation.slot)

    async def _require_own_task(self, task_id: str, job_id: str) -> None:
        """Raise TransportError if the create was answered with another job's task: that job's answer was delivered
        twice, and says nothing about this create. Otherwise the task belongs to this job from now on."""
        other = self._exchanges.answered.setdefault(task_id, job_id)
        if other == job_id:
            try:
                other = await self._other_holder(task_id, job_id)
            except Exception as error:  # noqa: BLE001 — of whatever class: a look that fails must not cost a TaskId
                as_aigc_error(error, "looking for a task's job")
                return
            if not other:
                return
            del self._exchanges.answered[task_id]
        raise TransportError(
            f"the create was answered with task {task_id}, which belongs to {other}", ending=Ending.UNKNOWN
        )

    async def _out_of_place_error(self, error: LedgerError) -> LedgerError:
        """The error for a ledger that is out of place, with the TaskIds that no other process will find; it is logged
        once."""
        if not self._exchanges.lost:
            running = [job.task_id or "" async for job in self._ledger.in_state(JobState.SUBMITTED)]
            told = ", ".join(running[:MOST_TOLD]) + (", …" if len(running) > MOST_TOLD else "")
            self._exchanges.lost = (
                f"{error.message}: nothing more is created, because the next run would pay for it again. "
                f"{f'This process still polls and saves the tasks that run: {told}' if told else 'No task runs'}. "
                "When it has ended, put the ledger back (restore a backup if it was deleted) before the next run"
            )
            _log.error("%s", self._exchanges.lost)
        return LedgerError(self._exchanges.lost)

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
            ended_at=None,
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
            raise as_aigc_error(error, "keeping a TaskId").with_context(
                job_id=intent.job_id, task_id=created.task_id
            ) from None
        finally:
            self.sessions.end(submitted)
            self._exchanges.answered.pop(created.task_id, None)
            self._watch(submitted)
        self._emit(events.Submitted, submitted, task_id=created.task_id)
        return submitted

    def _sent(self, intent: JobRecord, send_time: SendTime) -> JobRecord:
        """The intent with the time its create went out, and counted, if it did."""
        age_s = send_time.age_s
        return intent if age_s is None else replace(intent, sent_at=self._wall() - age_s, attempts=intent.attempts + 1)

    async def _refused(self, creation: _Creation, intent: JobRecord, error: AigcError, *, may_exist: bool) -> JobRecord:
        """Keep what an unsuccessful exchange means for the job, by `CONSEQUENCES`. Raises the error it comes to."""
        consequence = CONSEQUENCES[error.ending or Ending.REFUSED]
        if may_exist:  # whatever became of this one, the task of the first may be running
            self._keep_slot(creation.slot, intent)
        if isinstance(error, TooManyTasks):
            learn_cap(creation.slot, error)
        if error.ending is Ending.ACCEPTED_BEFORE:
            if may_exist or creation.kept_session:  # of a session that nobody has sent before it proves nothing
                await self.sessions.trust.prove(intent)
            raise await self._unknown(creation, intent, str(error), Doubt.ACCEPTED) from error
        if consequence.create_again or consequence.stops_creating or clock_is_off(error):
            # Certainly not accepted.
            creation.job = _not_accepted(creation, intent)
            await self._ledger.put(creation.job)
            raise error
        if error.ending is Ending.UNKNOWN:
            how = Doubt.ANSWERED if isinstance(error, NoTaskId) else Doubt.UNANSWERED
            raise await self._unknown(creation, intent, str(error), how) from error
        if may_exist:  # that this one was refused says nothing of the first, and a third would fare no better
            creation.is_final = True
            raise await self._unknown(creation, intent, f"sent again, it was refused: {error}") from error
        await self._ledger.put(intent.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(error)))
        self._emit(events.Failed, intent, error=error)
        raise error

    async def _unknown(
        self, creation: _Creation | None, intent: JobRecord, reason: str, how: Doubt = Doubt.UNANSWERED
    ) -> CreateOutcomeUnknown:
        """Keep the job as one in doubt; return its error. Listeners are told now, unless more is to be tried."""
        if creation is not None:
            self._keep_slot(creation.slot, intent)
            if creation.begun is not None:
                self.sessions.doubt(intent, creation.begun)
        error = how.error(reason, self.sessions.what_follows(intent)).with_context(job_id=intent.job_id)
        unknown = intent.moved(JobState.UNKNOWN, ended_at=self._wall(), error=to_record(error))
        if creation is not None:
            creation.job = unknown
        await self._ledger.put(unknown)
        may_repeat = self.sessions.may_repeat(unknown)
        goes_on = may_repeat or self.sessions.may_have_task(unknown)
        if creation is None or creation.is_left or not goes_on:
            self._emit(events.Unknown, intent, error=error)
        if creation is not None:
            creation.is_told = creation.is_left or not goes_on
            creation.is_final = creation.is_final or not may_repeat
        return error

    def _give_back(self, slot: Slot, job_id: str) -> None:
        """The create did not succeed, or its caller left: nobody is in the slot, once that is certain."""
        exchange = self._exchanges.by_job.get(job_id)
        if exchange is not None:
            exchange.add_done_callback(lambda _: self._give_back(slot, job_id))
        elif not slot.transferred:
            slot.release()

    def _retried(self, job: JobRecord, error: AigcError, delay_s: float) -> None:
        self._emit(events.Retried, job, error=error, delay_s=delay_s)
        if isinstance(error, Throttled):
            self._emit(events.Throttled, job, action=error.action or "")
