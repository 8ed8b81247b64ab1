"""An event loop in a thread of its own, for callers in any other thread."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from ..model.errors import ClientClosed, ClientError

T = TypeVar("T")

_log: Final = logging.getLogger("mps_aigc_async")

CLEANUP_S: Final = 10.0
"""Seconds that cancelled work may take before the loop ends: as long as a client may take to close."""

_of_the_parent: Final[list[object]] = []
"""In a forked child, the parent's loops and their tasks. The collector would close the loops, which may disturb the
parent, and complain of the tasks."""


class LoopThread(threading.Thread):
    """A running loop. A process that ends does not wait for the thread: its owner calls `end`."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._loop = asyncio.new_event_loop()
        self._executor = ThreadPoolExecutor(thread_name_prefix=name)
        self._loop.set_default_executor(self._executor)
        self._process = os.getpid()
        self._guard = threading.Lock()
        self._has_ended = False
        """Whether the loop takes no more work."""
        self._is_over = False
        """Whether the loop has stopped, after the work that it had taken began."""
        self._waiting: set[Future[Any]] = set()
        self._stops: dict[Future[Any], BaseException] = {}
        self.start()

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` in the loop, in the caller's context, and wait for its result or its error.

        A KeyboardInterrupt in the wait cancels the work, and is raised at once. Raises ClientError in the thread of a
        loop, and ClientClosed once the loop has ended and in a forked child.
        """
        require_no_loop_thread()
        if self._process != os.getpid():
            raise ClientClosed(
                f"this belongs to process {self._process}, and process {os.getpid()} was forked from it: nothing was "
                "sent; call the client's methods again in this process"
            )
        with self._guard:
            if self._has_ended:
                raise ClientClosed("the client was closed")
            answer = asyncio.run_coroutine_threadsafe(work(), self._loop)
            self._waiting.add(answer)
        try:
            return answer.result()
        except CancelledError:
            end = ClientClosed("the client was closed before this was finished")
            raise self._stops.pop(answer, end) from None
        except BaseException:
            answer.cancel()  # nothing happens to work that has ended
            raise
        finally:
            self._waiting.discard(answer)

    def end(self) -> None:
        """Cancel the work that still runs, give its cleanup at most 10 s, and wait for the end of the thread."""
        with self._guard:
            if not self._has_ended:
                self._has_ended = True
                self._loop.call_soon_threadsafe(self._leave)
        self.join()

    def leave_to_parent(self) -> None:
        """In a forked child: never touch the parent's loop again."""
        _of_the_parent.extend((self._loop, asyncio.all_tasks(self._loop)))

    def run(self) -> None:
        """Run the loop until `end`. For `threading`."""
        try:
            while not self._is_over:
                with self._handing_over():
                    self._loop.run_forever()
            with self._handing_over():
                self._loop.run_until_complete(_end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            # `asyncio.Runner` starts a thread to wait for this, which Python 3.12 refuses while the interpreter ends. A
            # function that hangs in its thread holds up nobody: the end of the process waits for it.
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._loop.close()

    def _leave(self) -> None:
        self._is_over = True
        self._loop.stop()

    @contextmanager
    def _handing_over(self) -> Iterator[None]:
        """Raise a callback's KeyboardInterrupt or SystemExit in the callers that wait. The loop goes on, so that its
        owner can close."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as stop:
            with self._guard:  # a call that has begun its work is among them
                waiting = tuple(self._waiting)
            if not waiting:
                _log.error("a callback raised %s while no caller waited", type(stop).__name__)
            for answer in waiting:
                self._stops[answer] = stop
                answer.cancel()


async def _end_tasks() -> None:
    """Cancel each task once. A task that was cancelled before may be cleaning up: it is not disturbed."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLEANUP_S)


def require_no_loop_thread() -> None:
    """Raise ClientError in the thread of a loop: a wait there would stop that loop, or wait for itself."""
    if isinstance(threading.current_thread(), LoopThread):
        raise ClientError(
            "a SyncClient's callback runs in the thread of its loop, and a call that waits there would stop the loop: "
            "nothing was sent; hand the event to another thread, by a queue.SimpleQueue"
        )
