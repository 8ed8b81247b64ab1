"""Work that comes to a point in its order."""

import asyncio

from mps_aigc_async.concurrency.ranks import Ranks


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_later_ranks_wait_for_earlier_ones() -> None:
    ranks, came = Ranks(), list[str]()
    first, second, third = (ranks.enter() for _ in range(3))

    async def come(name: str) -> None:
        rank = {"first": first, "second": second, "third": third}[name]
        await rank.wait()
        came.append(name)

    tasks = [asyncio.create_task(come(name)) for name in ("third", "second", "first")]
    await turn()
    assert came == ["first"]
    second.let_pass()
    await turn()
    assert came == ["first"], "the second has passed, and the first has not"
    first.let_pass()
    first.let_pass()
    await turn()
    assert sorted(came) == ["first", "third"]
    tasks[1].cancel()
    await asyncio.wait(tasks)


async def test_a_rank_that_has_passed_waits_for_nobody() -> None:
    ranks = Ranks()
    ranks.enter()
    late = ranks.enter()
    late.let_pass()
    waiting = asyncio.create_task(late.wait())
    await turn()
    assert waiting.done()


async def test_a_cancelled_wait_holds_up_nobody() -> None:
    ranks = Ranks()
    first, second, third = (ranks.enter() for _ in range(3))
    waiting = asyncio.create_task(second.wait())
    await turn()
    waiting.cancel()
    await asyncio.wait({waiting})
    second.let_pass()
    first.let_pass()
    waiting = asyncio.create_task(third.wait())
    await turn()
    assert waiting.done()


async def test_a_callback_lets_pass_too() -> None:
    ranks, calls = Ranks(), list[int]()
    first, second = ranks.enter(), ranks.enter()
    callback = first.and_let_pass(lambda: calls.append(1))
    callback()
    callback()
    await second.wait()
    assert calls == [1, 1]
