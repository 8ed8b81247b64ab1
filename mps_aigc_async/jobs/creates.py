"""A job's create: planned → intent → submitted, or one of the other ends of `policy.create_endings`.

An exchange belongs to the client and not to its caller: a caller that is cancelled leaves the exchange, and the answer
is still kept. Where the service is known to refuse a second create of one session, an unknown create is sent again with
its session, as it was sent first: now it is accepted, or the refusal proves that the first one was.
"""

import asyncio
from dataclasses import replace
from functools import partial
from math import inf

from ..concurrency.across_loops import wait_for_end
from ..ledger import ClaimInDoubt, JobRecord, JobTaken
from ..ledger.record import SPENT
from ..limits import PROBE_S, HeldBack, SendTime, Slot, SlotLost
from ..model.contents import beyond
from ..model.error_records import to_record
from ..model.errors import (
    AigcError,
    CreateOutcomeUnknown,
    LedgerError,
    ServiceError,
    Throttled,
    TooManyTasks,
    TransportError,
)
from ..model.requests import Step
from ..model.states import Ending, JobState
from ..network.calls import Failure
from ..policy.create_endings import Attempt, Decision, SlotUse, UnknownCause, decide, ending_of, was_answered
from ..wire.dialect import Call, Created, SessionRule
from .acceptance import Acceptance
from .context import JobContext
from .creation import Creation, Order, intent_of, row_after, still_to_create
from .exchanges import CreateOutcome, NoRoom, NoRoomByNow, Unsent, require_room
from .own_sessions import has_users_session
from .sessions import as_create
from .stored_inputs import with_file_ids
from .unknown_creates import UNKNOWN_SLOT_S, as_first_sent, slot_name


class Creates:
    """Creates the tasks of one ledger's jobs."""

    def __init__(self, context: JobContext, acceptance: Acceptance) -> None:
        self._context = context
        self._acceptance = acceptance
        self._ledger = context.ledger
        self._calls = context.calls
        self._dialect = context.dialect
        self._limits = context.limits
        self._sessions = context.sessions
        self._exchanges = context.registry.exchanges
        self._announcer = context.announcer
        self._wall = context.clock.now
        self._unsent = Unsent()

    def stop(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. Sent creates go on."""
        self._unsent.end_all()

    def stop_one(self, job_id: str) -> bool:
        """End the create of one job if it is prepared and not sent. Whether a create of the job is on its way."""
        exchange = self._exchanges.by_job.get(job_id)
        return exchange is not None and not self._unsent.end(exchange)

    # --- a slot, and the next one where there was no room -------------------------------------------------------------

    async def create(self, job: JobRecord, order: Order) -> JobRecord:
        """Create the job's task in a slot. If the service has no room for it, wait for another slot."""
        self._exchanges.forget_lost(job.job_id)
        self._calls.check_account(self._dialect.create_action(job.kind))
        self._context.registry.require_wanted(job.job_id)
        order.require_open(job)
        await self._context.require_room_for_results(job)
        give_up_at = inf
        await order.terms.in_turn()
        slot = self._reclaim(job) or await self._acquire(job, order)
        while True:
            outcome = await self._create_in(slot, job, order)
            if isinstance(outcome, JobRecord):
                return outcome
            job = still_to_create(await self._ledger.get(job.job_id) or job, job)
            if outcome.refusal is not None:
                now = asyncio.get_running_loop().time()
                give_up_at = inf if self._others_run(job) else min(give_up_at, now + self._calls.policy.busy_seconds)
                if now >= give_up_at:
                    raise self._error_without_room(job, outcome.refusal)
                self._announcer.tell_retry(job, outcome.refusal, PROBE_S)
                order.terms.on_no_room(job.kind)
            slot = await self._next_slot(slot, job, order, outcome.refusal)

    def _others_run(self, job: JobRecord) -> bool:
        """Whether another task of ours runs: its end makes room."""
        slots = self._limits.slots[job.kind]
        return slots.running - (slots.find(slot_name(job)) is not None) > 0

    def _error_without_room(self, job: JobRecord, refusal: ServiceError) -> AigcError:
        """The error of a job for which the service has had no room for long. An unknown job stays unknown."""
        if job.state is not JobState.UNKNOWN:
            return refusal.with_context(job_id=job.job_id)
        unknown_error = job.recorded_error()
        self._announcer.tell_unknown(job, unknown_error)
        return unknown_error

    async def _next_slot(self, slot: Slot, job: JobRecord, order: Order, refusal: ServiceError | None) -> Slot:
        """A slot for the next attempt after one that found no room. If the caller is cancelled meanwhile, nobody is
        left to send an unknown create again: listeners hear that its job is unknown."""
        try:
            if isinstance(refusal, Throttled):  # its slot is free again at once
                await self._limits.take_retry()
            slot = await self._acquire(job, order, slot.ticket)
        except asyncio.CancelledError:
            if job.state is JobState.UNKNOWN:
                self._announcer.tell_unknown(job, job.recorded_error())
            raise
        if own := self._reclaim(job):  # a task needs one slot
            slot.release()
        return own or slot

    def _reclaim(self, job: JobRecord) -> Slot | None:
        """The slot that is held for an unknown create, for its next attempt; None if none is held by now."""
        slot = self._limits.slots[job.kind].find(slot_name(job))
        return slot if slot is not None and slot.reclaim() else None

    async def _acquire(self, job: JobRecord, order: Order, ticket: int | None = None) -> Slot:
        def hold_up() -> None:
            order.terms.on_begin()
            order.terms.on_no_room(job.kind)

        asyncio.get_running_loop().call_soon(order.terms.let_pass)  # by then this create is in the queue
        return await self._limits.slots[job.kind].acquire(ticket, model=order.model, on_hold_up=hold_up)

    # --- the attempts in one slot -------------------------------------------------------------------------------------

    async def _create_in(self, slot: Slot, job: JobRecord, order: Order) -> JobRecord | NoRoom:
        """Make attempts in one slot. Raises the error of the last attempt."""
        creation: Creation | None = None
        outcome: JobRecord | NoRoom | AigcError
        try:
            creation = await self._prepare(job, order, slot)
            outcome = await self._calls.with_retries(
                creation.call,
                partial(self._attempt, creation),
                partial(self._announcer.tell_retry, creation.job),
                partial(require_room, slot),
            )
        except NoRoomByNow:
            outcome = NoRoom()
        except Throttled as refusal:  # as often as the policy allows; while tasks run it may be patient
            outcome = NoRoom(refusal)
        except AigcError as error:
            outcome = error
        except BaseException as error:
            self._leave_slot(slot, creation.job if creation is not None else job)
            if isinstance(error, asyncio.CancelledError) and creation is not None:
                self._tell_unknown(creation)  # no caller asks again now
            raise
        if isinstance(outcome, JobRecord):
            return outcome
        job = creation.job if creation is not None else job
        self._leave_slot(slot, job)
        if isinstance(outcome, NoRoom):
            return outcome
        outcome.with_context(job_id=job.job_id)
        if job.state is not JobState.UNKNOWN or isinstance(outcome, JobTaken):
            raise outcome
        return await self._end_unknown(job, outcome, is_told=creation is not None and creation.is_told)

    def _leave_slot(self, slot: Slot, job: JobRecord) -> None:
        """Leave the slot of attempts that created no task: held if a task may run in it, else given back."""
        if job.state is JobState.UNKNOWN and not slot.transferred and self._is_its_only(slot, job):
            self._hold_slot(slot, job)
        self._give_back(slot, job.job_id)

    def _is_its_only(self, slot: Slot, job: JobRecord) -> bool:
        """Whether no other slot is held for an unknown create."""
        return self._limits.slots[job.kind].find(slot_name(job)) in (slot, None)

    def _hold_slot(self, slot: Slot, job: JobRecord) -> None:
        """Hold the slot of an unknown create for as long as its task may be running."""
        slot.hold_for(UNKNOWN_SLOT_S[job.kind], slot_name(job))

    def _give_back(self, slot: Slot, job_id: str) -> None:
        """Give the slot back once no task can be in it: the job's exchange may go on without a caller."""
        exchange = self._exchanges.by_job.get(job_id)
        if exchange is not None:
            exchange.add_done_callback(lambda _: self._give_back(slot, job_id))
        elif not slot.transferred:
            slot.release()

    async def _prepare(self, job: JobRecord, order: Order, slot: Slot) -> Creation:
        request = await self._resolve(order)
        first = as_first_sent(job, request) if job.has_sent_session else None
        if first is None and job.state is JobState.UNKNOWN:
            raise job.recorded_error()
        if first is not None:
            session = job.session_id if job.state is JobState.PLANNED else ""
            return Creation(job, order, slot, first, await self._call(first, job), replaced_session=session)
        mark = self._context.clock.mark()
        spent = job.session_id if job.session_id == SPENT else ""
        job = await self._sessions.begin(replace(job, session_id=spent, filled_in=beyond(request, job.content)))
        return Creation(job, order, slot, request, await self._call(request, job), session_mark=mark)

    async def _resolve(self, order: Order) -> Step:
        """The request to send, with stored inputs by their file ids, and with the bucket for its results: its row has
        to tell where they are, whatever the config says when they are made."""
        request = order.resolve()
        if request.store is None and self._context.store is not None:
            request = request.model_copy(update={"store": self._context.store})
        return await with_file_ids(request, self._dialect.takes_file_ids(request.kind), self._ledger)

    async def _call(self, request: Step, job: JobRecord) -> Call[Created]:
        """The create, with signed URLs of inputs in the user's own buckets. The signatures are in the call alone: the
        ledger keeps the bare URLs."""
        request = await self._context.buckets.readable_inputs(request)
        call = self._dialect.create(request, self._context.store, job.session_id)
        return as_create(call, signs_time=self._dialect.signs_time)

    async def _begin_session(self, creation: Creation) -> None:
        """Give the next attempt a session of its own, if the latest one has lost its session to a refusal."""
        if creation.job.has_sent_session or self._dialect.sessions(creation.job.kind) is SessionRule.NONE:
            return
        request = await self._resolve(creation.order)
        job = replace(creation.job, filled_in=beyond(request, creation.job.content))
        creation.session_mark = self._context.clock.mark()
        creation.job = await self._sessions.begin(job)
        creation.request, creation.call = request, await self._call(request, creation.job)

    async def _attempt(self, creation: Creation, send_time: SendTime) -> CreateOutcome:
        """Make one attempt in an exchange of its own. A caller that is cancelled leaves the exchange, and its answer is
        still kept."""
        job = creation.job
        self._context.registry.require_wanted(job.job_id)
        self._calls.check_account(self._dialect.create_action(job.kind))
        if job.state is JobState.UNKNOWN:
            if not await self._sessions.may_send_again(job):  # too old, by the time in a refusal
                return Failure(job.recorded_error(), may_repeat=False)
            if not creation.slot.reclaim():
                return NoRoom()
        if creation.slot.is_too_many:
            return NoRoom()
        await self._begin_session(creation)
        if self._context.buckets.bare_inputs(creation.request):  # the keys of the attempt before may have ended
            creation.call = await self._call(creation.request, creation.job)
        creation.order.terms.on_begin()
        exchange = self._context.exchanges.start(self._exchange(creation, send_time), f"create of {job.job_id}")
        self._exchanges.by_job[job.job_id] = exchange
        self._unsent.add(exchange, send_time)
        exchange.add_done_callback(lambda _: self._exchanges.by_job.pop(job.job_id, None))
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            creation.has_caller = False
            raise

    async def _exchange(self, creation: Creation, send_time: SendTime) -> CreateOutcome:
        """Write the intent, send the create at its time, and carry out the consequence of its end."""
        intent = intent_of(creation, self._context.prices.estimate(creation.request), self._wall())
        try:
            await creation.order.claim(self._ledger, creation.job, intent)
            await creation.slot.mark(slot_name(intent), UNKNOWN_SLOT_S[intent.kind])
        except SlotLost:
            await self._keep_unsent(creation, intent)
            return NoRoom()
        except asyncio.CancelledError:  # closed meanwhile; the intent reaches the disk all the same
            await self._keep_unsent(creation, intent)
            raise
        self._announcer.tell_paced(intent)
        answer: Created | None = None
        send_time.confirm_with(partial(self._ledger.confirm, intent))
        try:
            answer = await self._calls.attempt(creation.call, send_time, creation.slot.judge)
            await self._acceptance.require_own_task(answer.task_id, intent.job_id)
        except ClaimInDoubt as doubt:  # raised before the first byte, like the next two
            await self._keep_unsent(creation, intent)  # this write asks the ledger, and renews the claim
            return Failure(HeldBack(doubt.message, ending=Ending.NEVER_DELIVERED), may_repeat=True)
        except JobTaken:
            await self._keep_unsent(creation, intent)
            raise
        except LedgerError as error:  # the next process would not know of this create
            await self._keep_unsent(creation, intent)
            raise await self._exchanges.out_of_place_error(self._ledger, error) from error
        except AigcError as error:
            return await self._fail(creation, self._counted(intent, send_time), error)
        except asyncio.CancelledError:
            intent = self._counted(intent, send_time)
            if answer is not None:
                creation.job = await self._acceptance.keep(intent, answer, creation.slot)
            elif send_time.has_come:
                unheard = TransportError("the client was closed before the create was answered", ending=Ending.UNKNOWN)
                await self._carry_out(creation, intent, self._decide(creation, Ending.UNKNOWN), unheard)
            else:
                await self._keep_unsent(creation, intent)
            raise
        creation.job = await self._acceptance.keep(self._counted(intent, send_time), answer, creation.slot)
        return creation.job

    def _counted(self, intent: JobRecord, send_time: SendTime) -> JobRecord:
        """The intent with the time when its create went out, and with one create more, if it did go out."""
        age_s = send_time.age_s
        return intent if age_s is None else replace(intent, sent_at=self._wall() - age_s, attempts=intent.attempts + 1)

    # --- the consequence of an attempt --------------------------------------------------------------------------------

    def _decide(self, creation: Creation, ending: Ending, *, was_answered: bool = False) -> Decision:
        job = creation.job
        return decide(
            Attempt(
                ending=ending,
                was_answered=was_answered,
                earlier=creation.earlier,
                honours_session=self._sessions.are_honoured(job),
                is_users_session=has_users_session(job),
                lists_tasks=self._sessions.lists_tasks(job),
                has_caller=creation.has_caller,
            )
        )

    async def _fail(self, creation: Creation, intent: JobRecord, error: AigcError) -> NoRoom | Failure:
        """Carry out the consequence of an attempt that raised an error; return the attempt's outcome."""
        decision = self._decide(creation, ending_of(error), was_answered=was_answered(error))
        unknown_error = await self._carry_out(creation, intent, decision, error)
        if isinstance(error, TooManyTasks):
            return NoRoom(error)
        if unknown_error is not None:
            unknown_error.__cause__ = error
        return Failure(unknown_error or error, decision.may_repeat)

    async def _carry_out(
        self, creation: Creation, intent: JobRecord, decision: Decision, error: AigcError
    ) -> CreateOutcomeUnknown | None:
        """Carry out a decision: slot, session, row, event. Return the new error if the create is unknown, or unknown
        for a new reason."""
        if decision.slot is SlotUse.HELD:
            self._hold_slot(creation.slot, intent)
        if isinstance(error, TooManyTasks):
            creation.slot.note_refusal(error)
        if decision.proves_session:
            await self._sessions.trust.prove(intent)
        unknown_error: CreateOutcomeUnknown | None = None
        if decision.cause is not None:
            unknown_error = self._unknown_error(intent, decision.cause, str(error))
            if creation.session_mark is not None:
                self._sessions.note_unknown(intent, creation.session_mark)
        await self._write_end(creation, intent, decision, unknown_error or error)
        if decision.state is JobState.FAILED:
            self._announcer.tell_failed(intent, error)
        elif unknown_error is not None and decision.is_news:
            creation.is_told = True
            self._announcer.tell_unknown(intent, unknown_error)
        return unknown_error

    async def _keep_unsent(self, creation: Creation, intent: JobRecord) -> None:
        """Keep the row of an attempt that was prepared and not sent."""
        never_sent = TransportError("the create was not sent", ending=Ending.NEVER_DELIVERED)
        decision = self._decide(creation, Ending.NEVER_DELIVERED)
        await self._write_end(creation, intent, decision, never_sent)

    async def _write_end(self, creation: Creation, intent: JobRecord, decision: Decision, error: AigcError) -> None:
        """Write the row after an attempt that was not accepted."""
        creation.job = row_after(intent, decision, error, creation.replaced_session, self._wall())
        creation.order.hold_room(creation.job)
        await self._ledger.put(creation.job)

    # --- unknown jobs -------------------------------------------------------------------------------------------------

    def _unknown_error(self, intent: JobRecord, cause: UnknownCause, reason: str) -> CreateOutcomeUnknown:
        return cause.error(reason, self._sessions.next_step(intent)).with_context(job_id=intent.job_id)

    def _tell_unknown(self, creation: Creation) -> None:
        """Tell listeners of an unknown create, once no exchange is under way that may still show its outcome."""
        job = creation.job
        exchange = self._exchanges.by_job.get(job.job_id)
        if exchange is not None:
            exchange.add_done_callback(lambda _: self._tell_unknown(creation))
        elif job.state is JobState.UNKNOWN and not creation.is_told:
            creation.is_told = True
            self._announcer.tell_unknown(job, job.recorded_error())

    async def _end_unknown(self, job: JobRecord, failure: AigcError, *, is_told: bool) -> JobRecord:
        """End the attempts of an unknown job. Its task is looked for, unless the create may be sent again later. If the
        task is not found, CreateOutcomeUnknown is raised."""
        if not self._sessions.may_repeat(job):
            try:
                job = await self._acceptance.find(job)
            except asyncio.CancelledError:
                if not is_told:
                    self._announcer.tell_unknown(job, job.recorded_error())
                raise
            if job.state is JobState.SUBMITTED:
                return job
        is_unknown_error = isinstance(failure, CreateOutcomeUnknown)
        unknown_error = failure if is_unknown_error else job.recorded_error()
        if not is_told:
            self._announcer.tell_unknown(job, unknown_error)
        raise unknown_error from (failure.__cause__ if is_unknown_error else failure)

    async def rejoin(self, job: JobRecord) -> JobRecord:
        """The job in *intent* after its exchange, which a cancelled caller has left. Raises CreateOutcomeUnknown if the
        exchange ended without a row, and LedgerError if the ledger could not record the row."""
        exchange = self._exchanges.by_job.get(job.job_id)
        if exchange is None:
            raise await self._keep_unknown(job, "the ledger could not record the answer")
        await wait_for_end(exchange)
        job = await self._ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            if self._exchanges.forget_lost(job.job_id) or exchange.cancelled():  # with another client or its loop
                raise await self._keep_unknown(job, "the client was closed before the create was answered")
            exchange.result()
        return job

    async def _keep_unknown(self, intent: JobRecord, reason: str) -> CreateOutcomeUnknown:
        """Record the job as *unknown*; return its error."""
        unknown_error = self._unknown_error(intent, UnknownCause.UNANSWERED, reason)
        unknown = intent.moved(JobState.UNKNOWN, ended_at=self._wall(), error=to_record(unknown_error))
        await self._ledger.put(unknown)
        self._announcer.tell_unknown(unknown, unknown_error)
        return unknown_error
