"""The input files of requests, and the documented rules of their fields."""

from base64 import b64encode
from pathlib import Path

import pytest

from mps_aigc_async import (
    AudioRequest,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    VideoRequest,
    VodFile,
    VodOptions,
)
from mps_aigc_async.catalog.input_files import MIB, base64_files, input_files
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.requests import Request

URL = "https://a.example/1.png"
DONE = ImageResult(task_id="4-AigcImage-1", request_id="r", urls=(URL,), expires_at=None)

EVERYTHING = VideoRequest(
    prompt="x",
    first_frame=URL,
    last_frame=Path("last.png"),
    images=(URL, ReferenceImage(image=URL), DONE),
    videos=(URL, ReferenceVideo(url=URL)),
    audios=(URL,),
    subjects=(Subject(name="a", images=(URL,), videos=(URL,)),),
    vod=VodOptions(files=(VodFile(file_id="1"), VodFile(url=URL), VodFile(url=URL, category="Video"))),
)


def rules_of(request: Request, backend: str) -> dict[str, tuple[str, int | None, bool] | None]:
    """The formats, the most MiB and the strength of each field's rules."""
    return {
        file.field: None
        if file.rules is None
        else (
            " ".join(file.rules.formats),
            None if file.rules.most_bytes is None else file.rules.most_bytes // MIB,
            file.rules.firm,
        )
        for file in input_files(request, backend)
    }


PICTURES, JPEG_PNG = ".jpg .png .webp", ".jpg .png"


def test_the_documents_bounds_are_not_those_of_a_model_that_they_lack() -> None:
    """Hailuo H3 is reported to take 30 MB; the 10 MiB of the documented models would refuse a good file."""
    h3 = VideoRequest(prompt="x", model_name="Hailuo", model_version="H3", images=(URL,), last_frame=URL)
    reported = (f"{PICTURES} .heic", 30, False)
    assert rules_of(h3, "mps") == {"last_frame": reported, "images.0": reported}
    assert rules_of(h3, "vod") == dict.fromkeys(("last_frame", "images.0"), (JPEG_PNG, 10, False))


def test_every_url_and_path_of_a_request_is_an_input() -> None:
    assert [file.field for file in input_files(EVERYTHING, "mps")] == [
        "first_frame", "last_frame", "images.0", "images.1", "videos.0", "videos.1", "audios.0",
        "subjects.0.images.0", "subjects.0.videos.0", "vod.files.1.url", "vod.files.2.url",
    ]  # fmt: skip
    assert [file.field for file in input_files(EVERYTHING, "mps") if not file.is_url] == ["last_frame"]


def test_a_result_of_ours_is_no_input_to_look_at() -> None:
    assert not list(input_files(VideoRequest(prompt="x", first_frame=DONE), "mps"))


def test_a_chains_inputs_are_named_by_their_step() -> None:
    chain = ImageToVideo(image=ImageRequest(images=(URL,)), video=VideoRequest(prompt="x", last_frame=URL))
    assert [file.field for file in input_files(chain, "mps")] == ["image.images.0", "video.last_frame"]


@pytest.mark.parametrize(
    ("backend", "request_", "rules"),
    [
        ("mps", ImageRequest(images=(URL,)), (PICTURES, 7, False)),
        ("vod", ImageRequest(images=(URL,)), (PICTURES, 7, False)),
        ("relay", ImageRequest(images=(URL,)), (PICTURES, 7, False)),
        ("mps", ImageRequest(images=(URL,), model_name="Wand-Vega-Image"), (PICTURES, 20, True)),
        ("vod", ImageRequest(images=(URL,), model_name="wand-vega-image"), (PICTURES, 7, False)),
        ("mps", VideoRequest(images=(URL,)), (JPEG_PNG, 10, True)),
        ("vod", VideoRequest(images=(URL,)), (JPEG_PNG, 10, False)),
        ("mps", VideoRequest(first_frame=URL), (JPEG_PNG, 10, False)),
        ("vod", VideoRequest(last_frame=URL), (JPEG_PNG, 10, False)),
        ("mps", VideoRequest(subjects=(Subject(images=(URL,)),)), (PICTURES, 10, False)),
        ("vod", VideoRequest(subjects=(Subject(images=(URL,)),)), (PICTURES, None, False)),
        ("relay", VideoRequest(subjects=(Subject(images=(URL,)),)), (PICTURES, None, False)),
        ("vod", VideoRequest(vod=VodOptions(files=(VodFile(url=URL, category="Audio"),))), None),
        ("vod", VideoRequest(vod=VodOptions(files=(VodFile(url=URL, category="image"),))), (JPEG_PNG, 10, False)),
        ("mps", VideoRequest(prompt="x", videos=(URL,)), None),
        ("mps", AudioRequest(audios=(URL,)), None),
    ],
)
def test_the_documented_rules_of_a_field(
    backend: str, request_: Request, rules: tuple[str, int | None, bool] | None
) -> None:
    assert list(rules_of(request_, backend).values()) == [rules]


@pytest.mark.parametrize(
    ("request_type", "category", "formats"),
    [
        (ImageRequest, None, PICTURES),
        (VideoRequest, None, f"{PICTURES} .mp4 .mov .avi"),
        (VideoRequest, "Image", PICTURES),
        (VideoRequest, "video", ".mp4 .mov .avi"),
        (VideoRequest, "Audio", None),
    ],
)
def test_the_formats_of_base64(
    request_type: type[ImageRequest | VideoRequest], category: str | None, formats: str | None
) -> None:
    file = VodFile(base64=b64encode(b"x").decode(), category=category)
    files = list(base64_files(request_type(prompt="x", vod=VodOptions(files=(VodFile(file_id="1"), file)))))
    assert [(field, " ".join(rules.formats)) for field, _, rules in files] == (
        [("vod.files.1.base64", formats)] if formats else []
    )
