"""The ledger: one row per job, written before money is spent, read to resume.

`MemoryLedger` lasts as long as the client. `SqliteLedger` survives the process, and the clients of a process share it
(`SharedLedger`). `postgres.PostgresLedger` is for many processes and hosts. All keep the same promise: when `put`
returns, the row is as safe as the ledger can make it.
"""

from .claims import ClaimInDoubt, JobTaken, NotAhead, OtherAccount, new_token
from .memory import MemoryLedger, MemoryRows
from .of_account import AccountLedger, CommonLedger
from .protocol import UNBOUNDED, Ledger
from .record import JobRecord
from .shared import SharedLedger, join
from .sqlite import SqliteLedger

__all__ = [
    "UNBOUNDED", "AccountLedger", "ClaimInDoubt", "CommonLedger", "JobRecord", "JobTaken", "Ledger", "MemoryLedger",
    "MemoryRows",
    "NotAhead", "OtherAccount", "SharedLedger", "SqliteLedger", "join", "new_token",
]  # fmt: skip
