"""The place of a ledger, as users name it, and its opening."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from ..ledger import Ledger, MemoryLedger, SqliteLedger, join
from ..ledger.postgres import PostgresLedger
from ..network.folders import absolute
from ..sharing.database_url import DatabaseUrl, database_url, is_database_url, require_path
from ..sharing.member import Member

LedgerPlace: TypeAlias = Path | DatabaseUrl
"""A file on this machine, or a ledger in a database."""


def ledger_place(ledger: str | Path) -> LedgerPlace:
    """The place that a user means: a `postgresql://` URL or a path. Raises ConfigError."""
    if isinstance(ledger, str) and is_database_url(ledger):
        return database_url(ledger)
    require_path(ledger)
    return absolute(ledger)


async def open_ledger(place: LedgerPlace | None, belongs_to: Mapping[str, str]) -> Ledger:
    """Open the ledger of an owner (`belongs_to`) at a place; for None, one in memory. Raises LedgerError."""
    match place:
        case None:
            return MemoryLedger()
        case DatabaseUrl():
            return await PostgresLedger.open(place, belongs_to, Member.here())
        case _:
            return await join(place, belongs_to, SqliteLedger.open)
