"""Ctrl-C, SIGTERM and SIGHUP: the first signal stops the work in order, the second one leaves at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from .screen import Exit

T = TypeVar("T")

SIGNALS: Final = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__
)
"""Ctrl-C, a polite end, and a closed terminal. Windows has no SIGHUP."""


class Interrupted(Exception):
    """The work was stopped by the user."""


class Interrupts:
    """Listens to these signals inside a `with` block, in a running loop.

    The work is a task of its own: an interrupt cancels the work, and never the closing of the client around it.
    Closing waits for creates in flight; `on_first` is called to tell the user so. `before_leaving` restores the
    terminal and ends child processes when the user leaves at once: `os._exit` runs no `finally`.
    """

    def __init__(
        self, on_first: Callable[[], None] = lambda: None, *, before_leaving: Iterable[Callable[[], None]] = ()
    ) -> None:
        self._on_first = on_first
        self._before_leaving = tuple(before_leaving)
        self._is_stopping = False
        self._work: asyncio.Task[Any] | None = None
        self._before: dict[int, Any] = {}
        """The former handlers of the signals. An ignored signal stays ignored (`nohup`)."""

    def __enter__(self) -> Self:
        # Windows has no such handlers: asyncio.run turns Ctrl-C into a cancellation there.
        with suppress(NotImplementedError):
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:
                    asyncio.get_running_loop().add_signal_handler(number, self._interrupt)
                    self._before[number] = before
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            if before is not None:  # a handler that was not set from Python is None
                signal.signal(number, before)

    async def stoppable(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result. Raises Interrupted if it was stopped before it had one."""
        self._work = task = asyncio.create_task(work)
        if self._is_stopping:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if self._is_stopping:
                raise Interrupted from None
            raise

    def _interrupt(self) -> None:
        if self._is_stopping:
            for restore in self._before_leaving:
                restore()
            os._exit(Exit.INTERRUPTED)
        self._is_stopping = True
        self._on_first()
        if self._work is not None:
            self._work.cancel()
