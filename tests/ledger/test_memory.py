"""The ledger in memory: bounded, without losing a job that has not ended."""

from dataclasses import replace

import pytest

from mps_aigc_async.ledger import MemoryLedger, memory
from mps_aigc_async.model.states import JobState

from .ledgers import done, job


async def test_memory_forgets_the_oldest_that_ended_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_ENDED", 2)
    ledger = MemoryLedger()
    await ledger.put(job("planned"))
    await ledger.put(job("unknown").moved(JobState.INTENT).moved(JobState.UNKNOWN))
    for name in ("first", "second", "third"):
        await ledger.put(done(job(name)))
        await ledger.put(done(job(name)).moved(JobState.SAVED))
    assert await ledger.get("first") is None
    for name in ("planned", "unknown", "second", "third"):
        assert await ledger.get(name) is not None
    assert await ledger.counts() == {JobState.PLANNED: 1, JobState.UNKNOWN: 1, JobState.SAVED: 3}


async def test_memory_keeps_one_that_had_ended_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_ENDED", 1)
    ledger = MemoryLedger()
    await ledger.put(job("again").moved(JobState.FAILED))
    await ledger.put(job("again"))
    for name in ("first", "second"):
        await ledger.put(replace(done(job(name)), task_id=name))
    assert await ledger.get("again") == job("again")
    assert (await ledger.get("first"), await ledger.of_task("first")) == (None, None)
    assert await ledger.counts() == {JobState.PLANNED: 1, JobState.DONE: 2}
    assert ledger._tasks == {"second": "second"}  # nor is its TaskId remembered for ever


async def test_memory_counts_once_a_job_that_was_forgotten_before_it_was_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MOST_ENDED", 1)
    ledger = MemoryLedger()
    first = done(job("first"))
    await ledger.put(first)
    await ledger.put(done(job("second")))
    await ledger.put(first.moved(JobState.SAVED))
    assert await ledger.counts() == {JobState.DONE: 1, JobState.SAVED: 1}


async def test_memory_keeps_a_job_that_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_ENDED", 3)
    kept = MemoryLedger()
    again = job("again").moved(JobState.FAILED)
    await kept.put(again)
    await kept.put(again.replanned())
    for number in range(10):
        await kept.put(job(f"other-{number}").moved(JobState.FAILED))
    assert await kept.get(again.job_id) == again.replanned()
    assert (await kept.counts()) == {JobState.PLANNED: 1, JobState.FAILED: 10}


async def test_memory_counts_a_job_once_that_was_forgotten_while_its_files_were_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MOST_ENDED", 3)
    kept, slow = MemoryLedger(), done(job("slow"))
    await kept.put(slow)
    for number in range(3):
        await kept.put(done(job(f"other-{number}")))
    await kept.put(slow.moved(JobState.SAVED))
    assert (await kept.counts()) == {JobState.DONE: 3, JobState.SAVED: 1}


async def test_memory_forgets_tasks_with_their_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_ENDED", 1)
    ledger = MemoryLedger()
    for name in ("first", "second"):
        await ledger.put(replace(done(job(name)), task_id=name))
    assert await ledger.of_task("first") is None
    assert await ledger.of_task("second") is not None
    assert len(ledger._tasks) == 1
