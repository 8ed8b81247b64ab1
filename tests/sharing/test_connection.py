"""The connection to PostgreSQL, on a real server."""

import asyncio

import pytest

from mps_aigc_async.sharing import connection as sharing_connection
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


async def test_a_server_that_falls_silent_is_lost_in_time(
    postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver does not ask the silent server to cancel the statement, which would take 10 s more."""
    connection = Connection(database_url(database))
    await connection.run(("SELECT 1", {}))
    monkeypatch.setattr(sharing_connection, "ANSWER_S", 0.2)
    postgres.pause()
    try:
        async with asyncio.timeout(5.0):
            with pytest.raises(Lost, match="has not answered"):
                await connection.run(("SELECT 1", {}))
    finally:
        postgres.resume()
    assert "cancel" not in caplog.text
    assert await connection.run(("SELECT 1", {})) == [[(1,)]]
    await connection.close()
