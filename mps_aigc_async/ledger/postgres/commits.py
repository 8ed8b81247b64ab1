"""Group commit: each transaction has all writes that wait, and each caller learns whether its own took.

Unlike in a file, a newer row of a job does not replace one that waits: each has its own fence, and the outcome of each
is of interest. The writes of one job keep their order, and all members lock jobs in the order of their ids.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from ...model.budget import NOTHING, Amount
from ...model.errors import AigcError, LedgerError
from ...model.states import JobState
from ...sharing.connection import Refused, Step
from ..record import JobRecord
from ..spending import total_of
from .budget_statements import LOCK_BUDGET, read_total
from .members import Members
from .moves import (
    Claim,
    CurrentRow,
    Move,
    Place,
    Plan,
    Put,
    driver_after,
    reading,
    step,
    verdict,
)
from .patience import PatientConnection
from .schema import DURABLE

_log: Final = logging.getLogger("mps_aigc_async")

MOST: Final = 500
"""Most writes of one transaction: about 0.1 s of the database's time."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A write, and the future of its caller: the row as the database has it afterwards."""

    move: Move
    outcome: asyncio.Future[JobRecord]


def _has_budget(waiting: _Waiting) -> bool:
    return isinstance(waiting.move, Claim) and waiting.move.bound is not None


class Commits:
    """Writes rows through one connection."""

    def __init__(self, database: PatientConnection, members: Members, place: Place) -> None:
        self._database = database
        self._members = members
        self._place = place
        self._pending: list[_Waiting] = []
        self._writing: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def add(self, move: Move) -> asyncio.Future[JobRecord]:
        """Write with the next transaction. The future ends with the stored row, or raises LedgerError. Cancelling the
        future does not take the write back."""
        if self._is_closed:
            raise LedgerError(f"cannot write the ledger {self._place.ledger}: it is closed")
        waiting = _Waiting(move, asyncio.get_running_loop().create_future())
        self._pending.append(waiting)
        self._begin()
        return waiting.outcome

    def waiting(self) -> dict[str, JobRecord]:
        """The latest row of each job that waits to be written, by the job's id. A row that is planned or claimed only
        now is left out: others may be first."""
        return {
            waiting.move.job.job_id: replace(
                waiting.move.job, driver=driver_after(waiting.move.job, self._place.me)
            )
            for waiting in (*self._writing, *self._pending)
            if isinstance(waiting.move, Put)
        }  # fmt: skip

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="ledger commits")
        return self._task

    async def close(self) -> None:
        """Finish the writing; the connection's patience ends it if the database stays away."""
        try:
            while self._pending or self._writing:  # a loop that ends cancels its tasks, the commit's too
                await asyncio.wait({self._begin()})
        finally:
            self._is_closed = True
            if self._task is None or self._task.done():
                self._give_up()
            else:  # the task is being cancelled as well and puts its writes back first
                self._task.add_done_callback(lambda _: self._give_up())

    def leave(self) -> list[Move]:
        """The writes that a loop has left which ended without closing the ledger. Claims are dropped: their creates
        were not sent."""
        self._is_closed = True
        return [
            waiting.move
            for waiting in (*self._writing, *self._pending)
            if not isinstance(waiting.move, Claim) and waiting.move.job.state is not JobState.INTENT
        ]

    def _give_up(self) -> None:
        pending, self._pending = self._pending, []
        for waiting in pending:
            self._fail(waiting, "cancelled while it was closed")

    # --- transactions -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Write until no write waits. On cancellation, leave the writes to the next task."""
        while self._pending:
            self._writing, self._pending = self._pending[:MOST], self._pending[MOST:]
            self._writing.sort(key=lambda waiting: waiting.move.job.job_id)  # stable: a job's writes keep their order
            try:
                await self._write(self._writing)
            except asyncio.CancelledError:
                self._pending = [waiting for waiting in self._writing if not waiting.outcome.done()] + self._pending
                raise
            except Exception as error:  # noqa: BLE001 — callers must get an error of any class, or they wait for ever
                for waiting in self._writing:
                    self._fail(waiting, str(error))
            finally:
                self._writing = []

    async def _write(self, writes: Sequence[_Waiting]) -> None:
        """Write, and tell each caller. If the database refuses one, write each on its own."""
        beat = self._members.beat()
        lock: list[Step] = [(LOCK_BUDGET, self._place.keys)] if any(map(_has_budget, writes)) else []
        try:
            _, era, *outcomes = await self._database.run(
                DURABLE, beat.step, *lock, *(step(waiting.move, self._place) for waiting in writes)
            )
        except Refused as refusal:
            await self._write_each(writes, refusal)
            return
        beat.note(era)
        unwritten = []
        for waiting, rows in zip(writes, outcomes[len(lock) :], strict=True):
            if rows:
                self._succeed(waiting, waiting.move.job)
            else:
                unwritten.append(waiting)
        if unwritten:
            await self._judge(unwritten)

    async def _write_each(self, writes: Sequence[_Waiting], refusal: Refused) -> None:
        if len(writes) == 1:
            self._fail(writes[0], str(refusal))
            return
        for waiting in writes:
            await self._write([waiting])

    async def _judge(self, unwritten: Sequence[_Waiting]) -> None:
        """Read the rows that did not take a write; carry out and tell each verdict."""
        read = await self._database.run(*(reading(waiting.move, self._place) for waiting in unwritten))
        for waiting, rows in zip(unwritten, read, strict=True):
            current = CurrentRow.of(rows[0]) if rows else None
            judgement = verdict(waiting.move, current, self._place, await self._total(waiting.move))
            if judgement.step is not None:  # before the caller hears of it: nobody else has the TaskId
                await self._database.run(DURABLE, judgement.step)
            if judgement.error is not None:
                self._end(waiting, judgement.error)
            else:
                self._tell_current(waiting, current)

    async def _total(self, move: Move) -> Amount:
        """The ledger's total, for a claim with a bound."""
        if not isinstance(move, Claim) or move.bound is None:
            return NOTHING
        [totals] = await self._database.run(read_total(self._place.ledger, move.job.job_id, move.bound))
        return total_of(totals)

    def _tell_current(self, waiting: _Waiting, current: CurrentRow | None) -> None:
        if not isinstance(waiting.move, Plan) or current is None:
            self._succeed(waiting, waiting.move.job)
            return
        try:
            self._succeed(waiting, current.record(self._place))
        except LedgerError as damage:
            self._end(waiting, damage)

    # --- the callers --------------------------------------------------------------------------------------------------

    def _succeed(self, waiting: _Waiting, job: JobRecord) -> None:
        if not isinstance(waiting.move, Plan) or job is waiting.move.job:
            job = replace(job, driver=driver_after(job, self._place.me))
        self._members.claims.note(waiting.move)
        if not waiting.outcome.done():
            waiting.outcome.set_result(job)

    def _fail(self, waiting: _Waiting, why: str) -> None:
        job = waiting.move.job
        if job.task_id is not None:
            _log.error(
                "cannot write the ledger %s: %s; the ledger may lack the latest state of task %s (%s)",
                self._place.ledger, why, job.task_id, job.job_id,
            )  # fmt: skip
        self._end(waiting, LedgerError(f"cannot write the ledger {self._place.ledger}: {why}"))

    def _end(self, waiting: _Waiting, error: AigcError) -> None:
        self._members.claims.drop(waiting.move.job)
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
            with suppress(asyncio.CancelledError):
                waiting.outcome.exception()  # marks it as retrieved, in case its caller is being cancelled
