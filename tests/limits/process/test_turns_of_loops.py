"""Loops that share the rate take turns, also if one of them wakes a little late each time."""

import asyncio
from collections import Counter

import pytest

from mps_aigc_async.limits.process import pace as pace_module
from mps_aigc_async.limits.process.pace import ProcessPace
from mps_aigc_async.limits.stream import Stream
from mps_aigc_async.testing import run

RATE = 20.0
FOR_S = 20.0
LATE_S = 0.005


@pytest.fixture
def late_wakers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tasks whose name is "late" sleep a little longer: their loop has other work."""
    sleep = asyncio.sleep

    async def sleep_longer(delay: float) -> None:
        task = asyncio.current_task()
        await sleep(delay + LATE_S * (task is not None and task.get_name() == "late"))

    class Asyncio:
        Lock = asyncio.Lock
        get_running_loop = staticmethod(asyncio.get_running_loop)
        sleep = staticmethod(sleep_longer)

    monkeypatch.setattr(pace_module, "asyncio", Asyncio)


async def sends(names: list[str]) -> Counter[str]:
    """The sends of each loop; a pace of its own stands for a loop."""
    stream, counts, loop = Stream(RATE), Counter[str](), asyncio.get_running_loop()
    end = loop.time() + FOR_S

    async def send(name: str, pace: ProcessPace) -> None:
        while loop.time() < end:
            await (await pace.reserve()).reach()
            counts[name] += 1

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            pace = ProcessPace(stream)
            for _ in range(20):
                tasks.create_task(send(name, pace), name=name)
    assert stream.turns == {}
    return counts


@pytest.mark.usefixtures("late_wakers")
def test_a_loop_that_wakes_late_gets_its_share() -> None:
    counts = run(sends(["quiet", "late"]))
    assert counts.total() >= 0.96 * RATE * FOR_S
    assert counts["late"] == pytest.approx(counts["quiet"], rel=0.2)


def test_a_loop_that_stands_still_in_its_turn_costs_the_others_nothing() -> None:
    async def main() -> None:
        stream, loop = Stream(RATE), asyncio.get_running_loop()
        stream.turns[object()] = None
        pace, began = ProcessPace(stream), loop.time()
        for _ in range(200):
            await (await pace.reserve()).reach()
        assert 200 / (loop.time() - began) >= 0.96 * RATE

    run(main())


def test_a_waiter_that_leaves_gives_up_its_turn() -> None:
    async def main() -> None:
        stream = Stream(RATE)
        stream.hold_until(asyncio.get_running_loop().time() + 5)
        waiters = [asyncio.create_task(ProcessPace(stream).reserve()) for _ in range(2)]
        await asyncio.sleep(0)
        assert len(stream.turns) == 2
        waiters[0].cancel()
        await waiters[1]
        assert stream.turns == {}

    run(main())
