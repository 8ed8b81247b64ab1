"""The views that several accounts have of one ledger: what is common, and what belongs to one of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async.ledger import UNBOUNDED, AccountLedger, CommonLedger, JobRecord, MemoryLedger, OtherAccount, join
from mps_aigc_async.ledger.sqlite import SqliteLedger
from mps_aigc_async.model.states import JobState, Kind

OWNERS = [{"account": name, "backend": "mps", "endpoint": "https://mps.example.com"} for name in "ab"]


def job(job_id: str = "cat/image") -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content="{}", planned_at=1.0)


def intent(row: JobRecord) -> JobRecord:
    return row.moved(JobState.INTENT, intent_at=2.0)


@pytest.fixture(params=["memory", "file"])
async def views(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[AccountLedger]]:
    if request.param == "memory":
        common = CommonLedger(MemoryLedger(), "ab")
        yield [common.view_of(name) for name in "ab"]
        return
    async with opened(tmp_path / "jobs.db", OWNERS) as common:
        yield [common.view_of(name) for name in "ab"]


@asynccontextmanager
async def opened(path: Path, owners: Sequence[dict[str, str]]) -> AsyncIterator[CommonLedger]:
    first, *others = owners
    ledger = await join(path, first, SqliteLedger.open, *others)
    try:
        yield CommonLedger(ledger, [owner["account"] for owner in owners])
    finally:
        await ledger.close()


async def ids(view: AccountLedger, state: JobState) -> list[str]:
    return [row.job_id async for row in view.in_state(state)]


async def test_a_planned_job_is_common_and_its_intent_gives_it_to_one(views: list[AccountLedger]) -> None:
    a, b = views
    planned = await a.plan(job())
    assert await b.plan(job()) == planned
    assert await ids(a, JobState.PLANNED) == await ids(b, JobState.PLANNED) == ["cat/image"]
    await b.claim(planned, intent(planned))
    row = await b.get("cat/image")
    assert row is not None
    assert row.account == "b"
    assert (await a.of_request("cat"))[Kind.IMAGE] == row, "the reader judges"
    for read in (a.get("cat/image"), a.plan(job())):
        with pytest.raises(OtherAccount, match="was created in the account b") as caught:
            await read
        assert caught.value.account == "b"
    assert await ids(a, JobState.INTENT) == []
    assert await ids(b, JobState.INTENT) == ["cat/image"]


async def test_a_result_is_common_and_stays_its_accounts(views: list[AccountLedger]) -> None:
    a, b = views
    sent = intent(await b.plan(job())).moved(JobState.SUBMITTED, task_id="4-1", submitted_at=3.0)
    await b.put(sent)
    assert await a.of_task("4-1") is None
    assert await b.of_task("4-1") == replace(sent, account="b")
    done = sent.moved(JobState.DONE, urls=("https://a/1.png",), ended_at=4.0)
    await b.put(done)
    row = await a.get("cat/image")
    assert row is not None
    assert row.account == "b"
    await a.put(row.moved(JobState.SAVED, saved_at=5.0, files=("cat.png",)))  # saved with the other's keys
    assert [row.account async for row in b.done_between(0, 9)] == ["b"]
    assert [row async for row in a.done_between(0, 9)] == []


async def test_a_refused_job_is_nobodys_again(views: list[AccountLedger]) -> None:
    a, b = views
    planned = await a.plan(job())
    await b.claim(planned, intent(planned))
    await b.put(intent(planned).moved(JobState.PLANNED))
    row = await a.get("cat/image")
    assert row is not None
    assert row.account == ""
    await a.claim(row, intent(row))
    with pytest.raises(OtherAccount, match="was created in the account a"):
        await b.get("cat/image")


async def test_rows_of_one_account_belong_to_it_when_others_come(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, OWNERS[:1]) as common:
        await common.ledger.put(intent(await common.ledger.plan(job())).moved(JobState.SUBMITTED, task_id="4-1"))
    async with opened(path, OWNERS[::-1]) as common:
        assert common.ledger.account == "a"
        assert await ids(common.view_of("a"), JobState.SUBMITTED) == ["cat/image"]
        assert await ids(common.view_of("b"), JobState.SUBMITTED) == []


def test_the_chains_of_all_accounts_have_one_bound_the_sum_of_what_each_can_use() -> None:
    common = CommonLedger(MemoryLedger(), "ab")
    assert common.most_ahead("a", Kind.VIDEO, lambda: 3)() == 3
    both = common.most_ahead("b", Kind.VIDEO, lambda: 5)
    assert both() == 8
    assert common.most_ahead("a", Kind.AUDIO, lambda: 2)() == 2
    assert common.most_ahead("a", Kind.VIDEO, lambda: UNBOUNDED)() == UNBOUNDED
    assert both() == 8


class Members(MemoryLedger):
    """A ledger whose members' jobs are adopted at the test's word."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[JobRecord] = []
        self.event = asyncio.Event()

    async def absence(self) -> None:
        await self.event.wait()
        self.event.clear()

    async def adopt(self) -> Sequence[JobRecord]:
        await asyncio.sleep(0)
        left, self.left = self.left, []
        return left


async def test_each_account_adopts_its_own_jobs_whoever_asks() -> None:
    ledger = Members()
    common = CommonLedger(ledger, "ab")
    a, b = common.view_of("a"), common.view_of("b")
    waiting = asyncio.create_task(b.absence())
    await asyncio.sleep(0)
    sent = intent(job()).moved(JobState.SUBMITTED, task_id="4-1")
    ledger.left = [replace(sent, account="b"), replace(sent, job_id="dog/image", account="a")]
    assert [row.job_id for row in await a.adopt()] == ["dog/image"]
    await waiting  # the other account's jobs are there
    assert [row.job_id for row in await b.adopt()] == ["cat/image"]
    ledger.event.set()
    await a.absence()
    assert list(await a.adopt()) == []
