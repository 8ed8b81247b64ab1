"""Items of an iterable that blocks: one thread reads them all, and closes the generator."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from contextvars import ContextVar

import pytest

from mps_aigc_async.concurrency.blocking_source import read_in_thread

WORD: ContextVar[str] = ContextVar("word", default="none")


class Source:
    """A generator that notes the threads and contexts in which it runs."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.places: set[tuple[int, str]] = set()
        self.goes_on, self.blocks, self.is_closed = threading.Event(), threading.Event(), threading.Event()

    def note(self) -> None:
        self.places.add((threading.get_ident(), WORD.get()))

    def items(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.note()
                yield number
            self.blocks.set()
            assert self.goes_on.wait(30)
        finally:
            self.note()
            self.is_closed.set()


async def test_all_items_are_read_in_one_thread_and_in_the_callers_context() -> None:
    source = Source(3)
    source.goes_on.set()
    WORD.set("the caller's")
    assert [item async for item in read_in_thread(source.items())] == [0, 1, 2]
    ((thread, word),) = source.places
    assert thread != threading.get_ident()
    assert word == "the caller's"


async def test_any_iterable_is_read() -> None:
    assert [item async for item in read_in_thread({"a": 1, "b": 2})] == ["a", "b"]


async def test_leaving_waits_for_the_generators_end() -> None:
    source = Source(3)
    async with aclosing(read_in_thread(source.items())) as items:
        assert await anext(items) == 0
    assert source.is_closed.is_set()
    assert len(source.places) == 1


async def test_a_cancelled_reader_waits_for_no_read() -> None:
    source = Source(0)
    async with aclosing(read_in_thread(source.items())) as items:
        reading = asyncio.ensure_future(anext(items))
        await asyncio.to_thread(source.blocks.wait, 30)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert not source.is_closed.is_set()
    source.goes_on.set()
    assert await asyncio.to_thread(source.is_closed.wait, 30)


async def test_an_error_is_the_sources_own() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("of the source")

    reading = read_in_thread(items())
    assert await anext(reading) == 1
    with pytest.raises(LookupError, match="of the source"):
        await anext(reading)
