"""Twenty kills, `kill -9` each, at random moments: nothing is paid for twice, and nothing that was paid for is lost."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from mps_aigc_async import JobRecord, JobState

from . import crashes
from .crashes import CHECKS, Facts, crash

KILLS = 20

# One worker, one series of kills, which all tests look at.
pytestmark = pytest.mark.xdist_group("crashes")


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return asyncio.run(crash(KILLS, tmp_path_factory.mktemp("ledgers")))


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.__name__)
def test_nothing_contradicts(check: Callable[[Facts], list[str]], facts: Facts) -> None:
    assert check(facts) == []


def test_it_was_put_to_the_test(facts: Facts) -> None:
    """Kills found creates under way, and some of these had been accepted: what is unknown would be paid twice."""
    assert len(facts.kills) == KILLS
    assert facts.intents
    assert facts.unknown & set(facts.made)
    assert {job.state for job in facts.rows} >= {JobState.DONE, JobState.FAILED, JobState.UNKNOWN, JobState.PLANNED}


def test_the_service_accepted_no_more_than_was_asked_for(facts: Facts) -> None:
    accepted = [a for a in facts.arrivals if a.action.startswith("Create") and a.task_id is not None]
    assert len(accepted) == len(facts.tasks) <= len(facts.jobs)


def test_no_more_are_unknown_than_were_under_way(facts: Facts) -> None:
    assert len(facts.unknown) <= sum(len(kill.intents) for kill in facts.kills)


def test_each_check_finds_what_it_is_for(facts: Facts) -> None:
    """Once more with the same facts, each time falsified in one place."""
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
