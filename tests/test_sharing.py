"""Processes that share a limit store are one account to the service: its rate and its cap hold for all of them, and a
killed one's tasks are counted until they have ended."""

import asyncio
import json
import multiprocessing
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, Config
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model.states import Kind

from .sharing_process import CAP, Order, batch, errors_of, fork, requests_of, sections

COUNT = 6
PATIENCE_S = 120.0


@pytest.fixture(params=["host", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "limits") if request.param == "host" else request.getfixturevalue("database")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "limits")


@asynccontextmanager
async def started(order: Order) -> AsyncIterator[Process]:
    """The process of an order; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sharing_process", stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    process.stdin.write(order.line())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer(process: Process) -> list[str]:
    """The errors that the process prints."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        errors: list[str] = json.loads(await process.stdout.readline())
    return errors


def crowded(speed: float = 600, image_seconds: tuple[float, float] = (60.0, 180.0)) -> Emulator:
    return Emulator(speed=speed, max_running={"image": CAP}, image_seconds=image_seconds)


def judge(emulator: Emulator, created: int) -> None:
    statistics = emulator.statistics()
    assert statistics.created["image"] == created
    assert statistics.refused == {}
    assert statistics.most_running["image"] <= CAP


async def codes(pids: Sequence[int]) -> list[int]:
    ended = [await asyncio.to_thread(os.waitpid, pid, 0) for pid in pids]
    return [os.waitstatus_to_exitcode(status) for _, status in ended]


async def test_processes_keep_the_rate_and_the_cap_together(store: str) -> None:
    async with crowded() as emulator, AsyncExitStack() as stack:
        orders = [Order(endpoint=emulator.url, store=store, name=f"{number}", count=COUNT) for number in range(3)]
        processes = [await stack.enter_async_context(started(order)) for order in orders]
        assert await asyncio.gather(*map(answer, processes)) == [[], [], []]
        judge(emulator, 3 * COUNT)


@pytest.mark.parametrize("opened", ["before", "after"])
async def test_four_forks_and_their_parent_keep_the_cap_together(store: str, opened: str) -> None:
    """The client of the parent is opened before the forks, so that they inherit its connections, or after them."""
    async with crowded() as emulator:
        orders = [Order(endpoint=emulator.url, store=store, name=f"{number}", count=COUNT) for number in range(4)]
        client = AigcClient(Config.parse(sections(emulator.url, store)))

        def forking() -> list[int]:
            async def run() -> None:
                errors.extend(errors_of([outcome async for outcome in client.run(requests_of("parent", COUNT))]))
                await client.aclose()

            errors: list[str] = []
            with asyncio.Runner() as runner:
                if opened == "before":
                    runner.run(client.__aenter__())
                pids = [fork(order) for order in orders]
                if opened == "after":
                    runner.run(client.__aenter__())
                runner.run(run())
            assert errors == []
            return pids

        assert await codes(await asyncio.to_thread(forking)) == [0, 0, 0, 0]
        judge(emulator, 5 * COUNT)


def _in_a_child(order: Order) -> None:
    assert asyncio.run(batch(order)) == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_children_of_multiprocessing_keep_the_cap_together(folder: str, method: str) -> None:
    async with crowded() as emulator:
        context = multiprocessing.get_context(method)
        orders = [Order(endpoint=emulator.url, store=folder, name=f"{number}", count=COUNT) for number in range(2)]
        children = [context.Process(target=_in_a_child, args=(order,)) for order in orders]  # type: ignore[attr-defined]
        for child in children:
            child.start()
        for child in children:
            await asyncio.to_thread(child.join, PATIENCE_S)
        assert [child.exitcode for child in children] == [0, 0]
        judge(emulator, 2 * COUNT)


async def test_two_runs_of_the_command_in_two_folders_keep_the_cap_together(tmp_path: Path) -> None:
    async with crowded() as emulator:
        processes = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(sections(emulator.url, str(tmp_path / "limits"))))
            lines = [{"id": f"{name}-{number}", "image": {"prompt": "a lake"}} for number in range(COUNT)]
            (folder / "batch.jsonl").write_text("\n".join(map(json.dumps, lines)))
            processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "mps_aigc_async", "run", "batch.jsonl", "--out", "out",
                    cwd=folder, stdout=PIPE, stderr=PIPE,
                )
            )  # fmt: skip
        ended = await asyncio.gather(*(process.communicate() for process in processes))
        assert [process.returncode for process in processes] == [0, 0], ended
        judge(emulator, 2 * COUNT)


async def test_a_killed_process_keeps_its_slots_only_until_its_tasks_have_ended(store: str) -> None:
    """Without the polls of the next process, they would keep them for half an hour."""
    async with crowded(speed=50, image_seconds=(100.0, 100.0)) as emulator:
        order = Order(endpoint=emulator.url, store=store, name="killed", count=CAP, submits=True)
        async with started(order) as process:
            assert await answer(process) == []
            process.send_signal(signal.SIGKILL)
        assert await batch(Order(endpoint=emulator.url, store=store, name="next", count=CAP)) == []
        judge(emulator, 2 * CAP)


async def test_a_killed_batch_adopts_its_slots_when_it_is_resumed(store: str, tmp_path: Path) -> None:
    async with crowded(speed=50, image_seconds=(100.0, 100.0)) as emulator:
        ledger = str(tmp_path / "jobs.db")
        order = Order(endpoint=emulator.url, store=store, name="k", count=CAP, submits=True, ledger=ledger)
        async with started(order) as process:
            assert await answer(process) == []
            process.send_signal(signal.SIGKILL)
        config = Config.parse(sections(emulator.url, store))
        async with AigcClient(config, ledger=ledger) as client:
            outcomes = [outcome async for outcome in client.run(requests_of("k", CAP))]
            assert errors_of(outcomes) == []
            assert client.statistics().slots[Kind.IMAGE].most_taken <= CAP, "none is counted twice"
        judge(emulator, CAP)
