"""Work that several loops of a process share: waiting for a task of another loop, and a lock.

Futures, tasks and locks of asyncio belong to a single loop, and no other thread may touch them. A loop may also be
closed with work in it, and then nothing in it goes on. asyncio does not report that end, so a waiter looks now and then
whether the other loop still lives. A loop that only stands still may go on at any moment (a program may run its loop in
pieces), so its work is still its own.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeVar

from .home import LOOK_S
from .loops import call_in

T = TypeVar("T")

_guard = threading.RLock()
"""Held for a few steps, for all locks together. It can be taken again by the same thread, because the garbage collector
may run there and end a task that a closed loop has left."""


def finish(waiter: asyncio.Future[None]) -> None:
    """End a wait, in the waiter's own loop. Nothing happens if the waiter was cancelled."""
    if not waiter.done():
        waiter.set_result(None)


async def wait_for_end(work: asyncio.Future[T]) -> None:
    """Wait until a task has ended, in whichever loop, or until its loop is closed. `work.done()` tells which."""
    here, there = asyncio.get_running_loop(), work.get_loop()
    if there is here:
        await asyncio.wait({work})
        return
    end: asyncio.Future[None] = here.create_future()
    if call_in(there, work.add_done_callback, lambda _: call_in(here, finish, end)):
        await _look_at(end, there.is_closed)


async def _look_at(waiter: asyncio.Future[None], is_over: Callable[[], bool]) -> None:
    """Wait for a future of this loop that another loop ends, until `is_over`."""
    while not (waiter.done() or is_over()):
        await asyncio.wait({waiter}, timeout=LOOK_S)


class Lock:
    """A lock for the tasks of all loops: first come, first served. Take it with `async with lock.turn()`.

    If the loop of the holder is closed, the lock is handed on: nothing can run there any more. A loop that stands still
    keeps the lock, because its task may go on later.
    """

    __slots__ = ("__weakref__", "_holder", "_queue")

    def __init__(self) -> None:
        self._holder: Turn | None = None
        self._queue: deque[Turn] | None = None

    def __repr__(self) -> str:
        return f"<Lock {'taken' if self.locked() else 'free'}, {len(self._queue or ())} waiting>"

    def locked(self) -> bool:
        """Whether a task has the lock."""
        holder = self._holder
        return holder is not None and not holder.is_gone

    def turn(self) -> "Turn":
        """A caller's turn, for one `async with`."""
        return Turn(self)

    def enter(self, turn: "Turn") -> bool:
        """Take the lock, or queue for it. Returns whether the turn has the lock. For `Turn`."""
        with _guard:
            self.pass_over_gone()
            if self._holder is None:
                self._holder = turn
            else:
                self._queue = self._queue or deque()
                self._queue.append(turn)
            return self._holder is turn

    def waits_for_another_loop(self, turn: "Turn") -> bool:
        """Whether the holder or a waiter ahead is in another loop, and may be closed with that. For `Turn`."""
        with _guard:
            ahead = [self._holder, *(self._queue or ())]
        return any(other is not None and other.loop is not turn.loop for other in ahead[: ahead.index(turn)])

    def pass_over_gone(self) -> None:
        """Hand the lock on if the loop of its holder is closed. For `Turn`."""
        with _guard:
            if self._holder is not None and self._holder.is_gone:
                self._hand_on()

    def leave(self, turn: "Turn") -> None:
        """Give the lock back, or leave the queue. Nothing happens to a lock that was handed on already: the garbage
        collector ends the tasks of a closed loop later. For `Turn`."""
        with _guard:
            if self._holder is turn:
                self._hand_on()
            elif self._queue and turn in self._queue:
                self._queue.remove(turn)

    def _hand_on(self) -> None:
        """Give the lock to the first waiter whose loop is open. A waiter that is being cancelled hands it on itself."""
        self._holder = None
        while self._queue and self._holder is None:
            turn = self._queue.popleft()
            if call_in(turn.loop, turn.begin):
                self._holder = turn


class Turn:
    """One caller's turn with a `Lock`."""

    __slots__ = ("_has_begun", "_lock", "loop")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self.loop: Final = asyncio.get_running_loop()
        self._has_begun: asyncio.Future[None] | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the caller can do nothing any more, because its loop is closed."""
        return self.loop.is_closed()

    def locked(self) -> bool:
        """Whether another caller has the lock now."""
        return self._lock.locked()

    def begin(self) -> None:
        """The lock is this caller's from now on. Called in the caller's loop."""
        if self._has_begun is not None:
            finish(self._has_begun)

    async def __aenter__(self) -> None:
        if self._lock.enter(self):
            return
        self._has_begun = self.loop.create_future()  # in time: `begin` is called in a later turn of this loop
        try:
            if not self._lock.waits_for_another_loop(self):
                await self._has_begun
            while not self._has_begun.done():
                await asyncio.wait({self._has_begun}, timeout=LOOK_S)
                self._lock.pass_over_gone()
        except BaseException:
            self._lock.leave(self)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.leave(self)


def _begin_anew() -> None:
    """Begin anew in a forked child, where the thread that held the guard does not exist."""
    global _guard  # noqa: PLW0603 — it may be held for ever
    _guard = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
