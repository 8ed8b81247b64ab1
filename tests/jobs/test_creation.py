"""A create's row between its attempts."""

from dataclasses import replace

import pytest

from mps_aigc_async.jobs.creation import still_to_create
from mps_aigc_async.ledger import JobRecord, JobTaken
from mps_aigc_async.model.states import JobState, Kind

JOB = JobRecord(job_id="a/image", kind=Kind.IMAGE, content='{"prompt":"a cat"}', planned_at=1.0)


@pytest.mark.parametrize(
    "row", [JOB.moved(JobState.INTENT), replace(JOB, content='{"prompt":"a dog"}')], ids=["claimed", "other content"]
)
def test_a_job_that_others_have_changed_is_not_created_as_it_was(row: JobRecord) -> None:
    """The order would send the former content, and the row would have the new one."""
    with pytest.raises(JobTaken, match="another client has changed the job"):
        still_to_create(row, JOB)
    assert still_to_create(replace(JOB, token="t"), JOB).token == "t"
