"""Stray tasks: tasks that closed clients have left running, polled for the sake of the creates that wait for a slot.

`limits` gives each stray to one open client (`Slots.on_stray`). The client polls the task until it has ended, even if
no create waits any more, and then gives the slot back. The ledger that has the task's job learns the end when a client
opens that ledger; nothing is kept here.

A poll that fails, for any reason (the service does not know the task, the account is refused, the network is down),
leaves the stray: `limits` gives it to another client, or to this one again after a while. The strays' polls go one at a
time and no closer together than the poller's, so that they do not crowd out the polls of the client's own tasks.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from ..concurrency.owner import TaskOwner
from ..limits import Limits, Stray
from ..model.errors import AigcError, ClientClosed
from ..model.states import Kind
from ..network.calls import Calls
from ..wire.dialect import Dialect, scope_of
from .poller import POLL_MOST_S

_log: Final = logging.getLogger("mps_aigc_async")


class StrayTasks:
    """Takes strays for one client, from now on until `close`."""

    def __init__(
        self, calls: Calls, dialect: Dialect, limits: Limits, work: TaskOwner, spacing_s: Callable[[Kind], float]
    ) -> None:
        """`spacing_s` tells the seconds between two polls of a task."""
        self._calls = calls
        self._dialect = dialect
        self._work = work
        self._spacing_s = spacing_s
        self._turn = asyncio.Lock()
        scope = scope_of(dialect)
        self._ends = [slots.on_stray(partial(self._take, kind), scope) for kind, slots in limits.slots.items()]

    def close(self) -> None:
        """Take no strays any more. Any thread may call this. The client's `work` ends the polls."""
        while self._ends:
            self._ends.pop()()

    def _take(self, kind: Kind, stray: Stray) -> None:
        try:
            polls = self._work.start(self._poll(kind, stray), f"poll of stray task {stray.task_id}")
        except ClientClosed:
            stray.leave()
        else:
            polls.add_done_callback(lambda _: stray.leave())  # also of polls that are cancelled before they begin

    async def _poll(self, kind: Kind, stray: Stray) -> None:
        """Poll a stray until it has ended, cannot be polled here, or is polled by a client that has its job."""
        try:
            while stray.is_open:
                if await self._has_ended(kind, stray.task_id):
                    stray.end()
                    _log.info("task %s, which a closed client has left, has ended: its slot is free", stray.task_id)
                else:
                    await asyncio.sleep(self._spacing_s(kind))
        except (AigcError, TimeoutError) as error:
            _log.info("task %s, which a closed client has left, cannot be polled now: %s", stray.task_id, error)

    async def _has_ended(self, kind: Kind, task_id: str) -> bool:
        call = self._dialect.describe(kind, task_id)
        async with self._turn:
            send_time = await self._calls.reserve(call.action)
        async with asyncio.timeout(POLL_MOST_S):
            status = await self._calls.attempt(call, send_time)
        return status.has_ended
