"""The contract of every ledger: in memory, on disk and in PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest

from mps_aigc_async.ledger import Ledger, new_token, sqlite
from mps_aigc_async.ledger.postgres import ledger as postgres_ledger
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import ContentViolation
from mps_aigc_async.model.states import JobState

from .ledgers import bare, done, job, lead


async def test_a_planned_job_is_kept_and_handed_back_as_it_is(ledger: Ledger) -> None:
    new = job()
    assert bare(await ledger.plan(new)) == new
    assert bare(await ledger.get("a/image")) == new


async def test_facts_of_the_service_are_kept_by_name(ledger: Ledger) -> None:
    assert await ledger.facts() == {}
    rows = [ledger.put(done(job(f"{number}/image"))) for number in range(50)]  # a fact between commits is in none
    await asyncio.gather(*rows, ledger.keep_fact("a", "1"), ledger.keep_fact("b", "2"))
    await ledger.keep_fact("a", "3")
    assert await ledger.facts() == {"a": "3", "b": "2"}
    assert await ledger.counts() == {JobState.DONE: 50}


async def test_planned_again_it_is_the_one_kept_with_all_it_knows(ledger: Ledger) -> None:
    await ledger.plan(job())
    await lead(ledger, done(job()))
    assert bare(await ledger.plan(job(at=99.0))) == done(job())
    assert bare(await ledger.get("a/image")) == done(job())


async def test_planned_with_other_content_the_kept_job_stays(ledger: Ledger) -> None:
    await ledger.plan(job())
    assert bare(await ledger.plan(job(content='{"prompt":"a dog"}'))) == job()
    assert bare(await ledger.get("a/image")) == job()


async def test_planned_twice_at_once_with_other_content_both_get_the_same_job(ledger: Ledger) -> None:
    cat, dog = job(), job(content='{"prompt":"a dog"}')
    assert [bare(kept) for kept in await asyncio.gather(ledger.plan(cat), ledger.plan(dog))] == [cat, cat]
    assert bare(await ledger.get("a/image")) == cat


@pytest.mark.parametrize("state", [JobState.PLANNED, JobState.FAILED])
async def test_a_job_that_has_cost_nothing_gets_another_plan(ledger: Ledger, state: JobState) -> None:
    before = await ledger.plan(job())
    if state is JobState.FAILED:
        await ledger.put(before.moved(JobState.FAILED, error={"type": "InvalidRequest", "message": "no"}))
    row = await ledger.get("a/image")
    assert row is not None
    stored = await ledger.replace(row, replace(before, content='{"prompt":"a dog"}'))
    assert bare(stored) == bare(await ledger.get("a/image") or before) == job(content='{"prompt":"a dog"}')


async def test_planned_twice_at_once_only_one_plan_is_the_new_one(ledger: Ledger) -> None:
    first, second = job(at=1.0), job(at=2.0)
    planned = await asyncio.gather(ledger.plan(first), ledger.plan(second))
    assert [bare(stored) for stored in planned] == [first, first]
    assert planned[0] == planned[1] == await ledger.get("a/image")


def portions(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Have the ledgers read rows in portions of this size."""
    monkeypatch.setattr(sqlite, "PORTION", size)
    monkeypatch.setattr(postgres_ledger, "PORTION", size)


async def test_an_unknown_id_is_none(ledger: Ledger) -> None:
    assert await ledger.get("nobody") is None


async def test_put_keeps_every_field(ledger: Ledger) -> None:
    kept = done(job()).moved(JobState.SAVED, files=("/out/a.png", "/out/镜头.png"), saved_at=70.5)
    await ledger.put(kept)
    assert bare(await ledger.get("a/image")) == kept


async def test_put_keeps_the_latest_state_of_each_job(ledger: Ledger) -> None:
    intent = job().moved(JobState.INTENT, intent_at=2.0)
    await ledger.put(job())
    await asyncio.gather(ledger.put(intent), ledger.put(job("b", 2.0)))
    assert bare(await ledger.get("a/image")) == intent
    assert dict(await ledger.counts()) == {JobState.INTENT: 1, JobState.PLANNED: 1}


async def test_a_job_is_found_by_its_task(ledger: Ledger) -> None:
    await ledger.put(done(job()))
    await ledger.put(job("b/image"))
    assert bare(await ledger.of_task("4-1")) == done(job())
    assert await ledger.of_task("4-2") is None


async def test_in_state_lists_the_oldest_first(ledger: Ledger) -> None:
    for job_id, at in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        await ledger.put(job(job_id, at))
    await ledger.put(done(job("d", 0.5)))
    assert [known.job_id async for known in ledger.in_state(JobState.PLANNED)] == ["a", "b", "c"]
    assert [known.job_id async for known in ledger.in_state(JobState.DONE)] == ["d"]
    assert [known async for known in ledger.in_state(JobState.UNKNOWN)] == []


async def test_jobs_that_move_while_a_state_is_read_are_neither_passed_over_nor_repeated(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    portions(monkeypatch, 2)
    names = [f"{number}/image" for number in range(9)]
    for number, name in enumerate(names):
        await ledger.put(job(name, at=number // 4))  # some were planned in the same moment
    read = []
    async for known in ledger.in_state(JobState.PLANNED):
        read.append(known.job_id)
        await ledger.put(known.moved(JobState.INTENT))
    assert read == names
    assert dict(await ledger.counts()) == {JobState.INTENT: 9}


@pytest.mark.parametrize("jobs", [0, 1, 2, 3, 4])
async def test_a_state_is_read_to_its_end_however_its_jobs_fill_the_portions(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    portions(monkeypatch, 2)
    names = [f"{number}/image" for number in range(jobs)]
    for name in names:
        await ledger.put(job(name, at=-1.0))
    assert [known.job_id async for known in ledger.in_state(JobState.PLANNED)] == names


async def test_counts_leave_out_states_without_jobs(ledger: Ledger) -> None:
    assert dict(await ledger.counts()) == {}
    await ledger.put(job("a"))
    await ledger.put(job("b"))
    await ledger.put(done(job("c")))
    assert dict(await ledger.counts()) == {JobState.PLANNED: 2, JobState.DONE: 1}


async def test_an_error_is_kept_as_it_was(ledger: Ledger) -> None:
    error = ContentViolation("InvalidParameter.ViolationContent", "内容违规", request_id="r-1")
    await ledger.put(job().moved(JobState.FAILED, error=to_record(error), ended_at=1.5))
    known = await ledger.get("a/image")
    assert known is not None
    recorded = known.recorded_error()
    assert type(recorded) is ContentViolation
    assert (recorded.code, recorded.message, recorded.request_id) == (error.code, error.message, "r-1")


@pytest.mark.parametrize("column", ["error", "request_id", "resolution"])
async def test_half_a_character_from_the_service_costs_no_row(ledger: Ledger, column: str) -> None:
    r"""JSON may hold a lone surrogate (`"\ud83c"`): a text of the service that was cut in the middle of a character."""
    broken = done(job("broken")).moved(JobState.SAVED)
    if column == "error":
        broken = job("broken").moved(JobState.FAILED, error={"type": "TaskFailed", "message": "cut \ud83c"})
    elif column == "request_id":
        broken = done(job("broken")).moved(JobState.SAVED, request_id="cut \ud83c")
    else:
        broken = done(job("broken")).moved(JobState.SAVED, resolution="cut \ud83c")
    await asyncio.gather(ledger.put(done(job("other"))), ledger.put(broken))
    assert bare(await ledger.get("other")) == done(job("other"))
    assert await ledger.get("broken") is not None


async def test_a_task_that_two_jobs_have_is_the_first_ones(ledger: Ledger) -> None:
    await ledger.put(done(job("first")))
    await ledger.put(done(job("second")))
    known = await ledger.of_task("4-1")
    assert known is not None
    assert known.job_id == "first"


async def test_a_jobs_former_task_is_no_longer_its_own(ledger: Ledger) -> None:
    await ledger.put(done(job()))
    for other in ("4-2", None):
        await asyncio.gather(ledger.put(replace(done(job()), task_id=other)), _never(ledger, "4-1"))
    assert await ledger.of_task("4-2") is None


async def _never(ledger: Ledger, task_id: str) -> None:
    """Neither while the newer row is waiting nor when it is on the disk."""
    await asyncio.sleep(0)  # the put comes first
    for _ in range(3):
        assert await ledger.of_task(task_id) is None


async def test_an_open_ledger_is_in_its_place(ledger: Ledger) -> None:
    planned = await ledger.plan(job())
    intent = planned.moved(JobState.INTENT, token=new_token())
    await ledger.claim(planned, intent)
    ledger.confirm(intent)
    assert ledger.in_place
    await ledger.close()
    assert ledger.in_place


async def test_of_task_goes_by_the_latest_row_of_its_job(ledger: Ledger) -> None:
    failed = done(job("a")).moved(JobState.SAVED)
    await ledger.put(replace(failed, state=JobState.FAILED))
    await ledger.put(replace(failed, state=JobState.FAILED).replanned())  # tried again, it has no task
    assert await ledger.of_task("4-1") is None
    await ledger.put(done(job("b")))
    found = await ledger.of_task("4-1")
    assert found is not None
    assert found.job_id == "b"


async def listed(ledger: Ledger, since: float, until: float) -> list[str]:
    return sorted([job.job_id async for job in ledger.done_between(since, until)])


async def test_jobs_are_listed_by_the_end_of_their_tasks(ledger: Ledger) -> None:
    by_client = replace(done(job("a/image")), finished_at=None)  # ended at 60.25 by the client
    by_service = done(job("b/image"))  # at 59.5 by the service's clock
    saved = done(job("c/image")).moved(JobState.SAVED, saved_at=99.0)
    failed = replace(by_client, job_id="d/image", state=JobState.FAILED)
    endless = replace(by_client, job_id="e/image", ended_at=None)
    for row in (by_client, by_service, saved, failed, endless, job("f/image")):
        await ledger.put(row)
    assert await listed(ledger, 0, 100) == ["a/image", "b/image", "c/image"]
    assert await listed(ledger, 60.25, 61) == ["a/image"]  # the start is included
    assert await listed(ledger, 59.5, 60.25) == ["b/image", "c/image"]  # and the end is not


async def test_a_row_that_waits_to_be_written_is_listed_once(ledger: Ledger) -> None:
    await ledger.put(done(job()))
    writing = asyncio.gather(
        ledger.put(done(job()).moved(JobState.SAVED, saved_at=99.0)), ledger.put(done(job("b/image")))
    )
    await asyncio.sleep(0)
    assert await listed(ledger, 0, 100) == ["a/image", "b/image"]
    await writing
    assert await listed(ledger, 0, 100) == ["a/image", "b/image"]


async def test_more_jobs_than_one_portion_are_each_listed_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    portions(monkeypatch, 3)
    jobs = [done(job(f"{number:02}/image")) for number in range(10)]
    await asyncio.gather(*(ledger.put(row) for row in jobs))
    assert await listed(ledger, 0, 100) == [row.job_id for row in jobs]
    listing = ledger.done_between(0, 100)
    first = await anext(listing)  # saved meanwhile, the others are still listed once
    await asyncio.gather(*(ledger.put(row.moved(JobState.SAVED, saved_at=99.0)) for row in jobs))
    assert sorted([first.job_id, *[row.job_id async for row in listing]]) == [row.job_id for row in jobs]
