"""Images: a landscape determined by the prompt, with the prompt written on it, so that people see at a glance to which
request a result belongs. Also the reading of images, and their fitting to a film's frame.
"""

import hashlib
import math
from dataclasses import dataclass
from io import BytesIO
from random import Random
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFilter, UnidentifiedImageError

from ..tasks.orders import ImageOrder
from .lettering import write

UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError)
"""Pillow's exceptions for bytes that are not a whole image (SyntaxError: a broken PNG)."""

_Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Palette:
    zenith: _Colour
    horizon: _Colour
    disc: _Colour
    ridge: _Colour
    """The nearest ridge. Farther ridges fade into the horizon, as in real air."""
    stars: bool = False


_PALETTES: Final = (
    _Palette((14, 20, 56), (74, 86, 150), (246, 240, 214), (9, 14, 34), stars=True),  # moonlight
    _Palette((44, 28, 84), (238, 126, 96), (255, 214, 150), (32, 18, 52)),  # dusk
    _Palette((70, 130, 190), (252, 214, 170), (255, 246, 216), (38, 70, 92)),  # dawn
    _Palette((16, 78, 110), (150, 214, 206), (250, 252, 226), (8, 52, 70)),  # sea
    _Palette((120, 60, 60), (250, 190, 110), (255, 240, 190), (84, 36, 40)),  # desert
    _Palette((74, 64, 140), (226, 178, 220), (255, 236, 226), (46, 38, 92)),  # lavender
    _Palette((26, 66, 62), (186, 212, 150), (252, 248, 206), (14, 44, 40)),  # forest
    _Palette((12, 30, 48), (60, 150, 150), (214, 250, 236), (6, 22, 34), stars=True),  # northern night
)

_RIDGES = 4


def image(order: ImageOrder, index: int) -> bytes:
    """The encoded image number `index` of an order."""
    picture = landscape(order.prompt, order.size, index)
    number = f"{index + 1}/{order.count}" if order.count > 1 else ""
    write(picture, order.prompt, "  ·  ".join(filter(None, ["image", number, order.label])))
    file = BytesIO()
    if order.format == "jpg":
        picture.save(file, "JPEG", quality=88)
    else:
        picture.save(file, "PNG", compress_level=4)  # the default, 6, takes twice as long and saves a tenth of the size
    return file.getvalue()


def landscape(prompt: str, size: tuple[int, int], index: int) -> Image.Image:
    """The landscape of a prompt, without words. Painting in double size smooths the hard edges of Pillow's shapes."""
    random = Random(hashlib.sha256(f"{index}/{prompt}".encode(errors="replace")).digest())  # noqa: S311 - no secret
    palette = random.choice(_PALETTES)
    width, height = size[0] * 2, size[1] * 2
    canvas = _sky(palette, (width, height))
    if palette.stars:
        _stars(canvas, random)
    canvas = _disc(canvas, palette, random)
    draw = ImageDraw.Draw(canvas)
    for number in range(_RIDGES):
        depth = (number + 1) / _RIDGES
        shade = _mix(palette.horizon, palette.ridge, 0.25 + 0.75 * depth)
        draw.polygon(_ridge(width, height, 0.5 + 0.36 * depth - 0.06, random), fill=shade)
    return canvas.resize(size, Image.Resampling.BOX)


def _sky(palette: _Palette, size: tuple[int, int]) -> Image.Image:
    ramp = Image.linear_gradient("L").resize((size[0], round(size[1] * 0.7))).crop((0, 0, *size))
    ramp.paste(255, (0, round(size[1] * 0.7), *size))
    return Image.composite(Image.new("RGB", size, palette.horizon), Image.new("RGB", size, palette.zenith), ramp)


def _stars(canvas: Image.Image, random: Random) -> None:
    draw = ImageDraw.Draw(canvas)
    width, height = canvas.size
    for _ in range(90):
        x, y = random.uniform(0, width), random.uniform(0, 0.55 * height)
        light = random.randrange(120, 240)
        radius = random.choice((1, 1, 1.5, 2))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(light, light, min(255, light + 12)))


def _disc(canvas: Image.Image, palette: _Palette, random: Random) -> Image.Image:
    """The sun or the moon, with a glow that is added like light instead of painted over."""
    width, height = canvas.size
    radius = random.uniform(0.055, 0.1) * min(width, height)
    x, y = random.uniform(0.18, 0.82) * width, random.uniform(0.2, 0.46) * height
    # The glow has no detail, so blur it small: an eighth of the size costs a sixty-fourth of the time.
    glow = Image.new("RGB", (width // 8, height // 8))
    reach = radius * 1.5 / 8
    faint = _mix((0, 0, 0), palette.disc, 0.62)
    ImageDraw.Draw(glow).ellipse((x / 8 - reach, y / 8 - reach, x / 8 + reach, y / 8 + reach), fill=faint)
    glow = glow.filter(ImageFilter.GaussianBlur(reach)).resize(canvas.size, Image.Resampling.BICUBIC)
    lit = ImageChops.screen(canvas, glow)
    ImageDraw.Draw(lit).ellipse((x - radius, y - radius, x + radius, y + radius), fill=palette.disc)
    return lit


def _ridge(width: int, height: int, level: float, random: Random) -> list[tuple[float, float]]:
    """A skyline around `level` (0 top, 1 bottom): three waves, each half as high and twice as fast as the last."""
    waves = [(0.075 / 2**octave, random.uniform(0.7, 1.5) * 2**octave, random.uniform(0, 7)) for octave in range(3)]
    skyline = [
        (
            x,
            height
            * (level - sum(rise * math.sin(phase + speed * math.tau * x / width) for rise, speed, phase in waves)),
        )
        for x in range(0, width + 8, 8)
    ]
    return [(0, height), *skyline, (width, height)]


def _mix(one: _Colour, other: _Colour, share: float) -> _Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def read(data: bytes) -> Image.Image:
    """The image in a file's bytes. Raises one of UNREADABLE."""
    with Image.open(BytesIO(data)) as picture:
        return picture.convert("RGB")


def fit(data: bytes, size: tuple[int, int]) -> bytes:
    """An image reduced to a frame of `size`, whole, on black where the shapes differ. Raises one of UNREADABLE."""
    picture = read(data)
    scale = min(size[0] / picture.width, size[1] / picture.height)
    inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    frame = Image.new("RGB", size)
    frame.paste(picture.resize(inner, Image.Resampling.LANCZOS), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    file = BytesIO()
    frame.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()
