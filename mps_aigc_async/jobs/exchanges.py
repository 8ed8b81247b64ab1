"""The creates under way of one opened ledger, whichever of its clients sends them."""

import asyncio
from dataclasses import dataclass, field

from ..ledger import JobRecord


@dataclass(slots=True, eq=False)
class Exchanges:
    """Shared by the clients of an opened ledger: a job in *intent* is in doubt only if none of them is sending it."""

    by_job: dict[str, asyncio.Task[JobRecord]] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    """The job whose create was answered with a TaskId first, until the ledger knows."""
    lost: str = ""
    """The message about a ledger that is out of place; empty while it is in place."""
