"""Several accounts in one ledger in PostgreSQL: workers, members that are gone, and clients of one account alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageResult, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.workers import queue, retry_failed
from mps_aigc_async.model.errors import LedgerError, TaskFailed
from mps_aigc_async.sharing.database_url import DatabaseUrl

from .test_workers import images, outcomes, text_of, url

__all__ = ["url"]

FURTHER = {"AKIDB": "KEYB"}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=600, accounts=FURTHER) as emulator:
        yield emulator


def client_of(emulator: Emulator, url: DatabaseUrl, names: str = "ab") -> AigcClient:
    keys = {"a": ("AKIDEXAMPLE", "KEYEXAMPLE"), "b": ("AKIDB", "KEYB")}
    accounts = [
        {"account": name, "tencentCloud": {"secretId": keys[name][0], "secretKey": keys[name][1]}} for name in names
    ]
    concurrency = {"maxImageTasks": 2, "maxVideoTasks": 2, "pollIntervalMs": 100}
    config = Config.parse(
        {"tencentCloud": {"endpoint": emulator.url}, "concurrency": concurrency, "accounts": accounts}
    )
    return AigcClient(config, ledger=text_of(url))


def created(emulator: Emulator) -> tuple[int, int]:
    a, b = emulator.statistics(), emulator.account("AKIDB").statistics(emulator.now())
    return sum(a.created.values()), sum(b.created.values())


async def test_workers_of_two_accounts_finish_a_batch_though_one_is_refused(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path
) -> None:
    emulator.account("AKIDB").faults.add(
        action="CreateAigcVideoTask", fault="error", code="FailedOperation.UserArrears", after=2, times=None
    )
    chains = [
        ImageToVideo(id=f"chain-{n}", image=ImageRequest(prompt=f"a lake {n}"), video=VideoRequest(prompt="it freezes"))
        for n in range(12)
    ]
    await queue(chains, text_of(url))
    async with AsyncExitStack() as stack:
        work = []
        for _ in range(2):
            client = await stack.enter_async_context(client_of(emulator, url))
            worker = client.worker(save_to=tmp_path)
            work.append(asyncio.create_task(worker.run()))
            stack.callback(worker.stop)
        ended = await outcomes(url)
    await asyncio.gather(*work)
    assert not [error for error in ended.values() if isinstance(error, Exception)]
    assert len(list(tmp_path.glob("*.png"))) == len(list(tmp_path.glob("*.mp4"))) == 12
    assert sum(created(emulator)) == 24  # each step once
    assert emulator.account("AKIDB").statistics(emulator.now()).created["video"] == 2


async def test_the_failed_jobs_of_each_account_are_retried(emulator: Emulator, url: DatabaseUrl) -> None:
    accounts = (emulator, emulator.account("AKIDB"))
    for account in accounts:
        account.faults.add(action="CreateAigcImageTask", fault="fail_later", code="ModelGenerateFailed", times=4)
    await queue(images(4), text_of(url))
    async with client_of(emulator, url) as client:
        worker = client.worker()
        work = asyncio.create_task(worker.run())
        assert {type(end) for end in (await outcomes(url)).values()} == {TaskFailed}
        assert min(created(emulator)) > 0
        for account in accounts:
            account.faults.clear()
        assert await retry_failed(text_of(url)) == 4
        assert {type(end) for end in (await outcomes(url)).values()} == {ImageResult}
        worker.stop()
        await work
    assert sum(created(emulator)) == 8


async def test_the_tasks_of_each_account_are_adopted_with_its_keys(emulator: Emulator, url: DatabaseUrl) -> None:
    async with client_of(emulator, url) as client:
        tasks = [await client.submit(request) for request in images(4)]
    assert created(emulator) == (2, 2)
    async with client_of(emulator, url, "ba") as client:
        results = [await client.attach("image", task.task_id).wait() for task in tasks]
        again = [await client.generate(request) for request in images(4)]
    assert [result.task_id for result in again] == [result.task_id for result in results]
    assert created(emulator) == (2, 2)


async def test_a_job_of_another_account_ends_its_request_and_not_the_worker(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    async with client_of(emulator, url, "b") as client:
        await client.submit(images(1)[0])
    await queue(images(4), text_of(url))
    async with client_of(emulator, url, "a") as client:
        worker = client.worker()
        work = asyncio.create_task(worker.run())
        ends = await outcomes(url)
        worker.drain()
        await work
    assert [type(ends[f"shot-{number}"]) for number in range(4)] == [LedgerError, *3 * [ImageResult]]
    assert "name the account in `accounts`" in str(ends["shot-0"])


async def test_a_client_of_one_account_leaves_the_jobs_of_the_other(emulator: Emulator, url: DatabaseUrl) -> None:
    async with client_of(emulator, url, "b") as client:
        await client.submit(images(1)[0])
    async with client_of(emulator, url, "a") as client:
        with pytest.raises(LedgerError, match="the job belongs to account 'b'"):
            await client.generate(images(1)[0])
    async with client_of(emulator, url) as client:
        await client.generate(images(1)[0])
    assert created(emulator) == (0, 1)
