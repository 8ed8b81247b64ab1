"""The event loop, thread and process in which something was opened, and outside of which it must not be used.

Sockets, locks and tasks of asyncio belong to one loop. Used from another one they fail half-way: a create may be out
by then, and paid for. So the place is compared before anything is sent.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ..model.errors import ClientError

LOOK_S: Final = 0.1
"""Seconds between two looks whether another thread's loop still lives: nobody tells when it ends."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a client was opened."""

    loop: asyncio.AbstractEventLoop
    thread: int
    thread_name: str
    process: int

    @classmethod
    def here(cls) -> "Home":
        """The running loop. Raises RuntimeError if none runs."""
        thread = threading.current_thread()
        return cls(asyncio.get_running_loop(), threading.get_ident(), thread.name, os.getpid())

    def __str__(self) -> str:
        return f"the event loop in thread {self.thread_name!r} of process {self.process}"

    @property
    def is_of_another_process(self) -> bool:
        """Whether this process is a fork of the one it belongs to."""
        return self.process != os.getpid()

    @property
    def is_gone(self) -> bool:
        """Whether nothing can run here any more: the loop is closed, or runs in another process."""
        return self.is_of_another_process or self.loop.is_closed()

    @property
    def is_here(self) -> bool:
        """Whether this is the running loop."""
        return not self.is_of_another_process and _running_loop() is self.loop

    def require(self) -> None:
        """Raise ClientError unless this is the running loop."""
        if self.is_of_another_process:
            raise ClientError(
                f"the client belongs to {self}, and this is process {os.getpid()}, which was forked from it: nothing "
                "was sent; open a client of its own after the fork"
            )
        running = _running_loop()
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
        """Run `work` in this loop from another thread, and return when it has ended or the loop is closed.

        Raises ClientError if the loop cannot run it: it stands still, or waits for this very thread.
        """
        if self.thread == threading.get_ident() or not self.loop.is_running():
            raise ClientError(
                f"the client belongs to {self}, which is not closed and cannot run anything now: close the client "
                "there, or close that loop first"
            )
        coroutine = work()
        try:
            ending = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))
        except RuntimeError:  # it was closed in this moment
            coroutine.close()
            return
        while not ending.done():
            await asyncio.wait({ending}, timeout=LOOK_S)
            if self.loop.is_closed():
                return
        if not ending.cancelled():  # a loop that ends cancels its tasks, and this one with them
            ending.result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
