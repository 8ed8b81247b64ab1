"""Work at once: results in order, and nothing left running."""

import asyncio

import pytest

from mps_aigc_async.concurrency.at_once import all_at_once


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_results_come_in_the_order_of_the_work(count: int) -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await all_at_once([after(count - number) for number in range(count)]) == [*range(count, 0, -1)]


@pytest.mark.parametrize("end", ["an error", "a cancellation"])
async def test_the_others_have_ended_before_it_raises(end: str) -> None:
    cleaned: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    async def fail() -> None:
        await asyncio.sleep(0)
        if end == "an error":
            raise LookupError
        await asyncio.Event().wait()

    working = asyncio.create_task(all_at_once([wait(1), fail(), wait(2)]))
    while len(asyncio.all_tasks()) < 5:  # noqa: ASYNC110 — the work has begun
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    if end == "a cancellation":
        working.cancel()
    with pytest.raises((LookupError, asyncio.CancelledError)):
        await working
    assert sorted(cleaned) == [1, 2]
