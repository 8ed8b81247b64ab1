"""Claims and fences: each write learns whether it took, and a TaskId is never thrown away."""

import asyncio
from dataclasses import replace

import pytest

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.ledger.claims import JobTaken
from mps_aigc_async.ledger.postgres import PostgresLedger
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import JobDropped, LedgerError, TaskFailed
from mps_aigc_async.model.states import JobState

from ..ledgers import OWNER, job
from .members import World, accepted, claimed, intent_of

DROPPED = to_record(JobDropped("given up"))


async def eclipsed(world: World) -> tuple[PostgresLedger, PostgresLedger]:
    """The author of an intent, which others have taken for gone, and the member that has adopted its jobs."""
    author, other = await world.member(), await world.member()
    await claimed(author)
    await world.pass_looks(other)
    assert [row.state for row in await other.adopt()] == [JobState.UNKNOWN]
    return author, other


async def row_of(ledger: PostgresLedger, job_id: str = "a/image") -> JobRecord:
    row = await ledger.get(job_id)
    assert row is not None
    return row


async def test_of_two_members_that_claim_a_job_one_gets_it(world: World) -> None:
    members = await world.member(), await world.member()
    planned = [await member.plan(job()) for member in members]
    assert planned[0] == planned[1]
    claims = (member.claim(row, intent_of(row)) for member, row in zip(members, planned, strict=True))
    ends = await asyncio.gather(*claims, return_exceptions=True)
    errors = [end for end in ends if isinstance(end, JobTaken)]
    assert len(errors) == 1
    assert errors[0].job_id == "a/image"
    assert "drives the job, which is intent" in str(errors[0])


async def test_a_row_that_is_fenced_fails_alone(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    planned = [await ledger.plan(job(f"{number}/image")) for number in range(5)]
    await other.claim(planned[2], intent_of(planned[2]))
    ends = await asyncio.gather(*(ledger.claim(row, intent_of(row)) for row in planned), return_exceptions=True)
    assert [isinstance(end, JobTaken) for end in ends] == [False, False, True, False, False]


async def test_a_value_that_the_database_refuses_fails_alone(world: World) -> None:
    ledger = await world.member()
    rows = [replace(job("a/image"), attempts=2**40), job("b/image")]
    ends = await asyncio.gather(*map(ledger.put, rows), return_exceptions=True)
    assert isinstance(ends[0], LedgerError)
    assert "out of range" in str(ends[0])
    assert ends[1] is None
    assert await ledger.get("b/image") == job("b/image")


async def test_a_null_character_costs_no_row(world: World) -> None:
    ledger = await world.member()
    intent = await claimed(ledger)
    await ledger.put(replace(accepted(intent), request_id="r\0"))
    assert (await row_of(ledger)).request_id == "r\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("is_dropped", [False, True])
async def test_a_late_task_id_makes_the_job_submitted(world: World, is_dropped: bool) -> None:
    author, other = await eclipsed(world)
    unknown = await row_of(other)
    assert (unknown.state, unknown.driver, unknown.error["type"]) == (JobState.UNKNOWN, "", "CreateOutcomeUnknown")
    if is_dropped:
        await other.settle(unknown.moved(JobState.FAILED, error=DROPPED))
    await author.put(accepted(replace(unknown, state=JobState.INTENT)))
    row = await row_of(other)
    assert (row.state, row.task_id) == (JobState.SUBMITTED, "4-1")
    assert await other.orphans() == []


async def test_a_job_that_failed_at_the_service_takes_no_late_task_id(world: World) -> None:
    author, other = await eclipsed(world)
    unknown = await row_of(other)
    attached = unknown.moved(JobState.SUBMITTED, task_id="4-9")
    await other.settle(attached)
    await other.put(attached.moved(JobState.FAILED, error=to_record(TaskFailed("no"))))
    with pytest.raises(JobTaken, match=r"task 4-1, which may be billed: .* orphans"):
        await author.put(accepted(replace(unknown, state=JobState.INTENT)))
    assert [orphan.task_id for orphan in await other.orphans()] == ["4-1"]


async def test_a_late_refusal_or_a_create_that_never_went_out_ends_the_unknown_job(world: World) -> None:
    for number, state in enumerate((JobState.FAILED, JobState.PLANNED)):
        author, other = await eclipsed(world)
        intent = replace(await row_of(other), state=JobState.INTENT)
        await author.put(intent.moved(state))
        assert (await row_of(other)).state is state, number
        world.sql("DELETE FROM mps_aigc_ledger.jobs")
        await author.close()
        await other.close()


async def test_never_sent_leaves_a_dropped_job_dropped(world: World) -> None:
    author, other = await eclipsed(world)
    unknown = await row_of(other)
    await other.settle(unknown.moved(JobState.FAILED, error=DROPPED))
    with pytest.raises(JobTaken):
        await author.put(replace(unknown, state=JobState.INTENT).moved(JobState.PLANNED))
    assert (await row_of(other)).state is JobState.FAILED


async def test_a_task_id_that_no_row_takes_is_an_orphan(world: World) -> None:
    author, other = await eclipsed(world)
    unknown = await row_of(other)
    world.sql("UPDATE mps_aigc_ledger.jobs SET claimed_at = claimed_at - 400")
    await other.settle(unknown.moved(JobState.PLANNED))
    planned = await row_of(other)
    await other.claim(planned, intent_of(planned))
    late = accepted(replace(unknown, state=JobState.INTENT), "4-late")
    for _ in range(2):  # a commit whose outcome was open is repeated
        with pytest.raises(JobTaken, match="4-late"):
            await author.put(late)
    [orphan] = await other.orphans()
    assert (orphan.job_id, orphan.task_id, orphan.kind) == ("a/image", "4-late", late.kind)


async def test_a_row_written_twice_is_written(world: World) -> None:
    """The first commit reached the disk, and its answer was lost."""
    ledger = await world.member()
    planned = await ledger.plan(job())
    intent = intent_of(planned)
    for _ in range(2):
        await ledger.claim(planned, intent)
    for row in (accepted(intent), accepted(intent).moved(JobState.DONE)):
        await ledger.put(row)
        await ledger.put(row)
    assert (await row_of(ledger)).state is JobState.DONE


async def test_a_claim_that_others_ended_before_it_was_heard_is_taken_back(world: World) -> None:
    author, other = await world.member(), await world.member()
    planned = await author.plan(job())
    intent = intent_of(planned)
    await author.claim(planned, intent)  # it took, and its answer was lost
    await world.pass_looks(other)
    await other.adopt()
    with pytest.raises(JobTaken):
        await author.claim(planned, intent)
    row = await row_of(other)
    assert (row.state, row.error, row.driver) == (JobState.PLANNED, {}, "")


async def test_an_intent_needs_a_token_of_its_own(world: World) -> None:
    ledger = await world.member()
    planned = await ledger.plan(job())
    with pytest.raises(LedgerError, match="token of its own"):
        await ledger.claim(planned, planned.moved(JobState.INTENT))


async def test_replaced_content_is_read_again_before_it_is_claimed(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    planned, read = await ledger.plan(job()), await other.plan(job())
    dog = await ledger.replace(planned, replace(planned, content='{"prompt":"a dog"}'))
    with pytest.raises(JobTaken, match="another client has changed the job"):
        await other.claim(read, intent_of(read))
    assert await other.get("a/image") == dog
    assert await other.plan(job()) == dog, "the caller judges by the content"
    with pytest.raises(JobTaken):
        await other.replace(read, read)


async def test_a_job_of_a_living_member_cannot_be_settled(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    intent = await claimed(ledger)
    with pytest.raises(JobTaken, match="drives the job"):
        await other.settle(replace(intent, state=JobState.FAILED))


async def test_create_again_waits_for_the_author_to_be_dead_or_its_signature_to_expire(world: World) -> None:
    _author, other = await eclipsed(world)
    unknown = await row_of(other)
    assert not await other.may_create_again(unknown)
    with pytest.raises(JobTaken, match="may still send it: create the job again 6 minutes"):
        await other.settle(unknown.moved(JobState.PLANNED))
    world.sql("UPDATE mps_aigc_ledger.jobs SET claimed_at = claimed_at - 361")
    assert await other.may_create_again(unknown)
    await other.settle(unknown.moved(JobState.PLANNED))


async def test_an_author_that_has_ended_its_create_leaves_it_free_to_be_created_again(world: World) -> None:
    ledger = await world.member()
    intent = await claimed(ledger)
    await ledger.put(intent.moved(JobState.UNKNOWN))
    assert await ledger.may_create_again(await row_of(ledger))


async def test_a_row_of_another_owner_is_refused_by_name_and_never_listed(world: World) -> None:
    ledger, other = await world.member(), await world.member(owner={**OWNER, "account": "second"})
    intent = await claimed(ledger)
    await ledger.put(accepted(intent))
    for refused in (other.get("a/image"), other.of_request("a"), other.plan(job()), other.put(accepted(intent))):
        with pytest.raises(LedgerError, match=r"belongs to account 'AKID.*this client is of account 'second'"):
            await refused
    assert await other.of_task("4-1") is None
    assert await other.counts() == {}
    assert [row async for row in other.in_state(JobState.SUBMITTED)] == []
    await ledger.close()
    assert await other.adopt() == []
    assert await row_of(await world.member()) == replace(accepted(intent), driver=intent.driver or ledger._place.me)


async def test_ids_are_unique_for_each_ledger_of_a_database(world: World) -> None:
    first, second = await world.member("first"), await world.member("second")
    await first.plan(job())
    assert await second.get("a/image") is None
    await second.plan(job(content='{"prompt":"a dog"}'))


async def test_a_late_task_id_does_not_end_another_members_unknown_create(world: World) -> None:
    """Nobody drives the row, and its state would take the answer: only the token tells the two creates apart."""
    author, other = await eclipsed(world)
    unknown = await row_of(other)
    world.sql("UPDATE mps_aigc_ledger.jobs SET claimed_at = claimed_at - 400")
    await other.settle(unknown.moved(JobState.PLANNED))
    planned = await row_of(other)
    second = intent_of(planned)
    await other.claim(planned, second)
    await other.put(second.moved(JobState.UNKNOWN))
    with pytest.raises(JobTaken, match="4-late"):
        await author.put(accepted(replace(unknown, state=JobState.INTENT), "4-late"))
    row = await row_of(other)
    assert (row.state, row.token, row.task_id) == (JobState.UNKNOWN, second.token, None)
    assert [orphan.task_id for orphan in await other.orphans()] == ["4-late"]


async def test_a_note_of_terms_moves_no_job_whatever_state_it_has_by_then(world: World) -> None:
    """A row that was read as *intent*, and noted after its answer, would be an intent of nobody's create."""
    author, other = await world.member(), await world.member()
    intent = await claimed(author)
    as_read = await row_of(other)
    await author.put(intent.moved(JobState.UNKNOWN))
    await other.note(replace(as_read, position=7, save_to="/films", amount=99))
    row = await row_of(other)
    assert (row.state, row.driver, row.position, row.save_to, row.amount) == (
        JobState.UNKNOWN, "", 7, "/films", intent.amount,
    )  # fmt: skip
    await author.put(accepted(intent))
    await other.note(replace(row, position=8))
    row = await row_of(other)
    assert (row.state, row.task_id, row.position) == (JobState.SUBMITTED, "4-1", 8)


async def test_a_note_of_a_row_that_was_claimed_since_is_refused(world: World) -> None:
    author, other = await world.member(), await world.member()
    planned = await author.plan(job())
    await author.claim(planned, intent_of(planned))
    with pytest.raises(JobTaken):
        await other.note(replace(planned, position=7))
    assert (await row_of(other)).position is None
