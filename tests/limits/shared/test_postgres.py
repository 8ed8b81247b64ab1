"""PostgreSQL as a home of the limits, on a real server."""

import asyncio

import psycopg
import pytest

from mps_aigc_async.limits.shared import postgres as postgres_module
from mps_aigc_async.limits.shared.postgres import PostgresDatabase
from mps_aigc_async.limits.shared.store import NOTIFY, LimitsLost, NewerStore, Schema, Step, StoreUnusable
from mps_aigc_async.model.errors import ConfigError
from mps_aigc_async.sharing.connection import Connection
from mps_aigc_async.sharing.database_url import database_url

from ...postgres_server import PASSWORD, PostgresServer

SCHEMA = Schema("test", 1, ("CREATE TABLE t (n BIGINT)",))
ROWS: Step = ("SELECT n FROM t", {})
BEGAN: Step = ("SELECT began_at FROM mps_aigc_schemas", {})


async def _open(url: str, version: int = 1) -> PostgresDatabase:
    return await PostgresDatabase.open(database_url(url), [Schema("test", version, SCHEMA.tables)])


async def test_several_members_may_make_the_tables_at_once(database: str) -> None:
    members = await asyncio.gather(*(_open(database) for _ in range(8)))
    await members[0].run(("INSERT INTO t VALUES (%(n)s)", {"n": 3}))
    assert await members[7].run(("SELECT n FROM t", {})) == [[(3,)]]
    for member in members:
        await member.close()


async def test_members_with_different_search_paths_have_the_same_tables(database: str) -> None:
    plain = await _open(database)
    await plain.run(("CREATE SCHEMA other", {}))
    searching = await _open(f"{database}?options=-csearch_path%3Dother,public")
    await plain.run(("INSERT INTO t VALUES (%(n)s)", {"n": 3}))
    assert await searching.run(("SELECT n FROM t", {}), ("SELECT to_regclass('other.t')", {})) == [[(3,)], [(None,)]]
    await plain.close()
    await searching.close()


async def test_the_first_member_makes_the_tables_where_all_look(database: str) -> None:
    connection = Connection(database_url(database))
    await connection.run(("CREATE SCHEMA other", {}))
    searching = await _open(f"{database}?options=-csearch_path%3Dother")
    plain = await _open(database)
    await searching.run(("INSERT INTO t VALUES (%(n)s)", {"n": 3}))
    assert await plain.run(("SELECT n FROM t", {})) == [[(3,)]]
    for open_one in (searching, plain, connection):
        await open_one.close()


async def test_a_newer_version_is_refused_by_name(database: str) -> None:
    await (await _open(database, version=2)).close()
    with pytest.raises(NewerStore, match=r"127\.0\.0\.1:\d+/test_\w+ was made by a newer version .*version 2"):
        await _open(database)


async def test_the_servers_time_is_read_on_the_loops_clock(database: str) -> None:
    member, loop = await _open(database), asyncio.get_running_loop()
    before = loop.time()
    [[(now,)]] = await member.run(("SELECT {now}", {}))
    assert before - member.uncertainty_s <= member.loop_time(now) <= loop.time() + member.uncertainty_s
    assert member.uncertainty_s < 1
    assert member.generation == 0
    await member.close()


async def test_a_notification_ends_the_wait(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "LOOK_S", 60.0)  # the look without a notification comes too late
    member, other = await _open(database), await _open(database)
    await asyncio.wait_for(member.wait_for_change(), 5)  # from now on it listens
    waiting = asyncio.create_task(member.wait_for_change())
    await asyncio.sleep(0)
    await other.run(NOTIFY)
    await asyncio.wait_for(waiting, 5)
    await member.close()
    await other.close()


async def test_a_server_that_is_away_is_lost_and_comes_back(postgres: PostgresServer, database: str) -> None:
    member = await _open(database)
    postgres.stop()
    with pytest.raises(LimitsLost, match="cannot be reached") as lost:
        await member.run()
    assert PASSWORD not in str(lost.value)
    postgres.start()
    assert await member.run(("SELECT 1", {})) == [[(1,)]]
    await member.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((PASSWORD, "wr0ng-secret"), "check the user, and the password"),
        (("tester:", "nobody:"), "check the user, and the password"),
        (("/test_", "/missing_"), "CREATE DATABASE"),
        (("127.0.0.1", "no-such-host.invalid"), "check the host's name"),
        (("?", "?sslmode=require&"), "the server has no TLS"),
        (("?", "?wrong=1&"), "wrong"),
    ],
)
async def test_a_wrong_url_gets_one_sentence_with_the_fix(database: str, change: tuple[str, str], words: str) -> None:
    url = f"{database}?ledger=x".replace(*change)
    with pytest.raises(StoreUnusable, match=words) as told:
        await _open(url)
    assert "\n" not in str(told.value)
    assert PASSWORD not in str(told.value)
    assert "wr0ng-secret" not in str(told.value)


async def test_a_port_without_a_server_gets_one_sentence(postgres: PostgresServer, database: str) -> None:
    with pytest.raises(StoreUnusable, match="check the host and the port"):
        await _open(database.replace(f":{postgres.port}", ":1"))


async def test_a_user_who_may_not_create_tables_is_told_the_grant_and_may_use_those_that_exist(database: str) -> None:
    admin = Connection(database_url(database))
    await admin.run(
        ("DROP ROLE IF EXISTS guest", {}),
        ("CREATE ROLE guest LOGIN PASSWORD 'gu%%est'", {}),
        ("REVOKE CREATE ON SCHEMA public FROM public", {}),
    )
    url = database.replace(f"tester:{PASSWORD}", "guest:gu%25est")
    with pytest.raises(StoreUnusable, match="GRANT CREATE, USAGE ON SCHEMA public"):
        await _open(url)
    await (await _open(database)).close()
    await admin.run(("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest", {}))
    member = await _open(url)
    assert await member.run(("SELECT n FROM t", {})) == [[]]
    await member.close()
    await admin.run(("DROP OWNED BY guest", {}), ("DROP ROLE guest", {}))
    await admin.close()


@pytest.mark.parametrize("password", ["pa@ss", "12/ss", "pa/ss", "12?ss", "pa#ss", "12/a?b=c", "p%zz"])
async def test_a_password_with_a_sign_out_of_place_is_never_shown(password: str) -> None:
    with pytest.raises(ConfigError) as told:
        await _open(f"postgresql://tester:{password}@127.0.0.1:1/db")
    assert password not in str(told.value)
    assert "ss" not in str(told.value).replace("password", "").replace("PASSWORD", "").replace("address", "")


@pytest.mark.parametrize("tables", ["t", "t, mps_aigc_schemas", "mps_aigc_schemas"])
async def test_tables_that_are_removed_meanwhile_are_made_anew(database: str, tables: str) -> None:
    """As a restored backup or a hand with psql has it: the clients need not be restarted."""
    one, two = await _open(database), await _open(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {tables}".encode())
    with pytest.raises(LimitsLost, match="were removed, and are made anew") as told:
        await one.run(ROWS, BEGAN)
    assert PASSWORD not in str(told.value)
    assert one.generation == 1
    assert len((await two.run(ROWS, BEGAN))[1]) == 1
    await one.close()
    await two.close()
