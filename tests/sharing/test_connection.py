"""The connection to PostgreSQL, on a real server."""

import asyncio
import gc
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import groupby

import psycopg
import pytest

from mps_aigc_async.sharing.connection import ANSWER_S, CONNECT_S, GRACE_S, Connection, Lost, Refused, Row
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.looks import APART_S, ENOUGH

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


def test_the_connection_of_a_loop_that_has_ended_is_closed_without_it(
    database: str, recwarn: pytest.WarningsRecorder
) -> None:
    async def left_open() -> Connection:
        connection = Connection(database_url(database))
        await connection.run(("SELECT 1", {}))
        return connection

    connection = asyncio.run(left_open())
    opened = connection._connection
    connection.break_off()
    assert opened.closed
    connection.break_off()  # once more: nothing is left to close
    del opened
    gc.collect()
    assert not recwarn.list


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


async def test_a_transaction_is_one_round_trip(postgres: PostgresServer, database: str) -> None:
    async with recorded_talk(postgres.port) as (port, talk):
        connection = Connection(database_url(database.replace(f":{postgres.port}/", f":{port}/")))
        await connection.run(("CREATE TABLE t (n int)", {}))
        talk.clear()
        insert = ("INSERT INTO t VALUES (%(n)s) RETURNING n", {"n": 7})
        assert await connection.run(insert, insert, ("SELECT count(*) FROM t", {})) == [[(7,)], [(7,)], [(2,)]]
        assert [who for who, _ in groupby(talk)] == ["client", "server"]
        await connection.close()


async def test_a_transaction_sees_what_others_commit_whatever_the_default_is(database: str) -> None:
    connection = Connection(database_url(f"{database}?options=-cdefault_transaction_isolation%3Dserializable"))
    [[(level,)]] = await connection.run(("SELECT current_setting('transaction_isolation')", {}))
    assert level == "read committed"
    await connection.close()


@pytest.mark.parametrize(
    ("setting", "statement", "fix"),
    [
        ("default_transaction_read_only=on", "CREATE TABLE u (n int)", "set default_transaction_read_only = off"),
        ("lock_timeout=1", "DELETE FROM t", "ALTER ROLE … SET lock_timeout = '10s'"),
        ("statement_timeout=1", "SELECT pg_sleep(60)", "ALTER ROLE … SET statement_timeout = '10s'"),
    ],
)
async def test_what_an_operator_does_to_a_database_passes(
    database: str, setting: str, statement: str, fix: str
) -> None:
    with psycopg.connect(database, autocommit=True) as operator:
        operator.execute("CREATE TABLE t (n int)")
        with operator.transaction():
            operator.execute("LOCK TABLE t")
            connection = Connection(database_url(f"{database}?options=-c{setting.replace('=', '%3D')}"))
            with pytest.raises(Lost) as told:
                await connection.run((statement, {}))
            await connection.close()
    assert re.match(r"the database postgresql://\S+ refused: can.* \(", str(told.value))
    assert fix in str(told.value)


@asynccontextmanager
async def recorded_talk(port: int) -> AsyncIterator[tuple[int, list[str]]]:
    """A way to the server that notes who sends."""
    talk, pipes = list[str](), set[asyncio.Task[None]]()

    async def pipe(who: str, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            talk.append(who)
            target.write(data)
        target.close()

    async def accept(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", port)
        pipes.add(asyncio.create_task(pipe("client", source, requests)))
        pipes.add(asyncio.create_task(pipe("server", answers, target)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], talk
    server.close()
    await asyncio.gather(*pipes)


async def test_a_silent_server_holds_up_no_closing(postgres: PostgresServer, database: str) -> None:
    """The transaction under way would wait ten times as long."""
    connection = Connection(database_url(database))
    await connection.run(("SELECT 1", {}))
    postgres.pause()
    try:
        asking = asyncio.create_task(connection.run(("SELECT 1", {})))
        await asyncio.sleep(0)
        async with asyncio.timeout(5.0):
            await connection.close()
    finally:
        postgres.resume()
    with pytest.raises(Lost, match="has not answered"):
        await asking


async def test_a_server_that_falls_silent_is_lost_in_time(
    postgres: PostgresServer, database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver does not ask the silent server to cancel the statement, which would take 10 s more."""
    monkeypatch.setattr("mps_aigc_async.sharing.connection.ANSWER_S", 0.2)
    connection = Connection(database_url(database))
    await connection.run(("SELECT 1", {}))
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


async def test_all_who_wait_for_a_silent_server_at_the_end_are_told_at_once_and_it_is_asked_again_later(
    postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mps_aigc_async.sharing.patience.LATE_S", 0.2)
    monkeypatch.setattr("mps_aigc_async.sharing.patience.REST_S", 0.5)
    connection = Connection(database_url(database))
    await connection.run(("SELECT 1", {}))
    connection.hurry(0.2)
    postgres.pause()
    try:
        async with asyncio.timeout(5.0):
            losses = await asyncio.gather(
                *(connection.run(("SELECT 1", {})) for _ in range(100)), return_exceptions=True
            )
    finally:
        postgres.resume()
    assert {type(loss) for loss in losses} == {Lost}
    answers: list[list[list[Row]]] = []
    async with asyncio.timeout(5.0):
        while not answers:
            with suppress(Lost):
                answers.append(await connection.run(("SELECT 1", {})))
    assert answers == [[[(1,)]]]
    await connection.close()


def test_a_member_whose_packets_were_lost_once_beats_before_it_is_taken_for_gone() -> None:
    """Its heartbeat was not answered; the next one comes in the usual time after that was noticed."""
    assert ANSWER_S + GRACE_S + APART_S < ENOUGH * APART_S
    assert 2 * ANSWER_S + GRACE_S > 2 * CONNECT_S, "a silent host leaves time for the next one of the URL"
