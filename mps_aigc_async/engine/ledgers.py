"""The place of a ledger, as users name it, and its opening."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

from ..ledger import Ledger, MemoryLedger, SqliteLedger, join
from ..ledger.postgres import PostgresLedger, open_postgres_snapshot
from ..ledger.snapshot import Snapshot, open_snapshot
from ..model.errors import ConfigError
from ..network.folders import absolute
from ..sharing.database_url import DatabaseUrl, database_url, is_database_url, require_path
from ..sharing.member import Member

LedgerPlace: TypeAlias = Path | DatabaseUrl
"""A file on this machine, or a ledger in a database."""


def ledger_place(ledger: str | Path) -> LedgerPlace:
    """The place that a user means: a `postgresql://` URL or a path, perhaps one that begins with `~`. Raises
    ConfigError."""
    if isinstance(ledger, str) and is_database_url(ledger):
        return database_url(ledger)
    require_path(ledger)
    return absolute(file_at(ledger))


def file_at(path: str | Path) -> Path:
    """The file or folder that a user means. A shell leaves `--ledger=~/jobs.db` as it is: a folder named `~` would have
    another ledger in each working folder."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 — Path.expanduser raises for an unknown user


def database_of(place: LedgerPlace | None, name: str | None = None) -> DatabaseUrl:
    """The database of a ledger that workers share, or of another ledger in it. Raises ConfigError."""
    if not isinstance(place, DatabaseUrl):
        raise ConfigError(
            'workers share a ledger in PostgreSQL: open the client with ledger="postgresql://…?ledger=NAME"'
        )
    return place if name is None else place.of(name)


def open_snapshot_at(place: LedgerPlace) -> AbstractContextManager[Snapshot]:
    """Read the ledger at a place, without keys and without taking part in it. Raises LedgerError."""
    return open_postgres_snapshot(place) if isinstance(place, DatabaseUrl) else open_snapshot(place)


async def open_ledger(place: LedgerPlace | None, belongs_to: Mapping[str, str], *others: Mapping[str, str]) -> Ledger:
    """Open the ledger of an owner (`belongs_to`) at a place; for None, one in memory. `others` are the owners of the
    client's further accounts. Raises LedgerError."""
    match place:
        case None:
            return MemoryLedger()
        case DatabaseUrl():
            return await PostgresLedger.open(place, belongs_to, Member.here(), others=others)
        case _:
            return await join(place, belongs_to, SqliteLedger.open, *others)
