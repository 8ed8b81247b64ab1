"""The ledger in PostgreSQL, shared by many processes and hosts."""

from .ledger import PostgresLedger
from .rows import Orphan
from .snapshot import PostgresSnapshot, open_postgres_snapshot

__all__ = ["Orphan", "PostgresLedger", "PostgresSnapshot", "open_postgres_snapshot"]
