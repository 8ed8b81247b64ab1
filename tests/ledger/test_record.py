"""One row: it moves as the table allows, and is the same request for as long as it lives."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import ContentViolation, LedgerError, TaskFailed
from mps_aigc_async.model.results import AudioResult, ImageResult, Usage, VideoResult
from mps_aigc_async.model.states import MOVES, JobState, Kind


def job(
    state: JobState = JobState.PLANNED, kind: Kind = Kind.IMAGE, content: str = '{"prompt":"a cat"}', at: float = 1.0
) -> JobRecord:
    return JobRecord(job_id="shot/image", kind=kind, content=content, planned_at=at, state=state)


@pytest.mark.parametrize(("before", "after"), list(product(JobState, JobState)), ids=str)
def test_a_job_moves_as_the_table_says_and_not_otherwise(before: JobState, after: JobState) -> None:
    if after in MOVES[before]:
        moved = job(before).moved(after, ended_at=5.0)
        assert (moved.state, moved.ended_at, moved.job_id) == (after, 5.0, "shot/image")
    else:
        with pytest.raises(LedgerError, match=f"cannot move from {before} to {after}") as refused:
            job(before).moved(after)
        assert refused.value.job_id == "shot/image"


@given(walk=st.lists(st.sampled_from(JobState), max_size=12))
def test_any_walk_stays_on_the_table_and_loses_nothing(walk: list[JobState]) -> None:
    at = job()
    for step, state in enumerate(walk):
        if state not in MOVES[at.state]:
            with pytest.raises(LedgerError):
                at.moved(state)
            continue
        before, at = at, at.moved(state, slot_until=float(step))
        assert (before.state in MOVES, at.state, at.slot_until) == (True, state, float(step))
        assert (at.job_id, at.kind, at.content, at.planned_at) == (job().job_id, job().kind, job().content, 1.0)


def test_a_move_leaves_the_job_before_it_as_it_was() -> None:
    planned = job()
    planned.moved(JobState.INTENT, intent_at=2.0)
    assert planned == job()


def test_planned_anew_it_has_forgotten_what_was_tried_but_for_the_count() -> None:
    tried = replace(done(Kind.IMAGE), state=JobState.FAILED, attempts=3, error={"type": "TaskFailed"})
    assert tried.replanned() == replace(job(), attempts=3)
    with pytest.raises(LedgerError, match="cannot move from done to planned"):
        done(Kind.IMAGE).replanned()


def test_its_prompt() -> None:
    assert job(content='{"prompt":"镜头","duration":5}').prompt == "镜头"
    assert job(content='{"first_frame":"https://a"}').prompt == ""


def test_the_error_that_ended_it_has_its_ids() -> None:
    error = ContentViolation("InvalidParameter.ViolationContent", "why", request_id="r-1")
    failed = job(JobState.INTENT).moved(JobState.FAILED, error=to_record(error), task_id="4-1")
    again = failed.recorded_error()
    assert type(again) is ContentViolation
    assert again.ids == {"job": "shot/image", "task": "4-1", "request": "r-1"}


def done(kind: Kind) -> JobRecord:
    return job(JobState.SUBMITTED, kind).moved(
        JobState.DONE,
        task_id="4-1",
        request_id="r-1",
        urls=("https://a/1", "https://a/2"),
        resolution="1920x1088",
        expires_at=1_767_225_600.0,
    )


EXPIRES = datetime(2026, 1, 1, tzinfo=UTC)
URLS = ("https://a/1", "https://a/2")


def test_an_images_result() -> None:
    assert done(Kind.IMAGE).result() == ImageResult(task_id="4-1", request_id="r-1", urls=URLS, expires_at=EXPIRES)


def test_a_videos_result() -> None:
    assert done(Kind.VIDEO).result() == VideoResult(
        task_id="4-1", request_id="r-1", urls=URLS, expires_at=EXPIRES, resolution="1920x1088"
    )


def test_an_audios_result() -> None:
    job = replace(done(Kind.AUDIO), resolution=None, duration=12.0, videos=("https://a/3",))
    assert job.result() == AudioResult(
        task_id="4-1", request_id="r-1", urls=URLS, expires_at=EXPIRES, duration=12.0, videos=("https://a/3",)
    )


def test_a_result_that_is_kept_has_ids_no_end_and_the_services_times() -> None:
    kept = replace(
        done(Kind.VIDEO),
        urls=("https://a/1",),
        file_ids=("7", "8"),
        bare_file_ids=("8",),
        expires_at=None,
        never_expires=True,
        usage=Usage(output_seconds=5),
        begun_at=1_767_225_600.0,
        finished_at=1_767_225_660.0,
        files=("/out/a.mp4",),
    )
    result = kept.result()
    assert isinstance(result, VideoResult)
    assert (result.expires_at, result.never_expires, result.usage) == (None, True, Usage(output_seconds=5))
    assert (result.file_ids, result.bare_file_ids) == (("7", "8"), ("8",))
    assert (result.begun_at, result.finished_at) == (EXPIRES, EXPIRES + timedelta(minutes=1))
    assert not result.is_saved
    assert replace(kept, files=("/out/a.mp4", "/out/a+2.mp4")).result().is_saved


def test_a_failed_tasks_error_has_what_the_task_left() -> None:
    failed = job(JobState.SUBMITTED).moved(
        JobState.FAILED, urls=URLS, file_ids=("7",), error=to_record(TaskFailed("blocked")), task_id="4-1"
    )
    error = failed.recorded_error()
    assert isinstance(error, TaskFailed)
    assert (error.urls, error.file_ids) == (URLS, ("7",))
    assert "https" not in f"{error} {error!r}"  # a URL's query is a signature


def test_a_saved_result_has_its_files() -> None:
    saved = done(Kind.IMAGE).moved(JobState.SAVED, files=("/out/a.png", "/out/a+2.png"))
    assert saved.result().files == (Path("/out/a.png"), Path("/out/a+2.png"))


def test_nobody_knows_when_a_result_expires_that_was_found_ended() -> None:
    found = job(JobState.SUBMITTED).moved(JobState.DONE, task_id="4-1", urls=URLS, expires_at=None)
    assert found.result().expires_at is None
    assert found.result().request_id == ""


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.DONE, JobState.SAVED}))
def test_before_it_is_done_there_is_no_result(state: JobState) -> None:
    with pytest.raises(LedgerError, match=f"the job is {state}, it has no result"):
        job(state).result()
