"""The connection to PostgreSQL, on a real server."""

import logging

import pytest

from mps_aigc_async.sharing.connection import Connection, Lost, Refused
from mps_aigc_async.sharing.database_url import database_url

from ..postgres_server import PASSWORD, PostgresServer


async def test_a_transaction_returns_the_rows_of_each_statement(database: str) -> None:
    connection = Connection(database_url(database))
    assert await connection.run(
        ("CREATE TABLE t (n int)", {}),
        ("INSERT INTO t VALUES (%(n)s) RETURNING n", {"n": 7}),
        ("SELECT n + 1 FROM t", {}),
    ) == [[], [(7,)], [(8,)]]
    await connection.close()


async def test_a_refused_statement_leaves_nothing_and_the_connection_usable(database: str) -> None:
    connection = Connection(database_url(database))
    with pytest.raises(Refused, match=r'relation "nowhere" does not exist'):
        await connection.run(("CREATE TABLE t (n int)", {}), ("SELECT * FROM nowhere", {}))
    assert await connection.run(("SELECT to_regclass('t')", {})) == [[(None,)]]
    await connection.close()


async def test_a_restarted_server_is_connected_to_again(postgres: PostgresServer, database: str) -> None:
    connection = Connection(database_url(database))
    assert await connection.run(("SELECT 1", {})) == [[(1,)]]
    postgres.stop()
    with pytest.raises(Lost) as told:
        await connection.run(("SELECT 1", {}))
    assert PASSWORD not in str(told.value)
    postgres.start()
    assert await connection.run(("SELECT 1", {})) == [[(1,)]]
    await connection.close()


async def test_a_loss_is_not_logged_by_the_driver_as_well(
    postgres: PostgresServer, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(database_url(database))
    await connection.run(("SELECT 1", {}))
    postgres.stop()
    with pytest.raises(Lost):
        await connection.run(("SELECT 1", {}))
    postgres.start()
    with pytest.raises(Refused):
        await connection.run(("SELECT * FROM nowhere", {}), ("SELECT 1", {}))
    assert caplog.records == []
    logging.getLogger("psycopg").warning("of the user's own connections")
    assert len(caplog.records) == 1
    await connection.close()
