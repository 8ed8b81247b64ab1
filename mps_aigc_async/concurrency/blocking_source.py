"""Items of an iterable that may block, for a loop that must not."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextvars import copy_context
from typing import Final, TypeVar, cast

from .worker_thread import WorkerThread

Item = TypeVar("Item")

END: Final = object()
"""Stands for the end of an iterator: StopIteration cannot pass through a coroutine."""


async def read_in_thread(source: Iterable[Item]) -> AsyncGenerator[Item, None]:
    """Yield the items of `source`. A thread of its own reads all of them, each when it is asked for, in the context of
    the caller.

    A generator is closed in that thread. If the caller is cancelled while a read blocks, the generator is closed after
    that read, and nobody waits for it.
    """
    context, thread = copy_context(), WorkerThread("mps-aigc reader")
    reading = asyncio.wrap_future(thread.submit(context.run, iter, source))
    try:
        items = await reading
        while True:
            reading = asyncio.wrap_future(thread.submit(context.run, next, items, END))
            item = await reading
            if item is END:
                return
            yield cast("Item", item)
    finally:
        closing = thread.submit(context.run, _close, source)
        thread.end()
        if not reading.cancelled():
            await asyncio.wrap_future(closing)


def _close(source: object) -> None:
    if isinstance(source, Generator):
        source.close()
