"""Bounds on the total of a ledger, checked where an intent is written: in memory, on disk and in PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mps_aigc_async import Budget, BudgetReached, JobDropped, TaskFailed
from mps_aigc_async.ledger import JobRecord, Ledger, new_token
from mps_aigc_async.model.budget import Amount, Bound
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.states import JobState, Kind

from .ledgers import job, opened_postgres

IMAGES = Bound(Budget(images=3))


def intent_of(row: JobRecord, amount: float | None = 1, cost: float | None = 0.2) -> JobRecord:
    return row.moved(JobState.INTENT, intent_at=2.0, token=new_token(), amount=amount, cost=cost)


async def claim(ledger: Ledger, name: str, bound: Bound | None, kind: Kind = Kind.IMAGE, **sizes: float | None) -> bool:
    """Plan a job and claim it. Whether the bound allows it."""
    row = await ledger.plan(replace(job(f"{name}/{kind}"), kind=kind))
    refusal_of = ""
    try:
        await ledger.claim(row, intent_of(row, **sizes), (), bound)
    except BudgetReached as refusal:
        refusal_of = refusal.job_id or ""
    stored = await ledger.get(row.job_id)
    assert stored is not None
    assert (refusal_of, stored.state) in ((row.job_id, JobState.PLANNED), ("", JobState.INTENT))
    return not refusal_of


async def claims(ledger: Ledger, names: Sequence[str], bound: Bound | None, **sizes: float | None) -> int:
    return sum(await asyncio.gather(*(claim(ledger, name, bound, Kind.IMAGE, **sizes) for name in names)))


NAMES = [f"shot-{number}" for number in range(8)]


async def test_claims_at_once_stay_within_the_bound(ledger: Ledger) -> None:
    assert await claims(ledger, NAMES, IMAGES) == 3
    assert await claims(ledger, ["more", "others"], IMAGES) == 0
    assert await claims(ledger, ["unbounded"], None) == 1
    assert await claims(ledger, ["larger"], Bound(Budget(images=5))) == 1


async def test_sums_of_prices_reach_the_bound_exactly(ledger: Ledger) -> None:
    assert await claims(ledger, NAMES, Bound(Budget(cost=0.3)), cost=0.1) == 3


async def test_each_kind_counts_for_its_own_bound(ledger: Ledger) -> None:
    seconds = Bound(Budget(video_seconds=12))
    assert await claim(ledger, "a", seconds, Kind.IMAGE, amount=100)
    assert await claim(ledger, "a", seconds, Kind.VIDEO, amount=7)
    assert not await claim(ledger, "b", seconds, Kind.VIDEO, amount=6)
    assert await claim(ledger, "c", seconds, Kind.AUDIO, amount=60)
    assert await claim(ledger, "d", seconds, Kind.VIDEO, amount=5)


async def test_a_promise_to_another_chain_leaves_less(ledger: Ledger) -> None:
    promised = Bound(Budget(images=3), Amount(images=2))
    assert await claims(ledger, NAMES, promised) == 1


async def test_a_row_without_a_price_cannot_be_bounded(ledger: Ledger) -> None:
    assert await claims(ledger, ["old"], None, amount=None, cost=None) == 1
    assert await claims(ledger, ["new"], Bound(Budget(cost=1e6))) == 0
    assert await claims(ledger, ["image"], Bound(Budget(images=2))) == 1  # an image without a number counts as one
    assert await claims(ledger, ["another"], Bound(Budget(images=2))) == 0


async def test_the_own_price_must_be_there_too(ledger: Ledger) -> None:
    assert await claims(ledger, ["new"], Bound(Budget(cost=1e6)), cost=None) == 0


@pytest.mark.parametrize(
    ("end", "counts"),
    [
        (TaskFailed("the model failed"), False),
        (JobDropped("given up"), True),
        (TaskFailed("no result yet").as_without_result(), True),
    ],
    ids=["failed", "dropped", "without a result"],
)
async def test_a_failed_job_counts_only_if_it_may_be_billed(ledger: Ledger, end: TaskFailed, counts: bool) -> None:
    row = await ledger.plan(job())
    intent = intent_of(row)
    await ledger.claim(row, intent, (), Bound(Budget(images=1)))
    submitted = intent.moved(JobState.SUBMITTED, task_id="4-1", submitted_at=3.0)
    await ledger.put(submitted)
    await ledger.put(submitted.moved(JobState.FAILED, ended_at=4.0, error=to_record(end)))
    assert await claims(ledger, ["next"], Bound(Budget(images=1))) == (not counts)


async def test_a_create_that_was_refused_leaves_its_room(ledger: Ledger) -> None:
    row = await ledger.plan(job())
    intent = intent_of(row)
    await ledger.claim(row, intent, (), Bound(Budget(images=1)))
    await ledger.put(intent.moved(JobState.PLANNED))
    assert await claims(ledger, ["next"], Bound(Budget(images=1))) == 1


async def test_members_that_claim_at_once_stay_within_the_bound(database: str) -> None:
    async with opened_postgres(database) as first, opened_postgres(database) as second:
        bound = Bound(Budget(images=25))
        made = await asyncio.gather(
            *(
                claim(member, f"{name}-{number}", bound)
                for number in range(20)
                for name, member in (("a", first), ("b", second))
            )
        )
        assert sum(made) == 25


@pytest.mark.parametrize("ending", ["", "image failed", "chain failed"])
async def test_the_room_of_a_chain_that_another_member_has_begun_is_kept_free(database: str, ending: str) -> None:
    """Its image is paid for: it needs its video, whose row has the amount."""
    async with opened_postgres(database) as first, opened_postgres(database) as second:
        steps = (Kind.IMAGE, Kind.VIDEO)
        image = await first.plan(replace(job(), steps=steps))
        video = await first.plan(replace(job("a/video"), kind=Kind.VIDEO, steps=steps, amount=5, cost=1))
        bound = Bound(Budget(video_seconds=9), promised=())
        assert await claim(second, "film-1", bound, Kind.VIDEO, amount=1)
        intent = intent_of(image)
        await first.claim(image, intent)
        assert not await claim(second, "film-2", bound, Kind.VIDEO, amount=5)
        assert await claim(second, "film-3", bound, Kind.VIDEO, amount=3)
        if ending == "image failed":
            await first.put(intent.moved(JobState.FAILED, ended_at=4.0, error=to_record(TaskFailed("refused"))))
        elif ending == "chain failed":
            await first.put(replace(video, amount=None, cost=None))
        else:
            bound = replace(bound, promised=[video.job_id])  # the room is its own
        assert await claim(second, "film-4", bound, Kind.VIDEO, amount=5)
