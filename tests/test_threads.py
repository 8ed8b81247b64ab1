"""Threads and loops of one process are one account to the service: its rate and its cap hold for all of them, and they
share a ledger file."""

import asyncio
import gc
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    Config,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageResult,
    JobState,
    Outcome,
)
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.events import Done, Event, Submitted
from mps_aigc_async.model.results import Result
from mps_aigc_async.testing import forget_limits

from .ledger.processes import require_no_ledger_thread
from .support import KEYS

CAP = 6


def config_for(emulator: Emulator, cap: int) -> Config:
    """The emulator's thread and those of the clients share one interpreter: arrivals are judged late now and then."""
    caps = {"maxImageTasks": cap, "pollIntervalMs": 100}
    cloud = {**KEYS, "endpoint": emulator.url}
    return Config.parse({"tencentCloud": cloud, "concurrency": caps, "pacing": {"jitterMs": 300}})


async def batch(config: Config, name: str, count: int) -> list[Outcome[BatchItem, Result]]:
    requests = [ImageRequest(id=f"{name}-{number}", prompt="a lake") for number in range(count)]
    async with AigcClient(config) as client:
        return [outcome async for outcome in client.run(requests)]


def in_a_loop_of_its_own(config: Config, name: str, count: int) -> list[Outcome[BatchItem, Result]]:
    return asyncio.run(batch(config, name, count))


def judged(emulator: Emulator, outcomes: Sequence[Sequence[Outcome[BatchItem, Result]]], expected: int) -> None:
    assert [outcome.error for one in outcomes for outcome in one] == [None] * expected
    statistics = emulator.statistics()
    assert statistics.created["image"] == expected
    assert statistics.refused == {}


async def test_eight_threads_with_a_loop_each_keep_the_rate_together() -> None:
    async with Emulator(speed=600) as emulator:
        config = config_for(emulator, cap=100)
        threads = [asyncio.to_thread(in_a_loop_of_its_own, config, f"thread-{number}", 8) for number in range(8)]
        judged(emulator, await asyncio.gather(*threads), 64)


async def test_eight_threads_with_a_loop_each_keep_the_cap_together() -> None:
    async with Emulator(speed=600, max_running={"image": CAP}) as emulator:
        config = config_for(emulator, CAP)
        threads = [asyncio.to_thread(in_a_loop_of_its_own, config, f"thread-{number}", 6) for number in range(8)]
        judged(emulator, await asyncio.gather(*threads), 48)
        assert emulator.statistics().most_running["image"] <= CAP


async def test_loops_one_after_another_remember_the_sends_of_those_before() -> None:
    async with Emulator(speed=6000) as emulator:
        config = config_for(emulator, cap=100)
        outcomes = [await asyncio.to_thread(in_a_loop_of_its_own, config, f"loop-{number}", 12) for number in range(6)]
        judged(emulator, outcomes, 72)


async def test_loops_one_after_another_wait_only_until_the_tasks_have_ended_that_those_before_left() -> None:
    """Each loop leaves tasks that fill the cap. Without polls they would keep their slots for half an hour."""

    async def fill(config: Config, name: str) -> None:
        async with AigcClient(config) as client:
            for number in range(CAP):
                await client.submit(ImageRequest(id=f"{name}-{number}", prompt="a lake"))

    async with Emulator(speed=100, max_running={"image": CAP}, image_seconds=(50.0, 50.0)) as emulator:
        config = config_for(emulator, CAP)
        for number in range(6):
            async with asyncio.timeout(60):
                await asyncio.to_thread(asyncio.run, fill(config, f"loop-{number}"))
        statistics = emulator.statistics()
        assert statistics.created["image"] == 6 * CAP
        assert statistics.most_running["image"] <= CAP
        assert statistics.refused == {}


# --- one ledger file --------------------------------------------------------------------------------------------------


def on_file(emulator: Emulator, ledger: Path) -> AigcClient:
    return AigcClient(config_for(emulator, cap=100), ledger=ledger)


async def shared_batch(client: AigcClient, count: int) -> list[Outcome[BatchItem, Result]]:
    """The same requests in every thread."""
    return [outcome async for outcome in client.run(ImageRequest(id=f"{n}", prompt="a lake") for n in range(count))]


def rows_in(ledger: Path) -> dict[str, int]:
    with closing(sqlite3.connect(ledger)) as database:
        return dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())


async def test_four_threads_on_one_ledger_make_each_request_once(tmp_path: Path) -> None:
    async with Emulator(image_seconds=(0.3, 0.6)) as emulator:
        ledger = tmp_path / "jobs.db"

        async def run() -> list[Outcome[BatchItem, Result]]:
            async with on_file(emulator, ledger) as client:
                return await shared_batch(client, 16)

        outcomes = await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(run())) for _ in range(4)))
        assert [outcome.error for one in outcomes for outcome in one] == [None] * 64
        tasks = {outcome.job_id: set[str]() for outcome in outcomes[0]}
        for outcome in (outcome for one in outcomes for outcome in one):
            assert isinstance(outcome.result, ImageResult)
            tasks[outcome.job_id].add(outcome.result.task_id)
        assert all(len(ids) == 1 for ids in tasks.values())
        assert emulator.statistics().created["image"] == 16
        assert rows_in(ledger) == {"done": 16}
        require_no_ledger_thread()


def heard(client: AigcClient, kind: type[Event]) -> asyncio.Event:
    """Set once the client tells an event of this kind."""
    is_heard = asyncio.Event()
    client.on_event(lambda event: is_heard.set() if isinstance(event, kind) else None)
    return is_heard


def ended_in_mid_batch(emulator: Emulator, ledger: Path, count: int) -> AigcClient:
    """A client whose loop was stopped and closed in the middle of its batch. Returned, so that nothing is collected."""
    loop = asyncio.new_event_loop()
    client = on_file(emulator, ledger)

    async def begin() -> None:
        await client.__aenter__()
        submitted = heard(client, Submitted)
        loop.create_task(shared_batch(client, count))  # noqa: RUF006 — its loop is closed with it
        await submitted.wait()

    loop.run_until_complete(begin())
    loop.close()
    return client


@pytest.fixture
def garbage_is_collected_with_the_test() -> Iterator[None]:
    """A closed loop's tasks cannot end in good order: asyncio itself complains when they are collected. With the test,
    and not during a later one, which would fail for it."""
    yield
    forget_limits()  # else the account holds the closed loop
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("garbage_is_collected_with_the_test")
async def test_a_thread_that_dies_in_mid_batch_leaves_its_work_to_the_others(tmp_path: Path) -> None:
    async with Emulator(image_seconds=(1.0, 1.5)) as emulator:
        ledger, count = tmp_path / "jobs.db", 12
        async with on_file(emulator, ledger) as client:
            dead = await asyncio.to_thread(ended_in_mid_batch, emulator, ledger, count)
            submitted = (await client.counts())[JobState.SUBMITTED]
            assert submitted
            outcomes = await shared_batch(client, count)
            made, unknown = emulator.statistics().created["image"], await client.unknown()
            # A create that was under way may have been accepted. Nobody can hear its answer.
            assert {type(outcome.error) for outcome in outcomes if outcome.error} <= {CreateOutcomeUnknown}
            assert len(unknown) == sum(outcome.error is not None for outcome in outcomes)
            assert count - len(unknown) <= made <= count
            assert (await client.counts())[JobState.DONE] == count - len(unknown)
            await dead.aclose()
            await client.counts()
        assert sum(rows_in(ledger).values()) == count
        require_no_ledger_thread()


async def test_the_tasks_of_a_thread_that_died_are_polled_though_nobody_asks_for_them(tmp_path: Path) -> None:
    async with Emulator(image_seconds=(0.5, 0.5)) as emulator:
        ledger = tmp_path / "jobs.db"

        def dies() -> AigcClient:
            loop, client = asyncio.new_event_loop(), on_file(emulator, ledger)

            async def begin() -> None:
                await client.__aenter__()
                await client.submit(ImageRequest(id="lake", prompt="a lake"))

            loop.run_until_complete(begin())
            loop.close()
            return client

        async with on_file(emulator, ledger) as client:
            done = heard(client, Done)
            dead = await asyncio.to_thread(dies)
            await done.wait()
            assert await client.counts() == {JobState.DONE: 1}
            await dead.aclose()
        assert emulator.statistics().created["image"] == 1


async def test_a_caller_polls_a_task_itself_whose_clients_loop_stands_still(tmp_path: Path) -> None:
    async with Emulator(image_seconds=(1.0, 1.0)) as emulator:
        ledger, lake = tmp_path / "jobs.db", ImageRequest(id="lake", prompt="a lake")
        loop = asyncio.new_event_loop()
        other = on_file(emulator, ledger)

        async def begin() -> str:
            await other.__aenter__()
            return (await other.submit(lake)).task_id

        task_id = await asyncio.to_thread(loop.run_until_complete, begin())  # and now the loop stands still
        async with on_file(emulator, ledger) as client:
            assert (await client.generate(lake)).task_id == task_id
            result = await asyncio.to_thread(loop.run_until_complete, other.generate(lake))
            assert result.task_id == task_id
            await asyncio.to_thread(loop.run_until_complete, other.aclose())
        loop.close()
        assert emulator.statistics().created["image"] == 1
        assert rows_in(ledger) == {"done": 1}
