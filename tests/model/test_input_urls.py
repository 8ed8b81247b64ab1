"""The inputs of requests, and their change."""

from pathlib import Path

import pytest

from mps_aigc_async import AudioRequest, ImageRequest, ImageResult, VideoRequest, VideoResult
from mps_aigc_async.model.contents import content
from mps_aigc_async.model.input_urls import InputUrl, inputs_of, with_inputs
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.requests import Step

IMAGE = ImageResult(task_id="4-1", request_id="r", urls=("https://a/result.png",), expires_at=None)
FILM = VideoResult(task_id="4-2", request_id="r", urls=("https://a/film.mp4",), expires_at=None)

REQUESTS: list[tuple[Step, list[InputUrl]]] = [
    (ImageRequest(prompt="https://a/in-the-prompt.png"), []),
    (
        ImageRequest(images=("https://a/1.png", ReferenceImage(image="https://a/2.png"))),
        ["https://a/1.png", "https://a/2.png"],
    ),
    (VideoRequest(first_frame=IMAGE, last_frame="https://a/l.png"), [IMAGE, "https://a/l.png"]),
    (VideoRequest(first_frame=Path("local.png")), []),
    (
        VideoRequest(
            prompt="x",
            videos=("https://a/v.mp4", ReferenceVideo(url="https://a/w.mp4", refer_type="base")),
            audios=("https://a/s.mp3",),
            subjects=(Subject(name="https://a/no-input", images=(IMAGE,), videos=("https://a/u.mp4",)),),
        ),
        ["https://a/v.mp4", "https://a/w.mp4", "https://a/s.mp3", IMAGE, "https://a/u.mp4"],
    ),
    (AudioRequest(videos=(FILM,), audios=("https://a/s.mp3",)), [FILM, "https://a/s.mp3"]),
]


@pytest.mark.parametrize(("request_", "inputs"), REQUESTS)
def test_all_inputs_are_found(request_: Step, inputs: list[InputUrl]) -> None:
    assert list(inputs_of(request_)) == inputs


@pytest.mark.parametrize(("request_", "inputs"), REQUESTS)
def test_each_input_is_changed_and_nothing_else(request_: Step, inputs: list[InputUrl]) -> None:
    changed = with_inputs(request_, lambda source: f"https://b/{source if isinstance(source, str) else source.task_id}")
    assert list(inputs_of(changed)) == [f"https://b/{one if isinstance(one, str) else one.task_id}" for one in inputs]
    back = iter(inputs)
    assert content(with_inputs(changed, lambda _: next(back))) == content(request_)


@pytest.mark.parametrize(("request_", "inputs"), REQUESTS)
def test_an_unchanged_request_stays_itself(request_: Step, inputs: list[InputUrl]) -> None:
    same = with_inputs(request_, lambda source: source)
    assert same == request_
    assert same.model_fields_set == request_.model_fields_set
    assert list(inputs_of(same)) == inputs
