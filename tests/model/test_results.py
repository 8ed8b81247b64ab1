"""Results and outcomes as people see them: short, as JSON, and in a notebook."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mps_aigc_async import (
    AudioResult,
    Failure,
    ImageRequest,
    ImageResult,
    ImageToVideoResult,
    Success,
    TaskFailed,
    Usage,
    VideoResult,
)

AT = datetime(2026, 11, 28, tzinfo=UTC)
IMAGE = ImageResult(task_id="4-1", request_id="r", urls=("https://a/1.png?x=1&y=2",), expires_at=AT)
VIDEO = VideoResult(
    task_id="4-2", request_id="r", urls=("https://a/2.mp4",), expires_at=None, usage=Usage(output_seconds=5)
)
AUDIO = AudioResult(task_id="4-3", request_id="r", urls=("https://a/3.mp3",), expires_at=None)
CHAIN = ImageToVideoResult(image=IMAGE, video=VIDEO, audio=AUDIO)


def test_a_repr_leaves_out_the_fields_that_say_nothing() -> None:
    assert repr(replace(IMAGE, expires_at=None)) == (
        "ImageResult(task_id='4-1', request_id='r', urls=('https://a/1.png?x=1&y=2',))"
    )
    outcome = Success(job_id="a", request=ImageRequest(prompt="x"), result=IMAGE)
    assert "None" not in repr(outcome)
    assert "error" not in repr(outcome)


def test_the_first_url_is_at_hand() -> None:
    assert IMAGE.url == "https://a/1.png?x=1&y=2"
    assert replace(IMAGE, urls=()).url == ""


def test_a_notebook_shows_pictures_and_players_with_escaped_urls() -> None:
    shown = CHAIN._repr_html_()
    assert '<img src="https://a/1.png?x=1&amp;y=2"' in shown
    assert '<video src="https://a/2.mp4" controls' in shown
    assert '<audio src="https://a/3.mp3" controls' in shown
    assert "<" not in replace(IMAGE, urls=('"><script>',))._repr_html_()[1:].replace('src="', "").split("style")[0]


def test_an_outcome_is_json() -> None:
    done = Success(
        job_id="a", request=None, result=replace(CHAIN, image=replace(IMAGE, files=(Path("a.png"),))), index=3
    )
    written = json.loads(json.dumps(done.as_dict()))
    assert (written["job_id"], written["index"], written["ok"], written["error"]) == ("a", 3, True, None)
    assert written["results"][0] == {
        "kind": "image",
        "task_id": "4-1",
        "request_id": "r",
        "urls": ["https://a/1.png?x=1&y=2"],
        "expires_at": "2026-11-28T00:00:00+00:00",
        "files": ["a.png"],
    }
    assert written["results"][1]["usage"]["output_seconds"] == 5
    failed = Failure(job_id="a", request=None, error=TaskFailed("no", request_id="r"), partial=IMAGE)
    written = json.loads(json.dumps(failed.as_dict()))
    assert written["error"]["type"] == "TaskFailed"
    assert [result["task_id"] for result in written["results"]] == ["4-1"]


def test_a_whole_number_is_an_id() -> None:
    assert ImageRequest(id=17, prompt="x") == ImageRequest(id="17", prompt="x")
