"""The task that talks to the store: woken by news and changes, and never lost to an error."""

import asyncio
import logging

import pytest

from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.limits.shared.store import LimitsLost, Row, Step
from mps_aigc_async.limits.shared.store_work import LOST_S, StoreWork
from mps_aigc_async.model.errors import ClientClosed
from mps_aigc_async.testing import run


class Bench:
    """A work that counts its calls, and a store whose changes the test makes."""

    generation = 0
    is_in_place = True
    uncertainty_s = 0.0

    def __init__(self) -> None:
        self.calls = 0
        self.errors: list[Exception] = []
        self.heard: list[Exception] = []
        self.waits = False
        self.owner = TaskOwner()
        self.change = asyncio.Event()
        self.work = StoreWork(self, self.owner, self._do, has_waiters=lambda: self.waits, on_lost=self.heard.append)

    async def _do(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop()

    async def run(self, *_: Step) -> list[list[Row]]:
        return []

    def loop_time(self, store_time: float) -> float:
        return store_time

    async def wait_for_change(self) -> None:
        await self.change.wait()
        self.change.clear()

    def hurry(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


def test_each_wake_begins_the_work_and_several_at_once_begin_it_once() -> None:
    async def main() -> None:
        bench = Bench()
        bench.work.wake()
        bench.work.wake()
        await asyncio.sleep(1)
        assert bench.calls == 1
        bench.work.wake()
        await asyncio.sleep(1)
        assert bench.calls == 2
        await bench.work.stop()

    run(main())


def test_a_change_of_the_store_begins_the_work_while_somebody_waits() -> None:
    async def main() -> None:
        bench = Bench()
        bench.waits = True
        bench.work.wake()
        await asyncio.sleep(1)
        for calls in (2, 3):
            bench.change.set()
            await asyncio.sleep(1)
            assert bench.calls == calls
        bench.waits = False
        for _ in range(2):
            bench.change.set()
            await asyncio.sleep(1)
        assert bench.calls == 4, "the change after the last waiter is heard, and no later one"
        await bench.work.stop()

    run(main())


@pytest.mark.parametrize(("error", "warnings"), [(LimitsLost("away"), 0), (ValueError("a defect"), 1)])
def test_work_that_fails_is_tried_again(error: Exception, warnings: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bench = Bench()
        bench.errors = [error, error]
        bench.work.wake()
        await asyncio.sleep(LOST_S / 2)
        assert (bench.work.is_lost, bench.heard) == (True, [error])
        await asyncio.sleep(2 * LOST_S)
        assert (bench.calls, bench.work.is_lost, len(bench.heard)) == (3, False, 2)
        await bench.work.stop()

    with caplog.at_level(logging.WARNING):
        run(main())
    assert len(caplog.records) == warnings


def test_after_its_end_nothing_begins() -> None:
    async def main() -> None:
        bench = Bench()
        bench.work.wake()
        await asyncio.sleep(1)
        await bench.work.stop()
        bench.work.wake()
        with pytest.raises(ClientClosed):
            bench.work.start()
        await asyncio.sleep(1)
        assert (bench.calls, len(bench.owner)) == (1, 0)

    run(main())
