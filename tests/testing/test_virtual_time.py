"""Virtual time beside threads: a thread's work takes real time and none of the virtual."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from mps_aigc_async import ImageRequest
from mps_aigc_async.emulator import Service
from mps_aigc_async.testing import in_memory_client, run, wall

SLOW_S = 0.05
"""What a slow disk takes: long enough for a clock that does not wait to jump to the next timer."""


def test_hours_take_no_time_and_are_exact() -> None:
    async def main() -> float:
        begun = wall()
        await asyncio.sleep(12 * 3600)
        return wall() - begun

    assert run(main()) == pytest.approx(12 * 3600, abs=0.01)


def test_a_slow_disk_takes_no_virtual_time_and_expires_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def slow_fsync(file: int) -> None:
        threading.Event().wait(SLOW_S)
        fsync(file)

    monkeypatch.setattr(os, "fsync", slow_fsync)

    async def main() -> None:
        service = Service()
        async with in_memory_client(service) as client:
            task = await client.submit(ImageRequest(prompt="a lake"))
            result = await task.wait()
            before = wall()
            saved = await client.generate(ImageRequest(prompt="a lake", id="saved"), save_to=tmp_path)
            (created,) = [one for one in service.statistics().tasks if one.task_id == saved.task_id]
            assert created.ends_at is not None
            assert wall() - created.ends_at < 15, "a poll's interval, and the downloads' latency"
            assert wall() > before
            assert result.expires_at is not None
            assert result.expires_at.timestamp() > wall()
        assert [file.suffix for file in saved.files] == [".png"]

    run(main())


def test_a_thread_whose_caller_was_cancelled_still_holds_the_clock() -> None:
    written, begun = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        threading.Event().wait(SLOW_S)
        written.set()

    async def main() -> None:
        writing = asyncio.ensure_future(asyncio.to_thread(write))
        await asyncio.to_thread(begun.wait)
        writing.cancel()
        await asyncio.sleep(3600)
        assert written.is_set(), "an hour passed while the thread wrote"

    run(main())


def test_work_that_never_began_is_not_waited_for() -> None:
    from concurrent.futures import ThreadPoolExecutor

    async def main() -> None:
        release = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as one_thread:
            loop = asyncio.get_running_loop()
            first = loop.run_in_executor(one_thread, release.wait)
            queued = loop.run_in_executor(one_thread, int)
            queued.cancel()
            release.set()
            assert await first
            await asyncio.sleep(3600)

    run(main())


async def test_outside_of_virtual_time_the_clock_is_the_machines() -> None:
    assert time.time() - wall() < 60
