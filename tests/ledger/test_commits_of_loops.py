"""Commits of several loops on one open ledger: each row that was told is on the disk, whatever becomes of the loops."""

import asyncio
import gc
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mps_aigc_async.ledger import JobRecord, SharedLedger, SqliteLedger, join
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.testing import run

from .processes import OWNER, require_no_ledger_thread


def job(job_id: str, attempts: int = 0, state: JobState = JobState.PLANNED) -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content="{}", planned_at=1.0, attempts=attempts, state=state)


def rows_in(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT job_id, attempts FROM jobs").fetchall())


class Loop:
    """A loop in a thread of its own, with a handle on the ledger."""

    def __init__(self, path: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.handle: SharedLedger = self.begin(join(path, OWNER, SqliteLedger.open)).result(30.0)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        """Stop the loop at once, with the work in it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def close(self) -> None:
        self.stop()
        self.loop.close()


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[list[Loop]]:
    both = [Loop(tmp_path / "jobs.db") for _ in range(2)]
    yield both
    for one in both:
        if not one.loop.is_closed():
            one.begin(one.handle.close()).result(30.0)
            one.close()
    require_no_ledger_thread()


def test_a_loop_that_is_closed_during_its_commit_keeps_nobody_from_the_next(loops: list[Loop], tmp_path: Path) -> None:
    """A thread that ends when it cannot deliver an answer would keep everybody waiting."""
    first, second = loops
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first.begin(begun(first.handle.put(job("first")), 3)).result(30.0)
        first.close()
    second.begin(second.handle.put(job("second"))).result(30.0)
    assert rows_in(tmp_path / "jobs.db") == {"first": 0, "second": 0}
    second.begin(first.handle.close()).result(30.0)


def test_rows_of_a_closed_loop_are_written_by_the_next_commit_and_its_intents_are_not(
    loops: list[Loop], tmp_path: Path
) -> None:
    first, second = loops

    async def leave() -> None:
        for row in (job("done", state=JobState.DONE), job("sent", state=JobState.INTENT)):
            first.handle.sqlite._commits.enter(row, first.loop.create_future())

    first.begin(leave()).result(30.0)
    first.close()
    second.begin(second.handle.put(job("next"))).result(30.0)
    assert set(rows_in(tmp_path / "jobs.db")) == {"done", "next"}
    second.begin(first.handle.close()).result(30.0)


def test_two_loops_plan_one_id_once(loops: list[Loop]) -> None:
    plans = [one.begin(one.handle.plan(job(str(n)))) for n in range(100) for one in loops]
    rows = [plan.result(30.0) for plan in plans]
    assert all(rows[n] is rows[n + 1] or rows[n] == rows[n + 1] for n in range(0, 200, 2))
    assert sum(loops[0].begin(loops[0].handle.counts()).result(30.0).values()) == 100


def test_a_loop_in_virtual_time_is_refused_a_file_that_another_loop_has_open(loops: list[Loop], tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(LedgerError, match="a loop in virtual time shares its ledgers with no other loop"):
            await join(tmp_path / "jobs.db", OWNER, SqliteLedger.open)

    run(main())
    assert loops[0].begin(loops[0].handle.counts()).result(30.0) == {}


async def begun(work: Coroutine[Any, Any, None], turns: int) -> Callable[[], object]:
    """Begin a task in this loop, and return a call that cancels it, once the loop has turned so many times."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    return lambda: loop.call_soon_threadsafe(task.cancel)


class Loops(RuleBasedStateMachine):
    """Loops open the ledger, add rows, cancel their callers, stand still, go on and are closed, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "jobs.db"
        self.loops: list[Loop] = [Loop(self.path)]
        self.told: dict[str, int] = {}
        self.count = 0

    @rule()
    @precondition(lambda self: len(self.loops) < 4)
    def open(self) -> None:
        self.loops.append(Loop(self.path))

    @rule(number=st.integers(0, 3), names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6))
    def put(self, number: int, names: list[str]) -> None:
        one = self.loops[number % len(self.loops)]
        for name in names:
            self.count += 1
            one.begin(one.handle.put(job(name, self.count))).result(30.0)
            self.told[name] = self.count

    @rule(number=st.integers(0, 3), name=st.sampled_from("ghi"), turns=st.integers(1, 5))
    def put_and_cancel(self, number: int, name: str, turns: int) -> None:
        one = self.loops[number % len(self.loops)]
        self.count += 1
        one.begin(begun(one.handle.put(job(name, self.count)), turns)).result(30.0)()

    @rule(number=st.integers(0, 3), closes_handle=st.booleans())
    @precondition(lambda self: len(self.loops) > 1)
    def close(self, number: int, closes_handle: bool) -> None:
        one = self.loops.pop(number % len(self.loops))
        if closes_handle:
            one.begin(one.handle.close()).result(30.0)
        else:
            one.begin(begun(one.handle.put(job("left", self.count)), 1)).result(30.0)
        one.close()
        if not closes_handle:
            self.loops[0].begin(one.handle.close()).result(30.0)

    @invariant()
    def every_loop_finds_each_row_that_was_told(self) -> None:
        for one in self.loops:
            for name, attempts in self.told.items():
                assert one.begin(one.handle.get(name)).result(30.0).attempts == attempts

    @invariant()
    def the_disk_has_each_row_that_was_told(self) -> None:
        rows = rows_in(self.path)
        assert {name: rows.get(name) for name in self.told} == self.told

    def teardown(self) -> None:
        for one in self.loops:
            one.begin(one.handle.close()).result(30.0)
            one.close()
        self.the_disk_has_each_row_that_was_told()
        require_no_ledger_thread()
        self.folder.cleanup()
        self.loops.clear()
        gc.collect()  # the tasks of closed loops, and not in a test to come


Loops.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestLoops = pytest.mark.filterwarnings("ignore:coroutine 'Commits:RuntimeWarning")(Loops.TestCase)
"""A loop that is closed may have a task that has not begun."""


WRITER = """
import asyncio, sys, threading
from pathlib import Path
from mps_aigc_async.ledger import SqliteLedger, join
from tests.ledger.processes import OWNER
from tests.ledger.test_commits_of_loops import job

all_are_open = threading.Barrier(5)

async def write(name):
    ledger = await join(Path(sys.argv[1]), OWNER, SqliteLedger.open)
    await asyncio.to_thread(all_are_open.wait)
    for number in range(10**6):
        await ledger.put(job(f"{name}-{number}", number))
        sys.stdout.write(f"{name}-{number}\\n")
        sys.stdout.flush()

for name in "abcd":
    threading.Thread(target=asyncio.run, args=(write(name),)).start()
all_are_open.wait()
"""


def test_a_process_that_is_killed_while_four_loops_commit_keeps_each_row_that_was_told(tmp_path: Path) -> None:
    """The main thread ends first: the loops of other threads go on."""
    path = tmp_path / "jobs.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(400)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().splitlines()[:-1]  # the last line may be half a line
    assert set(told) <= set(rows_in(path))
    assert {name[0] for name in told} == set("abcd")
