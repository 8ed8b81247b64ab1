"""The inputs of requests, and their change."""

from pathlib import Path

import pytest

from mps_aigc_async import AudioRequest, ImageRequest, ImageResult, InvalidRequest, VideoRequest, VideoResult
from mps_aigc_async.model.contents import content
from mps_aigc_async.model.input_urls import InputUrl, inputs_of, with_inputs
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.requests import Step
from mps_aigc_async.model.results import TaskResult

IMAGE = ImageResult(task_id="4-1", request_id="r", urls=("https://a/result.png",), expires_at=None)
FILM = VideoResult(task_id="4-2", request_id="r", urls=("https://a/film.mp4",), expires_at=None)

REQUESTS: list[tuple[Step, list[InputUrl | Path]]] = [
    (ImageRequest(prompt="https://a/in-the-prompt.png"), []),
    (
        ImageRequest(images=("https://a/1.png", ReferenceImage(image="https://a/2.png"))),
        ["https://a/1.png", "https://a/2.png"],
    ),
    (VideoRequest(first_frame=IMAGE, last_frame="https://a/l.png"), [IMAGE, "https://a/l.png"]),
    (VideoRequest(first_frame=Path("local.png")), [Path("local.png")]),
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


def found_in(step: Step) -> list[InputUrl | Path]:
    return [source for _, source in inputs_of(step)]


def elsewhere(source: InputUrl | Path) -> str:
    return f"https://b/{source.task_id if isinstance(source, TaskResult) else source}"


@pytest.mark.parametrize(("request_", "inputs"), REQUESTS)
def test_all_inputs_are_found(request_: Step, inputs: list[InputUrl | Path]) -> None:
    assert found_in(request_) == inputs


@pytest.mark.parametrize(("request_", "inputs"), REQUESTS)
def test_each_url_and_result_is_changed_and_nothing_else(request_: Step, inputs: list[InputUrl | Path]) -> None:
    changed = with_inputs(request_, elsewhere)
    assert found_in(changed) == [one if isinstance(one, Path) else elsewhere(one) for one in inputs]
    back = iter([one for one in inputs if not isinstance(one, Path)])
    assert content(with_inputs(changed, lambda _: next(back))) == content(request_)


@pytest.mark.parametrize(("request_", "inputs"), REQUESTS)
def test_an_unchanged_request_stays_itself(request_: Step, inputs: list[InputUrl | Path]) -> None:
    same = with_inputs(request_, lambda source: source)
    assert same == request_
    assert same.model_fields_set == request_.model_fields_set
    assert found_in(same) == inputs


SUBJECTS = ({"images": ("https://a/1.png",)},)


def takes(request_type: type[Step], name: str, value: object) -> Step | None:
    """The request with this value in a field; None if the field refuses it."""
    try:
        return request_type.model_validate({"prompt": "x", name: value})
    except InvalidRequest:
        return None


@pytest.mark.parametrize(
    ("request_type", "count"),
    [(ImageRequest, 1), (VideoRequest, 6), (AudioRequest, 2)],
)
def test_each_field_that_takes_results_or_lists_of_urls_is_searched(request_type: type[Step], count: int) -> None:
    """A field that is added to a request, and not to the search, would be neither signed nor looked at."""
    values: list[object] = [IMAGE, FILM, ("https://a/1.png",), (FILM,), SUBJECTS]
    requests = {
        name: request
        for name in request_type.model_fields
        for value in values
        if (request := takes(request_type, name, value)) is not None
    }
    assert len(requests) == count
    for name, request in requests.items():
        assert [place.partition(".")[0] for place, _ in inputs_of(request)] == [name]
