"""The ledger cannot be written for a while: answers of the service wait for it, and closing does not wait for ever."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, AigcError, ImageRequest, JobState, LedgerError
from mps_aigc_async.ledger import sqlite
from mps_aigc_async.model.events import Event, Paced
from mps_aigc_async.testing import run

from ..support import accepted, client_of, in_memory

CREATE = "CreateAigcImageTask"


@pytest.fixture(autouse=True)
def _short_waits_for_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 5)


@contextmanager
def locked_once_the_intent_is_kept(client: AigcClient, ledger: Path) -> Iterator[sqlite3.Connection]:
    """Another connection takes the file's write lock while the first create goes out."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:

        def on_event(event: Event) -> None:
            if isinstance(event, Paced):
                other.execute("BEGIN IMMEDIATE")

        client.on_event(on_event)
        yield other


def test_an_accepted_task_waits_for_the_ledger_and_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as client:
            with locked_once_the_intent_is_kept(client, ledger) as other:
                submit = asyncio.create_task(client.submit(ImageRequest(id="a", prompt="a lake")))
                await asyncio.sleep(200.0)
                assert accepted(service, CREATE) == 1
                assert not submit.done()
                other.execute("ROLLBACK")
                task = await submit
            assert (await task.wait()).urls
            assert dict(await client.counts()) == {JobState.DONE: 1}

    run(main())


def test_a_client_is_closed_though_its_ledger_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as client:
            with locked_once_the_intent_is_kept(client, ledger):
                submits = [asyncio.create_task(client.submit(ImageRequest(id="a", prompt="a lake")))]
                await asyncio.sleep(30.0)
                submits.append(asyncio.create_task(client.submit(ImageRequest(id="b", prompt="a lake"))))
                await asyncio.sleep(30.0)
                began = asyncio.get_running_loop().time()
                await client.aclose()
                assert asyncio.get_running_loop().time() - began < 15.0
        errors = await asyncio.gather(*submits, return_exceptions=True)
        assert all(isinstance(error, Exception) for error in errors)
        (task_id,) = [arrival.task_id for arrival in service.arrivals if arrival.action == CREATE]
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert any(f"{task_id} (a/image)" in message and "database is locked" in message for message in told)

    run(main())


def test_a_create_that_waits_for_its_intent_at_closing_is_never_sent(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as client:
            await client.submit(ImageRequest(id="a", prompt="a lake"))
            with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                submit = asyncio.create_task(client.submit(ImageRequest(id="b", prompt="a lake")))
                await asyncio.sleep(60.0)
                assert not submit.done()
                await client.aclose()
            (error,) = await asyncio.gather(submit, return_exceptions=True)
            assert isinstance(error, AigcError)
        assert accepted(service, CREATE) == 1
        async with client_of(service, ledger=ledger) as client:
            assert JobState.UNKNOWN not in await client.counts()

    run(main())


def test_nobody_is_told_of_a_plan_that_is_not_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(in_memory(), ledger=tmp_path / "jobs.db") as client:
            ledger = await client._open_ledger(None)
            await ledger.close()
            with pytest.raises(LedgerError):
                await client.submit(ImageRequest(id="a", prompt="a lake"))

    run(main())
