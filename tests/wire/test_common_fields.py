"""The rows that MPS and VOD share."""

from mps_aigc_async import VideoRequest
from mps_aigc_async.model.inputs import Subject
from mps_aigc_async.wire import common_fields, fields, mps, vod

ROWS = (*common_fields.MODEL_AND_PROMPT, common_fields.SUBJECTS)


def test_both_services_have_all_shared_rows() -> None:
    for rows in (mps.VIDEO_FIELDS, vod.VIDEO_FIELDS):
        assert set(ROWS) <= set(rows)
    for rows in (mps.IMAGE_FIELDS, mps.AUDIO_FIELDS, vod.IMAGE_FIELDS):
        assert rows[: len(common_fields.MODEL_AND_PROMPT)] == common_fields.MODEL_AND_PROMPT


def test_a_subject_has_only_the_fields_that_are_set() -> None:
    subject = Subject(id="1", name="Ann", images=("https://a/1.png",))
    request = VideoRequest(prompt="a lake", model_name="Kling", subjects=(subject,))
    assert fields.encode(ROWS, request, "MPS") == {
        "ModelName": "Kling",
        "Prompt": "a lake",
        "SubjectInfos": [{"Id": "1", "Name": "Ann", "ImageUrls": ["https://a/1.png"]}],
    }
