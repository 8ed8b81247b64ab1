"""The tables: made once by several clients, brought to a newer version, and the servers that are refused."""

import asyncio
from pathlib import Path

import pytest

from mps_aigc_async.ledger.postgres import schema
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.sharing.connection import Connection
from mps_aigc_async.sharing.database_url import database_url

from ...postgres_server import PostgresServer
from ..ledgers import job
from .members import World

NEXT = schema.VERSION + 1
GOOD = (150004, "15.4", "on", "UTF8", False)


async def test_several_first_clients_make_the_tables_once(world: World) -> None:
    ledgers = await asyncio.gather(*(world.member() for _ in range(6)))
    assert world.sql("SELECT version FROM mps_aigc_ledger.version") == [(schema.VERSION,)]
    await asyncio.gather(*(ledger.close() for ledger in ledgers))


async def test_a_newer_schema_is_refused(world: World) -> None:
    await (await world.member()).close()
    world.sql("UPDATE mps_aigc_ledger.version SET version = 9")
    with pytest.raises(LedgerError, match=r"newer version \(schema 9\): upgrade"):
        await world.member()


async def test_an_open_member_stops_creating_once_the_schema_is_newer(world: World) -> None:
    ledger = await world.member()
    world.sql("UPDATE mps_aigc_ledger.version SET version = 9")
    await ledger.renew()
    with pytest.raises(LedgerError, match="upgrade mps-aigc-async"):
        ledger.confirm()
    assert not ledger.in_place


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose schema has one version more."""
    monkeypatch.setattr(schema, "VERSION", NEXT)
    migration = {NEXT: ("ALTER TABLE mps_aigc_ledger.jobs ADD COLUMN price text",)}
    monkeypatch.setattr(schema, "MIGRATIONS", {**schema.MIGRATIONS, **migration})


async def test_a_migration_is_made_once_by_several_clients(world: World, request: pytest.FixtureRequest) -> None:
    await (await world.member()).close()
    request.getfixturevalue("newer")
    connections = [Connection(database_url(world.url)) for _ in range(4)]
    await asyncio.gather(*map(schema.prepare, connections))
    assert world.sql("SELECT version FROM mps_aigc_ledger.version") == [(NEXT,)]
    assert world.sql("SELECT price FROM mps_aigc_ledger.jobs") == []
    await asyncio.gather(*(connection.close() for connection in connections))


async def test_the_first_tables_are_brought_to_this_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the first version, with a job in it."""
    with monkeypatch.context() as first:
        first.setattr(schema, "VERSION", 1)
        ledger = await world.member()
        await ledger.plan(job())
        await ledger.close()
    assert world.sql("SELECT version FROM mps_aigc_ledger.version") == [(1,)]
    ledger = await world.member()
    assert world.sql("SELECT version FROM mps_aigc_ledger.version") == [(schema.VERSION,)]
    assert await ledger.get(job().job_id) is not None
    assert world.sql("SELECT count(*) FROM mps_aigc_ledger.requests") == [(0,)]


async def test_an_older_member_that_is_open_makes_a_migration_refuse_by_name(
    world: World, request: pytest.FixtureRequest
) -> None:
    await world.member(program="night-batch")
    request.getfixturevalue("newer")
    connection = Connection(database_url(world.url))
    with pytest.raises(LedgerError, match=r"older version are open: night-batch \(process \d+ on .*\); close them"):
        await schema.prepare(connection)
    world.sql("UPDATE mps_aigc_ledger.members SET beat_at = beat_at - interval '61 s'")  # killed a minute ago
    await schema.prepare(connection)
    assert world.sql("SELECT version FROM mps_aigc_ledger.version") == [(NEXT,)]
    await connection.close()


async def test_a_server_that_forgets_commits_is_refused(world: World, postgres: PostgresServer) -> None:
    await (await world.member()).close()
    world.sql("ALTER SYSTEM SET fsync = off")
    try:
        world.sql("SELECT pg_reload_conf()")
        await world.until("SELECT 1 WHERE current_setting('fsync') = 'off'")
        with pytest.raises(LedgerError, match="would lose paid tasks in a crash: set fsync = on"):
            await world.member()
    finally:
        world.sql("ALTER SYSTEM RESET fsync")
        world.sql("SELECT pg_reload_conf()")
    assert postgres.port


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ((120022, "12.22", "on", "UTF8", False), "PostgreSQL 12.22: a ledger needs version 13"),
        ((150004, "15.4", "on", "SQL_ASCII", False), "needs a database with UTF8"),
        ((150004, "15.4", "on", "UTF8", True), "URL of its primary"),
    ],
)
def test_a_server_that_cannot_hold_a_ledger_is_refused(server: tuple[object, ...], reason: str) -> None:
    schema.require_usable("db", GOOD)
    with pytest.raises(LedgerError, match=reason):
        schema.require_usable("db", server)


async def test_every_writing_transaction_waits_for_the_disk(world: World) -> None:
    ledger = await world.member()
    world.sql(f'ALTER DATABASE "{Path(world.url).name}" SET synchronous_commit = off')
    world.cut_off()
    *_, [(setting,)] = await ledger._database.run(schema.DURABLE, ("SHOW synchronous_commit", {}))
    assert setting == "on"
