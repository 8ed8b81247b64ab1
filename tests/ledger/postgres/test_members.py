"""Members: their heartbeats, the trust in a claim, and the adoption of the jobs of those that are gone."""

import asyncio

import pytest

from mps_aigc_async.ledger.claims import ClaimInDoubt, JobTaken
from mps_aigc_async.ledger.fences import Writer
from mps_aigc_async.ledger.postgres import PostgresLedger, members
from mps_aigc_async.ledger.postgres.moves import Claim, Put
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState
from mps_aigc_async.sharing.member import Member

from ...postgres_server import PostgresServer
from ..ledgers import job
from .members import World, accepted, claimed, die, intent_of


async def test_a_claim_is_trusted_for_5_s_after_a_heartbeat(world: World) -> None:
    ledger = await world.member()
    intent = await claimed(ledger)
    world.now += 5.0
    ledger.confirm(intent)
    world.now += 0.1
    with pytest.raises(ClaimInDoubt, match="not been reached for 5 s"):
        ledger.confirm(intent)
    await ledger.renew()
    ledger.confirm(intent)


async def test_a_member_that_was_taken_for_gone_learns_it_from_its_next_heartbeat(world: World) -> None:
    author, other = await world.member(), await world.member()
    intent = await claimed(author)
    await world.pass_looks(other)
    await other.adopt()
    await author.renew()
    with pytest.raises(JobTaken):
        author.confirm(intent)
    with pytest.raises(ClaimInDoubt):
        author.confirm()
    again = await claimed(author, "b/image")  # a new claim is as good as any
    author.confirm(again)
    await author.put(intent.moved(JobState.PLANNED))  # the lost create has ended
    author.confirm()


async def test_a_write_tells_a_member_that_it_was_taken_for_gone_too(world: World) -> None:
    author, other = await world.member(), await world.member()
    intent = await claimed(author)
    await world.pass_looks(other)
    await other.adopt()
    await author.plan(job("b/image"))
    with pytest.raises(JobTaken):
        author.confirm(intent)


async def test_the_jobs_of_a_member_that_is_gone_are_adopted_once(world: World) -> None:
    dead, *others = [await world.member() for _ in range(3)]
    submitted = accepted(await claimed(dead, "a/image"), "4-1")
    done = accepted(await claimed(dead, "b/image"), "4-2")
    await asyncio.gather(dead.put(submitted), dead.put(done), claimed(dead, "c/image"), dead.plan(job("d/image")))
    await dead.put(done.moved(JobState.DONE))
    await die(dead)
    await world.pass_looks(*others)
    first, second = await asyncio.gather(*(other.adopt() for other in others))
    assert sorted((row.job_id, row.state) for row in [*first, *second]) == [
        ("a/image", JobState.SUBMITTED), ("c/image", JobState.UNKNOWN),
    ]  # fmt: skip
    assert not (first and second)
    assert await others[0].counts() == {
        JobState.SUBMITTED: 1, JobState.DONE: 1, JobState.UNKNOWN: 1, JobState.PLANNED: 1,
    }  # fmt: skip


async def test_a_process_of_this_host_that_has_ended_is_gone_at_once(world: World) -> None:
    dead, other = await world.member(pid=2**22 + 1), await world.member()
    intent = await claimed(dead)
    await die(dead)
    await world.pass_looks(other, looks=1)
    await other.adopt()
    unknown = await other.get("a/image")
    assert unknown is not None
    assert (unknown.state, unknown.token) == (JobState.UNKNOWN, intent.token)
    assert await other.may_create_again(unknown)  # a dead process sends nothing


async def test_a_member_that_beats_again_keeps_its_jobs(world: World) -> None:
    slow, other = await world.member(), await world.member()
    intent = await claimed(slow)
    await world.pass_looks(other)
    assert other.members.absentees
    await slow.renew()  # after the look, and before the adoption
    await other.adopt()
    slow.confirm(intent)
    assert await other.counts() == {JobState.INTENT: 1}


async def test_members_that_return_together_take_nobody_for_gone(world: World) -> None:
    first, second = await world.member(), await world.member()
    await claimed(first)
    await world.pass_looks(first, second)
    world.now += 3600.0  # nobody could write for an hour
    for _ in range(4):
        await world.pass_looks(second, looks=1)
        assert not second.members.absentees


async def test_an_observer_whose_heartbeat_failed_begins_anew(world: World) -> None:
    _slow, other = await world.member(), await world.member()
    await world.pass_looks(other, looks=5)
    world.cut_off()
    await world.pass_looks(other, looks=1)  # this look is lost with its connection
    await world.pass_looks(other, looks=5)
    assert not other.members.absentees
    await world.pass_looks(other, looks=1)
    assert other.members.absentees


async def test_a_member_that_has_left_is_not_waited_for(world: World) -> None:
    leaving, other = await world.member(), await world.member()
    await leaving.put(accepted(await claimed(leaving)))
    await leaving.close()
    [adopted] = await other.adopt()
    assert (adopted.job_id, adopted.driver) == ("a/image", other._place.me)


async def test_the_heart_beats_by_itself(world: World) -> None:
    world_beats = asyncio.Event()

    async def two_seconds(seconds: float) -> None:
        assert seconds == 2.0
        await world_beats.wait()
        world_beats.clear()

    ledger = await world.member()
    before = world.sql("SELECT counter FROM mps_aigc_ledger.members")
    beating = members.Members(ledger._connection, Member.here(), members.Time(sleep=two_seconds), ["{}"])
    await beating.enter()
    beating.start()
    world_beats.set()
    await world.until("SELECT 1 FROM mps_aigc_ledger.members WHERE counter = 2")
    assert before == [(1,)]
    await beating.close()


async def test_a_waiting_client_hears_of_a_change_and_of_one_that_it_has_missed(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    planned = await other.plan(job())
    intent = await claimed(ledger)
    async with asyncio.timeout(1):
        await other.changed(planned)  # the change came before the call
    driven = await other.get("a/image")
    assert driven is not None
    waiting = asyncio.ensure_future(other.changed(driven))
    await world.until("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
    await ledger.put(accepted(intent))
    async with asyncio.timeout(1.5):  # sooner than the next look
        await waiting


async def test_a_write_survives_a_restart_of_the_server(world: World, postgres: PostgresServer) -> None:
    ledger = await world.member()
    intent = await claimed(ledger)
    world.disconnect()
    postgres.stop()
    writing = asyncio.ensure_future(ledger.put(accepted(intent)))
    with pytest.raises(ClaimInDoubt, match="cannot be asked"):
        await ledger.renew()
    postgres.start()
    await writing
    row = await ledger.get("a/image")
    assert row is not None
    assert row.task_id == "4-1"


async def test_a_closing_client_waits_a_few_seconds_for_its_database_and_logs_its_tasks(
    world: World, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mps_aigc_async.ledger.postgres.patience.CLOSE_GRACE_S", 0.2)
    ledger = await world.member()
    intent = await claimed(ledger)
    postgres.stop()
    try:
        writing = asyncio.ensure_future(ledger.put(accepted(intent)))
        await asyncio.sleep(0)
        await ledger.close()
        with pytest.raises(LedgerError, match="cannot use the ledger"):
            await writing
    finally:
        postgres.start()
    assert "4-1 (a/image)" in caplog.text
    with pytest.raises(LedgerError, match="closed"):
        await ledger.put(accepted(intent))


@pytest.mark.parametrize("statement", range(8))
async def test_a_connection_that_breaks_at_any_statement_loses_nothing(world: World, statement: int) -> None:
    """The server ends the connection while a transaction is under way, before and after its commit."""
    ledger, other = await world.member(), await world.member()
    intent = await claimed(ledger)
    writing = asyncio.ensure_future(ledger.put(accepted(intent)))
    for _ in range(statement):
        await asyncio.sleep(0)
    world.cut_off()
    await writing
    row = await other.get("a/image")
    assert row is not None
    assert (row.state, row.task_id, row.driver) == (JobState.SUBMITTED, "4-1", ledger._place.me)


def test_the_rows_of_a_loop_that_ended_are_written_from_another_loop(database: str) -> None:
    world = World(database)

    async def leave() -> PostgresLedger:
        ledger = await world.member()
        intent = await claimed(ledger)
        planned = await ledger.plan(job("b/image"))
        ledger._commits.add(Put(accepted(intent), Writer.ANSWER))
        ledger._commits.add(Claim(planned, intent_of(planned)))
        return ledger

    ledger = asyncio.run(leave())
    asyncio.run(ledger.close())
    rows = world.sql("SELECT job_id, state, task_id FROM mps_aigc_ledger.jobs ORDER BY job_id")
    assert rows == [("a/image", "submitted", "4-1"), ("b/image", "planned", None)]
    world.disconnect()


async def test_a_forked_child_leaves_its_parents_connection_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await world.member()
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: -1)
        await ledger.close()
    assert await ledger.plan(job()) == await ledger.get("a/image")


async def test_a_task_is_recorded_once_the_database_can_be_written_again(world: World) -> None:
    """A failover leaves a server that may only be read for a while; so does an operator, before a migration."""
    ledger = await world.member()
    intent = await claimed(ledger)
    [(name,)] = world.sql("SELECT current_database()")
    world.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    world.cut_off()
    with pytest.raises(ClaimInDoubt):
        await ledger.renew()
    writing = asyncio.ensure_future(ledger.put(accepted(intent)))
    for _ in range(2):  # transactions take turns: the write has been tried then
        with pytest.raises(ClaimInDoubt):
            await ledger.renew()
    world.sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await writing
    assert world.sql("SELECT task_id FROM mps_aigc_ledger.jobs") == [("4-1",)]
