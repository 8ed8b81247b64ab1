"""A task being polled: its age, its deadline, its slot, and the callers who wait for its end."""

import asyncio
import os
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

from ..concurrency.loops import call_in
from ..ledger import JobRecord
from ..limits import Slot
from ..model.errors import AigcError, TaskTimeout
from ..model.states import Kind
from ..policy.deadlines import Deadline, Patience
from ..wire.dialect import TaskStatus
from .task_ends import TaskEnd

_guard = threading.RLock()
"""Held for a few steps, by those who wait for a task and the one who tells them: they may be in different loops."""


class Follower(Protocol):
    """Hears of a task's polls and of its end before the callers who wait for it."""

    @property
    def ledger_in_place(self) -> bool:
        """Whether the next process will find the ledger that has the jobs' rows."""
        ...

    def on_poll(self, job: JobRecord, status: TaskStatus) -> None: ...

    async def keep_end(self, job: JobRecord, end: TaskEnd | AigcError) -> JobRecord:
        """Keep the end of the job's task in the ledger, and return the row. The poller awaits this before it tells the
        waiting callers. An error is the service's last word on the task. A deadline that has passed is no end."""
        ...

    def forget(self, watch: "Watch") -> None:
        """Poll a task no more, and keep no end of it, because a client of another loop polls it on. From any
        thread."""
        ...


@dataclass(slots=True, kw_only=True)
class Watch:
    """A task being polled."""

    job: JobRecord
    follower: Follower
    """The same one for all jobs: closures for each of 100,000 tasks would keep the garbage collector busy."""
    kind: Kind
    task_id: str
    cohort: Hashable
    """The key that it shares with tasks that last about as long."""
    accepted_at: float | None
    """When the service accepted the task (Unix seconds), if that is known."""
    patience: Patience
    is_in_ledger: bool
    """Whether a ledger will know the task when the client is closed."""
    unfinished_at: float | None = field(init=False)
    """When the task was last known not to have ended (Unix seconds), if that is known."""
    was_queued: bool = False
    """Whether a poll has found the task in the service's queue."""
    running_at: float | None = None
    """When a poll first found the task running after another had found it waiting: else nobody saw when it began."""
    failures: int = 0
    """Failed polls in a row."""
    not_found: int = 0
    """Polls in a row that the service answered with TaskNotFound."""
    unexpected_faults: int = 0
    """Polls in a row that ended with UnexpectedError."""
    word: str = ""
    """The task's latest status word."""
    message: str = ""
    """The message beside that status."""
    empty_since: float | None = None
    """When a poll first found the task DONE without a URL and with a reason (on the loop's clock); None if the latest
    poll did not."""
    odd_word: str | None = None
    """The latest status that no document knows: reported once, not at every poll."""
    birth: float | None = field(default=None, init=False)
    """When the task was accepted, if that is known. `birth`, `last_age` and `due` are on the loop's clock: the
    machine's clock may be corrected meanwhile."""
    last_age: float = field(default=0.0, init=False)
    """Seconds from `birth` to the latest poll that found the task unfinished."""
    due: float = field(default=0.0, init=False)
    """When the tempo wants the next poll."""
    loop: asyncio.AbstractEventLoop = field(init=False, repr=False)
    """The loop in which the task is polled."""
    deadline: Deadline = field(init=False)
    """When to give up (on the loop's clock)."""
    slot: Slot = field(init=False, repr=False)
    end: TaskEnd | None = field(default=None, init=False, repr=False)
    """How the task ended, once it has."""
    _outcome: JobRecord | Exception | None = field(default=None, init=False, repr=False)
    _waiters: tuple[asyncio.Future[JobRecord], ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        self.unfinished_at = self.accepted_at
        self.loop = asyncio.get_running_loop()
        self.deadline = Deadline(self.patience, self.loop.time())

    @property
    def has_row(self) -> bool:
        """Whether the job has a row in a ledger. The job of a task that a caller attached to has none."""
        return self.job.submitted_at is not None

    def with_status(self, error: TaskTimeout) -> TaskTimeout:
        """The error, with the TaskId and the task's latest status."""
        return error.with_context(task_id=self.task_id).after(self.word, self.message)

    def wait(self) -> asyncio.Future[JobRecord]:
        """Wait for the task's end, in any loop: the job as its follower kept it. Cancelling this future ends one wait
        alone."""
        waiter: asyncio.Future[JobRecord] = asyncio.get_running_loop().create_future()
        with _guard:
            if self._outcome is None:
                self._waiters = (*(other for other in self._waiters if not other.cancelled()), waiter)
        if self._outcome is not None:
            _give(waiter, self._outcome)
        return waiter

    def tell(self, outcome: JobRecord | Exception) -> None:
        """Give the outcome to the callers who wait, each in the caller's loop, and to those who will wait later."""
        with _guard:
            self._outcome = outcome
            waiters, self._waiters = self._waiters, ()
        here = asyncio.get_running_loop()
        for waiter in waiters:
            if waiter.get_loop() is here:
                _give(waiter, outcome)
            else:
                call_in(waiter.get_loop(), _give, waiter, outcome)


def _give(waiter: asyncio.Future[JobRecord], outcome: JobRecord | Exception) -> None:
    if waiter.done():
        return
    if isinstance(outcome, JobRecord):
        waiter.set_result(outcome)
    else:
        waiter.set_exception(outcome)


def _begin_anew() -> None:
    """Begin anew in a forked child, where the thread that held the guard does not exist."""
    global _guard  # noqa: PLW0603 — it may be held for ever
    _guard = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
