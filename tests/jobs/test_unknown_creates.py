"""The request that is sent again for an unknown create."""

import logging
from dataclasses import replace

import pytest

from mps_aigc_async.jobs.unknown_creates import as_first_sent, differences
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.requests import ImageRequest
from mps_aigc_async.model.states import Kind

JOB = JobRecord(
    job_id="a/image", kind=Kind.IMAGE, content='{"prompt":"x"}', planned_at=0.0, filled_in={"model_name": "A"}
)


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
