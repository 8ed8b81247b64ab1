"""The ledger in PostgreSQL, shared by many processes and hosts."""

from .ledger import PostgresLedger
from .orphans import drop_orphans
from .schema import prepare_database
from .snapshot import PostgresSnapshot, open_postgres_snapshot, require_ledger

__all__ = [
    "PostgresLedger", "PostgresSnapshot", "drop_orphans", "open_postgres_snapshot", "prepare_database",
    "require_ledger",
]  # fmt: skip
