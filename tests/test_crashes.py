"""Creates that are lost and `kill -9` at random moments: nothing is paid for twice, and nothing that was paid for is
forgotten, at each of the services."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async import JobRecord, JobState

from . import crashes
from .crashes import CHECKS, Facts, Plan, crash
from .standins.book import FORBIDDEN

CHAINS = 20
KILLS = 6
"""`python -m benchmarks crashes` does the same with 50 chains and 12 kills."""
SEED = 12
"""By it the fourth create of all is lost after its task is made, and the sixth before."""


@pytest.fixture(scope="module")
def at_mps(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return asyncio.run(
        crash(Plan(backend="mps", chains=CHAINS, kills=KILLS, seed=SEED), tmp_path_factory.mktemp("mps"))
    )


def contradictions(facts: Facts) -> dict[str, list[str]]:
    return {what: found for what, check in CHECKS.items() if (found := check(facts))}


def require_trouble(facts: Facts) -> None:
    """Require a real trial: creates were lost in both ways, and kills found others under way."""
    assert len(facts.kills) >= KILLS
    assert facts.intents
    assert facts.seen.lost_before
    assert facts.seen.lost_after


def test_at_mps_an_unknown_create_is_listed_and_not_repeated(at_mps: Facts) -> None:
    assert contradictions(at_mps) == {}
    require_trouble(at_mps)
    assert len(at_mps.unknown) <= len(at_mps.unanswered) + sum(len(kill.intents) for kill in at_mps.kills)
    # Some had been accepted: sent again they would be paid for twice.
    assert at_mps.unknown & set(at_mps.made)
    assert {job.state for job in at_mps.rows} >= {JobState.SAVED, JobState.UNKNOWN}


async def test_at_vod_an_unknown_create_is_repeated_with_its_session(tmp_path: Path) -> None:
    facts = await crash(Plan(backend="vod", chains=CHAINS, kills=KILLS, seed=SEED), tmp_path)
    assert contradictions(facts) == {}
    require_trouble(facts)
    # A refused session is proof of a task. A content that is refused at the repeat proves nothing of the first create.
    forbidden = {job for job, prompt in facts.jobs.items() if FORBIDDEN in prompt}
    assert facts.unknown - forbidden <= set(facts.made)
    assert facts.seen.refused["InvalidParameterValue.SessionId"] > 0


async def test_at_a_relay_that_is_trusted_with_sessions_an_unknown_create_is_repeated(tmp_path: Path) -> None:
    facts = await crash(Plan(backend="relay-trusted", chains=CHAINS, kills=KILLS, seed=SEED), tmp_path)
    assert contradictions(facts) == {}
    require_trouble(facts)
    assert facts.seen.refused["InvalidParameterValue.SessionId"] > 0


async def test_at_a_relay_that_ignores_sessions_an_unknown_create_is_listed_and_not_repeated(tmp_path: Path) -> None:
    facts = await crash(Plan(backend="relay-ignoring", chains=CHAINS, kills=KILLS, seed=SEED), tmp_path)
    assert contradictions(facts) == {}
    require_trouble(facts)
    assert facts.unknown & set(facts.made)


def test_each_check_finds_what_it_is_for(at_mps: Facts) -> None:
    """True facts, each time falsified in one place."""
    facts, tasks = at_mps, list(at_mps.seen.tasks)
    job = next(job for job in facts.rows if job.state is JobState.SAVED and job.job_id not in facts.unanswered)
    task = facts.tasks[job.task_id or ""]
    twin = replace(facts, seen=replace(facts.seen, tasks=[*tasks, replace(task, task_id="twin")]))
    framed = replace(facts, seen=replace(facts.seen, tasks=[*tasks, replace(task, frame="https://another/image")]))
    forgotten = falsified(facts, job, replace(job, task_id=None))
    doubtful = falsified(facts, job, replace(job, state=JobState.UNKNOWN))
    assert crashes.duplicated(twin) == [job.job_id]
    assert crashes.lost(twin) == ["twin"]
    assert crashes.lost(forgotten) == [job.task_id]
    assert crashes.invented(falsified(facts, job, replace(job, task_id="of nobody"))) == [job.job_id]
    assert crashes.strange_frames(framed) == [job.job_id]
    assert crashes.wrong_rows(falsified(facts, job)) == [f"{job.job_id}: 0 rows"]
    assert crashes.wrong_rows(falsified(facts, job, job, job)) == [f"{job.job_id}: 2 rows"]
    for left in (JobState.PLANNED, JobState.INTENT, JobState.SUBMITTED, JobState.DONE):
        assert crashes.wrong_rows(falsified(facts, job, replace(job, state=left))) == [f"{job.job_id}: {left}"]
    assert len(crashes.untrue_outcomes(forgotten)) == 2
    assert crashes.unexplained(doubtful) == ([] if job.job_id in facts.intents else [job.job_id])
    assert crashes.badly_listed(doubtful) == [job.job_id]
    assert job.job_id in crashes.left_unpolled(replace(facts, seen=replace(facts.seen, polled={})))


def falsified(facts: Facts, job: JobRecord, *instead: JobRecord) -> Facts:
    """The facts with other rows, or none, in the place of one."""
    batches = []
    for batch in facts.batches:
        others = [row for row in batch.rows if row != job]
        batches.append(batch if len(others) == len(batch.rows) else replace(batch, rows=[*others, *instead]))
    return replace(facts, batches=batches)
