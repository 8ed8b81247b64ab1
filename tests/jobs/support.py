"""Requests and rows that several tests of jobs use."""

from collections.abc import Sequence

import pytest

from mps_aigc_async import (
    AigcClient,
    CreateOutcomeUnknown,
    ImageRequest,
    JobRecord,
    Outcome,
)
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.results import Result

CAT = ImageRequest(id="cat", prompt="a cat")


async def row_of(client: AigcClient, job_id: str) -> JobRecord:
    parts = client._usable_engine()
    job = await (await parts.open_ledger(None)).get(job_id)
    assert job is not None
    return job


async def lost(client: AigcClient, service: Service, name: str = "cat") -> None:
    """A create whose answer never came, though the service accepted it."""
    service.faults.add(fault="reset_after")
    with pytest.raises(CreateOutcomeUnknown, match=f"job {name}/image"):
        await client.generate(ImageRequest(id=name, prompt="a cat"))


async def _all(client: AigcClient, batch: Sequence[BatchItem]) -> list[Outcome[BatchItem, Result]]:
    return [outcome async for outcome in client.run(batch)]
