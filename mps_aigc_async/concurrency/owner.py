"""Tasks with an owner: what must outlive the caller that started it, and must not outlive the client."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..model.errors import ClientClosed

T = TypeVar("T")


class TaskOwner:
    """Holds running tasks, strongly, until they end or the owner closes.

    Not a TaskGroup: one task's error is its awaiter's affair and must not cancel the others' paid exchanges.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.ended_early = 0
        """Tasks that closing had to end."""

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
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Looked at: an error whose awaiter was cancelled is in the ledger already, not "never retrieved".
            task.exception()

    async def run_for(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Run `work` for a caller: whichever of the two is cancelled, the work ends. Raises ClientClosed where the
        owner was the one to end it: the caller was not cancelled, and must not believe so."""
        task = self.start(work, name)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise ClientClosed("the client was closed before this was finished") from None
            raise

    async def close(self, grace_s: float = 0.0) -> None:
        """Wait up to `grace_s` seconds for what runs, then cancel the rest and wait until it is gone."""
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
