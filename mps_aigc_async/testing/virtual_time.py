"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

A batch of three hours runs in milliseconds, and its times are exact. The clock also creeps a microsecond with each turn
of the loop: code that compares two moments, such as aiolimiter, would spin for ever on a clock that stands still.

    async def test_a_long_wait() -> None: ...
    run(main())                       # instead of asyncio.run(main())
"""

import asyncio
import concurrent.futures
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

CREEP_S: Final = 1e-6
STUCK_AFTER_S: Final = 10.0
"""Real seconds without a timer, a ready file or a working thread after which the loop counts as stuck."""

THREAD_STUCK_AFTER_S: Final = 300.0
"""Real seconds that a working thread may be silent: `asyncio.Runner` of Python 3.12 joins threads for as long."""

EPOCH: Final = 1_767_225_600.0
"""Unix seconds at which virtual wall time begins: 2026-01-01 00:00 UTC."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that looks at the files without a wait, and lets the clock jump instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.outside = 0
        """Threads at work: their work takes real time, and no virtual time."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += CREEP_S
        if timeout is None or (timeout > 0 and self.outside):
            return self._wait()
        ready = super().select(0)
        if not ready:
            self.now += max(0.0, timeout)
        return list(ready)

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(THREAD_STUCK_AFTER_S if self.outside else STUCK_AFTER_S)
        if not ready and self.outside:
            raise RuntimeError(
                "virtual time is stuck: a thread still works; one that waits for a timer of this loop never ends"
            )
        if not ready:
            raise RuntimeError("virtual time is stuck: nothing is scheduled and nothing happens")
        return list(ready)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; it waits for executor jobs in real time.

    asyncio's debug mode is off, also under PYTHONDEVMODE: it keeps a stack for each callback, which makes hours of a
    batch three to ten times slower, and its search for slow callbacks finds none where no time passes.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.set_debug(False)
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))

    def time(self) -> float:
        return self._jumping.now

    def wall(self) -> float:
        """Virtual Unix seconds."""
        return EPOCH + self.time()

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override] # as asyncio's loops
        super().set_default_executor(executor)
        self._threads = executor

    def run_in_executor(  # type: ignore[override] # typeshed's variadic generics; the meaning is the same
        self,
        executor: Executor | None,
        func: Callable[..., T],
        *args: Any,  # noqa: ANN401 — handed through
    ) -> asyncio.Future[T]:
        work = (executor or self._threads).submit(func, *args)
        future = asyncio.wrap_future(work, loop=self)
        self.hold_for(work)
        return future

    def hold_for(self, work: concurrent.futures.Future[T]) -> None:
        """Hold the clock until the work ends, even if its caller is cancelled.

        Call this after `wrap_future`: its callback is then first, so that the result is in the loop before the clock
        may jump again.
        """
        outside = self.real_time()
        outside.__enter__()

        def release(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: an executor of the user's own may outlive it
                self.call_soon_threadsafe(outside.__exit__, None, None, None)

        work.add_done_callback(release)

    async def shutdown_default_executor(self, *args: Any) -> None:  # noqa: ANN401 — Python 3.12 added a timeout
        """Join the executor's threads in real time: virtual time would jump to the end of the timeout at once."""
        with self.real_time():
            await super().shutdown_default_executor(*args)

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """Hold the clock inside the block: code outside the loop works, and the clock waits instead of jumping."""
        self._jumping.outside += 1
        try:
            yield
        finally:
            self._jumping.outside -= 1


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run a coroutine in virtual time, like `asyncio.run`. `debug` switches asyncio's debug mode on."""
    if _loop_runs():  # a runner notices this late, and then cannot take down its new loop
        raise RuntimeError("run() cannot be called where a loop runs already: call it in a test without `async`")
    with asyncio.Runner(debug=debug, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def wall() -> float:
    """Return Unix seconds by the running loop, for a test's client: virtual inside `run`, else the machine's."""
    loop = asyncio.get_running_loop()
    return loop.wall() if isinstance(loop, VirtualTimeLoop) else time.time()
