"""A create's answer belongs to its own job."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, Attach, ClientClosed, CreateOutcomeUnknown, ImageRequest, JobState, LedgerError
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.jobs.tasks import Tasks
from mps_aigc_async.ledger import SqliteLedger
from mps_aigc_async.network.transport import Gate, Sent, Transport
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..support import client_of, in_memory


class Repeating(InMemoryTransport):
    """Answers creates of the prompt "stale" with the first create's answer, as a gateway does that repeats it."""

    def __init__(self, service: Service, *, at_once: bool = False) -> None:
        super().__init__(service, wall, latency_s=0.02)
        self._first: HttpAnswer | None = None
        self._repeated = asyncio.Event()
        if not at_once:
            self._repeated.set()

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        if not request.headers["X-TC-Action"].startswith("Create"):
            return answer
        if json.loads(request.body)["Prompt"] == "stale":
            assert self._first is not None
            self._repeated.set()
            for _ in range(3):  # turns of the loop: the first one's answer is on its way to its job
                await asyncio.sleep(0)
            return self._first
        self._first = self._first or answer
        await self._repeated.wait()
        return answer


def repeating(service: Service, *, at_once: bool) -> Callable[[], Transport]:
    return lambda: Repeating(service, at_once=at_once)


async def create_two(client: AigcClient, *, at_once: bool) -> None:
    """A create, and one that is answered with the first one's task."""
    first = asyncio.create_task(client.generate(ImageRequest(id="first", prompt="first")))
    if not at_once:
        await first
    await asyncio.sleep(1)
    with pytest.raises(CreateOutcomeUnknown, match="which belongs to first/image") as caught:
        await client.generate(ImageRequest(id="second", prompt="stale"))
    assert caught.value.job_id == "second/image"
    assert (await first).task_id in str(caught.value)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_create_answered_with_another_jobs_task_is_unknown(tmp_path: Path, on_disk: bool, at_once: bool) -> None:
    async def main() -> None:
        service = in_memory()
        ledger = tmp_path / "jobs.db" if on_disk else None
        async with client_of(service, ledger=ledger, transport=repeating(service, at_once=at_once)) as client:
            await create_two(client, at_once=at_once)
            assert await client.counts() == {JobState.DONE: 1, JobState.UNKNOWN: 1}
            # Its own task is found in the console, and attached.
            own = next(a.task_id for a in reversed(service.arrivals) if a.action.startswith("Create"))
            assert own is not None
            await client.settle("second/image", Attach(own))
            assert (await client.generate(ImageRequest(id="second", prompt="stale"))).task_id == own

    run(main())


def test_a_task_of_an_earlier_process_is_known_too(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        transport = Repeating(service)
        async with client_of(service, ledger=tmp_path / "jobs.db", transport=lambda: transport) as client:
            await client.generate(ImageRequest(id="first", prompt="first"))
        async with client_of(service, ledger=tmp_path / "jobs.db", transport=lambda: transport) as client:
            with pytest.raises(CreateOutcomeUnknown, match="which belongs to first/image"):
                await client.generate(ImageRequest(id="second", prompt="stale"))

    run(main())


def test_a_job_of_the_same_id_in_another_ledger_keeps_its_task(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(100, 100))
        async with client_of(service, transport=repeating(service, at_once=False)) as client:
            first = asyncio.create_task(client.generate(ImageRequest(id="same", prompt="first")))
            await asyncio.sleep(1)
            run_there = client.run([ImageRequest(id="same", prompt="stale")], ledger=tmp_path / "jobs.db")
            (outcome,) = [outcome async for outcome in run_there]
            assert isinstance(outcome.error, CreateOutcomeUnknown)
            assert (await first).task_id in str(outcome.error)

    run(main())


@pytest.mark.parametrize("error", [LedgerError, RuntimeError])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_ledger_that_cannot_be_read_costs_no_task_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: bool, error: type[Exception]
) -> None:
    async def unreadable(_jobs: object, task_id: str, _job_id: str) -> None:
        raise error(f"cannot look for {task_id}")

    monkeypatch.setattr(Tasks, "other_holder", unreadable)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db" if on_disk else None) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).task_id

    run(main())


def test_cancelled_while_the_holder_is_looked_for_a_task_id_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = asyncio.Event()

    async def slow(_ledger: object, _task_id: str) -> None:
        looking.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(SqliteLedger, "of_task", slow)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            caller = asyncio.create_task(client.generate(ImageRequest(id="x", prompt="x")))
            await looking.wait()
        with pytest.raises(ClientClosed):
            await caller
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            assert (await client.counts()) == {JobState.SUBMITTED: 1}
            assert (await client.generate(ImageRequest(id="x", prompt="x"))).task_id

    run(main())
