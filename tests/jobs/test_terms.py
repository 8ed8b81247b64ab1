"""The terms of a request, as its jobs' rows have them."""

from pathlib import Path

from mps_aigc_async import ImageRequest, ImageToVideo, JobState, Kind, VideoRequest
from mps_aigc_async.catalog.prices import Estimate
from mps_aigc_async.jobs.terms import NO_TERMS, Terms
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.network.folders import Folder

JOB = JobRecord(job_id="a/image", kind=Kind.IMAGE, content="{}", planned_at=1.0)
CHAIN = ImageToVideo(image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="wind"))


def test_a_row_has_the_terms_of_its_request() -> None:
    row = Terms(save_to=Folder(Path("/out")), position=3).of(CHAIN).written_to(JOB)
    assert (row.position, row.save_to, row.steps) == (3, "/out", (Kind.IMAGE, Kind.VIDEO))


def test_a_request_of_no_batch_leaves_place_and_folder_as_they_are() -> None:
    row = Terms(save_to=Folder(Path("/out")), position=3).of(CHAIN).written_to(JOB)
    assert NO_TERMS.of(CHAIN).written_to(row) == row


def test_a_planned_step_has_the_room_that_a_budget_keeps_for_it() -> None:
    terms = Terms(estimates={Kind.VIDEO: Estimate(Kind.VIDEO, "Kling", 5, 1.6)})
    video = JobRecord(job_id="a/video", kind=Kind.VIDEO, content="{}", planned_at=1.0)
    assert (terms.written_to(video).amount, terms.written_to(video).cost) == (5, 1.6)
    intent = video.moved(JobState.INTENT, amount=10, cost=3.2)
    assert terms.written_to(intent).amount == 10
    image = JobRecord(job_id="a/image", kind=Kind.IMAGE, content="{}", planned_at=1.0)
    assert terms.written_to(image).amount is None
