"""The terms of a request, as its jobs' rows have them."""

from pathlib import Path

from mps_aigc_async import ImageRequest, ImageToVideo, Kind, VideoRequest
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
