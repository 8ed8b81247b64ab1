"""Rows on the disk: any job comes back unchanged, and a task is found by an index."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.ledger.schema import DATES
from mps_aigc_async.model.results import Usage
from mps_aigc_async.model.states import JobState, Kind

from .ledgers import opened

TIMES = st.floats(DATES[0], DATES[1], exclude_max=True)

LENGTHS = st.none() | st.integers(1, 600) | st.floats(0.1, 1e6)


def some_length(lengths: list[float | None]) -> tuple[float | None, ...]:
    """The seconds of an answer's audios: empty if no audio has any."""
    return tuple(lengths) if any(lengths) else ()


@settings(max_examples=25, deadline=None)
@given(
    records=st.lists(
        st.builds(
            JobRecord,
            job_id=st.text(min_size=1, max_size=8),
            kind=st.sampled_from(Kind),
            content=st.text(max_size=8),
            planned_at=TIMES,
            state=st.sampled_from([state for state in JobState if state is not JobState.INTENT]),
            task_id=st.none() | st.text(max_size=5),
            submitted_at=st.none() | TIMES,
            urls=st.lists(st.text(max_size=5), max_size=2).map(tuple),
            resolution=st.none() | st.text(max_size=5),
            expires_at=st.none() | TIMES,
            never_expires=st.booleans(),
            file_ids=st.lists(st.text(max_size=5), max_size=2).map(tuple),
            bare_file_ids=st.lists(st.text(max_size=5), max_size=2).map(tuple),
            progress=st.none() | st.integers(0, 100),
            usage=st.none() | st.builds(Usage, output_seconds=st.integers(0, 10**12)),
            begun_at=st.none() | TIMES,
            finished_at=st.none() | TIMES,
            durations=st.lists(LENGTHS, max_size=3).map(some_length),
            video_durations=st.lists(LENGTHS, max_size=3).map(some_length),
            files=st.lists(st.text(max_size=5), max_size=2).map(tuple),
            error=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
        ),
        unique_by=(lambda record: record.job_id, lambda record: record.task_id or object()),
        max_size=5,
    )
)
def test_any_row_comes_back_from_disk_as_it_was(records: list[JobRecord]) -> None:
    async def check(path: Path) -> None:
        async with opened(path) as ledger:
            await asyncio.gather(*map(ledger.put, records))
        async with opened(path) as ledger:
            for record in records:
                assert await ledger.get(record.job_id) == record

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder, "jobs.db")))


async def test_a_ledger_finds_a_task_by_an_index(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        query = "SELECT * FROM jobs WHERE task_id = ? ORDER BY rowid"
        plan = await ledger._database.rows(f"EXPLAIN QUERY PLAN {query}", "4-1")
        assert any("USING INDEX jobs_by_task" in str(step[-1]) for step in plan)
