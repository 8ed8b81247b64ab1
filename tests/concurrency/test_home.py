"""A client belongs to the loop and process that opened it: elsewhere it sends nothing, and `close` frees its sockets.

Over real sockets: the service is the emulator in a thread of its own, which outlives the tests' loops.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import (
    AigcClient,
    ClientClosed,
    ClientError,
    Config,
    Drop,
    ImageRequest,
    JobState,
    Kind,
    Statistics,
    Task,
)
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.limits import Limits
from mps_aigc_async.limits.process.slots import ProcessSlots

from ..ledger.processes import other_process
from ..watching import Calls

LAKE = ImageRequest(id="lake", prompt="a lake")
FDS = Path("/proc/self/fd")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """In a loop of its own, in another thread."""
    is_up, stop = threading.Event(), asyncio.Event()
    running: list[tuple[Emulator, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with Emulator(image_seconds=(30.0, 30.0)) as service:
            running.append((service, asyncio.get_running_loop()))
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert is_up.wait(10.0)
    service, loop = running[0]
    yield service
    loop.call_soon_threadsafe(stop.set)
    thread.join()


def client_for(emulator: Emulator, ledger: Path | None = None) -> AigcClient:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": emulator.url}
    config = Config.parse({"tencentCloud": keys, "concurrency": {"pollIntervalMs": 100}})
    return AigcClient(config, ledger=ledger)


def creates(emulator: Emulator) -> int:
    return emulator.statistics().arrivals.get("CreateAigcImageTask", 0)


def in_a_thread(work: Callable[[], Any]) -> Any:  # noqa: ANN401 — what `work` returns or raises
    """Run `work` in another thread; return its value, or its exception if it raises one."""
    values: list[Any] = []

    def main() -> None:
        try:
            values.append(work())
        except Exception as error:  # noqa: BLE001 — the test looks at it
            values.append(error)

    thread = threading.Thread(target=main, name="elsewhere")
    thread.start()
    thread.join(20.0)
    assert values, "it hangs"
    return values[0]


def sockets() -> set[str]:
    """The descriptors that are sockets or SQLite's files, as the system shows them."""
    entries: set[str] = set()
    for entry in FDS.iterdir():
        try:
            to = str(entry.readlink())
        except OSError:
            continue
        if to.startswith("socket:") or ".db" in to:
            entries.add(to)
    return entries


USES: dict[str, Callable[[AigcClient, Task[Any]], Awaitable[object]]] = {
    "generate": lambda client, _: client.generate(ImageRequest(prompt="x")),
    "submit": lambda client, _: client.submit(ImageRequest(prompt="x")),
    "run": lambda client, _: anext(client.run([ImageRequest(prompt="x")])),
    "status": lambda client, task: client.status("image", task.task_id),
    "attach": lambda client, task: client.attach("image", task.task_id).wait(),
    "attached status": lambda client, task: client.attach("image", task.task_id).status(),
    "task wait": lambda _, task: task.wait(),
    "task status": lambda _, task: task.status(),
    "call": lambda client, _: client.call("DescribeAigcTaskList", {}),
    "create by call": lambda client, _: client.call("CreateAigcImageTask", {"Prompt": "x"}),
    "task_list": lambda client, _: client.task_list(),
    "task_details": lambda client, _: client.task_details("4-x"),
    "unknown": lambda client, _: client.unknown(),
    "settle": lambda client, _: client.settle("lake/image", Drop()),
    "retry_failed": lambda client, _: client.retry_failed(),
    "counts": lambda client, _: client.counts(),
    "usage": lambda client, _: client.usage(datetime.now(UTC).date()),
    "quotas": lambda client, _: client.quotas(),
    "open": lambda client, _: client.__aenter__(),
}


@pytest.mark.parametrize("durable", [False, True], ids=["in memory", "on disk"])
def test_from_another_loop_nothing_is_sent(emulator: Emulator, tmp_path: Path, durable: bool) -> None:
    async def main() -> None:
        async with client_for(emulator, tmp_path / "jobs.db" if durable else None) as client:
            task = await client.submit(LAKE)
            run = client.run([ImageRequest(prompt="x")])
            before = emulator.statistics().arrivals
            for name, use in USES.items():

                async def elsewhere(use: Callable[..., Awaitable[object]] = use) -> None:
                    await use(client, task)

                error = await asyncio.to_thread(in_a_thread, lambda: asyncio.run(elsewhere()))
                assert isinstance(error, ClientError), (name, error)
                assert "open one client per loop" in str(error), name
                assert "thread 'MainThread'" in str(error)
            error = await asyncio.to_thread(in_a_thread, lambda: asyncio.run(anext_of(run)))
            assert isinstance(error, ClientError)
            error = await asyncio.to_thread(in_a_thread, lambda: client.run([]))
            assert "no event loop" in str(error)
            text = await asyncio.to_thread(in_a_thread, lambda: harmless(client))
            assert text == f"{client!r}"
            after = emulator.statistics().arrivals
            assert after["CreateAigcImageTask"] == before["CreateAigcImageTask"] == 1
            assert set(after) - {"DescribeAigcImageTask"} == {"CreateAigcImageTask"}
            assert await client.counts() == {JobState.SUBMITTED: 1}
            await run.aclose()

    asyncio.run(main())


def harmless(client: AigcClient) -> str:
    """All that is allowed anywhere, also without a loop."""
    client.check(LAKE)
    client.on_event(lambda _: None)()
    assert client.statistics().slots[Kind.IMAGE].capacity
    return f"{client!r}"


def test_another_threads_client_shares_the_ledger(emulator: Emulator, tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"

    async def made() -> str:
        async with client_for(emulator, ledger) as client:
            return (await client.submit(LAKE)).task_id

    async def main() -> None:
        async with client_for(emulator, ledger) as client:
            there = await asyncio.to_thread(in_a_thread, lambda: asyncio.run(made()))
            assert there == (await client.submit(LAKE)).task_id

    asyncio.run(main())
    assert asyncio.run(made())
    assert creates(emulator) == 1


async def anext_of(run: Any) -> object:  # noqa: ANN401 — a Run of any kind
    return await anext(run)


def test_after_its_loop_has_ended_too(emulator: Emulator, tmp_path: Path) -> None:
    client = client_for(emulator, tmp_path / "jobs.db")

    async def open_client() -> Task[Any]:
        await client.__aenter__()
        return await client.submit(LAKE)

    task = asyncio.run(open_client())

    async def later() -> None:
        for name, use in USES.items():
            if name != "open":
                with pytest.raises(ClientError, match="is closed: nothing was sent"):
                    await use(client, task)
        assert client.statistics().slots[Kind.IMAGE].taken == 1
        await client.aclose()
        with pytest.raises(ClientClosed):
            await client.generate(LAKE)

    asyncio.run(later())
    assert creates(emulator) == 1


@pytest.mark.parametrize("how", ["asyncio.run", "loop.close"])
def test_an_abandoned_client_is_freed_from_another_loop(emulator: Emulator, tmp_path: Path, how: str) -> None:
    ledger = tmp_path / "jobs.db"
    gc.collect()
    before, threads = sockets(), threading.active_count()
    client = client_for(emulator, ledger)

    async def abandon() -> str:
        await client.__aenter__()
        return (await client.submit(LAKE)).task_id

    task_id = asyncio.run(abandon()) if how == "asyncio.run" else in_a_loop_that_is_just_closed(client)
    assert sockets() > before

    async def close() -> None:
        await client.aclose()
        await client.aclose()

    asyncio.run(close())
    assert repr(client).endswith("closed>")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
    assert {one for one in sockets() - before if ".db" in one} == set()
    assert sockets() <= before
    assert threading.active_count() == threads
    with other_process() as other:
        # Of another account, which may have it if nothing was sent from it; but no longer locked.
        assert other.ask(f"open {ledger}").startswith("opened" if how == "loop.close" else f"{ledger} belongs to")

    async def again() -> None:
        async with client_for(emulator, ledger) as fresh:
            if how == "asyncio.run":
                assert (await fresh.attach("image", task_id).status()).state
                assert await fresh.counts() == {JobState.SUBMITTED: 1}

    asyncio.run(again())


def test_an_abandoned_clients_tasks_keep_their_slots_for_as_long_as_they_may_run(
    emulator: Emulator, tmp_path: Path
) -> None:
    client = client_for(emulator, tmp_path / "jobs.db")

    async def abandon() -> Limits:
        await client.__aenter__()
        await client.submit(LAKE)
        assert client._engine is not None
        return client._engine.account().limits

    slots = asyncio.run(abandon()).slots[Kind.IMAGE]
    assert isinstance(slots, ProcessSlots)
    assert slots.figures().running == 1
    asyncio.run(client.aclose())
    assert len(slots._held_until) == slots.figures().running == 1
    assert not slots._alarms.loops


def in_a_loop_that_is_just_closed(client: AigcClient) -> str:
    """Open the client in a loop that is closed without more ado; nothing is under way."""
    loop = asyncio.new_event_loop()

    async def call() -> None:
        await client.__aenter__()
        await client.call("DescribeAigcTaskList", {})
        ledger = await client._open_ledger(None)
        await ledger.keep_fact("of the test", "yes")

    try:
        loop.run_until_complete(call())
    finally:
        loop.close()
    return ""


def test_a_client_that_was_left_open_can_be_opened_again(emulator: Emulator, tmp_path: Path) -> None:
    client = client_for(emulator, tmp_path / "jobs.db")

    async def left_open() -> None:
        await client.__aenter__()
        await client.submit(LAKE)

    async def again() -> None:
        async with client:
            assert await client.counts() == {JobState.SUBMITTED: 1}
            assert (await client.submit(LAKE)).task_id

    asyncio.run(left_open())
    for _ in range(2):
        asyncio.run(again())
    assert creates(emulator) == 1


def test_closed_from_another_thread_it_is_closed_in_its_own_loop(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger, calls = tmp_path / "jobs.db", Calls(emulator, monkeypatch)

    async def main() -> None:
        client = client_for(emulator, ledger)
        await client.__aenter__()
        creating = asyncio.create_task(client.generate(LAKE))
        await asyncio.to_thread(calls.until, lambda: creates(emulator))
        both = [asyncio.to_thread(in_a_thread, lambda: asyncio.run(client.aclose())) for _ in range(2)]
        assert await asyncio.gather(*both) == [None, None]
        assert isinstance((await asyncio.gather(creating, return_exceptions=True))[0], ClientClosed)
        async with client_for(emulator, ledger) as fresh:  # its lock is free, and its paid task known
            assert await fresh.counts() == {JobState.SUBMITTED: 1}

    asyncio.run(main())
    assert creates(emulator) == 1


def test_a_loop_that_stands_still_cannot_close_and_says_so(emulator: Emulator) -> None:
    client = client_for(emulator)
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        error = in_a_thread(lambda: asyncio.run(client.aclose()))
        assert isinstance(error, ClientError)
        assert "close the client there, or close that loop first" in str(error)
        runner.run(client.aclose())


def test_a_loop_that_ends_meanwhile_hangs_nobody_who_closes(emulator: Emulator, tmp_path: Path) -> None:
    client = client_for(emulator, tmp_path / "jobs.db")
    is_open, end = threading.Event(), threading.Event()

    def own() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.__aenter__())
        loop.call_soon(is_open.set)
        loop.call_soon(end.wait)  # the loop is blocked, then ends: it closes nothing
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=own)
    thread.start()
    assert is_open.wait(10.0)

    async def close() -> None:
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)
        end.set()
        await closing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the loop never began the coroutine that it was handed
        asyncio.run(close())
        thread.join()
        gc.collect()
    assert repr(client).endswith("closed>")


def test_statistics_are_there_for_any_thread_while_the_loop_works(emulator: Emulator) -> None:
    snapshots: list[Statistics] = []
    stop = threading.Event()

    async def main() -> None:
        async with client_for(emulator) as client:

            def watch() -> None:
                while not stop.is_set():
                    snapshots.append(client.statistics())

            watching = asyncio.create_task(asyncio.to_thread(in_a_thread, watch))
            limits = client._usable_engine().account().limits
            slots = limits.slots[Kind.VIDEO]
            assert isinstance(slots, ProcessSlots)
            for turn in range(300):
                slots_taken = [slots._take(0, f"model {turn} {number}") for number in range(20)]
                limits.pace(f"Describe{turn}")
                await asyncio.sleep(0)
                for slot in slots_taken:
                    slot.release()
            stop.set()
            assert await watching is None

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        asyncio.run(main())
    finally:
        stop.set()
        sys.setswitchinterval(switch)
    assert snapshots


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("ends", ["_exit", "return"])
def test_a_forked_child_sends_nothing_and_closes_its_copies_alone(
    emulator: Emulator, tmp_path: Path, ends: str
) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": emulator.url}
    program, ledger = Path(__file__).with_name("forking.py"), tmp_path / "jobs.db"
    command = [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", str(program)]
    arguments = [json.dumps({"tencentCloud": keys}), str(ledger), ends]
    process = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    child, other, parent = process.stdout.splitlines()
    assert child == "child closed its sockets: True"
    assert "is being written by process" in other
    assert parent == "parent 2 True"
    assert creates(emulator) == 2
