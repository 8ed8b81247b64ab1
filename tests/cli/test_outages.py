"""A batch pauses while the service cannot be reached, and says so once."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from mps_aigc_async import (
    AigcClient,
    AigcError,
    Failure,
    ImageRequest,
    ImageResult,
    Outcome,
    Success,
    TaskFailed,
    TransportError,
)
from mps_aigc_async.cli import run
from mps_aigc_async.cli.batch import check_batch
from mps_aigc_async.cli.batch_source import JsonLines
from mps_aigc_async.cli.orders import NO_ORDERS
from mps_aigc_async.cli.outages import FIRST_S, MOST_S, Pauses, is_outage
from mps_aigc_async.cli.progress import Silence
from mps_aigc_async.cli.tally import Tally
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.errors import Unreachable
from mps_aigc_async.model.results import Result
from mps_aigc_async.model.states import Ending, Word
from mps_aigc_async.testing import run as run_in_virtual_time

from .conftest import Shell, image

DOWN = TransportError("cannot reach mps: refused", ending=Ending.NEVER_DELIVERED)


def made(name: str) -> Outcome[BatchItem, Result]:
    result = ImageResult(task_id="t", request_id="r", urls=("u",), expires_at=None, files=(Path(f"{name}.png"),))
    return Success(job_id=name, request=ImageRequest(id=name, prompt="a"), result=result)


def lost(name: str, error: AigcError = DOWN) -> Outcome[BatchItem, Result]:
    return Failure(
        job_id=name, request=ImageRequest(id=name, prompt="a"), error=error.with_context(job_id=f"{name}/image")
    )


class ScriptedClient:
    """Yields the outcomes of one script after the other, one script a run."""

    def __init__(self, *scripts: Sequence[Outcome[BatchItem, Result]]) -> None:
        self.scripts = list(scripts)
        self.ends: list[float] = []

    @asynccontextmanager
    async def run(self, _batch: object, **_options: object) -> AsyncIterator[AsyncIterator[Outcome[BatchItem, Result]]]:
        yield _each(self.scripts.pop(0))
        self.ends.append(asyncio.get_running_loop().time())


async def _each(outcomes: Iterable[Outcome[BatchItem, Result]]) -> AsyncIterator[Outcome[BatchItem, Result]]:
    for outcome in outcomes:
        yield outcome


def test_an_outage_takes_one_line_and_each_request_ends_once(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    batch = check_batch(JsonLines(Path(shell.batch(image("a"), image("b"), image("c")))), lambda _: None)
    tally = Tally(batch.jobs)
    failure = lost("b", TaskFailed("no"))
    client = ScriptedClient(
        [made("a"), lost("c"), lost("b")],
        [made("a"), lost("b")],
        [made("a"), failure, lost("c")],
        [made("a"), failure, made("c")],
    )
    work = run._Work(batch, shell.folder, orders=NO_ORDERS, is_shared=False)

    async def main() -> AigcError | None:
        return await run._requests(cast("AigcClient", client), work, tally, Silence())

    assert run_in_virtual_time(main()) is None
    assert client.scripts == []
    assert [later - sooner for sooner, later in zip(client.ends, client.ends[1:], strict=False)] == pytest.approx(
        [FIRST_S, 2 * FIRST_S, FIRST_S], abs=0.1
    )
    assert capsys.readouterr().err.splitlines() == [
        "the service cannot be reached (mps: refused): waiting, 2 not begun; Ctrl-C stops",
        "the service can be reached again",
        "the service cannot be reached (mps: refused): waiting, 1 not begun; Ctrl-C stops",
        "the service can be reached again",
    ]
    assert [tally.batch.of(word) for word in (Word.SAVED, Word.FAILED)] == [2, 1]
    assert tally.needing_attention == 1


def test_pauses_grow_to_a_bound() -> None:
    async def main() -> list[float]:
        pauses, lengths = Pauses(lambda _: None), []
        for _ in range(6):
            began = asyncio.get_running_loop().time()
            await pauses.wait(DOWN, 1)
            lengths.append(asyncio.get_running_loop().time() - began)
        return lengths

    assert run_in_virtual_time(main()) == pytest.approx([5, 10, 20, 40, MOST_S, MOST_S], abs=0.1)


@pytest.mark.parametrize(
    "error",
    [
        TransportError("the answer was cut short", ending=Ending.UNKNOWN),
        Unreachable("the certificate has expired", ending=Ending.UNREACHABLE),
        TaskFailed("no"),
        None,
    ],
)
def test_other_errors_are_no_outage(error: AigcError | None) -> None:
    assert is_outage(DOWN)
    assert not is_outage(error)
