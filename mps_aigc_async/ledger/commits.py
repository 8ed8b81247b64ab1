"""Group commit: each commit writes all rows that are waiting, of all loops.

A failed commit is retried until the ledger closes, and its callers wait: a disk that is full for a minute must not cost
the TaskId of an accepted create. Meanwhile a job's newer row replaces its older one.

Rows wait under a lock of threads. A commit is one function in the database's thread: it takes the rows that wait,
writes them, and tells each caller in the caller's own loop. Each loop that has added rows has a task, its *driver*,
that asks for commits until no row waits, of any loop. So no loop depends on another one:

    a loop is closed after `add` and before its driver ran    another loop's next commit writes the row, or the closing
                                                              does; an intent is dropped: its create cannot be sent
    a loop is closed, or stands still, during a commit        the thread goes on; the callers of other loops are told
    a driver is cancelled                                     the thread goes on; a row that still waits has the next
                                                              commit, of any loop, or the closing
    two drivers ask at once                                   the first commit takes all rows, and the second finds none
    a commit fails while the ledger is closed                 decided under the lock: either the commit puts its rows
                                                              back before the closing takes them, or it fails them
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from copy import copy
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

from ..concurrency.across_loops import finish
from ..concurrency.loops import call_in
from ..model.budget import Bound
from ..model.errors import BudgetReached, LedgerError
from ..model.states import JobState
from .database import Database
from .record import JobRecord
from .row_writes import UNWRITABLE, is_temporary, write

_log: Final = logging.getLogger("mps_aigc_async")

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0
"""Seconds between two tries of a commit: doubled after each failure, from the first value to the second."""

WARN_EVERY_S: Final = 60.0
"""Seconds between two warnings while commits fail."""

LAST_TRY_S: Final = 3.0
"""Seconds of retries of a failing commit once the ledger is closing: the user waits for the end."""

CHECKPOINT_S: Final = 2.5
"""Seconds from a commit until its rows are copied from the `-wal` into the ledger file: a lost `-wal` costs the rows of
this time at most. A checkpoint has two syncs; every 2.5 s they cost 1% of a disk that syncs in 10 ms."""

Waiters = Mapping[str, list[asyncio.Future[None]]]
"""The callers that wait for a job's row, by the job's id. Each future belongs to its caller's loop."""


class Commits:
    """Writes rows through one connection, for callers in any loop."""

    def __init__(self, database: Database, ledger: Path) -> None:
        self._database = database
        self._ledger = ledger
        self._guard = threading.RLock()
        """Held for a few steps, to take or put rows. It can be taken again by the same thread: the garbage collector
        may run there and end a task that adds a row."""
        self._pending: dict[str, JobRecord] = {}
        self._writing: dict[str, JobRecord] = {}
        self._bounds: dict[str, Bound] = {}
        """The bounds of the intents that wait."""
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._drivers: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._checkpoints: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._needs_checkpoint = False
        """Whether the `-wal` has commits that the ledger file lacks."""
        self._give_up_at = inf
        """When to stop retrying a failing commit (on the clock that the loops share)."""
        self._pauses: set[asyncio.Future[None]] = set()
        """The pauses between two tries, which `hurry` ends."""
        self._warn_at = 0.0
        self._failures = 0
        self._is_closed = False

    def latest(self, job_id: str) -> JobRecord | None:
        """The job's row, if one is waiting or being written."""
        with self._guard:
            return self._pending.get(job_id) or self._writing.get(job_id)

    def waiting(self) -> dict[str, JobRecord]:
        """The latest row of each job that has one waiting or being written, by the job's id."""
        with self._guard:
            return {**self._writing, **self._pending}

    def of_task(self, task_id: str) -> JobRecord | None:
        """The job of a task, if its row is waiting or being written."""
        return next((job for job in self.waiting().values() if job.task_id == task_id), None)

    def add(self, job: JobRecord, bound: Bound | None = None) -> asyncio.Future[None]:
        """Write a row with the next commit. The future ends when this row, or a newer row of the job, is on the disk.

        The future raises LedgerError if the row cannot be written, and BudgetReached if the ledger's total would exceed
        the `bound` with it. Cancelling the future does not take the row back.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.enter(job, waiter, bound)
        self.drive()
        return waiter

    def enter(self, job: JobRecord, waiter: asyncio.Future[None], bound: Bound | None = None) -> None:
        """Put a row among those that wait, from any thread. Then call `drive` in the waiter's loop."""
        with self._guard:
            self._require_open()
            self._pending[job.job_id] = job
            self._bounds.pop(job.job_id, None)
            if bound is not None:
                self._bounds[job.job_id] = bound
            self._waiters.setdefault(job.job_id, []).append(waiter)

    def drive(self) -> asyncio.Task[None]:
        """Have this loop ask for commits until no row waits."""
        return self._task_of_loop(self._drivers, self._drive, "ledger commits")

    async def execute(self, statement: str, values: tuple[str, ...]) -> None:
        """Run a statement on its own, between two commits; on the disk when this returns. Raises LedgerError."""
        self._require_open()
        try:
            await self._database.run(lambda connection: connection.execute(statement, values))
        except (sqlite3.Error, *UNWRITABLE) as error:
            raise LedgerError(f"cannot write the ledger {self._ledger}: {error}") from error

    def hurry(self) -> None:
        """Retry a failing commit for a few more seconds only: the ledger is closing."""
        with self._guard:
            if self._give_up_at != inf:
                return
            self._give_up_at = asyncio.get_running_loop().time() + LAST_TRY_S
            for pause in self._pauses:
                call_in(pause.get_loop(), finish, pause)

    async def close(self) -> None:
        """Finish the writing, or give up after LAST_TRY_S. The caller closes the connection."""
        self.hurry()
        try:
            while self.waiting():  # a loop that ends cancels its tasks, the driver too
                await asyncio.wait({self.drive()})
        finally:
            self._give_up(asyncio.CancelledError("cancelled while it was closed"))
            checkpoints = self._checkpoints.copy()
            own = checkpoints.pop(asyncio.get_running_loop(), None)
            for loop, checkpoint in checkpoints.items():
                call_in(loop, checkpoint.cancel)
            if own is not None:
                own.cancel()
                await asyncio.wait({own})

    def _give_up(self, reason: BaseException) -> None:
        """Take no more rows, and fail the callers of the rows that no commit will write."""
        with self._guard:
            self._is_closed = True
            jobs, waiters = self._take()
        self._fail(jobs, waiters, reason)

    def _require_open(self) -> None:
        if self._is_closed:
            raise LedgerError(f"cannot write the ledger {self._ledger}: it is closed")

    def _task_of_loop(
        self,
        tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]],
        work: Callable[[], Coroutine[Any, Any, None]],
        name: str,
    ) -> asyncio.Task[None]:
        """The running loop's task among those of all loops; begun unless it runs."""
        loop = asyncio.get_running_loop()
        task = tasks.get(loop)
        if task is None or task.done():
            with self._guard:
                for gone in [other for other in tasks if other.is_closed()]:
                    del tasks[gone]
                task = tasks[loop] = loop.create_task(work(), name=name)
            task.add_done_callback(lambda _: tasks.pop(loop, None))
        return task

    # --- commits, in the loops ----------------------------------------------------------------------------------------

    async def _drive(self) -> None:
        commit = partial(self._commit, asyncio.get_running_loop().time)
        while not self._is_closed:
            try:
                error = await self._database.run(commit)
            except sqlite3.ProgrammingError as refusal:  # the thread takes no more work: the process ends
                self._give_up(refusal)
                return
            if error is not None:
                await self._pause(error)
                continue
            if self._needs_checkpoint:
                self._task_of_loop(self._checkpoints, self._checkpoint_later, "ledger checkpoint")
            if not self._pending:
                return

    async def _pause(self, error: Exception) -> None:
        loop = asyncio.get_running_loop()
        if not self._failures or loop.time() >= self._warn_at:
            self._warn_at = loop.time() + WARN_EVERY_S
            _log.warning(
                "cannot write the ledger %s: %s; %d jobs wait until it can be written again (retrying)",
                self._ledger,
                error,
                len(self._pending),
            )
        delay_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        pause = loop.create_future()
        with self._guard:
            is_hurried = self._give_up_at != inf
            self._pauses.add(pause)
        try:
            await asyncio.wait({pause}, timeout=RETRY_FIRST_S if is_hurried else delay_s)
        finally:
            with self._guard:
                self._pauses.discard(pause)

    # --- commits, in the database's thread ----------------------------------------------------------------------------

    def _commit(self, time: Callable[[], float], connection: sqlite3.Connection) -> Exception | None:
        """Write the rows that wait, and tell their callers. Returns the error after which a later try may succeed: the
        rows wait again then."""
        with self._guard:
            jobs, waiters = self._take()
            bounds = {job_id: self._bounds.pop(job_id) for job_id in jobs if job_id in self._bounds}
            self._writing = jobs
        if not jobs:
            return None
        try:
            refusals = write(connection, jobs, bounds)
        except Exception as error:  # noqa: BLE001 — callers must get an error of any class, or they wait for ever
            with self._guard:
                is_retried = is_temporary(error) and not self._is_closed and time() < self._give_up_at
                if is_retried:
                    self._put_back(jobs, waiters, bounds)
                self._writing = {}
            if is_retried:
                return error
            self._fail(jobs, waiters, error)
        else:
            with self._guard:
                self._writing = {}
                self._needs_checkpoint = True
            self._note_success()
            for job_id, reason in refusals.items():
                own = {job_id: waiters.pop(job_id, [])}
                if isinstance(reason, BudgetReached):
                    _tell(own, partial(_raise, reason))
                else:
                    self._fail({job_id: jobs[job_id]}, own, reason)
            _tell(waiters, finish)
        return None

    def _take(self) -> tuple[dict[str, JobRecord], dict[str, list[asyncio.Future[None]]]]:
        """The rows that wait and their callers; none waits then. An intent whose callers were all in loops that are
        closed is dropped: `put` has not returned, so that its create was not sent and never will be."""
        jobs, waiters = self._pending, self._waiters
        self._pending, self._waiters = {}, {}
        for job in [job for job in jobs.values() if job.state is JobState.INTENT]:
            if all(waiter.get_loop().is_closed() for waiter in waiters.get(job.job_id, ())):
                del jobs[job.job_id]
        return jobs, waiters

    def _put_back(self, jobs: Mapping[str, JobRecord], waiters: Waiters, bounds: Mapping[str, Bound]) -> None:
        """Put the rows back for the next try, except those that a newer row has replaced."""
        self._bounds |= {job_id: bound for job_id, bound in bounds.items() if job_id not in self._pending}
        self._pending = {**jobs, **self._pending}
        for job_id, earlier in waiters.items():
            self._waiters[job_id] = [*earlier, *self._waiters.get(job_id, ())]

    def _note_success(self) -> None:
        if self._failures:
            self._failures = 0
            _log.warning("the ledger %s can be written again; nothing was lost", self._ledger)

    def _fail(self, jobs: Mapping[str, JobRecord], waiters: Waiters, error: BaseException) -> None:
        """Fail the callers that wait for these rows, and log the TaskIds: the ledger may lack them now."""
        reason = f"cannot write the ledger {self._ledger}: {error}"
        if tasks := [f"{job.task_id} ({job.job_id})" for job in jobs.values() if job.task_id is not None]:
            _log.error("%s; the ledger may lack the latest state of these tasks: %s", reason, ", ".join(tasks))
        _tell(waiters, partial(_refuse, reason))

    # --- checkpoints --------------------------------------------------------------------------------------------------

    async def _checkpoint_later(self) -> None:
        """Copy the `-wal` into the ledger file a few seconds after the first commit that only the `-wal` has. Each loop
        that commits has such a task, and the first one to wake copies for all."""
        while not self._is_closed:
            await asyncio.sleep(CHECKPOINT_S)
            if not self._needs_checkpoint:
                return
            self._needs_checkpoint = False  # a commit from now on may be too late for this checkpoint
            try:
                ((busy, pages, copied_pages),) = await self._database.rows("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.Error as error:
                _log.info("the -wal of the ledger %s cannot be copied yet: %s", self._ledger, error)
                self._needs_checkpoint = True
            else:  # incomplete if a reader still needs the old pages
                if busy or copied_pages != pages:
                    self._needs_checkpoint = True


def _tell(waiters: Waiters, tell: Callable[[asyncio.Future[None]], None]) -> None:
    """End the waits, each in its own loop. The callers in a loop that is closed wait no more."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for group in waiters.values():
        for waiter in group:
            by_loop.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, own in by_loop.items():
        call_in(loop, _tell_each, own, tell)


def _tell_each(waiters: Iterable[asyncio.Future[None]], tell: Callable[[asyncio.Future[None]], None]) -> None:
    for waiter in waiters:
        tell(waiter)


def _raise(error: BudgetReached, waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(copy(error))  # a copy for each caller, as below
        waiter.exception()


def _refuse(reason: str, waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(LedgerError(reason))  # a new error for each caller, which adds its own ids
        waiter.exception()  # marks it as retrieved, in case its caller is being cancelled
