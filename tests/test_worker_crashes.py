"""Three workers of a queued batch, killed and stopped at random moments: nothing is paid for twice or forgotten, and
all requests end."""

import asyncio

import pytest

from .postgres_server import PostgresServer
from .sharing_crashes import Plan, SharedFacts, contradictions, crash

KILLS = 10
"""`python -m benchmarks worker_crashes` does the same with 200 kills."""


@pytest.fixture(scope="module")
def facts(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> SharedFacts:
    with postgres.database() as database:
        return asyncio.run(crash(Plan(kills=KILLS, works=True), database, tmp_path_factory.mktemp("workers")))


def test_what_is_paid_for_is_made_once_and_kept(facts: SharedFacts) -> None:
    assert contradictions(facts) == {}
    assert len(facts.unknown) <= len(facts.unanswered) + len(facts.orphaned_intents)


def test_the_trial_is_a_real_one(facts: SharedFacts) -> None:
    assert facts.killed
    assert facts.stopped
    assert facts.orphaned_intents or facts.adopted
