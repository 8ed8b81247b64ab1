"""The home of a client: the event loop, thread and process that opened it. No other may use the client.

Sockets, locks and tasks of asyncio belong to a single loop. In another loop they fail half-way: a create may be out by
then, and paid for. So every method compares its place with the home before anything is sent.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ..model.errors import ClientError
from .loops import running_loop

LOOK_S: Final = 0.1
"""Seconds between two checks whether another thread's loop still lives: asyncio does not report its end."""


@dataclass(frozen=True, slots=True)
class Home:
    """The place where a client was opened."""

    loop: asyncio.AbstractEventLoop
    thread: int
    thread_name: str
    process: int

    @classmethod
    def here(cls) -> "Home":
        """Return the running loop as a home. Raises RuntimeError if no loop runs."""
        thread = threading.current_thread()
        return cls(asyncio.get_running_loop(), threading.get_ident(), thread.name, os.getpid())

    def __str__(self) -> str:
        return f"the event loop in thread {self.thread_name!r} of process {self.process}"

    @property
    def is_of_another_process(self) -> bool:
        """Whether this process is a fork of the home's process."""
        return self.process != os.getpid()

    @property
    def is_gone(self) -> bool:
        """Whether nothing can run at home any more: its loop is closed, or is another process's."""
        return self.is_of_another_process or self.loop.is_closed()

    @property
    def is_here(self) -> bool:
        """Whether the home's loop is the running one."""
        return not self.is_of_another_process and running_loop() is self.loop

    def require(self) -> None:
        """Raise ClientError unless the home's loop is the running one."""
        if self.is_of_another_process:
            raise ClientError(
                f"the client belongs to {self}, and this is process {os.getpid()}, which was forked from it: nothing "
                "was sent; open a client of its own after the fork"
            )
        running = running_loop()
        if running is self.loop:
            return
        if self.loop.is_closed():
            raise ClientError(
                f"the client belongs to {self}, which is closed: nothing was sent; open one client per loop (this one "
                "can be opened again with `async with`)"
            )
        place = "another event loop" if running is not None else "no event loop"
        raise ClientError(
            f"the client belongs to {self}, and this is {place}, in thread {threading.current_thread().name!r}: "
            "nothing was sent; open one client per loop, or hand the work to the client's loop "
            "(asyncio.run_coroutine_threadsafe)"
        )

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` in the home's loop from another thread; return when the work has ended or the loop is closed.

        Raises ClientError if the loop cannot run the work: it stands still, or waits for this very thread.
        """
        if self.thread == threading.get_ident() or not self.loop.is_running():
            raise ClientError(
                f"the client belongs to {self}, which is not closed and cannot run anything now: close the client "
                "there, or close that loop first"
            )
        coroutine = work()
        try:
            ending = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))
        except RuntimeError:  # the loop was closed in this moment
            coroutine.close()
            return
        while not ending.done():
            await asyncio.wait({ending}, timeout=LOOK_S)
            if self.loop.is_closed():
                return
        if not ending.cancelled():  # a loop that ends cancels all of its tasks
            ending.result()
