"""A ledger in each of its three homes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mps_aigc_async.ledger import Ledger, MemoryLedger

from .ledgers import opened, opened_postgres


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    match request.param:
        case "memory":
            yield MemoryLedger()
        case "sqlite":
            async with opened(tmp_path / "jobs.db") as file:
                yield file
        case _:
            async with opened_postgres(request.getfixturevalue("database")) as shared:
                yield shared
