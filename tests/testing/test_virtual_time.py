"""Virtual time beside threads: the clock waits for them, however their callers end."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mps_aigc_async import ImageRequest
from mps_aigc_async.emulator import Service
from mps_aigc_async.ledger.database import Database
from mps_aigc_async.testing import in_memory_client, run, virtual_time, wall

HOUR_S = 3600.0
ROUND_TRIPS = 200
"""So many that a clock which does not wait for the thread jumps in at least one of them."""

GIVEN_UP_AFTER_S = 5.0
"""Real seconds after which a thread ends although nothing answered: no test that passes comes near it."""


@dataclass
class Worker:
    """Work of a thread: it lasts until the loop has answered many times, and notes the clock as it ends."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ended_at: float | None = None

    def work(self) -> None:
        self.loop.call_soon_threadsafe(self.begun.set)
        self.go_on.wait(GIVEN_UP_AFTER_S)
        for _ in range(ROUND_TRIPS):
            has_answered = threading.Event()
            self.loop.call_soon_threadsafe(has_answered.set)
            assert has_answered.wait(GIVEN_UP_AFTER_S), "the loop has ended before its thread"
        self.ended_at = self.loop.time()
        self.loop.call_soon_threadsafe(self.ended.set)


def test_hours_take_no_time_and_are_exact() -> None:
    async def main() -> float:
        began = wall()
        await asyncio.sleep(12 * HOUR_S)
        return wall() - began

    assert run(main()) == pytest.approx(12 * HOUR_S, abs=0.01)


def test_a_slow_disk_takes_no_virtual_time_and_expires_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def slow_fsync(file: int) -> None:
            if threading.current_thread() is not threading.main_thread():
                for _ in range(ROUND_TRIPS):
                    has_answered = threading.Event()
                    loop.call_soon_threadsafe(has_answered.set)
                    assert has_answered.wait(GIVEN_UP_AFTER_S), "the loop has ended before its thread"
            fsync(file)

        monkeypatch.setattr(os, "fsync", slow_fsync)
        service = Service()
        async with in_memory_client(service) as client:
            result = await client.generate(ImageRequest(prompt="a lake"), save_to=tmp_path)
        (task,) = service.statistics().tasks
        assert task.ends_at is not None
        assert wall() - task.ends_at < 15, "a poll's interval, and the downloads' latency"
        assert [file.suffix for file in result.files] == [".png"]

    run(main())


async def test_outside_of_virtual_time_the_clock_is_the_machines() -> None:
    assert time.time() - wall() < HOUR_S


def test_the_clock_waits_for_a_thread() -> None:
    async def main() -> None:
        worker = Worker()
        worker.go_on.set()
        async with asyncio.timeout(HOUR_S):
            await asyncio.to_thread(worker.work)
        assert asyncio.get_running_loop().time() < 1

    run(main())


def test_the_clock_waits_for_a_thread_whose_caller_was_cancelled() -> None:
    async def main() -> None:
        worker = Worker()
        caller = asyncio.create_task(asyncio.to_thread(worker.work))
        await worker.begun.wait()
        caller.cancel()
        await asyncio.wait({caller})
        worker.go_on.set()
        await asyncio.sleep(HOUR_S)
        assert worker.ended_at is not None
        assert worker.ended_at < 1

    run(main())


def test_the_clock_goes_on_once_the_thread_has_ended() -> None:
    async def main() -> None:
        worker = Worker()
        caller = asyncio.create_task(asyncio.to_thread(worker.work))
        await worker.begun.wait()
        caller.cancel()
        worker.go_on.set()
        await worker.ended.wait()
        await asyncio.sleep(HOUR_S)
        await asyncio.sleep(HOUR_S)
        assert HOUR_S < asyncio.get_running_loop().time() < 2 * HOUR_S + 1

    run(main())


def test_work_that_never_began_holds_no_clock() -> None:
    """The thread is busy; the work behind it is cancelled in the executor's queue."""

    async def main() -> None:
        loop, worker = asyncio.get_running_loop(), Worker()
        with ThreadPoolExecutor(1) as executor:
            busy = loop.run_in_executor(executor, worker.work)
            await worker.begun.wait()
            loop.run_in_executor(executor, never).cancel()
            worker.go_on.set()
            await busy
            await asyncio.sleep(HOUR_S)
        assert loop.time() < HOUR_S + 1

    run(main())


def test_work_that_an_executor_refuses_holds_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "STUCK_AFTER_S", 0.0)

    async def main() -> None:
        loop, executor = asyncio.get_running_loop(), ThreadPoolExecutor(1)
        executor.shutdown()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(executor, never)
        await asyncio.sleep(HOUR_S)

    run(main())


def test_a_long_work_is_not_taken_for_a_stuck_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "STUCK_AFTER_S", 0.0)

    async def main() -> None:
        worker = Worker()
        worker.go_on.set()
        await asyncio.to_thread(worker.work)

    run(main())


def test_a_thread_that_waits_for_the_loop_for_ever_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "THREAD_STUCK_AFTER_S", 0.0)
    go_on = threading.Event()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        try:
            await asyncio.sleep(HOUR_S)
        finally:  # the thread must end, and be joined
            monkeypatch.undo()
            go_on.set()

    with pytest.raises(RuntimeError, match="a thread still works"):
        run(main())


def test_the_end_of_a_run_joins_its_threads() -> None:
    """`asyncio.Runner` gives them 300 s from Python 3.12 on, which virtual time must not jump over."""
    works: list[Worker] = []

    async def main() -> None:
        worker = Worker()
        works.append(worker)
        asyncio.get_running_loop().run_in_executor(None, worker.work)
        await worker.begun.wait()
        worker.go_on.set()

    run(main())

    assert works[0].ended_at is not None
    assert works[0].ended_at < 1


def test_an_executor_of_the_users_own_by_default() -> None:
    async def main() -> None:
        loop, worker = asyncio.get_running_loop(), Worker()
        with ThreadPoolExecutor(1, thread_name_prefix="the-users") as executor:
            loop.set_default_executor(executor)
            assert (await asyncio.to_thread(name_of_thread)).startswith("the-users")
            caller = asyncio.create_task(asyncio.to_thread(worker.work))
            await worker.begun.wait()
            caller.cancel()
            worker.go_on.set()
            await asyncio.sleep(HOUR_S)
        assert worker.ended_at is not None
        assert worker.ended_at < 1

    run(main())


def test_the_clock_waits_for_a_ledgers_commit_whose_caller_was_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        worker = Worker()
        database = await Database.open(f"file:{tmp_path / 'some.db'}")
        caller = asyncio.create_task(database.run(lambda _: worker.work()))
        await worker.begun.wait()
        caller.cancel()
        await asyncio.wait({caller})
        worker.go_on.set()
        await asyncio.sleep(HOUR_S)
        await database.close()
        assert worker.ended_at is not None
        assert worker.ended_at < 1

    run(main())


def test_a_run_inside_a_loop_says_where_to_call_it() -> None:
    async def main() -> None:
        inner = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="without `async`"):
            run(inner)
        inner.close()

    run(main())


def never() -> None:
    raise AssertionError("this was never to run")


def name_of_thread() -> str:
    return threading.current_thread().name
