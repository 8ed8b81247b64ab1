"""Strays of one kind in this process: tasks that hold a slot and that nobody polls, as their clients have closed.

Creates that wait for a slot would wait until a stray's deadline, though the task may have ended long ago. So while
creates wait, each stray is given to one open client, in any loop, that can know its TaskId. The client polls the task,
and frees the slot when the task has ended.

    the client ...                                      the stray ...
    polls                                               stays with that client, also when no create waits any more
    stops before the end (`Stray.leave`)                goes to another client at once, to the same one after REASK_S
    is closed                                           goes to another client at once
    has a loop that stands still or was closed          goes to another client at the next look
    or another client adopts the task                   is no stray any more: its poller frees the slot

The slot keeps its alarm all the while. So a client that stops has nothing to put back, and no order of these events
loses the slot: the alarm frees it at the same time as without any client.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final, Protocol

from ..concurrency.loops import call_in, now, running_loop
from .protocol import Stray

REASK_S: Final = 60.0
"""Seconds before a client that stopped polling a stray is given it again. A refusal of the account stops creates for as
long (`network.calls.REFUSAL_HOLDS_S`)."""


class HeldSlot(Protocol):
    """The slot of a stray."""

    def release(self) -> None: ...


@dataclass(eq=False, frozen=True, slots=True)
class Taker:
    """An open client that takes strays."""

    loop: asyncio.AbstractEventLoop
    scope: str
    take: Callable[[Stray], None]

    @property
    def is_running(self) -> bool:
        """Whether the client's loop runs."""
        return self.loop is running_loop() or self.loop.is_running()


@dataclass(eq=False, slots=True)
class _Record:
    """A stray's clients so far."""

    taker: Taker | None = None
    """The client that polls the task."""
    given_at: dict[Taker, float] = field(default_factory=dict)

    def is_polled(self) -> bool:
        return self.taker is not None and self.taker.is_running

    def may_go_to(self, taker: Taker, scope: str, now: float) -> bool:
        is_early = now < self.given_at.get(taker, -inf) + REASK_S
        return taker.scope == scope and taker.is_running and not is_early


class Strays:
    """The strays among the tasks of one kind, and the clients that may take them. The owner's lock is held in `join`
    and `give`."""

    def __init__(
        self,
        guard: Callable[[], AbstractContextManager[object]],
        slot_of: Callable[[str], HeldSlot | None],
        on_leave: Callable[[], None],
    ) -> None:
        """`slot_of` finds the slot of a TaskId as long as its task is a stray. `on_leave` is called when a client has
        stopped polling. `guard` is the owner's lock."""
        self._guard = guard
        self._slot_of = slot_of
        self._on_leave = on_leave
        self._takers: dict[Taker, None] = {}
        self._records: dict[str, _Record] = {}

    def join(self, taker: Taker) -> None:
        for former in [former for former in self._takers if former.loop.is_closed()]:
            self._drop(former)  # otherwise its loop would be kept for ever
        self._takers[taker] = None

    def leave(self, taker: Taker) -> None:
        """Give a client that closes no more strays, and those that it polls to others. Any thread may call this,
        without the lock."""
        with self._guard():
            self._drop(taker)
            self._on_leave()

    def _drop(self, taker: Taker) -> None:
        self._takers.pop(taker, None)
        for record in self._records.values():
            record.given_at.pop(taker, None)
            if record.taker is taker:
                record.taker = None

    def give(self, strays: Mapping[str, str]) -> None:
        """Give each stray (TaskId and scope) that nobody polls to a client. Each client is told in its own loop."""
        time = now()
        self._records = {task_id: self._records.get(task_id) or _Record() for task_id in strays}
        for task_id, scope in strays.items():
            record = self._records[task_id]
            if record.is_polled():
                continue
            takers = (taker for taker in self._takers if record.may_go_to(taker, scope, time))
            record.taker = next(takers, None)
            if record.taker is not None:
                record.given_at[record.taker] = time
                call_in(record.taker.loop, partial(record.taker.take, ProcessStray(self, task_id, record.taker)))

    def slot(self, taker: Taker, task_id: str) -> HeldSlot | None:
        """The slot of a stray that this client polls; None if the task is no stray any more, or another client's. Any
        thread may call this, without the lock, as well as `release` and `take_back`."""
        with self._guard():
            record = self._records.get(task_id)
            return self._slot_of(task_id) if record is not None and record.taker is taker else None

    def release(self, taker: Taker, task_id: str) -> None:
        """Give back the slot of a stray that has ended."""
        with self._guard():
            if (slot := self.slot(taker, task_id)) is not None:
                slot.release()

    def take_back(self, taker: Taker, task_id: str) -> None:
        """Note that the client has stopped polling."""
        with self._guard():
            record = self._records.get(task_id)
            if record is not None and record.taker is taker:
                record.taker = None
                self._on_leave()


class ProcessStray:
    """A stray as its client has it (`protocol.Stray`)."""

    __slots__ = ("_strays", "_taker", "task_id")

    def __init__(self, strays: Strays, task_id: str, taker: Taker) -> None:
        self.task_id = task_id
        self._strays = strays
        self._taker = taker

    @property
    def is_open(self) -> bool:
        return self._strays.slot(self._taker, self.task_id) is not None

    def end(self) -> None:
        self._strays.release(self._taker, self.task_id)

    def leave(self) -> None:
        self._strays.take_back(self._taker, self.task_id)
