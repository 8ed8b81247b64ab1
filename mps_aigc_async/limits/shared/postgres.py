"""The limits of an account on many hosts: tables in PostgreSQL, on the server's clock."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from logging import getLogger
from typing import Final

from ...concurrency.owner import TaskOwner
from ...sharing.connection import Connection, Lost, Refused
from ...sharing.database_url import DatabaseUrl
from ...sharing.listener import listen
from .server_clock import ServerClock
from .store import CHANNEL, LOOK_S, NOW, SCHEMAS, LimitsLost, NewerStore, Row, Schema, Step, StoreUnusable, newer_store

_log: Final = getLogger("mps_aigc_async")

OLDEST: Final = 120000
"""The oldest server that is supported: 12, as `server_version_num` says it. Older ones have had no fixes since 2023."""

CLOCK: Final = "extract(epoch from clock_timestamp())::float8"
"""Never now(): that is the time of the transaction's beginning, before it waited for a row."""

_TIME: Final[Step] = (f"SELECT {CLOCK}", {})

_IN_PUBLIC: Final[Step] = ("SET LOCAL search_path = public", {})
"""The first statement of each transaction: roles with different search paths would make tables of their own, and count
apart. Local, because a pooler may hand the next transaction to another connection."""

_LOCK: Final[Step] = ("SELECT pg_advisory_xact_lock(hashtext('mps_aigc_schemas'))", {})
"""A lock on making tables: CREATE TABLE IF NOT EXISTS fails if two members make the same one at once."""

_BEGIN_ANEW: Final[Step] = (f"UPDATE mps_aigc_schemas SET began_at = {CLOCK}", {})  # noqa: S608 — a constant
"""Let new streams begin with a pause: the rows that were removed knew of sends."""


class PostgresDatabase:
    """A loop's connection to the tables (`store.StoreDatabase`). Open it with `PostgresDatabase.open`."""

    is_in_place = True

    def __init__(self, url: DatabaseUrl, schemas: Sequence[Schema] = ()) -> None:
        self.generation = 0
        self._schemas = schemas
        self._url = url
        self._connection = Connection(url)
        self._work = TaskOwner()
        self._clock = ServerClock()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<PostgresDatabase {self._url}>"

    @classmethod
    async def open(cls, url: DatabaseUrl, schemas: Sequence[Schema]) -> "PostgresDatabase":
        """Connect, and make the tables that are missing. Raises StoreUnusable or NewerStore."""
        database = cls(url, schemas)
        try:
            await database._prepare()
        except (Lost, Refused) as error:
            await database.close()
            raise StoreUnusable(f"the limit store cannot be opened: {error}") from None
        except BaseException:
            await database.close()
            raise
        return database

    async def _prepare(self) -> None:
        [[(version,)], [(table,)]] = await self._connection.run(
            ("SELECT current_setting('server_version_num')::int", {}),
            ("SELECT to_regclass('public.mps_aigc_schemas')::text", {}),
        )
        if version < OLDEST:
            raise StoreUnusable(
                f"the limit store {self._url} is PostgreSQL {version // 10000}: use {OLDEST // 10000} or newer"
            )
        versions = await self._versions() if table else {}
        missing = [schema for schema in self._schemas if schema.name not in versions]
        if missing:  # a user who may not create tables can use those that exist
            await self._connection.run(_IN_PUBLIC, _LOCK, (SCHEMAS, {}), *_creation(missing))
            await self._versions()  # another member may have been faster
        await self.run()

    async def _make_anew(self) -> LimitsLost:
        """Make the tables anew that somebody has removed; return the error that tells of it."""
        try:
            await self._connection.run(_IN_PUBLIC, _LOCK, (SCHEMAS, {}), *_creation(self._schemas), _BEGIN_ANEW)
            await self._versions()
        except (Lost, Refused, NewerStore) as error:
            return LimitsLost(str(error))
        self.generation += 1
        text = f"tables of the limit store {self._url} were removed, and are made anew"
        _log.warning("%s", text)
        return LimitsLost(text)

    async def _versions(self) -> dict[str, int]:
        [rows] = await self._connection.run(("SELECT name, version FROM public.mps_aigc_schemas", {}))
        versions: dict[str, int] = dict(rows)
        for schema in self._schemas:
            if versions.get(schema.name, schema.version) != schema.version:
                raise newer_store(str(self._url), versions[schema.name])
        return versions

    @property
    def uncertainty_s(self) -> float:
        return self._clock.uncertainty(asyncio.get_running_loop().time())

    async def run(self, *steps: Step) -> list[list[Row]]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        try:
            _, *rows, [(server,)] = await self._connection.run(
                _IN_PUBLIC, *((statement.replace(NOW, CLOCK), values) for statement, values in steps), _TIME
            )
        except (Lost, Refused) as error:
            is_removed = isinstance(error, Refused) and error.lacks_table
            raise (await self._make_anew() if is_removed else LimitsLost(str(error))) from None
        if not self._clock.note(server, before, loop.time()):
            self.generation += 1
        return rows

    def loop_time(self, store_time: float) -> float:
        return self._clock.loop_time(store_time)

    async def wait_for_change(self) -> None:
        """Wait for a notification, or for LOOK_S: behind a pooler, LISTEN hears nothing."""
        if not len(self._work):
            self._work.start(listen(self._url, CHANNEL, self._note_change), "notices of slots")
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._changed.wait()

    def _note_change(self, _notice: str) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def hurry(self, seconds: float) -> None:
        self._connection.hurry(seconds)

    async def close(self) -> None:
        await self._work.close()
        await self._connection.close()


def _creation(schemas: Sequence[Schema]) -> list[Step]:
    steps: list[Step] = []
    for schema in schemas:
        steps += [(table.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS "), {}) for table in schema.tables]
        steps.append(
            (
                f"INSERT INTO mps_aigc_schemas VALUES (%(name)s, %(version)s, {CLOCK}, '') ON CONFLICT DO NOTHING",  # noqa: S608
                {"name": schema.name, "version": schema.version},
            )
        )
    return steps
