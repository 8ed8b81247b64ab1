"""Damaged rows: each costs its own job alone, and the error names it and what to do."""

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from mps_aigc_async import DamagedRow, ImageRequest, Kind
from mps_aigc_async.emulator import Service
from mps_aigc_async.ledger import JobRecord, SqliteLedger
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.states import JobState
from mps_aigc_async.testing import forget_limits, run
from tests.support import accepted, client_of, configured, in_memory

from .processes import OWNER

CREATE = "CreateAigcImageTask"

DAMAGES = {
    "bad JSON": "urls = '[\"https://a/1.png?sign=secret'",
    "JSON of another shape": "files = '{\"a\": 1}'",
    "an error of another shape": "error = '[]'",
    "numbers in texts": "file_ids = '[1]'",
    "numbers in bare ids": "bare_file_ids = '[1]'",
    "usage of another shape": "usage = '[]'",
    "texts in usage": 'usage = \'{"output_seconds": "5"}\'',
    "more progress than all": "progress = 101",
    "progress without an end": "progress = 9e999",
    "a begin that is no date": "begun_at = 1e300",
    "an unknown state": "state = 'finished'",
    "an unknown kind": "kind = 'poem'",
    "a text for a time": "planned_at = 'yesterday'",
    "a blob for a text": "request_id = x'00ff'",
    "no UTF-8": "request_id = CAST(x'ff41' AS TEXT)",
    "a time without an end": "submitted_at = 9e999",
    "a time that is no date": "expires_at = 1e300",
    "a time before all": "planned_at = -9e999",
    "creates without an end": "attempts = 9e999",
    "more creates than can be": "attempts = 1e300",
    "JSON too deep": f"filled_in = '{'[' * 100_000}'",
}

OF_A_TASK = (
    "task_id = NULL",
    "task_id = ''",
    "state = 'done', task_id = NULL",
    "state = 'saved', task_id = NULL",
    "filled_in = '{\"model_name\": [1]}'",
    "filled_in = '{\"duration\": {}}'",
)


def job(job_id: str, state: JobState = JobState.PLANNED) -> JobRecord:
    return JobRecord(
        job_id=job_id, kind=Kind.IMAGE, content='{"prompt":"a lake"}', planned_at=1.0, state=state, submitted_at=2.0
    )


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = await SqliteLedger.open(path, OWNER)
    try:
        yield ledger
    finally:
        await ledger.close()


def change(path: Path, sets: str, job_id: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute(f"UPDATE jobs SET {sets} WHERE job_id = ?", (job_id,)).rowcount == 1  # noqa: S608
        database.commit()


def is_plain(error: DamagedRow, job_id: str) -> bool:
    text = str(error)
    return f"job {job_id}" in text and "correct the row with the sqlite3 tool" in text and "secret" not in text


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_row_is_its_own_jobs_affair(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        for name in ("a/image", "b/image", "c/image"):
            await ledger.put(job(name, JobState.DONE))
    change(path, damage, "b/image")
    async with opened(path) as ledger:
        assert [known.job_id async for known in ledger.in_state(JobState.DONE)] == ["a/image", "c/image"]
        with pytest.raises(DamagedRow) as error:
            await ledger.get("b/image")
        assert is_plain(error.value, "b/image")
        assert error.value.job_id == "b/image"
        assert (await ledger.get("c/image")) == job("c/image", JobState.DONE)
        assert (await ledger.counts())[JobState.DONE] in (2, 3)
        with open_snapshot(path) as snapshot:
            assert [name for name, _ in snapshot.requests()] == ["a", "c"]
            snapshot.census()
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert any("b/image" in message for message in told)
    assert "secret" not in caplog.text


@asynccontextmanager
async def left_running(path: Path) -> AsyncIterator[Service]:
    """A service where three tasks run, which a ledger knows and no process asks about."""
    service = in_memory()
    async with client_of(service, configured(images=3), ledger=path) as client:
        for name in "abc":
            await client.submit(ImageRequest(id=name, prompt="a lake"))
    forget_limits()  # a new process knows nothing
    yield service


def b_fails_alone(path: Path, damage: str) -> DamagedRow:
    """Run the three, the second one's row damaged, and one more; return how the second one ended."""
    errors: list[DamagedRow] = []

    async def main() -> None:
        async with left_running(path) as service:
            change(path, damage, "b/image")
            async with client_of(service, configured(images=3), ledger=path) as client:
                requests = [ImageRequest(id=name, prompt="a lake") for name in "abcd"]
                outcomes = {outcome.job_id: outcome async for outcome in client.run(requests)}
                assert [outcomes[name].error for name in "acd"] == [None] * 3
                error = outcomes["b"].error
                assert isinstance(error, DamagedRow)
                errors.append(error)
                assert client.statistics().slots[Kind.IMAGE].taken == 0
                assert accepted(service, CREATE) == 4

    run(main())
    return errors[0]


@pytest.mark.parametrize("damage", [*DAMAGES.values(), *OF_A_TASK], ids=[*DAMAGES, *OF_A_TASK])
def test_a_batch_goes_on_without_the_damaged_job(tmp_path: Path, damage: str) -> None:
    assert is_plain(b_fails_alone(tmp_path / "jobs.db", damage), "b/image")


def test_a_damaged_content_is_another_request(tmp_path: Path) -> None:
    """Found under an id that was asked for, it is refused as such; what it is worth shows when its task is polled."""

    async def main() -> None:
        path = tmp_path / "jobs.db"
        async with left_running(path) as service:
            change(path, "content = '{'", "b/image")
            async with client_of(service, configured(images=3), ledger=path) as client:
                outcomes = {
                    outcome.job_id: outcome.error
                    async for outcome in client.run([ImageRequest(id=name, prompt="a lake") for name in "abc"])
                }
                assert outcomes["a"] is outcomes["c"] is None
                assert "the id is taken" in str(outcomes["b"])
                assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())
    with open_snapshot(tmp_path / "jobs.db") as snapshot:
        prompts = {name: jobs[0].prompt for name, jobs in snapshot.requests()}
    assert prompts == {"a": "a lake", "b": "", "c": "a lake"}


def test_two_jobs_with_one_task_are_told_by_both_names(tmp_path: Path) -> None:
    damage = "task_id = (SELECT task_id FROM jobs WHERE job_id = 'a/image')"
    error = b_fails_alone(tmp_path / "jobs.db", damage)
    assert is_plain(error, "b/image")
    assert "twice, for a/image and for this job" in str(error)


def test_the_second_job_of_a_watched_task_is_told_so(tmp_path: Path) -> None:
    """Found in this process, where the opening did not see it."""

    async def main() -> None:
        service = in_memory()
        path = tmp_path / "jobs.db"
        async with client_of(service, configured(images=3), ledger=path) as client:
            first = await client.submit(ImageRequest(id="a", prompt="a lake"))
            ledger = await client._open_ledger(None)
            row = await ledger.get("a/image")
            assert row is not None
            twin = JobRecord(
                job_id="b/image", kind=Kind.IMAGE, content=row.content, planned_at=1.0, state=JobState.SUBMITTED,
                task_id=row.task_id, submitted_at=row.submitted_at, slot_until=row.slot_until,
            )  # fmt: skip
            await ledger.put(twin)
            with pytest.raises(DamagedRow, match="twice, for a/image and for this job"):
                await client.generate(ImageRequest(id="b", prompt="a lake"))
            assert (await first.wait()).urls
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())
