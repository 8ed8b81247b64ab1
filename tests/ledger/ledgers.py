"""Jobs, an owner and an open ledger file for the tests of ledgers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from mps_aigc_async.ledger import JobRecord, Ledger, SqliteLedger
from mps_aigc_async.ledger.claims import new_token
from mps_aigc_async.ledger.postgres import PostgresLedger
from mps_aigc_async.model.results import Usage
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.member import Member

OWNER = {"account": "AKID…PLE#9dd11ba2", "backend": "mps", "endpoint": "https://mps.tencentcloudapi.com/"}


def job(
    job_id: str = "a/image",
    at: float = 1.0,
    content: str = '{"prompt":"a cat"}',
    state: JobState = JobState.PLANNED,
) -> JobRecord:
    return JobRecord(job_id=job_id, kind=Kind.IMAGE, content=content, planned_at=at, state=state)


def done(planned: JobRecord) -> JobRecord:
    """The job after a whole life, with every column filled."""
    return (
        replace(planned, attempts=2, filled_in={"model_name": "Kling", "duration": 5}, sent_at=2.25)
        .moved(JobState.INTENT, intent_at=2.0)
        .moved(JobState.SUBMITTED, task_id="4-1", request_id="r-1", submitted_at=3.0, slot_until=1803.5)
        .moved(
            JobState.DONE,
            urls=("https://a/1.png", "https://a/2.png"),
            resolution="1920x1088",
            request_id="r-2",
            running_at=10.5,
            unfinished_at=55.25,
            ended_at=60.25,
            expires_at=43200.125,
            file_ids=("7", "8"),
            bare_file_ids=("8",),
            progress=100,
            usage=Usage(output_seconds=5, input_tokens=12),
            begun_at=4.5,
            finished_at=59.5,
            durations=(1.5, None),
        )
    )


def bare(known: JobRecord | None) -> JobRecord | None:
    """The job without its fence in PostgreSQL."""
    return None if known is None else replace(known, token="", driver="")


async def lead(ledger: Ledger, row: JobRecord) -> JobRecord:
    """Lead a job through the states before a row, as the jobs do: planned, claimed, answered. Return its last row."""
    job = await ledger.plan(JobRecord(job_id=row.job_id, kind=row.kind, content=row.content, planned_at=row.planned_at))
    life = LIVES[row.state]
    if life:
        intent = replace(row, state=JobState.INTENT, token=new_token() if isinstance(ledger, PostgresLedger) else "")
        await ledger.claim(job, intent)
        job = intent
    for state in life:
        job = replace(row, state=state, token=job.token)
        await ledger.put(job)
    return job


LIVES: Final[Mapping[JobState, Sequence[JobState]]] = {
    JobState.PLANNED: (),
    JobState.INTENT: (JobState.INTENT,),
    JobState.SUBMITTED: (JobState.SUBMITTED,),
    JobState.DONE: (JobState.SUBMITTED, JobState.DONE),
    JobState.SAVED: (JobState.SUBMITTED, JobState.DONE, JobState.SAVED),
    JobState.FAILED: (JobState.FAILED,),
    JobState.UNKNOWN: (JobState.UNKNOWN,),
}
"""The rows of a job up to a state, after its intent."""


@asynccontextmanager
async def opened_postgres(url: str, owner: dict[str, str] | None = None) -> AsyncIterator[PostgresLedger]:
    ledger = await PostgresLedger.open(database_url(url), owner or OWNER, Member.here())
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def opened(path: Path, owner: dict[str, str] | None = None) -> AsyncIterator[SqliteLedger]:
    ledger = await SqliteLedger.open(path, owner or OWNER)
    try:
        yield ledger
    finally:
        await ledger.close()
