"""The ledger's reads before a create: a new request of one step needs two, however it is asked for."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, ImageRequest, VideoRequest
from mps_aigc_async.ledger import SqliteLedger
from mps_aigc_async.model.events import Event, Paced
from mps_aigc_async.testing import run

from ..support import client_of, in_memory


async def _generate(client: AigcClient) -> None:
    await client.generate(ImageRequest(prompt="a cat"))


async def _submit(client: AigcClient) -> None:
    await client.submit(VideoRequest(prompt="a cat"))


async def _run(client: AigcClient) -> None:
    [outcome] = [outcome async for outcome in client.run([ImageRequest(prompt="a cat")])]
    assert outcome.ok


@pytest.mark.parametrize("make", [_generate, _submit, _run])
def test_a_new_request_of_one_step_is_read_once_before_its_plan(
    make: Callable[[AigcClient], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    before_create: list[int] = []
    select = SqliteLedger._select

    async def counted(self: SqliteLedger, query: str, *values: str) -> object:
        reads.append(query)
        return await select(self, query, *values)

    monkeypatch.setattr(SqliteLedger, "_select", counted)

    def on_event(event: Event) -> None:
        if isinstance(event, Paced):
            before_create.append(len(reads))

    async def main() -> None:
        async with client_of(in_memory(), ledger=tmp_path / "jobs.db") as client:
            client.on_event(on_event)
            reads.clear()
            await make(client)

    run(main())
    assert before_create == [1]  # the look-up of the plan is one piece of work with its entry
