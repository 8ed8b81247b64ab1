"""The poller of all tasks in flight: a heap of due times per action, and a loop over each.

The tempo says when a poll is due (`policy.tempo`). Under pressure the polls share the action's pace: they are spaced
further, and the earliest due is sent first. A task is polled until it ENDS at the service, even if nobody waits for it,
because its slot is held until then; or until its deadline.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ..concurrency.owner import TaskOwner
from ..ledger import JobRecord
from ..ledger.record import request_of
from ..ledger.versions import parted
from ..limits import HeldBack, Limits, SendTime
from ..model.errors import (
    AigcError,
    ClientClosed,
    InvalidRequest,
    TaskTimeout,
    Throttled,
    TransportError,
    UnexpectedError,
)
from ..model.states import Ending, Kind, TaskFault, TaskState
from ..model.unexpected import as_aigc_error
from ..network.answer_deadline import GRACE_S
from ..network.calls import Calls
from ..policy.deadlines import EMPTY_GRACE_S
from ..policy.retries import stops_a_batch
from ..policy.tempo import Tempo
from ..wire.dialect import Dialect, TaskStatus, scope_of
from .due_queue import DueQueue
from .task_ends import NOT_FOUND_MOST, TaskEnd, not_found, says_no_task
from .unknown_creates import slot_name
from .watch import Watch

_log: Final = logging.getLogger("mps_aigc_async")

BACKOFF_MOST_S: Final = 60.0
"""Polls that keep failing come at growing intervals, up to this one: polls do not shorten an outage."""


UNEXPECTED_MOST: Final = 10
"""Unexpected faults in a row after which the waiting caller gets the error: some six minutes at growing intervals. An
odd answer may be a single one; a permanent fault would otherwise last until the deadline, for hours."""

POLL_MOST_S: Final = 600.0
"""Seconds that one poll may take before it is sent again. The transport allows an exchange a tenth of that; a user's
own transport may have no bound."""

LAST_POLL_S: Final = 30.0
"""Seconds that the poll at the deadline may take: as long as the transport waits for each piece of an answer."""

_STILL_MAY: Final = "; it may still end: wait for it again by its TaskId"


class Poller:
    """Watches tasks until they end."""

    def __init__(
        self,
        calls: Calls,
        dialect: Dialect,
        limits: Limits,
        owner: TaskOwner,
        *,
        tempo: Tempo,
        interval_s: float,
        wall: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._dialect = dialect
        self._scope = scope_of(dialect)
        self._limits = limits
        self._owner = owner
        self._tempo = tempo
        self._interval_s = interval_s
        self._wall = wall
        self._watches: dict[tuple[Kind, str], Watch] = {}
        """By kind too: a TaskId that is polled as an image and as a video has two watches, because the answer about one
        kind is no result of the other."""
        self._queues: dict[Kind, DueQueue] = {}
        self.is_closed = False
        self._is_cut_off = False
        """Whether the latest polls could not reach the service for a cause that somebody has to correct."""
        self.left: list[Watch] = []
        """The tasks that ran on at the service when it was closed."""

    def __repr__(self) -> str:
        return f"<Poller of {len(self._watches)} tasks>"

    def __len__(self) -> int:
        return len(self._watches)

    def of_task(self, kind: Kind, task_id: str) -> Watch | None:
        """The watch of a task as one of this kind, while it is polled."""
        return self._watches.get((kind, task_id))

    def job_of(self, task_id: str) -> Watch | None:
        """The watch of a task whose job has a row, of any kind. A task that a caller attached to has no job."""
        watches = (self._watches.get((kind, task_id)) for kind in Kind)
        return next((watch for watch in watches if watch is not None and watch.has_row), None)

    def of_request(self, name: str) -> Watch | None:
        """The watch of a request's latest step, while it is polled."""
        watches = list(self._watches.values())  # one step: another loop may take a watch away
        base, _ = parted(name)
        steps = {watch.kind: watch for watch in watches if parted(request_of(watch.job.job_id))[0] == base}
        return next((steps[kind] for kind in reversed(Kind) if kind in steps), None)

    def watch(self, watch: Watch) -> Watch:
        """Poll a task from now on. If the task is watched as the same kind already, its watch is kept and returned
        instead."""
        existing = self._watches.get((watch.kind, watch.task_id))
        if existing is not None:
            return existing
        watch.slot = self._limits.slots[watch.kind].adopt(
            watch.task_id,
            watch.job.model,
            self._scope,
            name=slot_name(watch.job) if watch.has_row else "",
            seconds=watch.deadline.slot_hold_s(asyncio.get_running_loop().time()),
        )
        self._watches[watch.kind, watch.task_id] = watch
        if self.is_closed:
            self._let_go(watch)
            return watch
        now, due_in = asyncio.get_running_loop().time(), 0.0  # a task of unknown age is polled at once
        if watch.accepted_at is not None:
            watch.birth = now - max(0.0, self._wall() - watch.accepted_at)
            due_in = self._due_in(watch)
        self._queue(watch.kind).add(watch, min(due_in, watch.deadline.at - now))
        return watch

    def _due_in(self, watch: Watch) -> float:
        """Seconds until its next poll; below 0 for one that is overdue, as a task resumed after a while."""
        spacing_s = self.spacing_s(watch.kind)
        if watch.birth is None:
            return spacing_s
        watch.due = watch.birth + self._tempo.next_age(watch.cohort, watch.last_age, spacing_s)
        return watch.due - asyncio.get_running_loop().time()

    def spacing_s(self, kind: Kind) -> float:
        """The interval; longer if the polls of all tasks that share the action's rate would otherwise exceed the
        rate."""
        action = self._dialect.describe_action(kind)
        sharing = (other for other in self._limits.slots if self._dialect.describe_action(other) == action)
        running = sum(self._limits.slots[other].running for other in sharing)
        return max(self._interval_s, running / self._limits.pace(action).rate(asyncio.get_running_loop().time()))

    def _learn(self, watch: Watch, poll_at: float, answer_at: float) -> None:
        """Record the end for the tempo, but only if the poll was sent when it was due. A task may also end while nobody
        can poll it (an outage, or the time before it was resumed): its end is known too loosely then."""
        if watch.birth is not None and poll_at - watch.due <= self.spacing_s(watch.kind):
            self._tempo.record_end(watch.cohort, after=watch.last_age, by=answer_at - watch.birth)

    def _queue(self, kind: Kind) -> DueQueue:
        if kind not in self._queues:
            self._queues[kind] = queue = DueQueue()
            self._owner.start(self._run(kind, queue), f"poller of {kind} tasks")
        return self._queues[kind]

    async def _run(self, kind: Kind, queue: DueQueue) -> None:
        """Send each due poll at the next pace. Its answer is awaited aside: a slow one delays no other task's poll."""
        action = self._dialect.describe_action(kind)
        while True:
            await queue.due()
            send_time = await self._calls.reserve(action)
            watch = queue.pop()
            self._owner.start(self._poll(watch, send_time), f"poll of {watch.task_id}")

    async def _poll(self, watch: Watch, send_time: SendTime) -> None:
        try:
            await self._ask(watch, send_time)
        except Exception as fault:  # noqa: BLE001 — a caller that is not told would wait for ever
            self._leave(watch, as_aigc_error(fault, f"polling {watch.task_id}"))

    async def _ask(self, watch: Watch, send_time: SendTime) -> None:
        loop = asyncio.get_running_loop()
        poll_at = loop.time()
        try:
            status = await self._answer(watch, send_time)
        except HeldBack:  # nothing was sent, so that the poll is still due
            self._queue(watch.kind).add(watch, 0.0)
            return
        except AigcError as error:
            await self._poll_failed(watch, error, poll_at)
            return
        answer_at, now = loop.time(), self._wall()
        polled_at = now - (answer_at - poll_at)  # the answer may have corrected the clock
        self._heard(watch, status, answer_at)
        was_empty = watch.empty_since is not None and answer_at - watch.empty_since >= EMPTY_GRACE_S
        if status.has_ended or was_empty:
            await self._end(watch, TaskEnd(status, now, watch.unfinished_at, watch.running_at))
            if not status.made_nothing:  # a quick refusal by the model shows nothing about the duration of tasks
                self._learn(watch, poll_at, answer_at)
            return
        watch.unfinished_at = polled_at
        if watch.birth is not None:
            watch.last_age = poll_at - watch.birth
        watch.was_queued = watch.was_queued or status.state is TaskState.WAITING
        if watch.was_queued and watch.running_at is None and status.state is TaskState.RUNNING:
            watch.running_at = polled_at
        due_in = self._due_in(watch)
        if watch.empty_since is not None:
            due_in = min(due_in, watch.empty_since + EMPTY_GRACE_S - answer_at)
        self._again(watch, due_in, poll_at)

    async def _answer(self, watch: Watch, send_time: SendTime) -> TaskStatus:
        """The answer to a poll. A poll that hangs ends at the deadline, or soon after if it was sent at the deadline.
        An answer that has already arrived is read first."""
        loop = asyncio.get_running_loop()
        left = watch.deadline.at - loop.time()
        limit = asyncio.timeout(None)
        over = loop.call_later(
            min(left, POLL_MOST_S) if left > 0 else LAST_POLL_S,
            lambda: limit.reschedule(loop.time() + GRACE_S),
        )
        try:
            async with limit:
                return await self._calls.attempt(self._dialect.describe(watch.kind, watch.task_id), send_time)
        except TimeoutError:
            raise TransportError("the poll was not answered in time", ending=Ending.UNKNOWN) from None
        finally:
            over.cancel()

    def _heard(self, watch: Watch, status: TaskStatus, now: float) -> None:
        """Record a poll's answer, and notify the follower."""
        watch.failures = watch.not_found = watch.unexpected_faults = 0
        self._is_cut_off = False
        watch.word, watch.message = status.word, status.message
        if status.known:
            watch.deadline.update(status.state, now)
        if not status.explains_no_result:
            watch.empty_since = None
        elif watch.empty_since is None:
            watch.empty_since = now
        if not status.known and status.word != watch.odd_word:
            watch.odd_word = status.word
            _log.warning(
                "task %s has the undocumented status %r: polled on until its deadline", watch.task_id, status.word
            )
        watch.follower.on_poll(watch.job, status)

    async def _poll_failed(self, watch: Watch, error: AigcError, poll_at: float) -> None:
        """Poll on after any refusal: the task is paid for, and its deadline bounds the polls. Only a task that the
        service has denied several times has no result to wait for: a create's answer may be ahead of its readers."""
        watch.failures += not isinstance(error, Throttled)  # for those the pace has slowed down already
        watch.not_found = watch.not_found + 1 if says_no_task(error) else 0
        watch.unexpected_faults = watch.unexpected_faults + 1 if isinstance(error, UnexpectedError) else 0
        # InvalidRequest: this service has no tasks of the kind, now or later. The job stays submitted.
        if watch.unexpected_faults >= UNEXPECTED_MOST or isinstance(error, InvalidRequest):
            self._leave(watch, error)
        elif watch.not_found >= NOT_FOUND_MOST:
            await self._end(watch, not_found(error, watch.kind).with_context(task_id=watch.task_id))
        else:
            self._tell_of_failure(watch, error)
            backoff_s = min(BACKOFF_MOST_S, self._interval_s * 2.0 ** min(max(watch.failures - 1, 0), 10))
            asked_for = error.retry_after_s if isinstance(error, Throttled) else None
            self._again(watch, max(backoff_s, asked_for or 0.0), poll_at)

    def _tell_of_failure(self, watch: Watch, error: AigcError) -> None:
        """Log a poll that failed. A cause that somebody has to correct is a warning, once until a poll is answered."""
        is_news = stops_a_batch(error) and not self._is_cut_off
        self._is_cut_off = self._is_cut_off or is_news
        level, goes_on = (logging.WARNING, "; the tasks in flight are polled on") if is_news else (logging.INFO, "")
        _log.log(level, "poll %d of task %s in a row failed: %s%s", watch.failures, watch.task_id, error, goes_on)

    def _again(self, watch: Watch, delay_s: float, poll_at: float) -> None:
        """Schedule the next poll, or give up if the latest was sent at the deadline or after."""
        if not self._has(watch):
            return
        if poll_at < watch.deadline.at:
            left = max(0.0, watch.deadline.at - asyncio.get_running_loop().time())
            self._queues[watch.kind].add(watch, min(delay_s, left))
            return
        action, name = self._dialect.describe_action(watch.kind), watch.kind.value
        if watch.deadline.seen_running:
            _log.warning("task %s is past its deadline: its slot is given back though it may still run", watch.task_id)
            late = f"the task has not ended by its deadline (timeouts.{name}Seconds)"
            self._tell(watch, watch.with_status(TaskTimeout(f"{late}{_STILL_MAY}", action=action)))
        else:  # its slot is kept for as long as a run may take
            _log.warning("task %s was not seen running by the deadline of the service's queue", watch.task_id)
            late = "the task has not begun by the deadline of the service's queue (timeouts.queueSeconds)"
            self._leave(watch, watch.with_status(TaskTimeout(f"{late}{_STILL_MAY}", action=action)))

    def _has(self, watch: Watch) -> bool:
        """Whether the task is still this client's. Another loop's client may have taken it while this loop stood
        still, and the job's row may be beyond this task by now."""
        return self._watches.get((watch.kind, watch.task_id)) is watch

    async def _end(self, watch: Watch, end: TaskEnd | AigcError) -> None:
        if not self._has(watch):
            return
        try:
            row = await watch.follower.keep_end(watch.job, end)
        except AigcError as error:
            self._tell(watch, error)
            return
        if isinstance(end, TaskEnd):
            watch.end = end
            self._tell(watch, row)
        else:
            self._tell(watch, end)

    def _tell(self, watch: Watch, outcome: JobRecord | Exception) -> None:
        """Give the slot back and tell the callers who wait, in one step: a watch is registered for exactly as long as
        it has its slot, so that a later caller finds either both or none."""
        if self._watches.pop((watch.kind, watch.task_id), None) is None:
            return
        if watch.end is not None and watch.end.status.fault is TaskFault.CONCURRENCY:
            watch.slot.note_task_refusal()
        watch.slot.release()
        watch.tell(outcome)

    def close(self) -> None:
        """Stop polling, and raise ClientClosed in the callers that still wait."""
        self.is_closed = True
        for watch in list(self._watches.values()):
            self._let_go(watch)

    def hold_slots(self) -> None:
        """Keep the slots of the tasks for as long as they may run: nobody polls them any more."""
        now = asyncio.get_running_loop().time()
        for watch in self._watches.values():
            watch.slot.hold_for(watch.deadline.slot_hold_s(now))

    def abandon(self) -> None:
        """Forget the tasks: the loop in which they were polled is closed. From any thread."""
        for watch in list(self._watches.values()):
            self.left.append(watch)
            self.forget(watch)

    def forget(self, watch: Watch) -> None:
        """Forget a task that another loop's client polls on. Callers in other loops wait for that client's poll then.
        From any thread."""
        if self._watches.pop((watch.kind, watch.task_id), None) is not None:
            watch.tell(ClientClosed("the task is polled on by the client of another loop", task_id=watch.task_id))

    def _let_go(self, watch: Watch) -> None:
        self.left.append(watch)
        closed = "the client was closed; the task runs on at the service and can be waited for again by its TaskId"
        self._leave(watch, ClientClosed(closed))

    def _leave(self, watch: Watch, why: AigcError) -> None:
        """Stop polling a task that still runs at the service: its slot stays taken for as long as it may run."""
        if self._watches.pop((watch.kind, watch.task_id), None) is not None:
            watch.slot.hold_for(watch.deadline.slot_hold_s(asyncio.get_running_loop().time()))
            watch.tell(why.with_context(task_id=watch.task_id))
