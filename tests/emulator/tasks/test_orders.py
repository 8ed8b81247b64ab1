"""Sizes and formats of orders, as pure functions."""

import pytest

from mps_aigc_async.emulator.tasks.fields import Json
from mps_aigc_async.emulator.tasks.orders import Format, image_format, image_size, video_size


@pytest.mark.parametrize(
    ("output", "additional", "size"),
    [
        ({}, "", (640, 360)),
        ({"AspectRatio": "1:1"}, "", (640, 640)),
        ({"AspectRatio": "9:16", "Resolution": "1080p"}, "", (450, 800)),
        ({"AspectRatio": "wide", "Resolution": "8K"}, "", (640, 360)),
        ({"AspectRatio": "1:1"}, '{"size":"768x1024"}', (480, 640)),
        ({"AspectRatio": "1:1"}, '{"seed":7}', (640, 640)),
        ({"AspectRatio": "1:1"}, "[]", (640, 640)),
    ],
)
def test_the_size_of_an_image(output: dict[str, Json], additional: str, size: tuple[int, int]) -> None:
    assert image_size(output, additional) == size


@pytest.mark.parametrize(
    ("output", "size"),
    [({}, (320, 180)), ({"AspectRatio": "1:1", "Resolution": "540P"}, (256, 256)), ({"Resolution": "4K"}, (640, 360))],
)
def test_the_size_of_a_video(output: dict[str, Json], size: tuple[int, int]) -> None:
    assert video_size(output) == size


@pytest.mark.parametrize(("name", "image_format_"), [("jpeg", "jpg"), ("png", "png"), ("", "png")])
def test_the_format_of_an_image(name: str, image_format_: Format) -> None:
    assert image_format(name) == image_format_
