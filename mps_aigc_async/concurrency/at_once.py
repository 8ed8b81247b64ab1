"""Several pieces of work at once, with one owner: the caller."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def all_at_once(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once, and return their results in order. If the caller is cancelled, or one of them raises, the others
    are cancelled, and have ended before this raises."""
    if len(work) == 1:  # most jobs have one result, which needs no task of its own
        return [await work[0]]
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
