"""A thread that does one piece of work after another, for the loops of a process.

Not a ThreadPoolExecutor: it takes no more work once the main thread has ended, though loops in other threads still run,
and a process waits for its threads at the end.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")

_Queue = SimpleQueue[Callable[[], None] | None]
"""Work in its order; None ends the thread."""


class WorkerThread(Executor):
    """A thread of this name. A process that ends does not wait for the thread."""

    def __init__(self, name: str) -> None:
        self._queue: _Queue = SimpleQueue()
        self._guard = Lock()
        self._has_ended = False
        Thread(target=_work, args=(self._queue,), name=name, daemon=True).start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 — as Executor has it
        future = Future[T]()
        with self._guard:
            if self._has_ended:
                raise RuntimeError("the thread has ended")
            self._queue.put(partial(_answer, future, partial(fn, *args, **kwargs)))
        return future

    def end(self) -> None:
        """End the thread after the work that waits. Nobody waits for that here."""
        with self._guard:
            self._has_ended = True
            self._queue.put(None)


def _work(queue: _Queue) -> None:
    while (work := queue.get()) is not None:
        work()
        del work  # and with it the caller's objects, until the next work comes


def _answer(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 — the caller gets it, of any class
        future.set_exception(error)
    else:
        future.set_result(result)
