"""Counts: each job is counted once, by the latest that is known of it, and what the batch does not ask for apart."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.cli.batch_jobs import BatchJobs, job_ids
from mps_aigc_async.cli.progress import SUMMARY_S, Lines, line_for, places_of
from mps_aigc_async.cli.summary import COLUMNS
from mps_aigc_async.cli.tally import MOST_IDS, MOST_REASONS, Counts, Tally
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.engine.statistics import SlotStatistics, Statistics
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model import events
from mps_aigc_async.model.errors import (
    AigcError,
    ClientClosed,
    CreateOutcomeUnknown,
    DownloadError,
    InvalidRequest,
    LedgerError,
    ResultExpired,
    TaskFailed,
    TaskTimeout,
    Unreachable,
)
from mps_aigc_async.model.outcomes import Failure, Outcome, Success
from mps_aigc_async.model.requests import ImageRequest, ImageToVideo, Request, VideoRequest
from mps_aigc_async.model.results import AudioResult, ImageResult, ImageToVideoResult, Partial, Result, VideoResult
from mps_aigc_async.model.states import Ending, JobState, Kind

CHAIN = ImageToVideo(image=ImageRequest(prompt="a"), video=VideoRequest(prompt="b"))
IMAGE = ImageResult(task_id="i", request_id="r", urls=("u",), expires_at=None)
VIDEO = VideoResult(task_id="v", request_id="r", urls=("u",), expires_at=None)
SAVED = ImageToVideoResult(image=replace(IMAGE, files=(Path("i.png"),)), video=replace(VIDEO, files=(Path("v.mp4"),)))


def asked(*names: str, request: Request = CHAIN) -> BatchJobs:
    jobs = BatchJobs()
    for name in names:
        for job_id, kind in job_ids(name, request):
            jobs.add(job_id, kind)
    return jobs


def tally(*names: str) -> Tally:
    return Tally(asked(*(names or [f"{letter}{number}" for letter in "ab" for number in ("", *range(60))])))


def outcome(name: str, error: AigcError | None = None, partial: Partial | None = None) -> Outcome[BatchItem, Result]:
    if error is None:
        return Success(job_id=name, request=CHAIN, result=ImageToVideoResult(image=IMAGE, video=VIDEO))
    return Failure(job_id=name, request=CHAIN, error=error, partial=partial)


def done(name: str, kind: Kind) -> events.Done:
    return events.Done(at=0, job_id=f"{name}/{kind}", kind=kind, task_id="t")


def saved(name: str, kind: Kind) -> events.Saved:
    return events.Saved(at=0, job_id=f"{name}/{kind}", kind=kind, task_id="t", files=("f",))


def failed(name: str, kind: Kind) -> events.Failed:
    return events.Failed(at=0, job_id=f"{name}/{kind}", kind=kind, error=TaskFailed("no"))


def row(counts: Counts, kind: Kind) -> list[int]:
    """Total, planned, blocked, running, done, saved, failed, unknown."""
    return [counts.total[kind], *(counts.of(word, kind) for word in COLUMNS)]


def test_a_job_is_counted_once_whoever_tells_of_it() -> None:
    counted = tally("a", "b")
    counted.on_event(done("a", Kind.IMAGE))
    counted.on_event(done("a", Kind.IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [2, 1, 0, 0, 1, 0, 0, 0]
    counted.on_outcome(outcome("a"))
    assert row(counted.batch, Kind.IMAGE) == [2, 1, 0, 0, 1, 0, 0, 0]
    assert row(counted.batch, Kind.VIDEO) == [2, 1, 0, 0, 1, 0, 0, 0]


def test_a_failed_chain_counts_its_paid_image() -> None:
    counted = tally("a", "b")
    counted.on_outcome(outcome("a", TaskFailed("no", job_id="a/video"), IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [2, 1, 0, 0, 1, 0, 0, 0]
    assert row(counted.batch, Kind.VIDEO) == [2, 1, 0, 0, 0, 0, 1, 0]


def test_the_steps_after_a_failed_one_are_blocked_until_it_is_retried() -> None:
    counted = tally("a", "b")
    counted.on_outcome(outcome("a", TaskFailed("no", job_id="a/image")))
    assert row(counted.batch, Kind.IMAGE) == [2, 1, 0, 0, 0, 0, 1, 0]
    assert row(counted.batch, Kind.VIDEO) == [2, 1, 1, 0, 0, 0, 0, 0]
    counted.on_event(events.Submitted(at=0, job_id="a/video", kind=Kind.VIDEO, task_id="t"))
    assert row(counted.batch, Kind.VIDEO) == [2, 1, 0, 1, 0, 0, 0, 0]


def test_a_chains_sound_is_counted_and_so_is_what_comes_before_a_failed_one() -> None:
    jobs = asked("a", "b")
    for name in "ab":
        jobs.add(f"{name}/audio", Kind.AUDIO)
    counted = Tally(jobs)
    sound = AudioResult(task_id="s", request_id="r", urls=("u",), expires_at=None)
    whole = ImageToVideoResult(image=IMAGE, video=VIDEO, audio=sound)
    counted.on_outcome(Success(job_id="a", request=CHAIN, result=whole))
    pair = ImageToVideoResult(image=IMAGE, video=VIDEO)
    counted.on_outcome(outcome("b", TaskFailed("no", job_id="b/audio"), pair))
    assert [counted.batch.with_result(kind) for kind in Kind] == [2, 2, 1]
    assert row(counted.batch, Kind.AUDIO) == [2, 0, 0, 0, 1, 0, 1, 0]


def test_a_late_task_runs_on_and_a_result_that_was_not_fetched_is_done() -> None:
    counted = tally("a", "b")
    counted.on_outcome(outcome("a", TaskTimeout("late", job_id="a/image")))
    counted.on_outcome(outcome("b", DownloadError("disk", job_id="b/image"), IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [2, 0, 0, 1, 1, 0, 0, 0]
    assert counted.needing_attention == 2
    assert counted.was_given_up("a/image")
    assert counted.was_given_up("b/image")


def test_a_result_that_has_expired_is_done_and_not_saved() -> None:
    counted = tally("a", "b")
    counted.on_outcome(outcome("a", ResultExpired("over", job_id="a/image", task_id="i")))
    assert row(counted.batch, Kind.IMAGE) == [2, 1, 0, 0, 1, 0, 0, 0]
    # Of another chain the image expired before the video was created: nothing was made of that one.
    too_late = outcome("b", ResultExpired("over", job_id="b/video", task_id="i"), IMAGE)
    counted.on_outcome(too_late)
    assert row(counted.batch, Kind.VIDEO) == [2, 1, 0, 0, 0, 0, 1, 0]
    assert line_for(too_late).startswith("b: failed: ")


def test_what_ends_the_batch_is_no_reason_of_its_jobs() -> None:
    """It is told once, at the end of the batch, and the same command again goes on with them."""
    counted = tally("a", "b")
    for name in ("a", "b"):
        error = Unreachable("the certificate has expired", ending=Ending.UNREACHABLE).with_context(
            job_id=f"{name}/image"
        )
        counted.on_outcome(outcome(name, error))
    assert counted.reasons == {}
    assert row(counted.batch, Kind.IMAGE) == [2, 2, 0, 0, 0, 0, 0, 0]
    assert counted.needing_attention == 2


def test_results_of_which_some_are_missing_are_not_saved() -> None:
    counted = tally("a", "b")
    some = replace(IMAGE, urls=("u", "v"), files=(Path("a.png"),))
    counted.on_outcome(outcome("a", DownloadError("disk", job_id="a/image"), some))
    counted.on_outcome(outcome("b", DownloadError("disk", job_id="b/video"), replace(some, urls=("u",))))
    assert row(counted.batch, Kind.IMAGE) == [2, 0, 0, 0, 1, 1, 0, 0]


def test_unsaved_results_are_shown_by_their_urls() -> None:
    some = replace(IMAGE, urls=("u", "v"), files=(Path.cwd() / "a.png",))
    assert places_of(some) == ["a.png", "u", "v"]
    assert places_of(replace(some, urls=("u",))) == ["a.png"]


def test_reasons_are_bounded() -> None:
    counted = tally()
    for number in range(3 * MOST_REASONS):
        counted.on_outcome(outcome(f"a{number}", TaskFailed("the same")))
        counted.on_outcome(outcome(f"b{number}", TaskFailed(f"another {number}")))
    assert len(counted.reasons) == MOST_REASONS
    assert counted.reasons["the same"].names.count == 3 * MOST_REASONS
    assert len(counted.reasons["the same"].names.ids) == MOST_IDS
    assert counted.other_reasons == 2 * MOST_REASONS + 1
    assert counted.needing_attention == 6 * MOST_REASONS


def test_trouble_ends_when_something_is_accepted() -> None:
    counted = tally()
    counted.on_event(events.Retried(at=0, job_id="a/image", kind=Kind.IMAGE, error=AigcError("down"), delay_s=1))
    assert counted.trouble == "down"
    counted.on_event(events.Submitted(at=0, job_id="a/image", kind=Kind.IMAGE, task_id="t"))
    assert counted.trouble == ""


def test_jobs_that_the_batch_does_not_ask_for_are_counted_apart() -> None:
    counted = tally("a")
    counted.on_ledger(
        [
            ("a/image", Kind.IMAGE, JobState.SAVED),
            ("old/image", Kind.IMAGE, JobState.SUBMITTED),
            ("old/video", Kind.VIDEO, JobState.PLANNED),
            ("x/y/image", Kind.IMAGE, JobState.SAVED),
            ("bad/image", Kind.IMAGE, JobState.FAILED),
            ("lost/image", Kind.IMAGE, JobState.INTENT),
        ]
    )
    assert row(counted.batch, Kind.IMAGE) == [1, 0, 0, 0, 0, 1, 0, 0]
    assert row(counted.earlier, Kind.IMAGE) == [4, 0, 0, 1, 0, 1, 1, 1]
    assert row(counted.earlier, Kind.VIDEO) == [0, 0, 0, 0, 0, 0, 0, 0], "only planned: nothing is paid for"
    counted.on_event(done("old", Kind.IMAGE))
    counted.on_event(saved("old", Kind.IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [1, 0, 0, 0, 0, 1, 0, 0]
    assert row(counted.earlier, Kind.IMAGE) == [4, 0, 0, 0, 0, 2, 1, 1]


def test_a_job_that_failed_and_is_made_again_has_not_failed() -> None:
    counted = tally("a")
    counted.on_event(failed("a", Kind.IMAGE))
    counted.on_event(events.Planned(at=0, job_id="a/image", kind=Kind.IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [1, 1, 0, 0, 0, 0, 0, 0]
    counted.on_event(done("a", Kind.IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [1, 0, 0, 0, 1, 0, 0, 0]


def test_a_line_with_other_content_leaves_the_ledgers_job_to_the_earlier_batch() -> None:
    counted = tally("a")
    counted.on_ledger([("a/image", Kind.IMAGE, JobState.DONE)])
    counted.on_outcome(outcome("a", InvalidRequest("the id is taken", job_id="a/image")))
    assert row(counted.batch, Kind.IMAGE) == [1, 0, 0, 0, 0, 0, 1, 0]
    assert row(counted.earlier, Kind.IMAGE) == [1, 0, 0, 0, 1, 0, 0, 0]
    assert not counted.was_given_up("a/image")
    counted.on_event(saved("a", Kind.IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [1, 0, 0, 0, 0, 0, 1, 0]
    assert row(counted.earlier, Kind.IMAGE) == [1, 0, 0, 0, 0, 1, 0, 0]


def test_a_request_that_is_refused_as_a_whole_fails_at_its_first_step_that_is_not_made() -> None:
    counted = tally("a", "b")
    counted.on_outcome(outcome("a", InvalidRequest("no", job_id="a")))
    counted.on_outcome(outcome("b", InvalidRequest("no", job_id="b"), IMAGE))
    assert row(counted.batch, Kind.IMAGE) == [2, 0, 0, 0, 1, 0, 1, 0]
    assert row(counted.batch, Kind.VIDEO) == [2, 1, 0, 0, 0, 0, 1, 0]


def test_the_progress_line_has_earlier_batches_as_soon_as_one_of_their_jobs_is_unsaved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted, now = tally("a"), [0.0]
    display = Lines(counted, clock=lambda: now[0])
    idle = Statistics(slots={kind: SlotStatistics(0, 1, 0, 0, None) for kind in Kind}, paces={}, polling=0, creating=0)

    def line() -> str:
        now[0] += SUMMARY_S
        display.tick(idle)
        return capsys.readouterr().err

    counted.on_ledger([("kept/image", Kind.IMAGE, JobState.SAVED)])
    assert "earlier" not in line()
    counted.on_event(done("old", Kind.IMAGE))
    assert "images 0/1, videos 0/1; saved 0, failed 0, unknown 0; " in line()
    counted.on_event(saved("old", Kind.IMAGE))
    assert "; other requests: 2/2, saved 2, failed 0, unknown 0; " in line()


# --- whatever comes, the counts add up --------------------------------------------------------------------------------

NAMES = ("a", "b", "a/image", "old", "older")
"""Of these the batch asks for the first three. An id may look like another's job."""

names = st.sampled_from(NAMES)
kinds = st.sampled_from([Kind.IMAGE, Kind.VIDEO])


def _event(name: str, kind: Kind, which: int) -> events.Event:
    job_id, error = f"{name}/{kind}", TaskFailed("no")
    return (
        events.Planned(at=0, job_id=job_id, kind=kind),
        events.Submitted(at=0, job_id=job_id, kind=kind, task_id="t"),
        events.Retried(at=0, job_id=job_id, kind=kind, error=error, delay_s=1),
        done(name, kind),
        saved(name, kind),
        events.Failed(at=0, job_id=job_id, kind=kind, error=error),
        events.Unknown(at=0, job_id=job_id, kind=kind, error=error),
    )[which]


def _record(name: str, kind: Kind, state: JobState) -> JobRecord:
    return JobRecord(job_id=f"{name}/{kind}", kind=kind, content="{}", planned_at=0, state=state, task_id="t")


def _success(name: str, result: Result) -> Outcome[BatchItem, Result]:
    return Success(job_id=name, request=CHAIN, result=result)


def _saving(name: str, kind: Kind, error: type[AigcError] | None) -> Outcome[JobRecord, Result]:
    job_id, row = f"{name}/{kind}", _record(name, kind, JobState.DONE)
    if error is None:
        return Success(job_id=job_id, request=row, result=SAVED.image)
    return Failure(job_id=job_id, request=row, error=error("e", job_id=job_id))


errors = st.sampled_from(
    [
        TaskFailed,
        InvalidRequest,
        DownloadError,
        ResultExpired,
        TaskTimeout,
        CreateOutcomeUnknown,
        ClientClosed,
        LedgerError,
    ]
)
news = st.one_of(
    st.builds(_event, names, kinds, st.integers(0, 6)),
    st.builds(
        lambda name, error, kind, partial: outcome(
            name, error("e", job_id=name if kind is None else f"{name}/{kind}", task_id="i"), partial
        ),
        names,
        errors,
        st.none() | kinds,
        st.sampled_from([None, IMAGE, SAVED.image, SAVED]),
    ),
    st.builds(_success, names, st.sampled_from([SAVED, IMAGE])),
    st.builds(
        _saving,
        names,
        kinds,
        st.none() | errors,
    ),
    st.builds(_record, names, kinds, st.sampled_from([JobState.PLANNED, JobState.SUBMITTED])),
)
rows = st.dictionaries(st.tuples(names, kinds), st.sampled_from(JobState))


def _take(
    counted: Tally, one: events.Event | Outcome[BatchItem, Result] | Outcome[JobRecord, Result] | JobRecord
) -> None:
    match one:
        case events.Event():
            counted.on_event(one)
        case JobRecord():
            counted.on_retry([one])
        case Success(request=JobRecord()) | Failure(request=JobRecord()):
            counted.on_saving(one)  # type: ignore[arg-type] # the pattern cannot narrow a generic
        case _:
            counted.on_outcome(one)  # type: ignore[arg-type]


def _counts(counted: Tally) -> Iterator[list[int]]:
    for kind in Kind:
        yield row(counted.batch, kind)
        yield row(counted.earlier, kind)


@given(rows=rows, news=st.lists(news, max_size=30))
def test_whatever_comes_the_counts_add_up(
    rows: dict[tuple[str, Kind], JobState],
    news: Sequence[events.Event | Outcome[BatchItem, Result] | Outcome[JobRecord, Result] | JobRecord],
) -> None:
    counted = tally(*NAMES[:3])
    counted.on_ledger((f"{name}/{kind}", kind, state) for (name, kind), state in rows.items())
    for one in (None, *news):
        if one is not None:
            _take(counted, one)
        for total, *numbers in _counts(counted):
            assert total == sum(numbers)
            assert min(numbers) >= 0
        assert [counted.batch.total[kind] for kind in Kind] == [3, 3, 0]
        assert counted.earlier.total.total() <= 10
