"""Tasks with an owner outlive their caller and not their owner."""

import asyncio
import gc

import pytest

from mps_aigc_async.concurrency.owner import TaskOwner


async def test_an_owned_task_outlives_its_cancelled_caller() -> None:
    owner, go = TaskOwner(), asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "paid"

    task = owner.start(work(), "work")

    async def call() -> str:
        return await asyncio.shield(task)

    caller = asyncio.create_task(call())
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert len(owner) == 1
    go.set()
    assert await task == "paid"
    await asyncio.sleep(0)
    assert len(owner) == 0
    assert repr(owner) == "<TaskOwner of 0 tasks>"


async def test_an_owned_task_is_held_strongly() -> None:
    owner, steps = TaskOwner(), list[str]()
    loop = asyncio.get_running_loop()

    async def work() -> None:
        await loop.run_in_executor(None, gc.collect)
        steps.append("work")

    owner.start(work(), "work")
    await owner.close(grace_s=5.0)
    assert steps == ["work"]


async def test_closing_waits_its_grace_and_cancels_the_rest() -> None:
    owner, steps = TaskOwner(), list[str]()
    go = asyncio.Event()

    async def quick() -> None:
        await go.wait()
        steps.append("quick")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("endless, cancelled")

    first, second = owner.start(quick(), "quick"), owner.start(endless(), "endless")
    asyncio.get_running_loop().call_soon(go.set)
    await owner.close(grace_s=0.01)
    assert steps == ["quick", "endless, cancelled"]
    assert (first.cancelled(), second.cancelled(), len(owner)) == (False, True, 0)


async def test_closing_without_grace_cancels_at_once() -> None:
    owner = TaskOwner()
    task = owner.start(asyncio.Event().wait(), "endless")
    await owner.close()
    assert task.cancelled()


async def test_closing_an_owner_of_nothing_returns() -> None:
    async with asyncio.timeout(5):
        await TaskOwner().close(grace_s=1000.0)


async def test_an_error_whose_awaiter_has_left_is_not_complained_of() -> None:
    """Otherwise asyncio logs "Task exception was never retrieved" for an error that the ledger already holds."""
    owner, complaints = TaskOwner(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fail() -> None:
        raise RuntimeError("kept elsewhere")

    owner.start(fail(), "fail")
    await owner.close(grace_s=1.0)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_one_tasks_error_leaves_the_others_alone() -> None:
    owner, go = TaskOwner(), asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("one")

    async def work() -> str:
        await go.wait()
        return "other"

    failing, working = owner.start(fail(), "fail"), owner.start(work(), "work")
    with pytest.raises(RuntimeError, match="one"):
        await failing
    go.set()
    assert await working == "other"


async def test_a_task_has_the_name_it_was_given() -> None:
    owner = TaskOwner()
    task = owner.start(asyncio.sleep(0), "create of shot-001")
    assert task.get_name() == "create of shot-001"
    await task
