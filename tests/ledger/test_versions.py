"""The versions of a request: which one a content means, and how changes are told."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.ledger import JobRecord, MemoryLedger
from mps_aigc_async.ledger.versions import (
    Version,
    changed_request,
    changes_of,
    contents_of,
    is_free,
    jobs_of_version,
    name_of,
    parted,
    request_in,
    version_of,
    versions_in,
)
from mps_aigc_async.model.states import JobState, Kind

PAID = (JobState.INTENT, JobState.SUBMITTED, JobState.DONE, JobState.SAVED, JobState.UNKNOWN)
SHOT = ImageToVideo(id="shot", image=ImageRequest(prompt="a hill"), video=VideoRequest(prompt="rain"))


def job(name: str, kind: Kind, state: JobState, prompt: str) -> JobRecord:
    content = ImageRequest(prompt=prompt) if kind is Kind.IMAGE else VideoRequest(prompt=prompt)
    [written] = contents_of(content).values()
    task_id = "4-1" if state in PAID[1:4] else None
    return JobRecord(job_id=f"{name}/{kind}", kind=kind, content=written, planned_at=1.0, state=state, task_id=task_id)


def version(number: int, *jobs: JobRecord) -> Version:
    return Version(number, name_of("shot", number), {one.kind: one for one in jobs})


def chain(image: JobState, video: JobState, name: str = "shot", prompt: str = "rain") -> list[JobRecord]:
    return [job(name, Kind.IMAGE, image, "a hill"), job(name, Kind.VIDEO, video, prompt)]


@given(st.text(min_size=1, max_size=20), st.integers(1, 999_999))
def test_a_name_is_parted_as_it_was_put_together(base: str, number: int) -> None:
    if parted(base) == (base, 1):  # no id ends in a version
        assert parted(name_of(base, number)) == (base, number)


def test_an_id_that_looks_like_a_version_is_refused() -> None:
    for name in ("shot@1", "shot@2", "a@b@31"):
        with pytest.raises(ValueError, match="names a version"):
            ImageRequest(id=name, prompt="a cat")
    for name in ("shot@", "@2x", "shot@x2", "me@example.com", "shot@02"):
        assert ImageRequest(id=name, prompt="a cat").id == name


@pytest.mark.parametrize("state", JobState)
def test_content_replaces_that_of_a_job_that_has_cost_nothing(state: JobState) -> None:
    versions = [version(1, job("shot", Kind.IMAGE, state, "a hill"))]
    meant = version_of(versions, contents_of(ImageRequest(prompt="a bay")))
    assert meant is (None if state in PAID else versions[0])


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"error": {"type": "ContentViolation"}}, True),
        ({"error": {"type": "TaskFailed"}, "task_id": "4-1"}, False),
        ({"error": {"type": "JobDropped"}}, False),
    ],
)
def test_a_failed_job_is_free_if_its_create_was_refused(changes: Mapping[str, object], free: bool) -> None:
    failed = replace(job("shot", Kind.IMAGE, JobState.FAILED, "a hill"), **changes)  # type: ignore[arg-type]
    assert is_free(failed) is free


def test_a_create_that_is_made_again_may_have_been_accepted_before() -> None:
    assert not is_free(replace(job("shot", Kind.IMAGE, JobState.PLANNED, "a hill"), session_id="mps-aigc-1"))


def test_the_latest_version_of_the_content_is_meant() -> None:
    first = version(1, *chain(JobState.SAVED, JobState.SAVED))
    changed = replace(job("shot@2", Kind.VIDEO, JobState.SAVED, "snow"))
    second = Version(2, "shot@2", {**first.jobs, Kind.VIDEO: changed})
    again = Version(3, "shot@3", {**second.jobs, Kind.VIDEO: replace(changed, job_id="shot@3/video")})
    snow = SHOT.model_copy(update={"video": VideoRequest(prompt="snow")})
    versions = [first, second, again]
    assert version_of(versions, contents_of(snow)) is again
    assert version_of(versions, contents_of(SHOT)) is first, "an edit that is undone costs nothing"
    assert again.id_of(Kind.IMAGE) == "shot/image"
    assert request_in(again) == snow.model_copy(update={"id": "shot"})


def test_a_step_may_come_later() -> None:
    image = version(1, job("shot", Kind.IMAGE, JobState.SAVED, "a hill"))
    assert version_of([image], contents_of(SHOT)) is image
    assert image.id_of(Kind.VIDEO) == "shot/video"


def test_only_changed_fields_are_told_and_long_values_are_cut() -> None:
    before = version(1, *chain(JobState.SAVED, JobState.SAVED))
    now = SHOT.model_copy(update={"image": ImageRequest(prompt="x" * 100, model_name="GEM")})
    told = changes_of(before, contents_of(now))
    assert told == ['image.prompt: "a hill" → "' + "x" * 58 + "…", 'image.model_name: none → "GEM"']
    error = changed_request(before, contents_of(ImageRequest(prompt="a hill")))
    assert "the id is taken" in error.message
    assert "video: left out now" in error.message
    assert error.job_id == "shot"


async def test_versions_are_read_until_one_is_missing() -> None:
    ledger = MemoryLedger()
    assert [one.name for one in await versions_in(ledger, "shot")] == ["shot"]
    for row in (*chain(JobState.SAVED, JobState.SAVED), *chain(JobState.SAVED, JobState.SAVED, "shot@3")):
        await ledger.put(row)
    assert [one.name for one in await versions_in(ledger, "shot")] == ["shot"]
    await ledger.put(job("shot@2", Kind.VIDEO, JobState.DONE, "snow"))
    first, second, third = await versions_in(ledger, "shot")
    assert first.jobs[Kind.IMAGE] is second.jobs[Kind.IMAGE] is not third.jobs[Kind.IMAGE]


def test_a_version_whose_planning_was_interrupted_has_no_later_step_of_the_former_one() -> None:
    former = {one.kind: one for one in chain(JobState.SAVED, JobState.SAVED)}
    image = job("shot@2", Kind.IMAGE, JobState.PLANNED, "a bay")
    assert jobs_of_version(former, {Kind.IMAGE: image}) == {Kind.IMAGE: image}
    half = Version(2, "shot@2", jobs_of_version(former, {Kind.IMAGE: image}))
    bay = contents_of(SHOT.model_copy(update={"image": ImageRequest(prompt="a bay")}))
    assert version_of([version(1, *former.values()), half], bay) is half
    assert half.id_of(Kind.VIDEO) == "shot@2/video"
