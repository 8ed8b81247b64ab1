"""The task that talks to the store for the slots of one kind: one transaction after the other.

The work begins again with each `wake`. While creates wait, a change of the store wakes it as well. If the store is
lost, the work is tried again every `LOST_S`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from ...concurrency.owner import TaskOwner
from ...model.errors import ClientClosed
from .store import LimitsLost, StoreDatabase

_log: Final = logging.getLogger("mps_aigc_async")

LOST_S: Final = 1.0
"""Seconds between two attempts to reach a store that is lost."""


class StoreWork:
    """Does the work of one owner of slots, in a task of its own."""

    def __init__(
        self,
        database: StoreDatabase,
        owner: TaskOwner,
        work: Callable[[], Awaitable[None]],
        *,
        has_waiters: Callable[[], bool],
        on_lost: Callable[[Exception], None],
    ) -> None:
        """Do `work`, and watch the store while it `has_waiters`. `on_lost` hears of each attempt that failed."""
        self._database = database
        self._owner = owner
        self._work = work
        self._has_waiters = has_waiters
        self._on_lost = on_lost
        self._news = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.turn: Final = asyncio.Lock()
        """Held while the store is asked."""
        self.is_lost = False
        """Whether the latest attempt has failed."""
        self.has_ended = False

    def start(self) -> None:
        """Work from now on. Raises ClientClosed once the work has ended."""
        if self.has_ended:
            raise ClientClosed("the client was closed")
        if self._worker is None:
            self._worker = self._owner.start(self._run(), "slots in the store")

    def wake(self) -> None:
        """Work soon. Does nothing once the work has ended."""
        with suppress(ClientClosed):
            self.start()
        self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                async with self.turn:
                    await self._work()
            except Exception as error:  # noqa: BLE001 — of any class: creates must wait, and the others' slots stay
                if not self.is_lost and not isinstance(error, LimitsLost):  # of that, the heartbeat tells
                    _log.warning("no create is sent, because the limit store cannot be used: %s", error)
                self.is_lost = True
                self._on_lost(error)
                await asyncio.sleep(LOST_S)
            else:
                self.is_lost = False
                self._watch_for_waiters()
                await self._news.wait()

    def _watch_for_waiters(self) -> None:
        if self._has_waiters() and (self._watcher is None or self._watcher.done()):
            self._watcher = self._owner.start(self._watch(), "changes of slots in the store")

    async def _watch(self) -> None:
        while self._has_waiters():
            await self._database.wait_for_change()
            self._news.set()

    async def stop(self) -> None:
        """End the work."""
        self.has_ended = True
        for task in (self._worker, self._watcher):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
