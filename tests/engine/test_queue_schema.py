"""The tables of procrastinate: new ones, older ones, and those that nobody here may change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from procrastinate.schema import SchemaManager

from mps_aigc_async.engine.queue_schema import COMMENT, migrations, note_of
from mps_aigc_async.engine.request_queue import RequestQueue
from mps_aigc_async.ledger.postgres import prepare_database
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.sharing.connection import Connection, Row
from mps_aigc_async.sharing.database_url import DatabaseUrl, database_url

from ..postgres_server import PostgresServer

CATALOGUE = (
    "SELECT proname, prosrc, pg_get_function_arguments(oid) FROM pg_proc "
    "WHERE proname LIKE 'procrastinate%%' ORDER BY 1",
    "SELECT table_name, column_name, data_type, column_default, is_nullable FROM information_schema.columns "
    "WHERE table_name LIKE 'procrastinate%%' ORDER BY 1, 2",
    "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'procrastinate%%' ORDER BY 1",
    "SELECT typname, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY 1, 2",
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid::regclass::text LIKE 'procrastinate%%' ORDER BY 1",
)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    connection = Connection(database_url(database))
    yield connection
    await connection.close()


async def make_tables(url: DatabaseUrl) -> None:
    async with RequestQueue(url) as queue:
        await queue.make_tables()


async def make_older(connection: Connection, before: str) -> list[str]:
    """Apply the migrations before a version of procrastinate, as an older release did; return the others."""
    applied = [name for name in migrations() if name < before]
    for name in applied:
        text = Path(SchemaManager.get_migrations_path(), f"{name}.sql").read_text().replace("%", "%%")
        await connection.run((f"DO $all$ BEGIN EXECUTE $text${text}$text$; END $all$", {}))
    await connection.run(note_of(applied[-1]))
    return migrations()[len(applied) :]


async def catalogue(connection: Connection) -> list[list[Row]]:
    return await connection.run(*((statement, {}) for statement in CATALOGUE))


async def comment(connection: Connection) -> str:
    [[(text,)]] = await connection.run(("SELECT obj_description('procrastinate_jobs'::regclass, 'pg_class')", {}))
    return str(text)


@pytest.mark.parametrize("before", ["03.04.00", "03.02.00"])
async def test_older_tables_are_brought_to_the_installed_version(
    postgres: PostgresServer, connection: Connection, before: str
) -> None:
    later = await make_older(connection, before)
    assert later
    await make_tables(connection.url)
    assert await comment(connection) == COMMENT + migrations()[-1]
    with postgres.database() as database:
        new = Connection(database_url(database))
        await make_tables(new.url)
        assert await comment(new) == COMMENT + migrations()[-1]
        assert await catalogue(new) == await catalogue(connection)
        await new.close()


async def test_a_migration_that_fails_leaves_the_tables_of_the_one_before(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, *_ = await make_older(connection, "03.04.00")
    shipped = Path(SchemaManager.get_migrations_path())
    for name in migrations():
        (tmp_path / f"{name}.sql").write_text((shipped / f"{name}.sql").read_text())
    (tmp_path / f"{second}.sql").write_text("DROP TABLE procrastinate_events; SELECT no_such_column")
    with monkeypatch.context() as patch:
        patch.setattr(SchemaManager, "get_migrations_path", lambda: str(tmp_path))
        with pytest.raises(LedgerError, match='cannot be used as a queue: column "no_such_column" does not exist'):
            await make_tables(connection.url)
    assert await comment(connection) == COMMENT + first
    await make_tables(connection.url)
    assert await comment(connection) == COMMENT + migrations()[-1]


async def make_foreign(connection: Connection) -> None:
    await make_tables(connection.url)
    await connection.run(("COMMENT ON TABLE procrastinate_jobs IS 'the app of somebody else'", {}))


async def make_newer(connection: Connection) -> None:
    await make_tables(connection.url)
    await connection.run(note_of("99.00.00_01_pre_everything"))


async def make_busy(connection: Connection) -> None:
    await make_older(connection, "03.04.00")
    await connection.run(("INSERT INTO procrastinate_workers DEFAULT VALUES", {}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_foreign, "made by another program, so their version is not known: name a database of its own"),
        (make_newer, r"made by a newer procrastinate than \d+\.\d+.* \(its migration 99\.00\.00_01_pre_everything\)"),
        (make_busy, "must be brought to procrastinate .*, and 1 of its workers are open: end them"),
    ],
)
async def test_tables_that_must_not_be_changed_are_refused_and_stay(
    connection: Connection, make: Callable[[Connection], Awaitable[None]], words: str
) -> None:
    await make(connection)
    before = await catalogue(connection), await comment(connection)
    with pytest.raises(LedgerError, match=words):
        await make_tables(connection.url)
    assert before == (await catalogue(connection), await comment(connection))


async def test_the_user_may_hand_the_tables_of_another_program_over(connection: Connection) -> None:
    await make_foreign(connection)
    with pytest.raises(LedgerError) as refused:
        await make_tables(connection.url)
    await connection.run((refused.value.message.partition("up to date: ")[2], {}))
    await make_tables(connection.url)


async def test_tables_of_the_installed_version_are_left_as_they_are_while_workers_run(connection: Connection) -> None:
    await prepare_database(connection.url)
    await make_tables(connection.url)
    before = await catalogue(connection), await comment(connection)
    await connection.run(("INSERT INTO procrastinate_workers DEFAULT VALUES", {}))
    await make_tables(connection.url)
    assert before == (await catalogue(connection), await comment(connection))
