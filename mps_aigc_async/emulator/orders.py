"""What a create asks for, as values: the checked fields of a request, read once, and the rules beyond their types.

Sizes are a fraction of what the service renders (1280x720 and more): every result is a real file, and a demo renders
dozens of them on a laptop.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .fields import Json, flag_of, integer_of, table_of, text_of
from .refusal import Refused

Kind: TypeAlias = Literal["image", "video"]
Format: TypeAlias = Literal["png", "jpg", "mp4"]

MAX_PROMPT: Final[Mapping[Kind, int]] = {"image": 1000, "video": 2000}
"""Characters. Image: CreateAigcImageTask, "最大支持1000字符"; video: the AIGC guide of 2026-05-29."""

DEFAULT_SECONDS = 5
"""Of a video without Duration: the default of Kling, Vidu, PixVerse and H2 (Hailuo's is 6)."""

MAX_SECONDS = 60
"""Ours: the longest documented is 16, and a longer one only costs time to render."""

MAX_COUNT = 10
"""Ours: the service documents 1 and the models' own pages up to 9."""

_LONG_SIDE = {"540P": 256, "720P": 320, "768P": 320, "1K": 320, "1080P": 400, "2K": 480, "4K": 640}
"""Pixels of a video's longer side, by Resolution; an image's is twice that. Unknown ones are like 720P."""

_RATIO = re.compile(r"([1-9]\d{0,3})[:xX*]([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class ImageOrder:
    prompt: str
    label: str
    """The model's name and version, for the picture's corner."""
    size: tuple[int, int]
    count: int
    format: Format


@dataclass(frozen=True, slots=True)
class VideoOrder:
    prompt: str
    label: str
    size: tuple[int, int]
    seconds: int
    audio: bool
    first_url: str
    """The image to begin with; empty for none. The same for `last_url`, the image to end with."""
    last_url: str
    count: int = 1
    format: Format = "mp4"

    @property
    def needs_frames(self) -> bool:
        return bool(self.first_url or self.last_url)


Order: TypeAlias = ImageOrder | VideoOrder


def image_order(fields: Mapping[str, Json]) -> ImageOrder:
    """Raises Refused. `fields` are checked against CREATE_IMAGE."""
    extra = table_of(fields, "ExtraParameters")
    _check_logo(extra)
    asked = text_of(extra, "OutputFormat") or "png"
    if asked not in {"png", "jpeg"}:
        raise _out_of_range("ExtraParameters.OutputFormat", "jpeg or png")
    return ImageOrder(
        prompt=_prompt(fields, "image", has_picture=bool(fields.get("ImageInfos"))),
        label=_label(fields),
        size=_size(_asked_size(fields) or text_of(extra, "AspectRatio"), 2 * _long_side(extra)),
        count=_within(fields, "OutputImageCount", 1, MAX_COUNT),
        format="jpg" if asked == "jpeg" else "png",
    )


def video_order(fields: Mapping[str, Json]) -> VideoOrder:
    """Raises Refused. `fields` are checked against CREATE_VIDEO."""
    extra = table_of(fields, "ExtraParameters")
    _check_logo(extra)
    first_url = text_of(fields, "ImageUrl")
    return VideoOrder(
        prompt=_prompt(fields, "video", has_picture=bool(first_url or fields.get("ImageInfos"))),
        label=_label(fields),
        size=_size(text_of(extra, "AspectRatio"), _long_side(extra)),
        seconds=_within(fields, "Duration", DEFAULT_SECONDS, MAX_SECONDS),
        audio=flag_of(extra, "EnableAudio"),
        first_url=first_url,
        last_url=text_of(fields, "LastImageUrl"),
    )


def _prompt(fields: Mapping[str, Json], kind: Kind, *, has_picture: bool) -> str:
    prompt = text_of(fields, "Prompt")
    if not prompt and not has_picture:
        raise Refused("MissingParameter", "The request is missing the parameter `Prompt`, and has no image either.")
    if len(prompt) > MAX_PROMPT[kind]:
        raise _out_of_range("Prompt", f"at most {MAX_PROMPT[kind]} characters (it has {len(prompt)})")
    return prompt


def _label(fields: Mapping[str, Json]) -> str:
    return f"{text_of(fields, 'ModelName')} {text_of(fields, 'ModelVersion')}".strip()


def _check_logo(extra: Mapping[str, Json]) -> None:
    if integer_of(extra, "LogoAdd", 0) not in {0, 1}:
        raise _out_of_range("ExtraParameters.LogoAdd", "0 or 1")


def _within(fields: Mapping[str, Json], name: str, default: int, most: int) -> int:
    value = integer_of(fields, name, default)
    if not 1 <= value <= most:
        raise _out_of_range(name, f"from 1 to {most}")
    return value


def _out_of_range(name: str, rule: str) -> Refused:
    return Refused("InvalidParameterValue", f"The parameter `{name}` must be {rule}.")


def _asked_size(fields: Mapping[str, Json]) -> str:
    """Hunyuan and Qwen take the size in AdditionalParameters, `{"size":"1024x1024"}`; only its shape is kept."""
    document: Json = json.loads(text_of(fields, "AdditionalParameters") or "{}")
    return text_of(document, "size") if isinstance(document, Mapping) else ""


def _long_side(extra: Mapping[str, Json]) -> int:
    return _LONG_SIDE.get(text_of(extra, "Resolution").upper(), _LONG_SIDE["720P"])


def _size(ratio: str, long_side: int) -> tuple[int, int]:
    """Width and height, both even: yuv420p halves them. What is not a ratio is 16:9, the models' usual default."""
    match = _RATIO.fullmatch(ratio)
    width, height = (int(match[1]), int(match[2])) if match else (16, 9)
    scale = long_side / max(width, height)
    return max(16, round(width * scale / 2) * 2), max(16, round(height * scale / 2) * 2)
