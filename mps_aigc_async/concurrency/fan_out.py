"""Bounded fan-out: many items, few at a time, outcomes as they come, without knowledge of images or limits."""

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
Out_co = TypeVar("Out_co", covariant=True)
Out_contra = TypeVar("Out_contra", contravariant=True)

Begun = Callable[[], None]
"""A callback for an item's work at the moment when the work no longer waits to begin. Further calls do nothing."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on how far a fan-out reads ahead."""

    under_way: int
    """Most items that are read and whose outcome is not taken yet: a slow consumer stops the reading, never the
    work."""
    waiting: int
    """Most items that are read and whose work has not begun: bounds memory and the first item's delay."""


class _Start:
    """An item's place among the items that wait to begin; released once."""

    __slots__ = ("_places",)

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places: asyncio.Semaphore | None = places

    def release(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()


@dataclass(frozen=True, slots=True)
class _End:
    """The end of the queue of outcomes, with the error that the consumer gets."""

    error: BaseException | None


class FanOut(Generic[Item, Out]):
    """The running tasks of a fan-out: a task that reads, and a task for each item. `Run` is the consumer's handle.

    `bounds` limit the items in flight. `prepare` is awaited before the first item is read. An error of `prepare` or of
    the source ends the reading, and so does an error that `stops` returns for an outcome. The consumer gets that error
    after the outcomes of all items that were read before.
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
        """An item has a place from before its reading until the consumer takes its outcome."""
        self._starts = asyncio.Semaphore(bounds.waiting)
        """An item has a start from before its reading until its work has begun or ended."""
        self.outcomes: asyncio.Queue[Out | _End] = asyncio.Queue()
        self.workers: set[asyncio.Task[Out]] = set()

    def start(self) -> None:
        if self._reader is None:
            self._reader = self._owner.start(self._read(), "batch reader")
            self._reader.add_done_callback(self._reading_ended)

    async def _read(self) -> None:
        await self._prepare()
        # Closed here: else the collector would close a half-read generator, at some other time.
        async with aclosing(_each(self._source)) as items:
            while True:
                await self.places.acquire()
                await self._starts.acquire()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                start = _Start(self._starts)
                worker = self._owner.start(self._work(item, start.release), "batch item")
                self.workers.add(worker)
                worker.add_done_callback(partial(self._worker_ended, start))

    def _worker_ended(self, start: _Start, worker: asyncio.Task[Out]) -> None:
        start.release()
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
        """Note that the owner cancelled a task, unless the consumer left the batch."""
        if not self._left:
            self._error = self._error or ClientClosed("the client was closed before the batch ended")

    def _stop(self, error: BaseException) -> None:
        """Read no further; the work on items read before goes on."""
        self._error = self._error or error
        if self._reader is not None:
            self._reader.cancel()

    def _maybe_end(self) -> None:
        if self._reader is not None and self._reader.done() and not self.workers:
            self.outcomes.put_nowait(_End(self._error))

    def cancel(self) -> None:
        """Stop reading, and cancel the work on all items. The owners of other tasks look after them."""
        self._left = True
        for task in (self._reader, *self.workers):
            if task is not None:
                task.cancel()

    async def wait(self) -> None:
        """Return when none of the tasks runs any more."""
        tasks = [task for task in (self._reader, *self.workers) if task is not None]
        if tasks:
            await asyncio.wait(tasks)


class Observer(Generic[Out_contra]):
    """Follows a run from the consumer's side, in the thread that iterates. The methods must not raise; here they do
    nothing."""

    def begin(self) -> None:
        """The consumer is about to wait for an outcome. Further calls do nothing."""

    def take(self, outcome: Out_contra) -> None:
        """The consumer gets this outcome."""

    def end(self) -> None:
        """The run has ended, has failed or was left. Further calls do nothing."""


class Run(Generic[Out_co]):
    """The outcomes of a batch as its requests end: an async iterator, and an async context manager to leave it early.

    A `break` out of the loop cancels the batch as soon as this object is dropped. A cancelled wait for an outcome
    cancels the batch at once, as it ends a generator; `wait_for` cancels when its time is over. An error's traceback
    keeps its variables alive, and with them this object: if the loop's body may raise, use `async with`.
    """

    def __init__(self, fan_out: FanOut[Any, Out_co], observer: Observer[Out_co] | None = None) -> None:
        self._home = Home.here()
        self._fan_out = fan_out
        self._observer = observer or Observer[Any]()
        self._ended = False
        self._waiting = 0
        self._given_up = False

    def __repr__(self) -> str:
        return f"<Run, {self.in_flight} under way>"

    @property
    def in_flight(self) -> int:
        """The number of items whose work has not ended."""
        return len(self._fan_out.workers)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Out_co:
        self._home.require()
        if self._ended:
            raise StopAsyncIteration
        if self._given_up:
            raise ClientClosed(
                "a wait for the next outcome was cancelled, and that ended the run; to wait for a while at a time, "
                "shield it: asyncio.wait({task of anext(run)}, timeout=…)"
            )
        self._fan_out.start()
        self._observer.begin()
        self._waiting += 1
        try:
            outcome = await self._fan_out.outcomes.get()
        except asyncio.CancelledError:
            if self._waiting == 1:  # no other consumer waits for the next outcome
                self._given_up = True
                self._fan_out.cancel()
                self._observer.end()
            raise
        finally:
            self._waiting -= 1
        if isinstance(outcome, _End):
            self._ended = True
            self._fan_out.outcomes.put_nowait(outcome)  # for other consumers that wait here
            self._observer.end()
            if outcome.error is not None:
                raise outcome.error
            raise StopAsyncIteration
        self._fan_out.places.release()
        self._observer.take(outcome)
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
        """Stop the batch, and return when none of its tasks runs any more. Works from another thread too, while the
        batch's loop runs."""
        self._ended = True
        self._observer.end()
        if self._home.is_gone:
            return
        if not self._home.is_here:
            await self._home.run(self.aclose)
            return
        self._fan_out.cancel()
        await self._fan_out.wait()

    def __del__(self) -> None:
        # A `break` drops the iterator without closing it. Thread-safe, since the collector may run in any thread.
        if not self._ended and not self._home.is_gone:
            self._home.loop.call_soon_threadsafe(self._fan_out.cancel)


async def _each(source: Iterable[Item] | AsyncIterable[Item]) -> AsyncGenerator[Item, None]:
    """Yield the items of either kind of source, and close a source that is a generator at once, not at its
    collection."""
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
