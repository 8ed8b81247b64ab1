"""Two clients on one ledger in PostgreSQL: each one's work while the other one changes the same jobs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from mps_aigc_async import (
    AigcClient,
    Config,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobRecord,
    JobState,
    Kind,
    VideoRequest,
)
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger.postgres import PostgresLedger, members, patience
from mps_aigc_async.limits.shared import limits
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import TaskFailed
from mps_aigc_async.model.settlement import CreateAgain
from mps_aigc_async.sharing import connection
from mps_aigc_async.sharing.connection import Row
from mps_aigc_async.sharing.elapsed import Stopwatch

from .ledger.postgres.members import accepted, intent_of
from .postgres_server import PostgresServer
from .support import KEYS

CAT = ImageRequest(id="cat", prompt="a cat")
CREATE = "CreateAigcImageTask"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=600) as emulator:
        yield emulator


def config_for(emulator: Emulator) -> Config:
    concurrency = {"maxImageTasks": 4, "maxVideoTasks": 4, "pollIntervalMs": 100}
    return Config.parse({"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": concurrency})


def client_of(emulator: Emulator, database: str) -> AigcClient:
    return AigcClient(config_for(emulator), ledger=f"{database}?ledger=shared")


async def ledger_of(client: AigcClient) -> PostgresLedger:
    return cast("PostgresLedger", await client._open_ledger(None))


def after_put(
    ledger: PostgresLedger, state: JobState, act: Callable[[JobRecord], Awaitable[None]], patch: pytest.MonkeyPatch
) -> None:
    """Have something happen once, right after a row of this state has been written."""
    put, is_over = ledger.put, False

    async def put_and_act(job: JobRecord) -> None:
        nonlocal is_over
        await put(job)
        if job.state is state and not is_over:
            is_over = True
            await act(job)

    patch.setattr(ledger, "put", put_and_act)


async def test_a_job_that_found_no_room_may_be_another_members_by_now(
    emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is free while its client waits for the next slot."""
    async with client_of(emulator, database) as first, client_of(emulator, database) as second:
        other = await ledger_of(second)
        submitted: asyncio.Future[JobRecord] = asyncio.get_running_loop().create_future()

        async def claim(job: JobRecord) -> None:
            row = await other.get(job.job_id)
            assert row is not None
            intent = intent_of(row)
            await other.claim(row, intent)
            await other.put(accepted(intent))
            submitted.set_result(accepted(intent))

        after_put(await ledger_of(first), JobState.PLANNED, claim, monkeypatch)
        emulator.faults.add(action=CREATE, fault="error", code="LimitExceeded.CreateTask", times=1)
        making = asyncio.create_task(first.generate(CAT))
        task = await submitted
        await other.put(task.moved(JobState.DONE, urls=("https://a/1.png",), ended_at=4.0))
        assert (await making).task_id == "4-1"
        assert emulator.statistics().created.get("image", 0) == 0


async def test_two_clients_save_several_results_of_one_job_at_once(
    emulator: Emulator, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has recorded all files before the first one records its first file."""
    several = ImageRequest(id="cat", prompt="a cat", output_count=3)
    async with client_of(emulator, database) as first, client_of(emulator, database) as second:
        await first.generate(several)
        ledger, other = await ledger_of(first), await ledger_of(second)
        put = ledger.put

        async def put_later(job: JobRecord) -> None:
            if job.state is JobState.DONE:
                row = await other.get(job.job_id)
                assert row is not None
                files = tuple(str(tmp_path / f"{number}.png") for number in range(3))
                if row.state is JobState.DONE:
                    await other.put(row.moved(JobState.SAVED, files=files, saved_at=5.0))
            await put(job)

        monkeypatch.setattr(ledger, "put", put_later)
        outcomes = [outcome async for outcome in first.run([several], save_to=tmp_path / "out")]
        assert [outcome.error for outcome in outcomes] == [None]
        row = await ledger.get("cat/image")
        assert row is not None
        assert row.state is JobState.SAVED
        assert {Path(file).parent for file in row.files} == {tmp_path / "out"}


async def test_two_clients_retry_the_failed_jobs_at_once(
    emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has created a job again before the first one plans it again."""
    async with client_of(emulator, database) as first, client_of(emulator, database) as second:
        ledger, other = await ledger_of(first), await ledger_of(second)
        for name in ("a/image", "b/image"):
            planned = await ledger.plan(JobRecord(job_id=name, kind=CAT.kind, content="{}", planned_at=1.0))
            error = to_record(TaskFailed("the model failed"))
            await ledger.put(planned.moved(JobState.FAILED, ended_at=2.0, error=error))
        put = ledger.put

        async def put_later(job: JobRecord) -> None:
            if job.job_id == "a/image":
                row = await other.get(job.job_id)
                assert row is not None
                await other.put(row.replanned())
                planned = await other.get(job.job_id)
                assert planned is not None
                await other.claim(planned, intent_of(planned))
            await put(job)

        monkeypatch.setattr(ledger, "put", put_later)
        assert [job.job_id for job in await first.retry_failed()] == ["b/image"]


async def test_a_client_closes_in_seconds_though_its_database_is_silent(
    emulator: Emulator, postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (patience, "CLOSE_GRACE_S"),
        (members, "LAST_TRY_S"),
        (limits, "LEAVE_S"),
        (connection, "GRACE_S"),
    ):
        monkeypatch.setattr(module, name, 0.2)
    config = config_for(emulator).model_copy(update={"limit_store": database})
    client = await AigcClient(config, ledger=f"{database}?ledger=shared").__aenter__()
    await client.submit(CAT)
    postgres.pause()
    try:
        async with asyncio.timeout(8.0):
            await client.aclose()
    finally:
        postgres.resume()


def suspended_after_claim(
    ledger: PostgresLedger,
    emulator: Emulator,
    meanwhile: Callable[[JobRecord], Awaitable[None]],
    patch: pytest.MonkeyPatch,
) -> list[int]:
    """Let a suspend of a minute follow the first claim: the wall clock jumps, and the monotonic one stands. Return a
    list that gets, for each heartbeat that is written afterwards, the number of tasks at the service by then."""
    claim, note, jump_s, tasks = ledger.claim, ledger.members._note, 0.0, list[int]()
    clocks = (time.monotonic, lambda: time.time() + jump_s)
    patch.setattr(ledger.members, "_time", replace(ledger.members._time, clocks=clocks))

    def note_and_count(rows: Sequence[Row], age: Stopwatch) -> None:
        note(rows, age)
        if jump_s:
            tasks.append(len(emulator.statistics().tasks))

    async def claim_and_sleep(job: JobRecord, intent: JobRecord, ahead_of: Collection[Kind]) -> None:
        nonlocal jump_s
        await claim(job, intent, ahead_of)
        if not jump_s:
            await meanwhile(intent)
            jump_s = 60.0

    patch.setattr(ledger.members, "_note", note_and_count)
    patch.setattr(ledger, "claim", claim_and_sleep)
    return tasks


async def nothing(_job: JobRecord) -> None:
    """The others do nothing meanwhile."""


async def test_a_client_that_was_suspended_asks_the_database_before_it_creates(
    emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(emulator, database) as client:
        tasks = suspended_after_claim(await ledger_of(client), emulator, nothing, monkeypatch)
        await client.generate(CAT)
    assert tasks[0] == 0
    assert tasks[-1] == 1


async def test_a_client_that_was_suspended_creates_no_job_that_another_one_has_created(
    emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other client has taken it for gone; the user has looked for the task, found none, and has the job created."""
    async with client_of(emulator, database) as first, client_of(emulator, database) as second:
        ledger, other = await ledger_of(first), await ledger_of(second)

        async def take_over(intent: JobRecord) -> None:
            [(counter,)] = await other._read(
                "SELECT counter FROM mps_aigc_ledger.members WHERE id = %(member)s", member=ledger.member
            )
            absentee = members.Absentee(ledger.member, counter, is_dead=True)
            monkeypatch.setattr(other.members, "absentees", {ledger.member: absentee})
            assert [job.state for job in await other.adopt()] == [JobState.UNKNOWN]
            await second.settle(intent.job_id, CreateAgain())
            await second.submit(CAT)

        tasks = suspended_after_claim(ledger, emulator, take_over, monkeypatch)
        result = await first.generate(CAT)
        assert tasks
        assert [task.task_id for task in emulator.statistics().tasks] == [result.task_id]


async def test_clients_that_race_with_other_contents_send_what_their_rows_say(
    emulator: Emulator, database: str
) -> None:
    """Each content is planned, replaced, refused or made as a new version: every task's prompt is that of its row."""
    async with client_of(emulator, database) as first, client_of(emulator, database) as second:

        async def make(client: AigcClient, shot: int, take: int) -> None:
            image = ImageRequest(prompt=f"image {shot} {take}")
            chain = ImageToVideo(id=f"{shot}", image=image, video=VideoRequest(prompt=f"video {shot} {take}"))
            work = client.redo(f"{shot}", chain) if take == 2 else client.generate(chain)
            with suppress(InvalidRequest):
                await work

        clients = (first, second, first, second)
        await asyncio.gather(*(make(clients[(shot + take) % 4], shot, take) for shot in range(8) for take in range(4)))
        prompts = {task.task_id: task.prompt for task in emulator.statistics().tasks}
        ledger = await ledger_of(first)
        rows = [job for state in JobState for job in [one async for one in ledger.in_state(state)]]
    assert {job.task_id: job.prompt for job in rows if job.task_id is not None} == prompts
    assert len(set(prompts.values())) == len(prompts) >= 16, prompts
