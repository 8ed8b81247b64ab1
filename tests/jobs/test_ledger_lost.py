"""The ledger is removed, moved, replaced or cut in mid-run: nothing more is created, and what runs is not lost."""

import asyncio
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, ImageRequest, JobState, LedgerError
from mps_aigc_async.emulator import Service
from mps_aigc_async.ledger.commits import CHECKPOINT_S
from mps_aigc_async.model.events import Event, Paced
from mps_aigc_async.testing import forget_limits, run

from ..support import accepted, client_of, configured, in_memory

CREATE = "CreateAigcImageTask"


def remove(ledger: Path) -> None:
    ledger.unlink()


def remove_the_wal(ledger: Path) -> None:
    ledger.with_name(f"{ledger.name}-wal").unlink()


def replace_by_a_copy(ledger: Path) -> None:
    copy = ledger.with_name("copy")
    shutil.copy(ledger, copy)
    copy.rename(ledger)


def replace_the_wal(ledger: Path) -> None:
    replace_by_a_copy(ledger.with_name(f"{ledger.name}-wal"))


def rename_the_folder(ledger: Path) -> None:
    ledger.parent.rename(ledger.parent.with_name("moved"))


def rename_the_folder_and_make_another(ledger: Path) -> None:
    rename_the_folder(ledger)
    ledger.parent.mkdir()
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("CREATE TABLE jobs (job_id)")


def copy_over(source: Path, target: Path) -> None:
    """Into the same file, in another process: to close a descriptor of a ledger here would drop SQLite's locks."""
    code = "import shutil, sys; shutil.copyfile(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, source, target], check=True)


def cut_in_two(ledger: Path, _copy: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2)


def put_an_older_copy_over(ledger: Path, copy: Path) -> None:
    copy_over(copy, ledger)


WAYS: list[tuple[Callable[[Path], None], str]] = [
    (remove, "was removed while it was open"),
    (remove_the_wal, "lost its jobs.db-wal, which was removed"),
    (replace_by_a_copy, "was replaced by another file"),
    (replace_the_wal, "lost its jobs.db-wal, which was replaced"),
    (rename_the_folder, "was removed"),
    (rename_the_folder_and_make_another, "was replaced by another file"),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "jobs.db"


@pytest.mark.parametrize(("lose", "says"), WAYS, ids=[way.__name__ for way, _ in WAYS])
def test_nothing_is_created_any_more_and_what_runs_is_polled_to_its_end(
    ledger: Path, caplog: pytest.LogCaptureFixture, lose: Callable[[Path], None], says: str
) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=3), ledger=ledger) as client:
            paid = await client.submit(ImageRequest(id="paid", prompt="a lake"))
            lose(ledger)
            for name in ("second", "third"):
                with pytest.raises(LedgerError, match=f"{says}.*nothing more is created.*{paid.task_id}"):
                    await client.submit(ImageRequest(id=name, prompt="a lake"))
            assert accepted(service, CREATE) == len(service.arrivals) == 1
            assert client.statistics().slots[paid.kind].taken == 1  # none leaked
            assert dict(await client.counts()) == {JobState.SUBMITTED: 1, JobState.PLANNED: 2}
            assert (await paid.wait()).urls
            assert dict(await client.counts()) == {JobState.DONE: 1, JobState.PLANNED: 2}
        assert accepted(service, CREATE) == 1

    run(main())
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert "4-" in told[0]


def test_a_ledger_cut_to_nothing_while_it_is_open(ledger: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=ledger) as client:
            os.truncate(ledger, 0)  # opens no descriptor here: to close one would drop SQLite's locks
            with pytest.raises(LedgerError, match=r"was cut short|malformed"):
                await client.submit(ImageRequest(id="a", prompt="a lake"))
        assert not service.arrivals

    run(main())


@pytest.mark.parametrize("change", [cut_in_two, put_an_older_copy_over], ids=lambda change: change.__name__)
def test_a_ledger_that_has_grown_and_is_cut_to_no_less_than_it_was_at_its_opening(
    ledger: Path, change: Callable[[Path, Path], None]
) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=300), ledger=ledger) as client:
            opened, copy = ledger.stat().st_size, ledger.with_name("copy")
            for number in range(200):
                await client.submit(ImageRequest(id=f"{number}", prompt="a lake" * 100))
                if number == 100:
                    await asyncio.sleep(2 * CHECKPOINT_S)
                    copy_over(ledger, copy)
            await asyncio.sleep(2 * CHECKPOINT_S)
            await client.submit(ImageRequest(id="last", prompt="a lake"))
            change(ledger, copy)
            assert ledger.stat().st_size > opened
            with pytest.raises(LedgerError, match="was cut short while it was open: nothing more is created"):
                await client.submit(ImageRequest(id="next", prompt="a lake"))
            assert accepted(service, CREATE) == 201

    run(main())


def test_lost_between_the_intent_and_the_first_byte_no_byte_goes_out(ledger: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=10), ledger=ledger) as client:
            lose_at_the_third_intent(client, ledger)
            requests = [ImageRequest(id=f"{number}", prompt="a lake") for number in range(30)]
            with pytest.raises(LedgerError, match="was removed"):
                _ = [outcome async for outcome in client.run(requests)]
            counts = await client.counts()
            assert JobState.INTENT not in counts
            assert JobState.UNKNOWN not in counts
        # The third one's intent is on the disk before the second one's send time has come.
        assert 1 <= len([arrival for arrival in service.arrivals if arrival.action == CREATE]) < 3

    run(main())


@pytest.mark.parametrize(("lose", "says"), WAYS, ids=[way.__name__ for way, _ in WAYS])
def test_lost_in_the_last_moment_before_its_send_time_no_byte_goes_out(
    ledger: Path, lose: Callable[[Path], None], says: str
) -> None:
    """Its intent is on the disk, and its send time a tenth of a second and more ahead."""

    async def main() -> None:
        service, loop = in_memory(), asyncio.get_running_loop()
        async with client_of(service, configured(images=10, limits={CREATE: 2}), ledger=ledger) as client:
            first = await client.submit(ImageRequest(id="first", prompt="a lake"))
            intents: list[float] = []

            def on_event(event: Event) -> None:
                if isinstance(event, Paced):
                    intents.append(loop.time())
                    loop.call_later(0.1, lose, ledger)

            client.on_event(on_event)
            with pytest.raises(LedgerError, match=f"{says}.*{first.task_id}"):
                await client.submit(ImageRequest(id="second", prompt="a lake"))
            assert loop.time() - intents[0] > 0.15  # it waited for its time, and found it out then
            assert await client.counts() == {JobState.SUBMITTED: 1, JobState.PLANNED: 1}
            assert client.statistics().slots[first.kind].taken == 1
        assert len([arrival for arrival in service.arrivals if arrival.action == CREATE]) == 1

    run(main())


def lose_at_the_third_intent(client: AigcClient, ledger: Path) -> None:
    intents: list[Event] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Paced):
            intents.append(event)
            if len(intents) == 3:
                ledger.unlink()

    client.on_event(on_event)


@pytest.mark.parametrize("lost", [True, False])
def test_closing_names_the_tasks_that_no_ledger_in_its_place_knows(
    ledger: Path, caplog: pytest.LogCaptureFixture, lost: bool
) -> None:
    async def main() -> str:
        service = in_memory()
        async with client_of(service, ledger=ledger) as client:
            task = await client.submit(ImageRequest(id="a", prompt="a lake"))
            if lost:
                ledger.unlink()
        return task.task_id

    task_id = run(main())
    warned = [record.message for record in caplog.records if "in no ledger file" in record.message]
    assert len(warned) == lost
    assert all(task_id in message for message in warned)


def test_put_back_it_goes_on_where_it_was(ledger: Path) -> None:
    """As the error says: once the process has ended, whose rows went to the removed file until then."""
    aside = ledger.with_name("aside.db")

    async def first(service: Service) -> None:
        async with client_of(service, ledger=ledger) as client:
            await client.submit(ImageRequest(id="a", prompt="a lake"))
            aside.hardlink_to(ledger)
            ledger.unlink()
            with pytest.raises(LedgerError):
                await client.submit(ImageRequest(id="b", prompt="a hill"))

    async def main() -> None:
        service = in_memory()
        await first(service)
        forget_limits()  # a new process knows nothing
        aside.rename(ledger)
        requests = [ImageRequest(id="a", prompt="a lake"), ImageRequest(id="b", prompt="a hill")]
        async with client_of(service, ledger=ledger) as client:
            outcomes = [outcome async for outcome in client.run(requests)]
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert accepted(service, CREATE) == 2

    run(main())
