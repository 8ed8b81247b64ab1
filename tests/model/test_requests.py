"""Requests: refused early, by field and in one line, or unchanged."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mps_aigc_async.model.contents import content, digest
from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.model.requests import (
    AudioRequest,
    CosStore,
    ImageRequest,
    ImageToVideo,
    Step,
    VideoRequest,
    VideoToAudio,
    check,
)
from mps_aigc_async.model.results import ImageResult, VideoResult
from mps_aigc_async.model.value import Value

from .refusals import refusal

URL = "https://a/1.png"
IMAGE = ImageResult(
    task_id="4-1", request_id="r-1", urls=(URL,), expires_at=datetime(2026, 11, 1, tzinfo=UTC), files=(Path("a.png"),)
)

VIDEO = VideoResult(task_id="4-2", request_id="r-2", urls=("https://a/1.mp4",), expires_at=None)


# --- frozen, and closed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        ImageRequest(prompt="x"),
        VideoRequest(prompt="x"),
        AudioRequest(prompt="x"),
        ImageToVideo(image=ImageRequest(prompt="x"), video=VideoRequest()),
        VideoToAudio(video=VideoRequest(prompt="x"), audio=AudioRequest()),
        CosStore(bucket="b", region="r"),
        ReferenceImage(image=URL),
        ReferenceVideo(url=URL),
        Subject(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_frozen_and_has_no_other_fields(value: Value) -> None:
    name = next(iter(type(value).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, name, getattr(value, name))
    with pytest.raises(InvalidRequest, match=rf"^{type(value).__name__}: no_such: unknown field"):
        type(value)(**{field: getattr(value, field) for field in value.model_fields_set}, no_such=1)


@pytest.mark.parametrize(
    ("cls", "name", "hint"),
    [
        (ImageRequest, "Prompt", "is prompt meant?"),
        (ImageRequest, "modelName", "is model_name meant?"),
        (ImageRequest, "ImageUrl", "is images meant?"),
        (VideoRequest, "ImageUrl", "is first_frame meant?"),
        (VideoRequest, "image", "is first_frame meant?"),
        (ImageRequest, "model", "is model_name meant?"),
        (ImageRequest, "version", "is model_version meant?"),
        (AudioRequest, "scene", "is scene_type meant?"),
        (ImageRequest, "Vod", "is vod meant?"),
        (ImageRequest, "aspect_ration", "is aspect_ratio meant?"),
        (ImageRequest, "aspect-ratio", "is aspect_ratio meant?"),
        (VideoRequest, "AspectRatio", "is aspect_ratio meant?"),
        (VideoRequest, "StoreCosParam", "is store meant?"),
        (VideoRequest, "seed", "is vod.seed meant?"),
        (VideoRequest, "output_count", "a field of image requests"),
        (ImageRequest, "duration", "a field of video and audio requests"),
        (AudioRequest, "images", "a field of image and video requests"),
        (AudioRequest, "seed", "is vod.seed meant?"),
        (VideoRequest, "colour", None),
    ],
)
def test_an_unknown_field_names_the_one_that_may_be_meant(cls: type[Step], name: str, hint: str | None) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        cls(prompt="x", **{name: "y"})
    assert str(refusal.value) == f"{cls.__name__}: {name}: unknown field" + (f": {hint}" if hint else "")


def test_an_invalid_request_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="prompt is empty"):
        ImageRequest()


# --- prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u3000"])
def test_an_image_needs_a_prompt_or_images(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^ImageRequest: prompt is empty: write one, or give reference `images`$"):
        ImageRequest(prompt=prompt)
    assert ImageRequest(prompt=prompt, images=(URL,)).prompt == prompt


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u3000"])
def test_a_video_needs_a_prompt_or_something_to_begin_with(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^VideoRequest: prompt is empty: write one, or give a `first_frame`$"):
        check(VideoRequest(prompt=prompt, duration=5, audios=(URL,)))
    for given_instead in (
        VideoRequest(prompt=prompt, first_frame=URL),
        VideoRequest(prompt=prompt, last_frame=IMAGE),
        VideoRequest(prompt=prompt, images=(URL,)),
        VideoRequest(prompt=prompt, videos=(URL,)),
        VideoRequest(prompt=prompt, subjects=(Subject(id="1"),)),
    ):
        assert check(given_instead) is given_instead


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u3000"])
def test_an_audio_needs_a_prompt_or_something_to_sound_with(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^AudioRequest: prompt is empty: .* `videos` or `audios`$"):
        check(AudioRequest(prompt=prompt, scene_type="music"))
    for given_instead in (
        AudioRequest(prompt=prompt, videos=(VIDEO,)),
        AudioRequest(prompt=prompt, audios=("https://a/song.mp3",)),
        VideoToAudio(video=VideoRequest(prompt="x"), audio=AudioRequest(prompt=prompt)),
        ImageToVideo(image=ImageRequest(prompt="x"), video=VideoRequest(), audio=AudioRequest(prompt=prompt)),
    ):
        assert check(given_instead) is given_instead
    refusal(r"^video\.prompt is empty", video={"prompt": prompt}, audio={"prompt": "x"})
    refusal(r"^audio\.prompt is empty", audio={"prompt": prompt})


def test_a_chains_video_begins_with_the_chains_image() -> None:
    chain = parse({"image": {"prompt": "x"}, "video": {}})
    assert isinstance(chain, ImageToVideo)
    assert check(chain) is chain


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "model_name", "operator"])
def test_half_a_character_is_refused(field: str) -> None:
    r"""`"\ud83c"` is JSON, but no text that could be signed, sent or kept."""
    refusal("surrogate|unicode", image={"prompt": "x", field: "cut \ud83c"})
    refusal("surrogate|unicode", image={"prompt": "x"}, video={field: "cut \ud83c"})


@pytest.mark.parametrize(
    "fields",
    [
        {"additional_parameters": {"size": "\ud83c"}},
        {"additional_parameters": {"\ud83c": 1}},  # fails: taken, and then encoding the body raises
        {"images": ["https://a/\ud83c.png"]},
        {"images": [{"url": "https://a/\ud83c.png"}]},
        {"store": {"bucket": "\ud83c", "region": "r"}},
    ],
    ids=["value", "key", "url", "reference", "store"],
)
def test_half_a_character_is_refused_wherever_it_stands(fields: dict[str, Any]) -> None:
    refusal("surrogate|unicode", image={"prompt": "x", **fields})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_no_json_is_refused(number: float) -> None:
    refusal("additional_parameters", image={"prompt": "x", "additional_parameters": {"size": number}})


# --- fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"image": {"prompt": 5}}, r"^image\.prompt: "),
        ({"image": {"prompt": None}}, r"^image\.prompt: "),
        ({"image": {"prompt": "x", "output_count": 0}}, r"^image\.output_count: "),
        ({"image": {"prompt": "x", "store": {"bucket": "b"}}}, r"^image\.store\.region: "),
        ({"image": {"prompt": "x", "store": {"bucket": "", "region": "r"}}}, r"^image\.store\.bucket: "),
        ({"image": {"prompt": "x", "images": "https://a/1.png"}}, r"^image\.images: "),
        ({"image": {"prompt": "x", "images": [5]}}, r"^image\.images\.0"),
        ({"image": {"prompt": "x", "images": [{"url": URL, "typo": 1}]}}, r"images\.0.*typo: unknown field"),
        (
            {"image": {"prompt": "x", "images": [{"url": URL, "reference_typ": 1}]}},
            r"images\.0.*reference_typ: unknown field: is reference_type meant\?",
        ),
        ({"image": {"prompt": "x", "vod": {"Seed": 1}}}, r"^image\.vod\.Seed: unknown field: is seed meant\?$"),
        ({"image": {"prompt": "x", "images": [{}]}}, r"images\.0.*ReferenceImage"),
        ({"video": {"prompt": "x", "duration": 0}}, r"^video\.duration: "),
        ({"video": {"prompt": "x", "duration": "long"}}, r"^video\.duration: "),
        ({"video": {"prompt": "x", "first_frame": 5}}, r"^video\.first_frame"),
        ({"video": {"prompt": "x", "videos": [{"refer_type": "base"}]}}, r"videos\.0.*url: "),
        (
            {"video": {"prompt": "x", "subjects": [{"ID": 1}]}},
            r"^video\.subjects\.0\.ID: unknown field: is id meant\?$",
        ),
        ({"image": {"prompt": ""}, "video": {}}, r"^image\.prompt is empty"),
        ({"image": {"prompt": "x"}, "video": {"typo": 1}}, r"^video\.typo: unknown field$"),
        ({"video": {"prompt": "x"}, "audio": {"typo": 1}}, r"^audio\.typo: unknown field$"),
        (
            {"image": {"prompt": "x"}, "video": {}, "audio": {"resolution": "1K"}},
            r"^audio\.resolution: unknown field: a field of image and video requests$",
        ),
        ({"image": {"prompt": "x"}, "video": {"Duraton": 1}}, r"^video\.Duraton: unknown field: is duration meant\?$"),
        ({"audio": {"prompt": "x", "videos": [5]}}, r"^audio\.videos\.0"),
        ({"image": {"prompt": "x", "typo": 1}}, r"^image\.typo: unknown field$"),
    ],
)
def test_an_error_names_its_field(line: dict[str, Any], says: str) -> None:
    refusal(says, **line)


def test_all_faults_of_a_request_are_told_at_once() -> None:
    error = refusal("typo", video={"prompt": "x", "typo": 1, "duration": 0, "store": {"bucket": "b"}})
    for fault in ("typo: unknown field", "duration: ", "store.region: "):
        assert fault in str(error)


@pytest.mark.parametrize("name", ["image", "url", "Url", "image_url", "ImageUrl"])
@pytest.mark.parametrize("type_name", ["reference_type", "ReferenceType"])
def test_a_reference_image_is_written_as_the_documents_write_it(name: str, type_name: str) -> None:
    request = parse({"image": {"prompt": "x", "images": [{name: URL, type_name: "subject"}]}})
    same = ImageRequest(prompt="x", images=(ReferenceImage(image=URL, reference_type="subject"),))
    assert request == same
    assert digest(request) == digest(same)


def test_an_image_may_be_a_url_a_file_or_a_result() -> None:
    request = VideoRequest(first_frame=IMAGE, last_frame=Path("b.png"), images=(URL, ReferenceImage(image=IMAGE)))
    assert request.first_frame == IMAGE
    assert request.last_frame == Path("b.png")
    assert request.images == (URL, ReferenceImage(image=IMAGE))


def test_a_result_survives_its_own_json() -> None:
    request = VideoRequest(prompt="she turns", first_frame=IMAGE)
    again = parse({"video": json.loads(content(request))})
    assert isinstance(again, VideoRequest)
    assert again.first_frame == IMAGE
    assert digest(again) == digest(request)


# --- chains -----------------------------------------------------------------------------------------------------------


def test_a_chains_first_frame_is_its_own_image() -> None:
    refusal(r"^video\.first_frame is the chain's own", image={"prompt": "x"}, video={"first_frame": URL})


@pytest.mark.parametrize("line", [{"image": {"prompt": "x"}}, {}], ids=["image", "video"])
def test_a_chains_sound_is_its_own_videos(line: dict[str, Any]) -> None:
    refusal(r"^audio\.videos is the chain's own", **line, video={"prompt": "x"}, audio={"videos": [URL]})


@pytest.mark.parametrize("step", ["image", "video", "audio"])
def test_a_chains_id_belongs_to_the_chain(step: str) -> None:
    line: dict[str, Any] = {"image": {"prompt": "x"}, "video": {"prompt": "y"}, "audio": {}}
    line[step]["id"] = "shot"
    refusal(rf"^{step}\.id: the id belongs to the chain itself", **line)


@pytest.mark.parametrize("step", ["image", "video", "audio"])
def test_a_lines_id_stands_beside_its_step(step: str) -> None:
    refusal("^id: it stands beside the step, not inside it", **{step: {"prompt": "x", "id": "shot"}})
