"""Tasks that nobody polls, given to open clients in any loop while creates wait for their slots."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from mps_aigc_async.limits import Stray
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.limits.strays import REASK_S
from mps_aigc_async.testing import run


class Taker:
    """A client that keeps the strays that it is given."""

    def __init__(self, slots: ProcessSlots, scope: str = "") -> None:
        self.strays: list[Stray] = []
        self.arrival = asyncio.Event()
        self._ends = [slots.join(), slots.on_stray(self._take, scope)]

    def _take(self, stray: Stray) -> None:
        self.strays.append(stray)
        self.arrival.set()

    @property
    def task_ids(self) -> list[str]:
        return [stray.task_id for stray in self.strays]

    def close(self) -> None:
        while self._ends:
            self._ends.pop()()


async def turns() -> None:
    """Let due alarms ring and callbacks of other calls run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def left(slots: ProcessSlots, *task_ids: str, scope: str = "", seconds: float = 1800.0) -> None:
    for task_id in task_ids:
        slot = await slots.acquire()
        slot.name(task_id, scope)
        slot.hold_for(seconds)


def waiter(slots: ProcessSlots) -> "asyncio.Task[None]":
    async def wait() -> None:
        (await slots.acquire()).release()

    return asyncio.create_task(wait())


def in_virtual_time(test: Callable[[ProcessSlots], object], capacity: int = 2) -> None:
    async def main() -> None:
        await test(ProcessSlots(capacity))  # type: ignore[misc]

    run(main())


def test_strays_are_given_when_a_create_begins_to_wait() -> None:
    async def main(slots: ProcessSlots) -> None:
        client = Taker(slots)
        await left(slots, "a", "b")
        await turns()
        assert client.strays == []
        creates = [waiter(slots), waiter(slots)]
        await turns()
        assert client.task_ids == ["a", "b"]
        client.strays[1].end()
        await asyncio.gather(*creates)
        assert slots.figures().taken == 1
        assert [stray.is_open for stray in client.strays] == [True, False]

    in_virtual_time(main)


def test_a_task_that_is_left_while_a_create_waits_is_given_at_once() -> None:
    async def main(slots: ProcessSlots) -> None:
        client, slot = Taker(slots), await slots.acquire()
        slot.name("a")
        create = waiter(slots)
        await turns()
        assert client.strays == []
        slot.hold_for(1800.0)
        await client.arrival.wait()
        client.strays[0].end()
        await create

    in_virtual_time(main, capacity=1)


def test_a_client_that_opens_while_a_create_waits_is_given_what_is_left() -> None:
    async def main(slots: ProcessSlots) -> None:
        leave = slots.join()
        await left(slots, "a")
        create = waiter(slots)
        await turns()
        client = Taker(slots)
        await client.arrival.wait()
        client.strays[0].end()
        await create
        leave()

    in_virtual_time(main, capacity=1)


def test_a_stray_that_cannot_be_polled_goes_to_the_next_client_and_comes_back_after_a_while() -> None:
    async def main(slots: ProcessSlots) -> None:
        first, second = Taker(slots), Taker(slots)
        await left(slots, "a")
        create = waiter(slots)
        await turns()
        first.strays.pop().leave()
        await turns()
        assert (first.task_ids, second.task_ids) == ([], ["a"])
        second.strays.pop().leave()
        await asyncio.sleep(REASK_S - 1.0)
        assert (first.task_ids, second.task_ids) == ([], [])
        await asyncio.sleep(REASK_S)
        assert first.task_ids == ["a"]
        create.cancel()

    in_virtual_time(main, capacity=1)


def test_a_stray_that_was_left_keeps_its_alarm() -> None:
    async def main(slots: ProcessSlots) -> None:
        client, began = Taker(slots), asyncio.get_running_loop().time()
        await left(slots, "a", seconds=100.0)
        create = waiter(slots)
        await asyncio.sleep(50.0)
        client.strays[0].leave()
        await create
        assert asyncio.get_running_loop().time() - began == pytest.approx(100.0, abs=1.0)
        assert not any(stray.is_open for stray in client.strays)

    in_virtual_time(main, capacity=1)


def test_scopes_part_the_clients() -> None:
    async def main(slots: ProcessSlots) -> None:
        one, other = Taker(slots, "app 1"), Taker(slots, "app 2")
        await left(slots, "a", scope="app 1")
        await left(slots, "b", scope="app 2")
        create = waiter(slots)
        await turns()
        assert (one.task_ids, other.task_ids) == (["a"], ["b"])
        other.close()
        await asyncio.sleep(2 * REASK_S)
        assert one.task_ids == ["a"]
        create.cancel()

    in_virtual_time(main)


def test_a_task_that_is_adopted_is_a_stray_no_more() -> None:
    async def main(slots: ProcessSlots) -> None:
        client = Taker(slots)
        await left(slots, "a")
        create = waiter(slots)
        await turns()
        slot = slots.adopt("a")
        assert not client.strays[0].is_open
        client.strays[0].end()
        assert slots.figures().taken == 1
        client.strays[0].leave()
        slot.release()
        await create

    in_virtual_time(main, capacity=1)


def test_an_unknown_create_and_a_settled_one_differ() -> None:
    async def main(slots: ProcessSlots) -> None:
        client = Taker(slots)
        slots.take_for(1800.0, "unknown")
        create = waiter(slots)
        await turns()
        assert client.strays == []
        slot = slots.find("unknown")
        assert slot is not None
        slot.name("a")
        slot.hold_for(1800.0)
        await client.arrival.wait()
        assert client.task_ids == ["a"]
        create.cancel()

    in_virtual_time(main, capacity=1)


def test_a_client_of_another_thread_takes_strays_and_hands_them_on_when_it_closes() -> None:
    slots, has_stray, may_close = ProcessSlots(1), threading.Event(), threading.Event()

    async def other() -> None:
        client = Taker(slots)
        await client.arrival.wait()
        has_stray.set()
        await asyncio.to_thread(may_close.wait, 10)
        client.close()

    async def main() -> None:
        thread = threading.Thread(target=lambda: asyncio.run(other()))
        thread.start()
        leave = slots.join()
        await left(slots, "a")
        create = waiter(slots)
        await asyncio.to_thread(has_stray.wait, 10)
        client = Taker(slots)
        await turns()
        assert client.strays == []
        may_close.set()
        await client.arrival.wait()
        client.strays[0].end()
        await create
        await asyncio.to_thread(thread.join)
        client.close()
        leave()

    asyncio.run(main())
    assert slots.figures().taken == 0


def test_a_client_whose_loop_stands_still_or_was_closed_is_passed_over() -> None:
    slots = ProcessSlots(2)
    still, ending = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def open_and_leave() -> None:
        Taker(slots)
        slot = await slots.acquire()
        slot.name(f"task-{slot.ticket}")

    async def main() -> None:
        client = Taker(slots)
        still_slot = slots.find("task-0")
        assert still_slot is not None
        still_slot.hold_for(1800.0)
        create = waiter(slots)
        while len(client.strays) < 2:
            client.arrival.clear()
            await client.arrival.wait()
        assert sorted(client.task_ids) == ["task-0", "task-1"]
        client.strays[0].end()
        await create
        client.close()

    still.run_until_complete(open_and_leave())
    ending.run_until_complete(open_and_leave())
    ending.close()
    asyncio.run(main())
    still.close()
    assert slots.figures().taken == 1
