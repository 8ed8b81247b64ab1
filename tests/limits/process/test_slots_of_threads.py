"""Slots that several threads share, each with a loop of its own: no slot is lost, and none is handed out twice."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random

import pytest

from mps_aigc_async.limits.process.slots import ProcessSlots

CAPACITY = 3


class Gauge:
    """Counts the holders of slots in all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.served = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.served += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


async def use_slots(slots: ProcessSlots, gauge: Gauge, seed: int) -> None:
    """Take slots for a few turns of the loop each; cancel some of the waiters in any turn."""
    random, leave = Random(seed), slots.join()

    async def hold() -> None:
        slot = await slots.acquire(model=random.choice("AB"))
        try:
            with gauge:
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
        finally:
            slot.release()

    for _ in range(60):
        holders = [asyncio.create_task(hold()) for _ in range(5)]
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        random.choice(holders).cancel()
        await asyncio.gather(*holders, return_exceptions=True)
    leave()


@pytest.mark.parametrize("seed", range(3))
def test_threads_that_come_and_go_keep_the_capacity(seed: int) -> None:
    slots, gauge = ProcessSlots(CAPACITY), Gauge()
    with ThreadPoolExecutor(6) as threads:
        work = [threads.submit(asyncio.run, use_slots(slots, gauge, 10 * seed + number)) for number in range(6)]
        for one in work:
            one.result(60)
    figures = slots.figures()
    assert (figures.taken, figures.running, figures.waiting) == (0, 0, 0)
    assert gauge.most <= CAPACITY
    assert gauge.served > 6 * 60 * 4 * 0.9


def test_a_slot_that_is_handed_to_a_loop_that_ends_is_not_lost() -> None:
    """The waiter's loop ends at the moment when another thread gives the slot back."""
    for _ in range(50):
        slots, is_waiting = ProcessSlots(1), threading.Event()

        async def wait(slots: ProcessSlots = slots, is_waiting: threading.Event = is_waiting) -> None:
            leave = slots.join()
            asyncio.get_running_loop().call_soon(is_waiting.set)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.002):
                    (await slots.acquire()).release()
            leave()

        async def give_back(slots: ProcessSlots = slots, is_waiting: threading.Event = is_waiting) -> None:
            slot = await slots.acquire()
            other = threading.Thread(target=lambda: asyncio.run(wait()))
            other.start()
            await asyncio.to_thread(is_waiting.wait)
            slot.release()
            await asyncio.to_thread(other.join)

        asyncio.run(give_back())
        assert slots.figures().taken == 0


def test_a_hold_of_a_loop_that_has_ended_is_still_over_in_time() -> None:
    slots = ProcessSlots(1)

    async def leave_a_hold() -> None:
        leave = slots.join()
        (await slots.acquire()).hold_for(0.05, "a task that nobody polls")
        leave()

    async def wait_for_it() -> None:
        leave = slots.join()
        async with asyncio.timeout(10):
            (await slots.acquire()).release()
        leave()

    asyncio.run(leave_a_hold())
    assert slots.figures().running == 1
    asyncio.run(wait_for_it())
    assert slots.figures().taken == 0


def test_a_refusal_in_one_thread_holds_up_the_waiters_of_another() -> None:
    slots, held_up, refused = ProcessSlots(1), threading.Event(), threading.Event()

    async def wait() -> None:
        leave = slots.join()
        waiter = asyncio.create_task(slots.acquire(model="A", on_hold_up=held_up.set))
        await asyncio.sleep(0)
        refused.set()
        await asyncio.to_thread(held_up.wait, 10)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        leave()

    async def refuse() -> None:
        slot = await slots.acquire(model="A")
        other = threading.Thread(target=lambda: asyncio.run(wait()))
        other.start()
        await asyncio.to_thread(refused.wait)
        slots.note_refusal("A")
        await asyncio.to_thread(other.join)
        slot.release()

    asyncio.run(refuse())
    assert held_up.is_set()
    assert slots.figures().waiting == 0
