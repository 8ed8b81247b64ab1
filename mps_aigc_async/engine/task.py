"""The user's handle on one task at the service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

from ..jobs.watch import Watch
from ..ledger import JobRecord
from ..model.errors import TaskTimeout
from ..model.plain_text import visible_line
from ..model.results import AudioResult, ImageResult, VideoResult
from ..model.states import Kind
from ..wire.dialect import TaskStatus

T = TypeVar("T")
ResultT = TypeVar("ResultT", ImageResult, VideoResult, AudioResult)


class Task(Generic[ResultT]):
    """A task at the service, by its TaskId."""

    def __init__(
        self,
        kind: Kind,
        task_id: str,
        request_id: str | None,
        *,
        poll: Callable[[], Awaitable[TaskStatus]],
        finish: Callable[[], Awaitable[JobRecord]],
        watch: Callable[[], Watch | None],
    ) -> None:
        self._poll = poll
        self._finish = finish
        self._watch = watch
        self.kind = kind
        self.task_id = task_id
        self.request_id = request_id
        """The create's RequestId; None for an attached task."""

    def __repr__(self) -> str:
        return f"<Task {self.kind} {visible_line(self.task_id)}>"

    async def status(self) -> TaskStatus:
        """Poll the task once, at the usual pace. Raises ServiceError or TransportError."""
        return await self._poll()

    async def wait(self, timeout: float | None = None) -> ResultT:
        """Wait for the task's result. Raises TaskFailed, or TaskTimeout after `timeout` seconds: the task itself runs
        on.

        If the model had no room for a task of `submit` and ended it without a result, its request is created again:
        the result then has another `task_id`.
        """
        job = await within(timeout, self._finish(), self._watch, task_id=self.task_id)
        return cast("ResultT", job.result())


AnyTask = Task[ImageResult] | Task[VideoResult] | Task[AudioResult]


async def within(
    timeout: float | None,
    work: Awaitable[T],
    watch: Callable[[], Watch | None],
    *,
    job_id: str | None = None,
    task_id: str | None = None,
) -> T:
    """Wait for `work`. Raises TaskTimeout with the latest status that `watch` returns."""
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            return await work
    except TimeoutError:
        if not deadline.expired():
            raise
    handle = f"id={job_id!r}" if job_id else f"TaskId {task_id!r}"
    error = TaskTimeout(
        f"not finished within {timeout:g} s: only the waiting ended; wait again by its {handle}",
        job_id=job_id,
        task_id=task_id,
    )
    latest = watch()
    raise error if latest is None else latest.with_status(error)
