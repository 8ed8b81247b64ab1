"""A lock for all loops: one holder at a time, first come first served, and handed on when a holder's loop is closed."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from mps_aigc_async.concurrency.across_loops import Lock, wait_for_end
from mps_aigc_async.concurrency.loops import call_in


@contextmanager
def another_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        call_in(loop, loop.stop)
        thread.join()
        loop.close()


def begin(loop: asyncio.AbstractEventLoop, work: Coroutine[None, None, None]) -> Future[None]:
    return asyncio.run_coroutine_threadsafe(work, loop)


async def close_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Stop and close a loop, with the work in it."""
    ended = threading.Event()

    def stop() -> None:
        loop.stop()
        ended.set()

    loop.call_soon_threadsafe(stop)
    await asyncio.to_thread(ended.wait)
    while loop.is_running():  # noqa: ASYNC110 — its thread says nothing
        await asyncio.sleep(0)
    loop.close()


async def hold(lock: Lock, has_begun: threading.Event, end: threading.Event) -> None:
    async with lock.turn():
        has_begun.set()
        await asyncio.to_thread(end.wait)


async def test_many_tasks_of_many_loops_hold_it_one_at_a_time() -> None:
    lock, inside, most, total = Lock(), 0, 0, 0

    async def work() -> None:
        nonlocal inside, most, total
        for _ in range(50):
            async with lock.turn():
                inside += 1
                most, total = max(most, inside), total + 1
                await asyncio.sleep(0)
                inside -= 1

    def loops() -> None:
        async def several() -> None:
            await asyncio.gather(*(work() for _ in range(4)))

        asyncio.run(several())

    await asyncio.gather(*(asyncio.to_thread(loops) for _ in range(4)))
    assert (most, total, lock.locked()) == (1, 800, False)


async def test_in_one_loop_it_is_first_come_first_served_and_a_cancelled_waiter_leaves_nothing() -> None:
    lock, order = Lock(), list[int]()

    async def work(number: int) -> None:
        async with lock.turn():
            order.append(number)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4, 5]
    assert repr(lock) == "<Lock free, 0 waiting>"


@pytest.mark.parametrize("turns", range(6))
async def test_a_waiter_that_is_cancelled_when_the_lock_is_its_own_hands_it_on(turns: int) -> None:
    lock = Lock()

    async def work() -> None:
        async with lock.turn():
            pass

    async with lock.turn():
        first, second = asyncio.create_task(work()), asyncio.create_task(work())
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await second
    await asyncio.wait({first})
    assert not lock.locked()


async def test_a_waiter_in_another_loop_gets_it_when_the_holders_loop_is_closed() -> None:
    lock, has_begun, end = Lock(), threading.Event(), threading.Event()
    with another_loop() as loop:
        begin(loop, hold(lock, has_begun, end))
        await asyncio.to_thread(has_begun.wait)
        waiting = asyncio.create_task(hold(lock, threading.Event(), end))
        await asyncio.sleep(0)
        assert lock.locked()
        await close_at_once(loop)
        end.set()
        await waiting
    assert not lock.locked()


async def test_waiters_of_a_closed_loop_are_passed_over() -> None:
    lock, end = Lock(), threading.Event()
    with another_loop() as loop:
        async with lock.turn():
            begin(loop, hold(lock, threading.Event(), end))
            while "1 waiting" not in repr(lock):  # noqa: ASYNC110 — the other loop's thread is about to queue
                await asyncio.sleep(0)
            last = asyncio.create_task(hold(lock, threading.Event(), end))
            await asyncio.sleep(0)
            await close_at_once(loop)
        end.set()
        await last
    assert not lock.locked()


def test_a_turn_that_was_lost_with_its_loop_gives_nothing_back_later() -> None:
    """The garbage collector ends the tasks of a closed loop, and they leave their blocks then."""
    lock = Lock()
    loop = asyncio.new_event_loop()

    async def take() -> None:
        await lock.turn().__aenter__()

    loop.run_until_complete(take())
    lost = lock._holder
    assert lost is not None
    loop.close()

    async def take_again() -> None:
        async with lock.turn():
            await lost.__aexit__(None, None, None)
            assert lock.locked()
        assert not lock.locked()

    asyncio.run(take_again())


@pytest.mark.parametrize("is_closed", [False, True], ids=["ends", "is closed with its loop"])
async def test_the_end_of_another_loops_task_is_waited_for(is_closed: bool) -> None:
    end = threading.Event()
    with another_loop() as loop:
        tasks: list[asyncio.Task[bool]] = []

        async def work() -> None:
            tasks.append(asyncio.create_task(asyncio.to_thread(end.wait)))

        begin(loop, work()).result()
        waiting = asyncio.create_task(wait_for_end(tasks[0]))
        await asyncio.sleep(0)
        assert not waiting.done()
        if is_closed:
            await close_at_once(loop)
        else:
            end.set()
        await waiting
        assert tasks[0].done() is not is_closed
        end.set()


def test_a_call_into_a_closed_loop_is_not_made() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    assert not call_in(loop, pytest.fail, "called")
