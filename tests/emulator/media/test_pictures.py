"""Images: real files that show their prompt, the same for the same order, in about the shape asked for."""

from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageStat

from mps_aigc_async.emulator.media import pictures
from mps_aigc_async.emulator.media.lettering import font, printable, wrap
from mps_aigc_async.emulator.services.mps_orders import order_of
from mps_aigc_async.emulator.tasks.orders import ImageOrder


def rendered(**fields: "str | int | dict[str, str]") -> Image.Image:
    order = order_of("image", {"Prompt": "a lake", **fields})
    assert isinstance(order, ImageOrder)
    return opened(pictures.image(order, 0))


def opened(file: bytes) -> Image.Image:
    picture = Image.open(BytesIO(file))
    picture.load()
    return picture


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of the pixels, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean) / 3


def test_a_png_that_differs_by_prompt_and_number_and_by_nothing_else() -> None:
    order = ImageOrder("a lake", "Hunyuan 3.0", (640, 360), 2, "png")
    first = pictures.image(order, 0)
    picture = opened(first)
    assert (picture.format, picture.size) == ("PNG", (640, 360))
    assert pictures.image(order, 0) == first
    assert difference(picture, opened(pictures.image(order, 1))) > 5
    assert difference(picture, rendered(Prompt="a mountain")) > 5


@pytest.mark.parametrize(
    ("extra", "size"),
    [
        ({}, (640, 360)),
        ({"AspectRatio": "9:16"}, (360, 640)),
        ({"AspectRatio": "1:1", "Resolution": "1080P"}, (800, 800)),
        ({"AspectRatio": "21:9", "Resolution": "4K"}, (1280, 548)),
        ({"AspectRatio": "as you like"}, (640, 360)),
    ],
)
def test_the_shape_asked_for(extra: dict[str, str], size: tuple[int, int]) -> None:
    assert rendered(ExtraParameters=extra).size == size


def test_a_size_in_additional_parameters_gives_the_shape() -> None:
    assert rendered(AdditionalParameters='{"size":"1024x1024"}').size == (640, 640)
    assert rendered(AdditionalParameters="[1]").size == (640, 360)


def test_jpeg_where_asked() -> None:
    picture = rendered(ExtraParameters={"OutputFormat": "jpeg"})
    assert picture.format == "JPEG"
    assert difference(picture, rendered()) < 5


def test_chinese_is_drawn_and_not_as_boxes() -> None:
    face = font(40)
    glyphs = [bytes(face.getmask(letter)) for letter in "湖月山水\U000e0fff"]  # the last has no glyph: the font's box
    assert len(set(glyphs)) == 5
    assert all(any(glyph) for glyph in glyphs[:4])


def test_the_prompt_is_visible() -> None:
    """The same landscape with and without its words."""
    order = ImageOrder("月光下的湖面", "", (640, 360), 1, "png")
    bare = pictures.landscape(order.prompt, order.size, 0)
    lower = (0, 280, 640, 360)
    white = ImageChops.difference(bare.crop(lower), opened(pictures.image(order, 0)).crop(lower)).convert("L")
    assert sum(white.histogram()[150:]) > 300


@pytest.mark.parametrize(
    "prompt", ["", " ", "\n\t", "x" * 1000, "湖" * 1000, "\ud800 \x00 \u202e", "سلام עולם", "🦊 in the snow"]
)
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert opened(pictures.image(ImageOrder(prompt, prompt, (96, 54), 1, "png"), 0)).size == (96, 54)


def test_lines_break_at_spaces_and_between_chinese_characters_and_never_before_a_full_stop() -> None:
    face = font(20)
    assert wrap("one two three", face, 80, 9) == ["one two", "three"]
    assert wrap("月光下的湖。", face, 100, 9) == ["月光下的", "湖。"]
    assert wrap("one two three four", face, 100, 1) == ["one two…"]
    assert wrap("", face, 80, 1) == [""]
    assert all(face.getlength(line) <= 200 for line in wrap("月光 moonlight，" * 30, face, 200, 99))
    assert printable("a\ud800b\nc") == "a?b c"


def test_a_fitted_image_is_whole_and_centred_on_black() -> None:
    tall = Image.new("RGB", (100, 200), "white")
    file = BytesIO()
    tall.save(file, "PNG")
    frame = opened(pictures.fit(file.getvalue(), (320, 180)))
    assert frame.size == (320, 180)
    assert brightness(frame, (160, 90)) > 250
    assert brightness(frame, (20, 90)) < 5


def brightness(picture: Image.Image, at: tuple[int, int]) -> float:
    return ImageStat.Stat(picture.convert("L").crop((*at, at[0] + 1, at[1] + 1))).mean[0]


@pytest.mark.parametrize("broken", [b"", b"<html>", b"\x89PNG\r\n\x1a\n", "half"])
def test_what_is_not_an_image_is_told(broken: bytes | str) -> None:
    whole = pictures.image(ImageOrder("x", "", (320, 180), 1, "png"), 0)
    with pytest.raises(pictures.UNREADABLE):
        pictures.fit(broken if isinstance(broken, bytes) else whole[: len(whole) // 2], (320, 180))
