"""The chains that run ahead over all members: never more than allowed, in turn, and none held up by a member that has
left."""

# ruff: noqa: S608 — the statements are put together from constant names

import asyncio
from collections.abc import Callable
from unittest.mock import patch

import psycopg
import pytest

from mps_aigc_async.ledger import UNBOUNDED, NotAhead
from mps_aigc_async.ledger.postgres import PostgresLedger, ahead_statements, chains_ahead, moves
from mps_aigc_async.ledger.postgres.ahead_statements import ADVANCE, IS_NEWS, KEPT_S, LOCK, TABLE
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind

from ..ledgers import job
from .members import World, claimed, die, intent_of

pytestmark = pytest.mark.usefixtures("_quick_looks")


@pytest.fixture
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains_ahead, "LOOK_S", 0.01)


def at_most(number: int) -> Callable[[], int]:
    return lambda: number


async def run_ahead(ledger: PostgresLedger, name: str, most: int = 1) -> None:
    await ledger.run_ahead(name, Kind.VIDEO, at_most(most))


def waiting(ledger: PostgresLedger, name: str, most: int = 1) -> "asyncio.Task[None]":
    return asyncio.create_task(run_ahead(ledger, name, most))


async def entered(world: World, name: str) -> None:
    await world.until(f"SELECT 1 FROM {TABLE} WHERE name = '{name}'")


def rows(world: World) -> list[tuple[str, bool]]:
    return [(name, is_ahead) for name, is_ahead in world.sql(f"SELECT name, is_ahead FROM {TABLE} ORDER BY seq")]


async def test_never_more_chains_run_ahead_than_allowed_and_all_get_their_turn(world: World) -> None:
    members = [await world.member() for _ in range(4)]
    running, most_seen = set[str](), 0

    async def chain(ledger: PostgresLedger, name: str) -> None:
        nonlocal most_seen
        await run_ahead(ledger, name, 5)
        running.add(name)
        most_seen = max(most_seen, len(running), world.sql(f"SELECT count(*) FROM {TABLE} WHERE is_ahead")[0][0])
        await ledger.plan(job(f"{name}/image"))  # some of the database's time
        running.remove(name)
        ledger.end_ahead(name, Kind.VIDEO)

    names = [(ledger, f"{number}-{at}") for at, ledger in enumerate(members) for number in range(25)]
    await asyncio.gather(*(chain(ledger, name) for ledger, name in names))
    assert most_seen == 5
    await world.until(f"SELECT 1 WHERE NOT EXISTS (SELECT FROM {TABLE})")


async def test_a_member_that_ends_a_chain_leaves_the_room_to_one_that_has_waited_longer(world: World) -> None:
    one, other = await world.member(), await world.member()
    await run_ahead(one, "a")
    first = waiting(other, "b")
    await entered(world, "b")
    second = waiting(one, "c")
    await entered(world, "c")
    one.end_ahead("a", Kind.VIDEO)
    await first
    assert rows(world) == [("b", True), ("c", False)]
    other.end_ahead("b", Kind.VIDEO)
    await second


async def test_two_members_never_count_at_the_same_moment(world: World) -> None:
    ledger = await world.member()
    with psycopg.connect(world.url) as other:  # a transaction that is not committed yet
        other.execute(LOCK.encode(), {"ledger": "default"})
        other.execute(
            f"INSERT INTO {TABLE} (ledger, owner, kind, name, most, member, is_ahead) "
            "VALUES ('default', %s, 'video', 'a', 1, 'x', true)".encode(),
            [ledger._place.owner],
        )
        second = waiting(ledger, "b")
        while not second.done() and not world.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 — the server tells nobody
            await asyncio.sleep(0)
    await entered(world, "b")
    assert rows(world) == [("a", True), ("b", False)]
    second.cancel()


async def test_a_member_that_allows_more_is_not_held_up_by_one_that_allows_less(world: World) -> None:
    careful, bold = await world.member(), await world.member()
    bound = 1
    await run_ahead(careful, "a", bound)
    second = asyncio.create_task(careful.run_ahead("b", Kind.VIDEO, lambda: bound))
    await entered(world, "b")
    await run_ahead(bold, "c", 3)
    assert rows(world) == [("a", True), ("b", False), ("c", True)]
    bound = 2
    await world.until(f"SELECT 1 FROM {TABLE} WHERE name = 'b' AND most = 2")
    assert rows(world) == [("a", True), ("b", False), ("c", True)]
    bold.end_ahead("c", Kind.VIDEO)
    await second


async def test_each_kind_owner_and_ledger_counts_apart(world: World) -> None:
    ledger, elsewhere = await world.member(), await world.member("spring")
    stranger = await world.member("default", {"account": "b", "backend": "mps", "endpoint": "https://host/"})
    await run_ahead(ledger, "a")
    await ledger.run_ahead("a", Kind.AUDIO, at_most(1))
    await run_ahead(elsewhere, "a")
    await run_ahead(stranger, "b")
    assert [is_ahead for _, is_ahead in rows(world)] == [True] * 4


async def test_a_chain_that_has_begun_runs_ahead_at_once_and_counts(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    await run_ahead(ledger, "a")
    await run_ahead(ledger, "b", UNBOUNDED)
    new = waiting(other, "c", 2)
    await entered(world, "c")
    ledger.end_ahead("a", Kind.VIDEO)
    await new
    assert rows(world) == [("b", True), ("c", True)]


async def test_a_bound_that_rises_lets_waiting_chains_go(world: World) -> None:
    ledger = await world.member()
    bound = 1
    await run_ahead(ledger, "a")
    second = asyncio.create_task(ledger.run_ahead("b", Kind.VIDEO, lambda: bound))
    await entered(world, "b")
    assert not second.done()
    bound = 2
    await second


async def test_nothing_is_asked_while_no_chain_waits_and_nothing_written_while_all_do(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    await run_ahead(ledger, "a")

    async def transactions() -> tuple[int, int]:
        """The member's transactions in the time of 50 of another one, and those that write."""
        beats = ledger.members._counter
        with patch.object(ledger._connection, "run", side_effect=ledger._connection.run) as asked:
            for number in range(50):
                await other.plan(job(f"{number}/image"))
        return asked.call_count, ledger.members._counter - beats

    assert await transactions() == (0, 0)
    second = waiting(ledger, "b")
    await entered(world, "b")
    looks, writes = await transactions()
    assert looks > 1
    assert writes == 0
    second.cancel()
    await world.until(f"SELECT 1 WHERE NOT EXISTS (SELECT FROM {TABLE} WHERE name = 'b')")
    assert await transactions() == (0, 0)


async def test_a_chain_that_has_lost_its_row_enters_again(world: World) -> None:
    ledger = await world.member()
    await run_ahead(ledger, "a")
    second = waiting(ledger, "b")
    await entered(world, "b")
    world.sql(f"DELETE FROM {TABLE} WHERE name = 'b'")
    await entered(world, "b")
    second.cancel()


# --- members that leave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_killed", [False, True])
async def test_the_chains_of_a_member_that_has_left_count_for_a_minute_more(world: World, is_killed: bool) -> None:
    leaving, other = await world.member(), await world.member()
    await run_ahead(leaving, "a", 2)
    await run_ahead(leaving, "b", 2)
    unbegun = waiting(leaving, "c", 2)
    await entered(world, "c")
    if is_killed:
        await die(leaving)
        await world.pass_looks(other)
        await other.adopt()
    else:
        await leaving.close()
    unbegun.cancel()
    await asyncio.wait({unbegun})
    assert rows(world) == [("a", True), ("b", True)]
    await run_ahead(other, "a", UNBOUNDED)  # the other goes on with it
    new = waiting(other, "d", 2)
    await entered(world, "d")
    assert not new.done()
    world.sql(f"UPDATE {TABLE} SET left_at = left_at - interval '{KEPT_S} s'")
    await new
    other.end_ahead("a", Kind.VIDEO)
    await other.close()  # old rows are deleted
    assert rows(world) == [("d", True)]


async def test_a_chain_whose_caller_is_cancelled_is_left_to_others(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    await run_ahead(ledger, "a")
    ledger.leave_ahead("a", Kind.VIDEO)
    await world.until(f"SELECT 1 FROM {TABLE} WHERE member IS NULL")
    await run_ahead(other, "a", 1)
    assert world.sql(f"SELECT member FROM {TABLE}") == [(other.member,)]


async def test_a_chain_that_comes_back_after_its_minute_waits_for_its_turn(world: World) -> None:
    ledger = await world.member()
    await run_ahead(ledger, "a")
    ledger.leave_ahead("a", Kind.VIDEO)
    await world.until(f"SELECT 1 FROM {TABLE} WHERE member IS NULL")
    world.sql(f"UPDATE {TABLE} SET left_at = left_at - interval '{KEPT_S} s'")
    await run_ahead(ledger, "b")
    back = waiting(ledger, "a")
    await world.until(f"SELECT 1 FROM {TABLE} WHERE name = 'a' AND member IS NOT NULL")
    assert rows(world) == [("a", False), ("b", True)]
    ledger.end_ahead("b", Kind.VIDEO)
    await back


async def test_a_member_does_not_end_a_chain_that_another_one_has_taken_over(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    await run_ahead(ledger, "a")
    await run_ahead(other, "a")
    ledger.end_ahead("a", Kind.VIDEO)
    await run_ahead(ledger, "b", UNBOUNDED)  # its news are written in their order
    assert world.sql(f"SELECT member FROM {TABLE} WHERE name = 'a'") == [(other.member,)]


async def test_two_callers_of_one_chain_count_once_until_both_have_ended(world: World) -> None:
    ledger = await world.member()
    await asyncio.gather(run_ahead(ledger, "a"), run_ahead(ledger, "a"))
    third = waiting(ledger, "a")
    await asyncio.sleep(0)  # it has asked
    third.cancel()
    await run_ahead(ledger, "z", UNBOUNDED)
    assert rows(world) == [("a", True), ("z", True)]
    ledger.end_ahead("z", Kind.VIDEO)
    ledger.end_ahead("a", Kind.VIDEO)
    second = waiting(ledger, "b")
    await entered(world, "b")
    assert rows(world) == [("a", True), ("b", False)]
    ledger.end_ahead("a", Kind.VIDEO)
    await second


async def test_a_chain_that_is_cancelled_at_any_moment_leaves_no_row_that_counts(world: World) -> None:
    ledger = await world.member()
    for turns in range(40):
        chain = waiting(ledger, f"a{turns}")
        for _ in range(turns):
            await asyncio.sleep(0)
        if chain.done():
            ledger.end_ahead(f"a{turns}", Kind.VIDEO)
        chain.cancel()
    await world.until(f"SELECT 1 WHERE NOT EXISTS (SELECT FROM {TABLE} WHERE member IS NOT NULL)")


async def test_a_chain_that_is_cancelled_as_its_turn_comes_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await world.member()
    let_run = ledger._chains._let_run
    chain = waiting(ledger, "a")

    def let_run_and_cancel(ahead: set[chains_ahead.Key]) -> None:
        let_run(ahead)
        chain.cancel()

    monkeypatch.setattr(ledger._chains, "_let_run", let_run_and_cancel)
    await asyncio.wait({chain})
    await world.until(f"SELECT 1 FROM {TABLE} WHERE member IS NULL AND is_ahead")


async def test_a_member_that_was_taken_for_gone_enters_its_begun_chains_again_and_no_others(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    await run_ahead(ledger, "begun", 2)
    await run_ahead(ledger, "planned", 2)
    planned = await ledger.plan(job("begun/image"))
    await ledger.claim(planned, intent_of(planned), (Kind.VIDEO,))
    await world.pass_looks(other)
    await other.adopt()
    assert world.sql(f"SELECT name FROM {TABLE} WHERE member IS NOT NULL") == []
    world.sql(f"UPDATE {TABLE} SET left_at = left_at - interval '{KEPT_S} s'")
    await ledger.renew()
    await world.until(f"SELECT 1 FROM {TABLE} WHERE member IS NOT NULL AND is_ahead")
    assert world.sql(f"SELECT name FROM {TABLE} WHERE member IS NOT NULL") == [("begun",)]


def test_chains_of_a_loop_that_ended_are_left_to_others(database: str) -> None:
    world = World(database)

    async def leave() -> PostgresLedger:
        ledger = await world.member()
        await run_ahead(ledger, "a")
        return ledger

    ledger = asyncio.run(leave())
    asyncio.run(ledger.close())
    world.sql("UPDATE mps_aigc_ledger.members SET pid = 4194305")  # its process has ended, too

    async def follow() -> None:
        other = await world.member()
        await world.pass_looks(other, looks=1)
        await other.adopt()
        assert rows(world) == [("a", True)]
        await world.close()

    asyncio.run(follow())


async def test_a_chain_that_ends_in_another_loop_wakes_nobody(world: World) -> None:
    """The garbage collector may end the chains of a closed loop anywhere."""
    ledger = await world.member()
    await run_ahead(ledger, "a")
    with patch.object(ledger._chains._news, "set") as wake:
        await asyncio.to_thread(ledger.end_ahead, "a", Kind.VIDEO)
    wake.assert_not_called()


# --- the claim of the first step --------------------------------------------------------------------------------------


async def test_the_first_step_of_a_chain_is_claimed_only_while_the_chain_runs_ahead(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    planned = await ledger.plan(job())
    single = await ledger.plan(job("single/image"))
    intent = intent_of(planned)
    await run_ahead(ledger, "a")
    claims = (
        ledger.claim(planned, intent, (Kind.AUDIO, Kind.VIDEO)),
        ledger.claim(single, intent_of(single)),
    )
    no_room, of_single = await asyncio.gather(*claims, return_exceptions=True)
    assert isinstance(no_room, NotAhead)
    assert of_single is None  # its neighbour in the transaction fails alone
    assert await other.get("a/image") == planned
    await ledger.run_ahead("a", Kind.AUDIO, at_most(1))
    for _ in range(2):  # a commit whose outcome was open is repeated
        await ledger.claim(planned, intent, (Kind.AUDIO, Kind.VIDEO))
    row = await other.get("a/image")
    assert row is not None
    assert row.state is JobState.INTENT


async def test_a_create_that_may_have_been_accepted_is_sent_again_in_any_case(world: World) -> None:
    ledger = await world.member()
    unknown = (await claimed(ledger)).moved(JobState.UNKNOWN)
    await ledger.put(unknown)
    await ledger.claim(unknown, intent_of(unknown), (Kind.VIDEO,))


async def test_a_chain_of_a_member_that_was_taken_for_gone_is_not_claimed(world: World) -> None:
    ledger, other = await world.member(), await world.member()
    planned = await ledger.plan(job())
    await run_ahead(ledger, "a")
    await world.pass_looks(other)
    await other.adopt()
    with pytest.raises(NotAhead, match="waits to run ahead again"):
        await ledger.claim(planned, intent_of(planned), (Kind.VIDEO,))
    ledger.end_ahead("a", Kind.VIDEO)
    await run_ahead(ledger, "a")
    await ledger.claim(planned, intent_of(planned), (Kind.VIDEO,))


# --- the database -----------------------------------------------------------------------------------------------------


async def test_a_lost_connection_costs_no_chain_its_turn(world: World) -> None:
    ledger = await world.member()
    await run_ahead(ledger, "a")
    second = waiting(ledger, "b")
    await entered(world, "b")
    world.cut_off()
    ledger.end_ahead("a", Kind.VIDEO)
    await second


async def test_a_database_that_refuses_fails_the_chains_that_wait(world: World) -> None:
    ledger = await world.member()
    await run_ahead(ledger, "a")
    second = waiting(ledger, "b")
    await entered(world, "b")
    world.sql(f"ALTER TABLE {TABLE} RENAME TO away")
    with pytest.raises(LedgerError, match=r"cannot use the ledger default: .*does not exist"):
        await second
    world.sql("ALTER TABLE mps_aigc_ledger.away RENAME TO chains_ahead")
    ledger.end_ahead("a", Kind.VIDEO)
    await run_ahead(ledger, "b")


async def test_a_closed_ledger_lets_no_chain_wait(world: World) -> None:
    ledger = await world.member()
    await run_ahead(ledger, "a")
    second = waiting(ledger, "b")
    await entered(world, "b")
    await ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        await second
    with pytest.raises(LedgerError, match="closed"):
        await run_ahead(ledger, "c")


async def test_no_statement_reads_the_whole_table(world: World) -> None:
    """Among the rows of other ledgers, and of the jobs that need no room."""
    ledger = await world.member()
    world.sql(
        f"INSERT INTO {TABLE} (ledger, owner, kind, name, most, member, is_ahead) "
        "SELECT 'other', 'x', 'video', n::text, 1, 'm', true FROM generate_series(1, 20000) AS n"
    )
    world.sql(
        "INSERT INTO mps_aigc_ledger.jobs (ledger, owner, token, job_id, kind, content, planned_at, state, attempts) "
        "SELECT 'default', 'x', '', n || '/image', 'image', '{}', n, 'planned', 0 FROM generate_series(1, 20000) AS n"
    )
    world.sql(f"ANALYZE {TABLE}, mps_aigc_ledger.jobs")
    planned = await ledger.plan(job())
    claim, values = moves.step(moves.Claim(planned, intent_of(planned), (Kind.VIDEO,)), ledger._place)
    given = {**ledger._place.keys, "names": ["a"], "kind": "video", "mosts": ["1"]}
    for statement, of_statement in (
        (claim, values),
        (ADVANCE, given),
        (IS_NEWS, given),
        (ahead_statements.READ, given),
    ):
        [plan] = await ledger._database.run((f"EXPLAIN {statement}", of_statement))
        text = "\n".join(line for (line,) in plan)
        assert "Index" in text
        assert "Seq Scan" not in text, text
