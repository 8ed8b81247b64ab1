"""Work alongside a block: it runs meanwhile, and ends with the block at the latest."""

import asyncio

import pytest

from mps_aigc_async.concurrency.alongside import running_alongside
from mps_aigc_async.testing import run


def test_the_block_may_await_the_result() -> None:
    async def work() -> int:
        await asyncio.sleep(5)
        return 7

    async def main() -> int:
        async with running_alongside(work()) as task:
            return await task

    assert run(main()) == 7


def test_work_that_is_not_finished_ends_with_the_block() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)  # closing a file, for example
            steps.append("work ended")

    async def main() -> None:
        async with running_alongside(work()):
            await asyncio.sleep(1)
        steps.append("block left")

    run(main())
    assert steps == ["work ended", "block left"]


def test_an_error_of_the_block_ends_the_work_too() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        async with running_alongside(asyncio.sleep(100)) as task:
            tasks.append(task)
            raise LookupError

    with pytest.raises(LookupError):
        run(main())
    assert tasks[0].cancelled()


def test_an_error_of_the_work_reaches_the_block_where_it_is_awaited() -> None:
    async def work() -> None:
        raise LookupError

    async def main() -> None:
        async with running_alongside(work()):
            await asyncio.sleep(1)  # never awaited: dropped
        async with running_alongside(work()) as task:
            await task

    with pytest.raises(LookupError):
        run(main())
