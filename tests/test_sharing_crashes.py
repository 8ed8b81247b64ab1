"""Three processes on one ledger in PostgreSQL, killed and stopped at random moments: nothing is paid for twice, and
nothing that was paid for is forgotten."""

import asyncio
from dataclasses import replace

import pytest

from mps_aigc_async import JobState

from . import sharing_crashes as checks
from .postgres_server import PostgresServer
from .sharing_crashes import Move, Plan, SharedFacts, contradictions, crash

KILLS = 10
"""`python -m benchmarks shared_crashes` does the same with 200 kills."""


@pytest.fixture(scope="module")
def facts(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> SharedFacts:
    with postgres.database() as database:
        return asyncio.run(crash(Plan(kills=KILLS), database, tmp_path_factory.mktemp("shared")))


def test_what_is_paid_for_is_made_once_and_kept(facts: SharedFacts) -> None:
    assert contradictions(facts) == {}
    assert len(facts.unknown) <= len(facts.unanswered) + len(facts.orphaned_intents)


def test_the_trial_is_a_real_one(facts: SharedFacts) -> None:
    """Processes were killed and stopped, and the others took over creates or tasks of theirs."""
    assert len(facts.killed) + len(facts.stopped) >= KILLS
    assert facts.killed
    assert facts.stopped
    assert facts.orphaned_intents or facts.adopted
    assert facts.unanswered


def test_each_check_finds_what_it_is_for(facts: SharedFacts) -> None:
    """True facts, each time falsified in one place."""
    job = next(job for job in facts.rows if job.state is JobState.SAVED)
    [heard, *others] = facts.heard
    [batch, *batches] = facts.batches

    def with_move(*moves: Move) -> SharedFacts:
        return replace(facts, moves=[*facts.moves, *moves])

    move = Move(0.0, job.job_id, "intent", "unknown", "nobody's", None, "adopted")
    again = replace(move, before="planned", after="intent", adoption=None)
    assert checks.wrongly_judged(with_move(move)) == [f"{job.job_id}, of process None"]
    assert checks.strange_moves(with_move(again)) == [job.job_id]
    short = replace(heard, outcomes=heard.outcomes[1:])
    assert checks.missing_outcomes(replace(facts, heard=[short, *others])) == ["59 outcomes"]
    twice = replace(heard, outcomes=[*heard.outcomes, heard.outcomes[0]])
    assert f"{heard.outcomes[0].request}: 2 outcomes" in checks.untrue_outcomes(replace(facts, heard=[twice, *others]))
    saved = next(told for told in heard.outcomes if told.error is None)
    untrue = replace(heard, outcomes=[replace(saved, error="TaskFailed")])
    assert len(checks.untrue_outcomes(replace(facts, heard=[untrue]))) == 1
    unlisted = replace(facts, batches=[replace(batch, listed=[]), *batches])
    assert set(checks.unlisted(unlisted)) == {job.job_id for job in batch.rows if job.state is JobState.UNKNOWN}
    seen = replace(facts.seen, refused={"LimitExceeded.CreateTask": 1})
    assert checks.beyond_the_cap(replace(facts, seen=seen)) == ["1 refused"]
    rows = [replace(row, files=("gone",)) if row.job_id == job.job_id else row for row in batch.rows]
    if job in batch.rows:
        assert checks.without_files(replace(facts, batches=[replace(batch, rows=rows), *batches])) == [job.job_id]
