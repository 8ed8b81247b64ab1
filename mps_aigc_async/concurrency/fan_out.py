"""Bounded fan-out: many items, few at a time, outcomes as they come. It knows nothing of images or limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ..model.errors import ClientClosed
from .home import Home
from .owner import TaskOwner

Item = TypeVar("Item")
Out = TypeVar("Out")

Begun = Callable[[], None]
"""An item's work calls this when it no longer waits to begin. Further calls do nothing."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a fan-out reads ahead."""

    under_way: int
    """Most items that are read and whose outcome is not taken: a slow consumer stops the reading, never the work."""
    waiting: int
    """Most items that are read and whose work has not begun: this bounds memory and the first item's delay."""


class _Start:
    """One item's place among those that wait to begin, released once."""

    __slots__ = ("_places",)

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places: asyncio.Semaphore | None = places

    def begun(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()


@dataclass(frozen=True, slots=True)
class _End:
    """What stands behind the last outcome."""

    error: BaseException | None


class FanOut(Generic[Item, Out]):
    """What runs: one task that reads, one per item. `Run` is the consumer's handle on it.

    `bounds` say how many items are read. `prepare` is awaited before the first item is read; what it or the source
    raises ends the reading, as does an error that `stops` returns for an outcome, and is raised to the consumer after
    the outcomes of all items read before.
    """

    def __init__(
        self,
        source: Iterable[Item] | AsyncIterable[Item],
        work: Callable[[Item, Begun], Coroutine[Any, Any, Out]],
        bounds: Bounds,
        owner: TaskOwner,
        prepare: Callable[[], Awaitable[None]],
        stops: Callable[[Out], BaseException | None],
    ) -> None:
        self._prepare = prepare
        self._source = source
        self._work = work
        self._owner = owner
        self._stops = stops
        self._error: BaseException | None = None
        self._reader: asyncio.Task[None] | None = None
        self._left = False
        self.places = asyncio.Semaphore(bounds.under_way)
        """An item has a place from before it is read until its outcome is taken."""
        self._starts = asyncio.Semaphore(bounds.waiting)
        """An item has one of these from before it is read until its work has begun or ended."""
        self.outcomes: asyncio.Queue[Out | _End] = asyncio.Queue()
        self.workers: set[asyncio.Task[Out]] = set()

    def start(self) -> None:
        if self._reader is None:
            self._reader = self._owner.start(self._read(), "batch reader")
            self._reader.add_done_callback(self._reading_ended)

    async def _read(self) -> None:
        await self._prepare()
        # Closed here: a generator left half read would be closed by the collector, at some other time.
        async with aclosing(_each(self._source)) as items:
            while True:
                await self.places.acquire()
                await self._starts.acquire()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                start = _Start(self._starts)
                worker = self._owner.start(self._work(item, start.begun), "batch item")
                self.workers.add(worker)
                worker.add_done_callback(partial(self._worker_ended, start))

    def _worker_ended(self, start: _Start, worker: asyncio.Task[Out]) -> None:
        start.begun()
        self.workers.discard(worker)
        if worker.cancelled():
            self._ended_by_owner()
        else:
            if (error := worker.exception()) is not None:
                self._stop(error)
            else:
                self.outcomes.put_nowait(worker.result())
                if (error := self._stops(worker.result())) is not None:
                    self._stop(error)
        self._maybe_end()

    def _reading_ended(self, reader: asyncio.Task[None]) -> None:
        if reader.cancelled():
            self._ended_by_owner()
        elif (error := reader.exception()) is not None:
            self._error = self._error or error
        self._maybe_end()

    def _ended_by_owner(self) -> None:
        """A task was cancelled, and not because the batch was stopped or left: its owner has ended it."""
        if not self._left:
            self._error = self._error or ClientClosed("the client was closed before the batch ended")

    def _stop(self, error: BaseException) -> None:
        """Read no further; what is under way goes on."""
        self._error = self._error or error
        if self._reader is not None:
            self._reader.cancel()

    def _maybe_end(self) -> None:
        if self._reader is not None and self._reader.done() and not self.workers:
            self.outcomes.put_nowait(_End(self._error))

    def cancel(self) -> None:
        """Stop reading and waiting. What the workers leave behind is their owners' affair."""
        self._left = True
        for task in (self._reader, *self.workers):
            if task is not None:
                task.cancel()

    async def gone(self) -> None:
        """Return when nothing of it runs any more."""
        left = [task for task in (self._reader, *self.workers) if task is not None]
        if left:
            await asyncio.wait(left)


class Run(Generic[Item, Out]):
    """Outcomes as they end: an async iterator, and an async context manager for leaving early in good order.

    Leaving the loop with `break` cancels what is under way as soon as this object is dropped; cancelling the wait for
    an outcome does so at once, as it ends a generator (and as `wait_for` does when its time is over). An error's
    traceback keeps its variables, and with them this object, alive: where the loop's body may raise, use `async with`.
    """

    def __init__(self, fan_out: FanOut[Item, Out]) -> None:
        self._home = Home.here()
        self._fan_out = fan_out
        self._ended = False
        self._waiting = 0
        self._given_up = False

    def __repr__(self) -> str:
        return f"<Run, {self.in_flight} under way>"

    @property
    def in_flight(self) -> int:
        """Items read whose work has not ended."""
        return len(self._fan_out.workers)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Out:
        self._home.require()
        if self._ended:
            raise StopAsyncIteration
        if self._given_up:
            raise ClientClosed(
                "a wait for the next outcome was cancelled, and that ended the run; to wait for a while at a time, "
                "shield it: asyncio.wait({task of anext(run)}, timeout=…)"
            )
        self._fan_out.start()
        self._waiting += 1
        try:
            outcome = await self._fan_out.outcomes.get()
        except asyncio.CancelledError:
            if self._waiting == 1:  # nobody else is there for what comes
                self._given_up = True
                self._fan_out.cancel()
            raise
        finally:
            self._waiting -= 1
        if isinstance(outcome, _End):
            self._ended = True
            self._fan_out.outcomes.put_nowait(outcome)  # for whoever else is waiting here
            if outcome.error is not None:
                raise outcome.error
            raise StopAsyncIteration
        self._fan_out.places.release()
        return outcome

    async def __aenter__(self) -> Self:
        self._home.require()
        self._fan_out.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop, and return when nothing of it runs any more. From another thread, while its loop runs, too."""
        self._ended = True
        if self._home.is_gone:
            return
        if not self._home.is_here:
            await self._home.run(self.aclose)
            return
        self._fan_out.cancel()
        await self._fan_out.gone()

    def __del__(self) -> None:
        # A loop left by `break` drops its iterator without closing it. Thread-safe, as collection may be anywhere.
        if not self._ended and not self._home.is_gone:
            self._home.loop.call_soon_threadsafe(self._fan_out.cancel)


async def _each(source: Iterable[Item] | AsyncIterable[Item]) -> AsyncGenerator[Item, None]:
    """The items of either kind of source. A generator is closed at once when it is left, not when it is collected."""
    if isinstance(source, AsyncIterable):
        items = aiter(source)
        try:
            async for item in items:
                yield item
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()
    else:
        try:
            for item in source:
                yield item
        finally:
            if isinstance(source, Generator):
                source.close()
