"""The ledger in PostgreSQL, shared by many processes and hosts."""

from .ledger import PostgresLedger
from .rows import Orphan

__all__ = ["Orphan", "PostgresLedger"]
