"""A batch in numbers, in bounded memory."""

import pytest

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.states import JobState, Kind, Word
from mps_aigc_async.report import overview as module
from mps_aigc_async.report.overview import MOST_NAMED, MOST_REASONS, Overview
from mps_aigc_async.report.shots import shot_of

from .batches import NOW, done, failed, planned, submitted

START = NOW - 900


def overview_of(*shots: list[JobRecord]) -> Overview:
    gathered = Overview(NOW)
    for number, jobs in enumerate(shots, start=1):
        gathered.add(shot_of(number, f"shot-{number}", jobs, find=lambda file: file, now=NOW), jobs)
    return gathered


def test_shots_jobs_and_times_are_counted() -> None:
    image = done(submitted(planned("a", Kind.IMAGE), START, attempts=2))
    longer = done(submitted(planned("b", Kind.IMAGE), START + 1), 80.0)
    batch = overview_of(
        [image, planned("a", Kind.VIDEO)], [longer], [failed(submitted(planned("c", Kind.IMAGE), START))]
    )
    assert batch.shots == 3
    assert batch.standings == {Word.DONE: 2, Word.FAILED: 1}
    assert batch.jobs[Kind.IMAGE, JobState.DONE] == 2
    assert (batch.retries, batch.tasks, batch.unsaved_results) == (1, 3, 2)
    assert (batch.usual(Kind.IMAGE), batch.usual(Kind.VIDEO)) == ("60 s", "–")
    assert batch.kinds == [Kind.IMAGE, Kind.VIDEO]
    assert (batch.begin, batch.end) == (START, START + 1 + 0.1 + 80)


def test_alike_reasons_are_one_and_all_are_bounded() -> None:
    same = [[failed(submitted(planned(f"a{n}", Kind.IMAGE), START + n))] for n in range(2 * MOST_NAMED)]
    others = [
        [failed(submitted(planned(f"b{n}", Kind.IMAGE), START), message=f"reason {n}")] for n in range(2 * MOST_REASONS)
    ]
    batch = overview_of(*same, *others)
    first = batch.reasons["The model could not do it."]
    assert (first.count, len(first.shots), first.standing) == (2 * MOST_NAMED, MOST_NAMED, Word.FAILED)
    assert first.shots[0] == (1, "shot-1")
    assert len(batch.reasons) == MOST_REASONS
    assert batch.other_reasons == MOST_REASONS + 1


def test_more_tasks_than_can_be_drawn_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BARS", 3)
    batch = overview_of(*([submitted(planned(f"a{n}", Kind.IMAGE), START)] for n in range(5)))
    assert (batch.tasks, len(batch.spans)) == (5, 3)


def test_an_empty_batch_is_one_too() -> None:
    batch = overview_of()
    assert (batch.shots, batch.tasks, batch.kinds) == (0, 0, [])
