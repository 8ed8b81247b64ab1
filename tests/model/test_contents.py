"""The content of a request and its digest: the same in every run, and in the ledgers of earlier versions."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from mps_aigc_async.model.contents import content, digest
from mps_aigc_async.model.inputs import ADDED_LATER, ReferenceImage, Subject
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.model.requests import AudioRequest, ImageRequest, ImageToVideo, VideoRequest, VideoToAudio
from mps_aigc_async.model.results import ImageResult, Usage, VideoResult

URL = "https://a/1.png"
IMAGE = ImageResult(
    task_id="4-1", request_id="r-1", urls=(URL,), expires_at=datetime(2026, 11, 1, tzinfo=UTC), files=(Path("a.png"),)
)


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
    """The content has the user's fields alone, so that a default that changes with a version changes no id."""
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
    in_lists = VideoRequest(images=(image, ReferenceImage(image=image)), subjects=(Subject(images=(image,)),))
    in_lists_older = f'[{older},{{"image":{older}}}],"subjects":[{{"images":[{older}]}}]'
    assert content(in_lists) == f'{{"images":{in_lists_older}}}'
    older_video = older.replace('"task_id"', '"resolution":null,"task_id"')
    assert content(AudioRequest(videos=(video,))) == f'{{"videos":[{older_video}]}}'
    # The fields that came later are left out by their defaults, and no field comes without being listed there.
    assert {field.name for field in fields(ImageResult)} - set(json.loads(older)) == ADDED_LATER.keys()


def test_what_later_versions_tell_of_a_result_is_content() -> None:
    stored = replace(IMAGE, bare_file_ids=("7",), file_ids=("7",), never_expires=True, usage=Usage(output_seconds=0.0))
    request = VideoRequest(prompt="x", first_frame=stored)
    again = parse({"video": json.loads(content(request))})
    assert isinstance(again, VideoRequest)
    assert again.first_frame == stored


def test_a_path_is_the_text_it_stands_for() -> None:
    assert digest(VideoRequest(first_frame=Path("a/b.png"))) == digest(VideoRequest(first_frame="a/b.png"))
