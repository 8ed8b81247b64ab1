"""Handles on one opened ledger: one opening, one closing, and an error of its own for each client."""

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from mps_aigc_async.ledger import JobRecord, SharedLedger, SqliteLedger, join, shared
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind

from .processes import OWNER, other_process


def job(job_id: str, state: JobState = JobState.PLANNED) -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content="{}", planned_at=1.0, state=state)


class Openings:
    """Counts the openings of ledgers; `go_on` lets them end."""

    def __init__(self) -> None:
        self.ledgers: list[SqliteLedger] = []
        self.begun = 0
        self.has_begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def open(self, path: Path, belongs_to: Mapping[str, str]) -> SqliteLedger:
        self.begun += 1
        self.has_begun.set()
        await self.go_on.wait()
        self.ledgers.append(await SqliteLedger.open(path, belongs_to))
        return self.ledgers[-1]


async def test_twenty_handles_are_one_opening_and_the_last_closes_it(tmp_path: Path) -> None:
    openings, path = Openings(), tmp_path / "jobs.db"
    handles = await asyncio.gather(*(join(path, OWNER, openings.open) for _ in range(20)))
    assert openings.begun == 1
    for handle in handles[1:]:
        await handle.close()
        await handle.close()  # twice is once
    await handles[0].put(job("a"))
    with other_process() as other:
        assert "is being written by" in other.ask(f"open {path}")
    await handles[0].close()
    with other_process() as other:
        assert other.ask(f"open {path}") == "opened"
    assert shared._files == {}


async def test_a_closed_handle_is_of_no_use_though_the_file_is_open(tmp_path: Path) -> None:
    first, second = [await join(tmp_path / "jobs.db", OWNER, SqliteLedger.open) for _ in range(2)]
    await first.close()
    for use in (first.put(job("a")), first.plan(job("a")), first.get("a"), first.counts(), first.facts()):
        with pytest.raises(LedgerError, match="this client has closed it"):
            await use
    await second.put(job("a"))
    assert dict(await second.counts()) == {JobState.PLANNED: 1}
    await second.close()


async def test_an_opening_that_fails_is_an_error_for_each_and_tried_again_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("no ledger")
    errors = await asyncio.gather(*(join(path, OWNER, SqliteLedger.open) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in errors] == [LedgerError] * 3
    assert len({id(error) for error in errors}) == 3
    path.unlink()
    await (await join(path, OWNER, SqliteLedger.open)).close()


async def test_another_owner_that_asks_during_the_opening_waits_and_is_refused(tmp_path: Path) -> None:
    openings, path = Openings(), tmp_path / "jobs.db"
    openings.go_on.clear()
    ours = asyncio.create_task(join(path, OWNER, openings.open))
    await openings.has_begun.wait()
    theirs = asyncio.create_task(join(path, {**OWNER, "account": "b"}, openings.open))
    openings.go_on.set()
    handle = await ours
    with pytest.raises(LedgerError, match=r"belongs to account .* and this client is of account 'b'"):
        await theirs
    await handle.put(job("a"))
    await handle.close()
    assert openings.begun == 1


async def test_the_last_one_that_is_cancelled_while_it_opens_leaves_nothing_open(tmp_path: Path) -> None:
    openings, path = Openings(), tmp_path / "jobs.db"
    openings.go_on.clear()
    asking = [asyncio.create_task(join(path, OWNER, openings.open)) for _ in range(3)]
    await openings.has_begun.wait()
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    openings.go_on.set()
    await (await join(path, OWNER, openings.open)).close()


@pytest.mark.parametrize("cancels", ["its caller", "all tasks"])
@pytest.mark.parametrize("turns", range(1, 12))
async def test_the_last_one_that_is_cancelled_while_it_closes_leaves_nothing_open(
    tmp_path: Path, turns: int, cancels: str
) -> None:
    """At any moment; a loop that ends cancels all of its tasks at once."""
    handle = await join(tmp_path / "jobs.db", OWNER, SqliteLedger.open)
    await handle.put(job("a"))
    others = asyncio.all_tasks()
    closing_it = asyncio.create_task(handle.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - others if cancels == "all tasks" else {closing_it}:
        task.cancel()
    await asyncio.wait({closing_it})
    again = await join(tmp_path / "jobs.db", OWNER, SqliteLedger.open)
    assert await again.get("a") == job("a")
    await again.close()
    assert shared._files == {}


def test_rows_that_a_loop_left_unwritten_are_written_from_another_and_intents_are_not(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"

    async def left() -> SharedLedger:
        handle = await join(path, OWNER, SqliteLedger.open)
        await handle.put(job("kept"))
        rows = (job("done", JobState.DONE), job("sent", JobState.INTENT))
        handle.sqlite._commits._pending.update({row.job_id: row for row in rows})  # as after a commit that failed
        return handle

    handle = asyncio.run(left())
    asyncio.run(handle.close())
    with closing(sqlite3.connect(path)) as database:
        assert dict(database.execute("SELECT job_id, state FROM jobs")) == {"kept": "planned", "done": "done"}


@pytest.mark.skipif(os.name == "nt", reason="symlinks need a privilege there")
async def test_a_symlink_and_its_file_are_one(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")
    openings = Openings()
    handles = [await join(tmp_path / name, OWNER, openings.open) for name in ("link.db", "jobs.db")]
    assert openings.begun == 1
    for handle in handles:
        await handle.close()
