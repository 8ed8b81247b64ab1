"""Why a create is in doubt, in words and through the ledger; and what is sent again for it."""

import logging
from dataclasses import replace

import pytest

from mps_aigc_async.jobs.doubts import Doubt, as_first_sent, differences
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.errors import CreateOutcomeUnknown, from_record, to_record
from mps_aigc_async.model.requests import ImageRequest
from mps_aigc_async.model.states import Ending, Kind

JOB = JobRecord(
    job_id="a/image", kind=Kind.IMAGE, content='{"prompt":"x"}', planned_at=0.0, filled_in={"model_name": "A"}
)


@pytest.mark.parametrize(
    ("doubt", "says", "accepted", "repeatable", "ending"),
    [
        (Doubt.UNANSWERED, "(no answer); then this", False, True, Ending.UNKNOWN),
        (Doubt.ANSWERED, "(no answer); it is not sent again: look for it in the console", False, False, Ending.UNKNOWN),
        (Doubt.ACCEPTED, "(no answer); look for it in the console", True, False, Ending.ACCEPTED_BEFORE),
    ],
)
def test_a_doubt_is_the_same_after_the_ledger(
    doubt: Doubt, says: str, accepted: bool, repeatable: bool, ending: Ending
) -> None:
    error = doubt.error("no answer", "then this")
    again = from_record(to_record(error), job_id="a/image", task_id=None)
    for one in (error, again):
        assert isinstance(one, CreateOutcomeUnknown)
        assert one.message == f"{doubt.value} {says}"
        assert (one.accepted, one.repeatable, one.ending) == (accepted, repeatable, ending)


def test_a_difference_shows_no_url_and_nothing_long() -> None:
    first = {"first_frame": "https://a/1.png?sign=secret", "prompt": "p" * 50, "model_name": "A", "off_peak": True}
    now = {"first_frame": "https://a/2.png?sign=other", "prompt": "q" * 50, "model_name": "B", "duration": 5}
    told = differences(first, now)
    assert told == (
        "first_frame other, now other; prompt other, now other; model_name 'A', now 'B'; off_peak True, now unset; "
        "duration unset, now 5"
    )
    assert differences(first, dict(first)) == ""


def test_the_first_request_is_read_from_the_row(caplog: pytest.LogCaptureFixture) -> None:
    sent = ImageRequest(prompt="x", model_name="A")
    with caplog.at_level(logging.WARNING):
        assert as_first_sent(JOB, sent) == sent
        assert not caplog.records
        assert as_first_sent(JOB, ImageRequest(prompt="x", model_name="B")) == sent
        assert "a/image is sent again as it was sent first" in caplog.text
        assert as_first_sent(replace(JOB, content="{"), sent) is None
        assert "cannot be sent again as it was sent first" in caplog.text
