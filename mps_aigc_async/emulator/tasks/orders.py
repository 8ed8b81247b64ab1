"""The content of a create as a value, the same for all services, and the rules that the services share.

Sizes are a fraction of a real service's sizes (1280x720 and more): every result is a real file, and a demo renders
dozens of them on a laptop.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from .fields import Json, text_of
from .refusal import Refused

Kind: TypeAlias = Literal["image", "video", "audio"]
KINDS: Final[tuple[Kind, ...]] = ("image", "video", "audio")
Format: TypeAlias = Literal["png", "jpg", "mp4", "mp3", "wav"]

DEFAULT_SECONDS = 5
"""Seconds of a video without a duration: the default of Kling, Vidu, PixVerse and H2 (Hailuo's is 6)."""

MAX_SECONDS = 60
"""Most seconds of a video, chosen for the emulator: the longest documented is 16. A longer one costs rendering time."""

INLINE: Final = "data:;base64,"
"""Prefix of the URL of an image whose bytes are in the request."""

MAX_COUNT = 10
"""Most images of a create, chosen for the emulator: the service documents 1, the models' own pages up to 9."""

_LONG_SIDE = {"540P": 256, "720P": 320, "768P": 320, "1K": 320, "1080P": 400, "2K": 480, "4K": 640}
"""Pixels of a video's longer side, by Resolution; an image's side is twice as long. Other values count as 720P."""

_RATIO = re.compile(r"([1-9]\d{0,3})[:xX*]([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class ImageOrder:
    prompt: str
    label: str
    """The model's name and version, for the picture's corner."""
    size: tuple[int, int]
    count: int
    format: Format

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats of the results, one for each result. The same for the other orders."""
        return (self.format,) * self.count


@dataclass(frozen=True, slots=True)
class VideoOrder:
    prompt: str
    label: str
    size: tuple[int, int]
    seconds: int
    audio: bool
    first_url: str
    """The URL of the first frame: empty for none, a `data:` URL for an image in the request. The same for `last_url`,
    the last frame."""
    last_url: str

    @property
    def formats(self) -> tuple[Format, ...]:
        return ("mp4",)

    @property
    def needs_frames(self) -> bool:
        return bool(self.first_url or self.last_url)

    def without_data(self) -> "VideoOrder":
        """The order for the time when its frames are stored elsewhere: of a `data:` URL, megabytes, only the prefix."""
        return replace(self, first_url=_without_data(self.first_url), last_url=_without_data(self.last_url))


@dataclass(frozen=True, slots=True)
class AudioOrder:
    prompt: str
    label: str
    seconds: int
    format: Format
    film: VideoOrder | None
    """The video that gets a sound: an order of its own, since the video in the request is not fetched."""
    count: int = 1
    """The number of audios. The video comes after them."""
    flaw: str = ""
    """The reason why the task of an accepted order fails; empty for none."""

    @property
    def formats(self) -> tuple[Format, ...]:
        audios = (self.format,) * self.count
        return audios if self.film is None else (*audios, "mp4")


Order: TypeAlias = ImageOrder | VideoOrder | AudioOrder


def _without_data(url: str) -> str:
    return INLINE if url.startswith(INLINE) else url


def label_of(fields: Mapping[str, Json]) -> str:
    return f"{text_of(fields, 'ModelName')} {text_of(fields, 'ModelVersion')}".strip()


def within(name: str, value: float, most: int, least: int = 1) -> float:
    """The value. Raises Refused if it is out of range."""
    if not least <= value <= most:
        raise out_of_range(name, f"from {least} to {most}")
    return value


def out_of_range(name: str, rule: str) -> Refused:
    return Refused("InvalidParameterValue", f"The parameter `{name}` must be {rule}.")


def missing(name: str, also: str = "") -> Refused:
    return Refused("MissingParameter", f"The request is missing the parameter `{name}`{also}.")


def image_size(output: Mapping[str, Json], additional: str) -> tuple[int, int]:
    """Width and height of an image. `output` is the object with the fields AspectRatio and Resolution; `additional` is
    the JSON text of AdditionalParameters, whose `size` counts before AspectRatio. Only the ratio of `size` is kept.

    >>> image_size({"AspectRatio": "1:1"}, ""), image_size({}, '{"size":"768x1024"}')
    ((640, 640), (480, 640))
    """
    return _size(_size_parameter(additional) or text_of(output, "AspectRatio"), 2 * _long_side(output))


def video_size(output: Mapping[str, Json]) -> tuple[int, int]:
    """Width and height of a video, as for `image_size`."""
    return _size(text_of(output, "AspectRatio"), _long_side(output))


def image_format(name: str) -> Format:
    """The format of an image by its documented name, `jpeg` or `png`; the default is png."""
    return "jpg" if name == "jpeg" else "png"


def _size_parameter(additional: str) -> str:
    """The size in AdditionalParameters, where Hunyuan and Qwen take it: `{"size":"1024x1024"}`."""
    document: Json = json.loads(additional or "{}")
    return text_of(document, "size") if isinstance(document, Mapping) else ""


def _long_side(output: Mapping[str, Json]) -> int:
    return _LONG_SIDE.get(text_of(output, "Resolution").upper(), _LONG_SIDE["720P"])


def _size(ratio: str, long_side: int) -> tuple[int, int]:
    """Width and height, both even: yuv420p halves them. The default ratio is 16:9, as for most models."""
    match = _RATIO.fullmatch(ratio)
    width, height = (int(match[1]), int(match[2])) if match else (16, 9)
    scale = long_side / max(width, height)
    return max(16, round(width * scale / 2) * 2), max(16, round(height * scale / 2) * 2)
