"""Readers of a ledger in PostgreSQL: they show its rows, and join no members."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mps_aigc_async.ledger.postgres import PostgresSnapshot, open_postgres_snapshot
from mps_aigc_async.ledger.postgres import snapshot as snapshot_module
from mps_aigc_async.ledger.snapshot import Snapshot
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.sharing.database_url import DatabaseUrl, database_url
from mps_aigc_async.sharing.reading import Reader, reading

from ...postgres_server import PASSWORD
from ..ledgers import OWNER, bare, done, job, lead
from .members import World


async def test_a_snapshot_shows_the_rows_of_one_ledger(world: World) -> None:
    ledger, other = await world.member(), await world.member("other")
    await lead(ledger, done(job("b/image", 2.0)))
    await ledger.plan(job("a/image", 1.0))
    await other.plan(job("c/image"))
    with open_postgres_snapshot(database_url(world.url)) as rows:
        snapshot: Snapshot = rows
        assert snapshot.owner() == OWNER
        assert snapshot.census() == {(Kind.IMAGE, JobState.DONE): 1, (Kind.IMAGE, JobState.PLANNED): 1}
        assert [(name, [bare(row) for row in jobs]) for name, jobs in snapshot.requests()] == [
            ("b", [done(job("b/image", 2.0))]), ("a", [job("a/image", 1.0)]),
        ]  # fmt: skip
        assert list(snapshot.states()) == [
            ("b/image", Kind.IMAGE, JobState.DONE), ("a/image", Kind.IMAGE, JobState.PLANNED),
        ]  # fmt: skip
        assert snapshot.unsaved_results() == (1, 43200.125)
        assert snapshot.has_sent()
        assert "process" in snapshot.writer()
        assert (snapshot.unreadable(), snapshot.fault(), rows.orphans()) == (0, "", [])
        await ledger.plan(job("d/image"))
        assert sum(snapshot.census().values()) == 2  # later writes do not show
    assert world.sql("SELECT count(*) FROM mps_aigc_ledger.members") == [(2,)]


async def test_requests_come_in_the_order_of_their_batch_and_the_latest_version_first(world: World) -> None:
    ledger = await world.member()
    for name, position in (("z", None), ("b", 1), ("a", 0), ("a@2", 0), ("y", None)):
        await ledger.plan(replace(job(f"{name}/image"), position=position))
    with open_postgres_snapshot(database_url(world.url)) as snapshot:
        assert [name for name, _ in snapshot.requests()] == ["a@2", "a", "b", "z", "y"]


async def test_a_job_of_an_unknown_state_is_counted_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    ledger = await world.member()
    await ledger.plan(job())
    world.sql("UPDATE mps_aigc_ledger.jobs SET state = 'odd'")
    with open_postgres_snapshot(database_url(world.url)) as snapshot:
        assert snapshot.unreadable() == 1
        assert snapshot.census() == {}
    assert "unknown value" in caplog.text


def test_a_database_without_ledgers_is_told_in_one_sentence(database: str) -> None:
    with (
        pytest.raises(LedgerError, match="there is no ledger in the database"),
        open_postgres_snapshot(database_url(database)),
    ):
        pass


async def test_a_reader_that_began_before_the_tables_were_made_sees_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run makes the tables between the reader's beginning and its first look: the rows are not the reader's
    to see, though the table's name can be resolved."""
    url = database_url(world.url)

    @contextmanager
    def reading_early(url: DatabaseUrl) -> Iterator[Reader]:
        with reading(url) as reader:
            assert list(reader.rows("SELECT 1", {})) == [(1,)]  # the transaction's snapshot is taken
            asyncio.run_coroutine_threadsafe(world.member(), loop).result()
            yield reader

    def read() -> None:
        with open_postgres_snapshot(url):
            pass

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(snapshot_module, "reading", reading_early)
    with pytest.raises(LedgerError, match="there is no ledger in the database"):
        await asyncio.to_thread(read)
    monkeypatch.undo()
    read()


async def test_newer_ledgers_and_lost_databases_are_refused(world: World) -> None:
    ledger = await world.member()
    await ledger.close()
    world.sql("UPDATE mps_aigc_ledger.version SET version = 99")
    with pytest.raises(LedgerError, match="schema 99"), open_postgres_snapshot(database_url(world.url)):
        pass
    nowhere = database_url(world.url.replace(PASSWORD, "wrong"))
    with pytest.raises(LedgerError, match="cannot be read") as told, open_postgres_snapshot(nowhere):
        pass
    assert "wrong" not in str(told.value)


async def test_jobs_of_several_owners_have_no_single_owner(world: World) -> None:
    ledger, other = await world.member(), await world.member(owner={**OWNER, "account": "second"})
    await ledger.plan(job("a/image"))
    await other.plan(job("b/image"))
    with open_postgres_snapshot(database_url(world.url)) as snapshot:
        assert isinstance(snapshot, PostgresSnapshot)
        with pytest.raises(LedgerError, match=r"several owners: .*second"):
            snapshot.owner()
