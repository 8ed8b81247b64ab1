"""What users write: refused early, by field and in one line, or kept exactly as it was written."""

import json
from base64 import b64decode, b64encode, encodebytes
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.requests import (
    ADDED_LATER,
    AudioRequest,
    CosStore,
    ImageRequest,
    ImageToVideo,
    ReferenceImage,
    ReferenceVideo,
    Subject,
    Value,
    VideoRequest,
    VideoToAudio,
    VodFile,
    check,
    content,
    digest,
    parse,
    steps_of,
)
from mps_aigc_async.model.results import ImageResult, Usage, VideoResult
from mps_aigc_async.wire.mps import Mps

URL = "https://a/1.png"
IMAGE = ImageResult(
    task_id="4-1", request_id="r-1", urls=(URL,), expires_at=datetime(2026, 11, 1, tzinfo=UTC), files=(Path("a.png"),)
)

VIDEO = VideoResult(task_id="4-2", request_id="r-2", urls=("https://a/1.mp4",), expires_at=None)


def refused(says: str, **line: Any) -> InvalidRequest:  # noqa: ANN401 - JSON
    with pytest.raises(InvalidRequest, match=says) as error:
        parse(line)
    assert "\n" not in str(error.value)
    return error.value


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


@pytest.mark.parametrize("name", ["Prompt", "modelName", "ImageUrl", "Vod"])
def test_the_services_own_names_are_not_ours(name: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^ImageRequest: {name}: unknown field$"):
        ImageRequest(prompt="x", **{name: "y"})


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
    refused(r"^video\.prompt is empty", video={"prompt": prompt}, audio={"prompt": "x"})
    refused(r"^audio\.prompt is empty", audio={"prompt": prompt})


def test_a_chains_video_begins_with_the_chains_image() -> None:
    chain = parse({"image": {"prompt": "x"}, "video": {}})
    assert isinstance(chain, ImageToVideo)
    assert check(chain) is chain


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "model_name", "operator"])
def test_half_a_character_is_refused(field: str) -> None:
    r"""`"\ud83c"` is JSON, but no text that could be signed, sent or kept."""
    refused("surrogate|unicode", image={"prompt": "x", field: "cut \ud83c"})
    refused("surrogate|unicode", image={"prompt": "x"}, video={field: "cut \ud83c"})


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
    refused("surrogate|unicode", image={"prompt": "x", **fields})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_no_json_is_refused(number: float) -> None:
    refused("additional_parameters", image={"prompt": "x", "additional_parameters": {"size": number}})


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
        ({"image": {"prompt": "x", "images": [{}]}}, r"images\.0.*ReferenceImage"),
        ({"video": {"prompt": "x", "duration": 0}}, r"^video\.duration: "),
        ({"video": {"prompt": "x", "duration": "long"}}, r"^video\.duration: "),
        ({"video": {"prompt": "x", "first_frame": 5}}, r"^video\.first_frame"),
        ({"video": {"prompt": "x", "videos": [{"refer_type": "base"}]}}, r"videos\.0.*url: "),
        ({"video": {"prompt": "x", "subjects": [{"ID": 1}]}}, r"^video\.subjects\.0\.ID: unknown field$"),
        ({"image": {"prompt": ""}, "video": {}}, r"^image\.prompt is empty"),
        ({"image": {"prompt": "x"}, "video": {"typo": 1}}, r"^video\.typo: unknown field$"),
        ({"video": {"prompt": "x"}, "audio": {"typo": 1}}, r"^audio\.typo: unknown field$"),
        ({"image": {"prompt": "x"}, "video": {}, "audio": {"duration": 1}}, r"^audio\.duration: unknown field$"),
        ({"audio": {"prompt": "x", "videos": [5]}}, r"^audio\.videos\.0"),
        ({"image": {"prompt": "x", "typo": 1}}, r"^image\.typo: unknown field$"),
    ],
)
def test_an_error_names_its_field(line: dict[str, Any], says: str) -> None:
    refused(says, **line)


def test_all_faults_of_a_request_are_told_at_once() -> None:
    error = refused("typo", video={"prompt": "x", "typo": 1, "duration": 0, "store": {"bucket": "b"}})
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
    refused(r"^video\.first_frame is the chain's own", image={"prompt": "x"}, video={"first_frame": URL})


@pytest.mark.parametrize("line", [{"image": {"prompt": "x"}}, {}], ids=["image", "video"])
def test_a_chains_sound_is_its_own_videos(line: dict[str, Any]) -> None:
    refused(r"^audio\.videos is the chain's own", **line, video={"prompt": "x"}, audio={"videos": [URL]})


@pytest.mark.parametrize("step", ["image", "video", "audio"])
def test_a_chains_id_belongs_to_the_chain(step: str) -> None:
    line: dict[str, Any] = {"image": {"prompt": "x"}, "video": {"prompt": "y"}, "audio": {}}
    line[step]["id"] = "shot"
    refused(rf"^{step}\.id: the id belongs to the chain itself", **line)


@pytest.mark.parametrize("step", ["image", "video", "audio"])
def test_a_lines_id_stands_beside_its_step(step: str) -> None:
    refused("^id: it stands beside the step, not inside it", **{step: {"prompt": "x", "id": "shot"}})


# --- lines ------------------------------------------------------------------------------------------------------------


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
    refused(says, **line)


@pytest.mark.parametrize("bad", ["", "a\nb", "a\tb", "\x00", "\x7f", "x" * 121, 5, ["a"], {}, True])
def test_an_id_is_a_short_printable_text(bad: object) -> None:
    refused("^id: ", id=bad, image={"prompt": "x"})
    refused("^id: ", id=bad, image={"prompt": "x"}, video={})


@pytest.mark.parametrize("good", ["a", "shot-001", "镜头 1", "../x", "x" * 120])
def test_any_other_text_is_an_id(good: str) -> None:
    assert parse({"id": good, "image": {"prompt": "x"}}).id == good


@pytest.mark.parametrize("line", [{"image": {"self": 1}}, {"image": {"prompt": "x"}, "video": {"self": 1}}])
def test_a_field_named_self_is_unknown_like_any_other(line: dict[str, Any]) -> None:
    refused("self: unknown field", **line)


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
    # And what is taken can be named, kept, and read again as the same.
    written = json.loads(content(request))
    one = digest(request).partition("-")[0]
    line = written if one == "chain" else {one: written}
    assert digest(parse(line)) == digest(request)
    for step in steps_of(request):
        try:
            json.loads(Mps().create(step, None).body)
        except InvalidRequest as error:
            str(error).encode()


# --- digests ----------------------------------------------------------------------------------------------------------


def test_the_digests_that_ledgers_already_hold() -> None:
    assert digest(ImageRequest(prompt="a cat")) == "image-de4d7d1a2f60"
    assert digest(VideoRequest(prompt="a cat")).startswith("video-")
    assert digest(ImageToVideo(image=ImageRequest(prompt="a cat"), video=VideoRequest())) == "chain-d062e10570e7"
    assert digest(AudioRequest(prompt="a cat")).startswith("audio-")
    assert digest(VideoToAudio(video=VideoRequest(prompt="a cat"), audio=AudioRequest())).startswith("chain-")


def test_equal_content_has_one_digest_and_other_content_another() -> None:
    texts = ("a cat", "a cat ", "A cat", "猫")
    assert (
        len({digest(request) for text in texts for request in (ImageRequest(prompt=text), VideoRequest(prompt=text))})
        == 8
    )
    assert digest(ImageRequest(prompt="猫")) == digest(ImageRequest(prompt="猫"))


def test_the_id_is_no_content() -> None:
    assert digest(ImageRequest(id="a", prompt="x")) == digest(ImageRequest(id="b", prompt="x"))
    assert content(ImageRequest(id="a", prompt="x")) == '{"prompt":"x"}'


def test_the_order_of_keys_is_no_content() -> None:
    one = ImageRequest(prompt="x", model_name="m", additional_parameters={"a": 1, "b": {"c": 2, "d": 3}})
    two = ImageRequest(additional_parameters={"b": {"d": 3, "c": 2}, "a": 1}, model_name="m", prompt="x")
    assert (content(one), digest(one)) == (content(two), digest(two))


def test_the_order_of_images_is_content() -> None:
    one, two = (ImageRequest(prompt="x", images=images) for images in (("a", "b"), ("b", "a")))
    assert digest(one) != digest(two)


def test_what_was_written_counts_even_where_it_is_the_default() -> None:
    """The content is what the user wrote: a default that changes with a version then changes no id."""
    assert content(VideoRequest(prompt="x", images=())) == '{"images":[],"prompt":"x"}'
    assert digest(VideoRequest(prompt="x", duration=None)) != digest(VideoRequest(prompt="x"))


def test_a_result_as_first_frame_is_the_same_content_each_time() -> None:
    def again() -> ImageResult:
        return ImageResult(
            task_id="4-1", request_id="r-1", urls=(URL,), expires_at=IMAGE.expires_at, files=(Path("a.png"),)
        )

    assert digest(VideoRequest(first_frame=again())) == digest(VideoRequest(first_frame=IMAGE))
    other = ImageResult(task_id="4-2", request_id="r-1", urls=(URL,), expires_at=None)
    assert digest(VideoRequest(first_frame=other)) != digest(VideoRequest(first_frame=IMAGE))


def test_a_result_without_what_later_versions_tell_is_the_content_that_older_ledgers_have() -> None:
    """Another content is another id: the request would be created, and paid for, a second time."""
    older = '{"expires_at":null,"file_ids":[],"files":[],"request_id":"r","task_id":"5","urls":["https://a/b"]}'
    image = ImageResult(task_id="5", request_id="r", urls=("https://a/b",), expires_at=None)
    video = VideoResult(task_id="5", request_id="r", urls=("https://a/b",), expires_at=None)
    assert content(VideoRequest(prompt="x", first_frame=image)) == f'{{"first_frame":{older},"prompt":"x"}}'
    assert digest(VideoRequest(prompt="x", first_frame=image)) == "video-d89903a9a37c"
    listed = VideoRequest(images=(image, ReferenceImage(image=image)), subjects=(Subject(images=(image,)),))
    listed_older = f'[{older},{{"image":{older}}}],"subjects":[{{"images":[{older}]}}]'
    assert content(listed) == f'{{"images":{listed_older}}}'
    older_video = older.replace('"task_id"', '"resolution":null,"task_id"')
    assert content(AudioRequest(videos=(video,))) == f'{{"videos":[{older_video}]}}'
    # The fields that came later are left out by their defaults, and no field comes without being listed there.
    assert {field.name for field in fields(ImageResult)} - set(json.loads(older)) == ADDED_LATER.keys()


def test_what_later_versions_tell_of_a_result_is_content() -> None:
    kept = replace(IMAGE, bare_file_ids=("7",), file_ids=("7",), never_expires=True, usage=Usage(output_seconds=0.0))
    request = VideoRequest(prompt="x", first_frame=kept)
    again = parse({"video": json.loads(content(request))})
    assert isinstance(again, VideoRequest)
    assert again.first_frame == kept


def test_a_path_is_the_text_it_stands_for() -> None:
    assert digest(VideoRequest(first_frame=Path("a/b.png"))) == digest(VideoRequest(first_frame="a/b.png"))


# --- Base64 -----------------------------------------------------------------------------------------------------------

PIXEL = b64encode(b"\x89PNG\r\n\x1a\n+/\xfb\xff").decode()


@pytest.mark.parametrize(
    "given_text",
    [
        PIXEL, f"data:image/png;base64,{PIXEL}", f"DATA:image/png;name=a.png;Base64,{PIXEL}", f"data:;base64,{PIXEL}",
        f" {PIXEL}\n", f"{PIXEL[:8]}\r\n{PIXEL[8:]}", encodebytes(b64decode(PIXEL) * 20).decode()[:-1],
        f" data:image/png;base64,\n{PIXEL}",
    ],
)  # fmt: skip
def test_base64_is_sent_without_prefix_and_line_ends(given_text: str) -> None:
    sent = VodFile(base64=given_text).base64
    assert sent is not None
    assert b64decode(sent, validate=True).startswith(b64decode(PIXEL))
    assert VodFile(base64=sent).base64 == sent


@pytest.mark.parametrize(
    "given_text",
    [
        PIXEL[:-1], "abc", "a", "====", "abc=def=", "ab==cd", f"{PIXEL}=", PIXEL.translate({43: "-", 47: "_"}),
        "https://a.example/1.png", "data:image/png,abcd", "图片", "data:image/png;base64,", "  ", "\ud83c", "ab\x00cd",
    ],
)  # fmt: skip
def test_what_is_no_base64_is_refused_and_not_shown(given_text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^VodFile: base64 is (not Base64|the Base64 of no bytes)") as caught:
        VodFile(base64=given_text)
    assert given_text.strip() in ("", "a", "abc") or given_text not in str(caught.value)


def test_a_line_names_the_base64_that_it_refuses() -> None:
    line = {"image": {"prompt": "x", "vod": {"files": [{"base64": "not base64!"}]}}}
    with pytest.raises(InvalidRequest, match=r"^image\.vod\.files\.0\.base64 is not Base64"):
        parse(line)
