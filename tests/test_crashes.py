"""Twenty kills, `kill -9` each, at random moments: nothing is paid for twice, and nothing that was paid for is lost."""

from dataclasses import replace
from pathlib import Path

from mps_aigc_async import JobRecord, JobState

from . import crashes
from .crashes import CHECKS, Facts, Found, crash

KILLS = 20


async def test_twenty_kills_lose_nothing_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    facts = await crash(KILLS, tmp_path)
    found = {what: contradictions for what, check in CHECKS.items() if (contradictions := check(facts))}
    assert found == {}
    accepted = [a for a in facts.arrivals if a.action.startswith("Create") and a.task_id is not None]
    assert len(accepted) == len(facts.tasks) <= len(facts.jobs)
    assert len(facts.unknown) <= sum(len(kill.intents) for kill in facts.kills)
    # It was put to the test: some of the creates under way had been accepted, and sent again would be paid for twice.
    assert len(facts.kills) == KILLS
    assert any(kill.found is not Found.WHOLE for kill in facts.kills)
    assert facts.unknown & set(facts.made)
    assert {job.state for job in facts.rows} >= {JobState.DONE, JobState.FAILED, JobState.UNKNOWN, JobState.PLANNED}


async def test_each_check_finds_what_it_is_for(tmp_path: Path) -> None:
    """True facts, each time falsified in one place."""
    facts = await crash(1, tmp_path)
    job = next(job for job in facts.rows if job.state is JobState.DONE)
    task_id = job.task_id or ""
    twin = replace(facts, tasks={**facts.tasks, "twin": facts.tasks[task_id]})
    forgotten = falsified(facts, job, replace(job, task_id=None))
    doubtful = falsified(facts, job, replace(job, state=JobState.UNKNOWN))
    waited = replace(facts, arrivals=[a for a in facts.arrivals if a.action.startswith("Create")])
    assert crashes.duplicated(twin) == [job.job_id]
    assert crashes.lost(twin) == ["twin"]
    assert crashes.lost(forgotten) == [task_id]
    assert crashes.invented(falsified(facts, job, replace(job, task_id="of nobody"))) == [job.job_id]
    assert crashes.wrong_rows(falsified(facts, job)) == [f"{job.job_id}: 0 rows"]
    assert crashes.wrong_rows(falsified(facts, job, job, job)) == [f"{job.job_id}: 2 rows"]
    for left in (JobState.PLANNED, JobState.INTENT, JobState.SUBMITTED):
        assert crashes.wrong_rows(falsified(facts, job, replace(job, state=left))) == [f"{job.job_id}: {left}"]
    assert len(crashes.untrue_outcomes(forgotten)) == 2
    assert crashes.unexplained(doubtful) == [job.job_id]
    assert crashes.badly_listed(doubtful) == [job.job_id]
    assert job.job_id in crashes.left_unpolled(waited)


def falsified(facts: Facts, job: JobRecord, *instead: JobRecord) -> Facts:
    """The facts with other rows, or none, in the place of one."""
    batches = []
    for batch in facts.batches:
        others = [row for row in batch.rows if row != job]
        batches.append(batch if len(others) == len(batch.rows) else replace(batch, rows=[*others, *instead]))
    return replace(facts, batches=batches)
