"""The trust in a service's sessions: whose word it is, how far it reaches, and what ends it."""

import logging
from dataclasses import replace

import pytest

from mps_aigc_async.jobs.session_trust import SessionTrust
from mps_aigc_async.ledger import CommonLedger, JobRecord, Ledger, MemoryLedger
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.model.states import Kind
from mps_aigc_async.wire.dialect import SessionRule

HERE, THERE = "https://relay.example/", "https://other.example/"


def job(model: str = "A", kind: Kind = Kind.IMAGE) -> JobRecord:
    return JobRecord(
        job_id=f"a/{kind}", kind=kind, content='{"prompt":"x"}', planned_at=0.0, filled_in={"model_name": model}
    )


def trusting(rule: SessionRule, endpoint: str, ledger: Ledger) -> SessionTrust:
    return SessionTrust(lambda _: rule, endpoint, ledger)


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (SessionRule.NONE, False),
        (SessionRule.UNPROVEN, False),
        (SessionRule.TRUSTED, True),
        (SessionRule.DOCUMENTED, True),
    ],
)
async def test_it_rests_on_the_documents_or_the_users_word(rule: SessionRule, holds: bool) -> None:
    trust = trusting(rule, HERE, MemoryLedger())
    assert trust.holds_for(job()) is holds
    await trust.prove(job())
    assert trust.holds_for(job()) is (rule is not SessionRule.NONE)


async def test_a_proof_reaches_its_kind_and_model_at_its_base_url_and_is_known_later() -> None:
    ledger = MemoryLedger()
    await trusting(SessionRule.TRUSTED, HERE, ledger).prove(job())
    for endpoint in (HERE, THERE):
        later = trusting(SessionRule.UNPROVEN, endpoint, ledger)
        assert not later.holds_for(job())
        await later.load()
        assert later.holds_for(job()) is (endpoint == HERE)
        assert later.holds_for(replace(job(), job_id="b/image", content='{"prompt":"y"}')) is (endpoint == HERE)
        assert not later.holds_for(job("B"))
        assert not later.holds_for(job(kind=Kind.VIDEO))


@pytest.mark.parametrize("rule", [SessionRule.UNPROVEN, SessionRule.TRUSTED, SessionRule.DOCUMENTED])
async def test_two_tasks_of_one_session_end_it_whatever_it_rests_on(
    rule: SessionRule, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = MemoryLedger()
    trust = trusting(rule, HERE, ledger)
    await trust.prove(job())
    await trust.contradict(job(), "task-1", "task-2")
    assert "task-1 and task-2" in caplog.text
    assert any(name.endswith("a/image, task-1, task-2") for name in await ledger.facts())
    later = trusting(rule, HERE, ledger)
    await later.load()
    for one in (trust, later):
        assert not one.holds_for(job())
        await one.prove(job())
        assert not one.holds_for(job())
        assert "two tasks of one session" in one.reason_against(job())


async def test_a_proof_that_the_ledger_cannot_keep_is_good_for_this_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(MemoryLedger):
        async def keep_fact(self, name: str, value: str) -> None:
            raise LedgerError(f"no room for {name} of {value}")

    trust = trusting(SessionRule.UNPROVEN, HERE, Full())
    with caplog.at_level(logging.WARNING):
        await trust.prove(job())
    assert trust.holds_for(job())
    assert "the next process will not know this" in caplog.text


async def test_a_kind_without_sessions_is_never_trusted_whatever_another_kind_has_shown() -> None:
    """VOD's audio: its create has no field for a session."""
    rules = {Kind.IMAGE: SessionRule.DOCUMENTED, Kind.VIDEO: SessionRule.UNPROVEN, Kind.AUDIO: SessionRule.NONE}
    ledger = MemoryLedger()
    trust = SessionTrust(rules.__getitem__, HERE, ledger)
    audio = replace(job(kind=Kind.AUDIO), session_id="mps-aigc-1")
    await trust.prove(audio)
    assert [trust.holds_for(each) for each in (job(), job(kind=Kind.VIDEO), audio)] == [True, False, False]
    assert not await ledger.facts()
    await trust.contradict(job(), "task-1", "task-2")
    assert trust.reason_against(audio) == ""
    assert "two tasks" in trust.reason_against(job())


async def test_a_proof_of_one_account_is_none_of_another() -> None:
    """A relay may give each key another upstream. A contradiction of the proofs counts for all."""
    common = CommonLedger(MemoryLedger(), "ab")
    a, b = (trusting(SessionRule.UNPROVEN, HERE, common.view_of(name)) for name in "ab")
    await a.prove(job())
    for trust in (a, b):
        await trust.load()
    assert a.holds_for(job())
    assert not b.holds_for(job())
    await b.contradict(job(), "1", "2")
    await a.load()
    assert not a.holds_for(job())
