"""Half a minute of trouble of every sort: nothing is paid for twice, lost or mixed up."""

import asyncio
from dataclasses import replace

import pytest

from mps_aigc_async import JobRecord, JobState, Kind
from mps_aigc_async.ledger.record import request_of

from .chaos import checks
from .chaos.batch import Told
from .chaos.checks import CHECKS
from .chaos.deck import LOSSES, SECONDS, Deck, Ending, Trouble
from .chaos.door import Arrival, Taken, Unasked
from .chaos.facts import Batch, Facts, Happened, Loss, Run, job_of
from .chaos.running import chaos

SEED = 1522
"""Its plan has a bit of each sort in the few runs of one batch."""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return asyncio.run(chaos(tmp_path_factory.mktemp("chaos"), seed=SEED, batches=1))


def test_trouble_of_every_sort_loses_nothing_and_pays_for_nothing_twice(facts: Facts) -> None:
    found = {what: contradictions for what, check in CHECKS.items() if (contradictions := check(facts))}
    assert found == {}


def test_there_was_trouble_of_every_sort(facts: Facts) -> None:
    happened = set(facts.happened.troubles)
    assert happened >= {Ending.KILL, Trouble.STOP, Trouble.CLOCK}
    assert happened & LOSSES
    assert happened & set(SECONDS)
    assert facts.spoilt.total() > 0
    assert facts.unasked.total() > 0


def test_the_same_seed_deals_the_same_trouble() -> None:
    plans = [[deck.plan() for _ in range(50)] for deck in (Deck(SEED), Deck(SEED), Deck(SEED + 1))]
    assert plans[0] == plans[1] != plans[2]
    dealt = {plan.ending for plan in plans[0]} | {event.trouble for plan in plans[0] for event in plan.events}
    assert dealt == {*Ending, *Trouble}


# --- each check finds its fault: the facts, each time falsified in one place ------------------------------------------


def test_a_task_too_many_is_made_twice_and_lost(facts: Facts) -> None:
    task = next(iter(facts.tasks.values()))
    twin = replace(facts, tasks={**facts.tasks, "twin": task})
    assert f"{job_of(task)}: 2 tasks" in checks.made_twice(twin)
    saved = _saved(facts, Kind.IMAGE)
    assert f"{saved.task_id} of {saved.job_id}" in checks.lost(_with(facts, saved, replace(saved, task_id=None)))


def test_another_jobs_task_file_or_frame_is_found(facts: Facts) -> None:
    saved = {job.job_id: job for job in facts.rows if job.state is JobState.SAVED}
    one, other = next(  # of a chain whose video was begun
        (image, video)
        for video in saved.values()
        if video.kind is Kind.VIDEO and (image := saved.get(f"{request_of(video.job_id)}/{Kind.IMAGE}")) is not None
    )
    # Without the bytes that crossed a request: they may excuse this very exchange.
    wrong = checks.swapped(replace(_with(facts, one, replace(one, task_id=other.task_id, files=other.files)), taken=[]))
    assert any(text.startswith(f"{one.job_id} has task {other.task_id}") for text in wrong)
    assert any(text.startswith(f"{one.job_id}: {other.files[0]}") for text in wrong)
    assert any("/video begins with" in text for text in wrong)


def test_what_came_of_bytes_that_crossed_a_request_is_nobodys_fault(facts: Facts) -> None:
    one, other = _saved(facts, Kind.IMAGE), _saved(facts, Kind.VIDEO)
    wrong = replace(_with(facts, one, replace(one, files=other.files)), taken=[])
    answer = f'{{"ImageUrls": ["http://127.0.0.1/media/{other.task_id}/0.png"]}}'.encode()
    found = checks.swapped(wrong)
    assert found
    for after_s, excused in ((0.01, 1), (1.0, 0)):
        taken = [Taken("DescribeAigcImageTask", Unasked.REPEATED, after_s, answer)]
        assert len(checks.swapped(replace(wrong, taken=taken))) == len(found) - excused


def test_one_call_too_many_in_a_second_is_found(facts: Facts) -> None:
    limit = facts.rates["CreateAigcImageTask"]
    calls = [Arrival("CreateAigcImageTask", "", number / limit, number / limit) for number in range(limit + 1)]
    assert checks.over_the_rate(replace(facts, arrivals=calls)) == []
    calls[-1] = replace(calls[-1], at=0.999)
    assert checks.over_the_rate(replace(facts, arrivals=calls)) == ["CreateAigcImageTask: 1 times"]
    late = [replace(call, not_before=call.at - 0.01) for call in calls]
    assert checks.over_the_rate(replace(facts, arrivals=late)) == []  # by the door's own delay


def test_one_running_task_too_many_is_found(facts: Facts) -> None:
    image = next(task for task in facts.tasks.values() if task.kind == "image")
    running = {str(number): image for number in range(facts.caps["image"])}
    assert checks.over_the_caps(replace(facts, tasks=running)) == []
    assert checks.over_the_caps(replace(facts, tasks={**running, "more": image})) == ["image: 11 at once"]


def test_rows_that_are_missing_twofold_or_half_way_are_found(facts: Facts) -> None:
    job = _saved(facts, Kind.VIDEO)
    assert f"{job.job_id}: 0 rows" in checks.not_final(_with(facts, job))
    assert f"{job.job_id}: 2 rows" in checks.not_final(_with(facts, job, job, job))
    for state in (JobState.PLANNED, JobState.INTENT, JobState.SUBMITTED, JobState.DONE):
        wrong = checks.not_final(_with(facts, job, replace(job, state=state)))
        assert f"{job.job_id}: {state} {{}}" in wrong


def test_outcomes_and_lists_that_the_ledger_contradicts_are_found(facts: Facts) -> None:
    job = _saved(facts, Kind.VIDEO)
    failed, unknown = (_with(facts, job, replace(job, state=state)) for state in (JobState.FAILED, JobState.UNKNOWN))
    assert len(checks.untrue(unknown)) == len(checks.untrue(facts)) + 2
    assert f"{job.job_id}: {{}}" in checks.wrongly_failed(failed)
    assert job.job_id in checks.badly_listed(unknown)
    twice = _with_last_run(facts, told=[*facts.batches[0].last.told, Told("another", None, ())])
    assert len(checks.untrue(twice)) == len(checks.untrue(facts)) + 1


def test_odd_ends_of_processes_are_found(facts: Facts) -> None:
    traceback = _with_last_run(facts, log="Traceback (most recent call last):\n  ValueError")
    assert len(checks.tracebacks(traceback)) == len(checks.tracebacks(facts)) + 1
    odd = _with_last_run(facts, code=1)
    assert len(checks.tracebacks(odd)) == len(checks.tracebacks(facts)) + 1
    hung = _with_last_run(facts, hung=True)
    assert len(checks.not_final(hung)) == len(checks.not_final(facts)) + 1
    foreign = _with_last_run(facts, told=[Told("one", "UnexpectedError", ())])
    assert "one: UnexpectedError" in checks.tracebacks(foreign)


def test_creating_without_a_ledger_and_silence_about_tasks_are_found(facts: Facts) -> None:
    batch = facts.batches[0]
    job = next(job for job in batch.rows if job.state is JobState.SAVED)
    run = replace(batch.last, ended_at=100.0, log="")
    loss = Loss(batch.name, Ending.FILES_GONE, 50.0, run, frozenset({job.task_id or ""}))
    lost = replace(facts, happened=Happened(losses=[loss], let_in=["one"]))
    for at, found in ((50.5, 0), (60.0, 1), (101.0, 0)):  # on the way; too late; the next run's
        calls = [Arrival("CreateAigcImageTask", job.job_id, at, at)]
        assert len(checks.created_without_ledger(replace(lost, arrivals=calls))) == found
    assert len(checks.untold(lost)) == 1
    told = replace(loss, run=replace(run, log=f"runs on: {job.task_id}"))
    assert checks.untold(replace(facts, happened=Happened(losses=[told]))) == []
    assert checks.let_in(lost) == ["one"]
    assert checks.damaged(replace(facts, batches=[replace(batch, damage="odd")])) == [f"{batch.name}: odd"]


def test_a_call_among_unasked_bytes_is_found_unless_it_may_have_crossed_them(facts: Facts) -> None:
    taken = [Taken("Media", Unasked.TIMEOUT, after_s, b"") for after_s in (0.01, 1.0)]
    assert len(checks.asked_on_poisoned(replace(facts, taken=taken))) == 1


def _saved(facts: Facts, kind: Kind) -> JobRecord:
    return next(job for job in facts.rows if job.kind is kind and job.state is JobState.SAVED)


def _with(facts: Facts, job: JobRecord, *instead: JobRecord) -> Facts:
    """The facts with other rows, or none, in the place of one."""
    return replace(facts, batches=[_with_rows(batch, job, instead) for batch in facts.batches])


def _with_rows(batch: Batch, job: JobRecord, instead: tuple[JobRecord, ...]) -> Batch:
    others = [row for row in batch.rows if row != job]
    return batch if len(others) == len(batch.rows) else replace(batch, rows=[*others, *instead])


def _with_last_run(facts: Facts, **changes: object) -> Facts:
    """The facts with the first batch's last run changed."""
    first, *others = facts.batches
    run: Run = replace(first.last, **changes)  # type: ignore[arg-type] # its own fields, named by the tests above
    return replace(facts, batches=[replace(first, runs=[*first.runs[:-1], run]), *others])
