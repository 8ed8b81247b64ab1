"""Batch lines as requests: a request for the steps of a line, or an error at its place in the line."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mps_aigc_async.model.contents import content, digest
from mps_aigc_async.model.errors import FieldFault, InvalidRequest
from mps_aigc_async.model.parsing import parse, step_of
from mps_aigc_async.model.requests import AudioRequest, ImageRequest, ImageToVideo, VideoRequest, VideoToAudio, steps_of
from mps_aigc_async.model.states import Kind
from mps_aigc_async.wire.mps import Mps

from .refusals import refusal

URL = "https://a/1.png"


def test_a_line_is_what_it_has() -> None:
    image, video = parse({"image": {"prompt": "x"}}), parse({"id": "b", "video": {"prompt": "y", "duration": 5}})
    chain = parse({"id": "c", "image": {"prompt": "x"}, "video": {"prompt": "y", "duration": 5}})
    assert image == ImageRequest(prompt="x")
    assert video == VideoRequest(id="b", prompt="y", duration=5)
    assert chain == ImageToVideo(id="c", image=ImageRequest(prompt="x"), video=VideoRequest(prompt="y", duration=5))
    audio = {"prompt": "z", "scene_type": "music"}
    assert parse({"audio": audio}) == AudioRequest(prompt="z", scene_type="music")
    assert parse({"video": {"prompt": "y"}, "audio": audio}) == VideoToAudio(
        video=VideoRequest(prompt="y"), audio=AudioRequest(prompt="z", scene_type="music")
    )
    assert parse({"image": {"prompt": "x"}, "video": {}, "audio": audio}) == ImageToVideo(
        image=ImageRequest(prompt="x"), video=VideoRequest(), audio=AudioRequest(prompt="z", scene_type="music")
    )
    assert parse({"image": {"prompt": "x"}, "video": None}) == image
    assert parse({"id": None, "image": {"prompt": "x"}}) == image


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({}, "^a line needs an `image`, a `video`, an `audio`, or more$"),
        ({"id": "a"}, "^a line needs"),
        ({"image": None, "video": None}, "^a line needs"),
        ({"prompt": "x"}, "^unknown key 'prompt': a line has `id`, `image`, `video` and `audio`$"),
        ({"image": {"prompt": "x"}, "sound": {}}, "^unknown key 'sound'"),
        ({"image": {"prompt": "x"}, "audio": {}}, "^a line needs a `video` between its `image` and its `audio`$"),
        ({"image": "x"}, "^image: expected an object with the request's fields, got str$"),
        ({"image": {"prompt": "x"}, "video": [1]}, "^video: expected an object with the request's fields, got list$"),
    ],
)
def test_another_line_is_refused(line: dict[str, Any], says: str) -> None:
    refusal(says, **line)


@pytest.mark.parametrize("bad", ["", "a\nb", "a\tb", "\x00", "\x7f", "x" * 121, 5.5, ["a"], {}, True])
def test_an_id_is_a_short_printable_text(bad: object) -> None:
    refusal("^id: ", id=bad, image={"prompt": "x"})
    refusal("^id: ", id=bad, image={"prompt": "x"}, video={})


@pytest.mark.parametrize("good", ["a", "shot-001", "镜头 1", "../x", "x" * 120])
def test_any_other_text_is_an_id(good: str) -> None:
    assert parse({"id": good, "image": {"prompt": "x"}}).id == good


@pytest.mark.parametrize("line", [{"image": {"self": 1}}, {"image": {"prompt": "x"}, "video": {"self": 1}}])
def test_a_field_named_self_is_unknown_like_any_other(line: dict[str, Any]) -> None:
    refusal("self: unknown field", **line)


def test_a_line_nested_deep_is_refused_or_taken() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    try:
        request = parse({"image": {"prompt": "x", "additional_parameters": {"a": deep}}})
    except InvalidRequest:
        return
    assert isinstance(request, ImageRequest)
    assert Mps().create(request, None).body


any_text = st.text(st.characters(), max_size=6)  # half characters included: JSON can write them
FIELDS = sorted(
    {*ImageRequest.model_fields, *VideoRequest.model_fields, *AudioRequest.model_fields}
    | {"url", "Url", "bucket", "region", "self"}
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | any_text | st.just(URL),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | any_text, inner, max_size=3),
    max_leaves=8,
)
OPTIONAL = {name: json_values for name in FIELDS if name != "prompt"}
steps = st.fixed_dictionaries({"prompt": any_text}, optional=OPTIONAL) | json_values
KEYS = ["id", "image", "video", "audio"]
lines = st.fixed_dictionaries({}, optional={"id": json_values, **dict.fromkeys(KEYS[1:], steps)}) | st.dictionaries(
    st.sampled_from(KEYS) | any_text, json_values, max_size=3
)


@given(line=lines)
@example(line={"image": {"prompt": "x", "self": 1}})
def test_any_json_object_is_a_request_or_refused(line: dict[str, Any]) -> None:
    try:
        request = parse(line)
    except InvalidRequest as error:
        str(error).encode()
        return
    # An accepted request can be named, stored, and read again as the same request.
    fields = json.loads(content(request))
    one = digest(request).partition("-")[0]
    line = fields if one == "chain" else {one: fields}
    assert digest(parse(line)) == digest(request)
    for step in steps_of(request):
        try:
            json.loads(Mps().create(step, None).body)
        except InvalidRequest as error:
            str(error).encode()


# --- the fields of errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ({"image": {"prompt": "x", "typo": 1}}, [("image.typo", "unknown field")]),
        ({"image": {"prompt": "x"}, "video": {"typo": 1}}, [("video.typo", "unknown field")]),
        ({"image": {"prompt": " "}}, [("image.prompt", "is empty: write one, or give reference `images`")]),
        ({"video": {"prompt": " "}}, [("video.prompt", "is empty: write one, or give a `first_frame`")]),
        ({"image": 5}, [("image", "expected an object with the request's fields, got int")]),
        ({"image": {1: 2}}, [("image", "1 is no field's name")]),
        ({"video": {"prompt": "x", "id": "a"}}, [("id", "it stands beside the step, not inside it")]),
        ({"video": {"prompt": "x", "first_frame": 5}}, [
            ("video.first_frame", "expected a URL, a path or an ImageResult, got int"),
        ]),
        ({"video": {"prompt": "x", "duration": True}}, [("video.duration", "expected a whole number, got True")]),
        ({"image": {"prompt": "x", "vod": {"files": [{}]}}}, [
            ("image.vod.files.0", "give one of file_id, url and base64, not none"),
        ]),
        ({"video": {"prompt": "x", "duration": 0, "typo": 1}}, [
            ("video.duration", "Input should be greater than or equal to 1"), ("video.typo", "unknown field"),
        ]),
        ({"prompt": "x"}, []),
        ({"image": {"prompt": "x"}, "audio": {}}, []),
    ],
)  # fmt: skip
def test_an_error_has_its_fields_and_reasons(line: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse(line)
    assert error.value.faults == tuple(FieldFault(*fault) for fault in faults)


@pytest.mark.parametrize("kind", Kind)
def test_a_step_is_read_from_its_fields(kind: Kind) -> None:
    step = step_of(kind, {"prompt": "x", "model_name": "Hunyuan"})
    assert (step.kind, step.id, step.prompt, step.model_name) == (kind, None, "x", "Hunyuan")


@pytest.mark.parametrize("fields", [{"typo": 1}, {"prompt": 5}, {"prompt": "x", "id": "a"}])
def test_a_step_of_other_fields_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        step_of(Kind.IMAGE, fields)
