"""Tasks with an owner: work that must outlive the caller that started it, and must not outlive the client."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..model.errors import ClientClosed

T = TypeVar("T")


class TaskOwner:
    """Holds strong references to running tasks until they end or the owner closes.

    Not a TaskGroup: a task's error concerns its awaiter alone and must not cancel other tasks' paid exchanges.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.ended_early = 0
        """The number of tasks that `close` had to cancel."""

    def __repr__(self) -> str:
        return f"<TaskOwner of {len(self._tasks)} tasks>"

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` as a task. Raises ClientClosed once the owner has closed."""
        if self._closed:
            work.close()
            raise ClientClosed("the client was closed")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Retrieve the error: if its awaiter was cancelled, asyncio would log it, and the ledger has it already.
            task.exception()

    async def run_for(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Run `work` for a caller; the work ends if the caller or the owner cancels it.

        Raises ClientClosed if the owner ended the work: the caller was not cancelled, and must not see a
        CancelledError."""
        task = self.start(work, name)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise ClientClosed("the client was closed before this was finished") from None
            raise

    async def close(self, grace_s: float = 0.0) -> None:
        """Wait up to `grace_s` seconds for the running tasks, then cancel the rest and wait until all have ended."""
        self._closed = True
        try:
            if self._tasks and grace_s > 0:
                await asyncio.wait(self._tasks, timeout=grace_s)
        finally:
            self.ended_early = len(self._tasks)
            for task in self._tasks:
                task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
