"""MPS's creates, read: the checked fields of a request, and the rules beyond their types. Each raises Refused."""

from collections.abc import Mapping
from typing import Final

from ..tasks.fields import Json, flag_of, integer_of, table_of, text_of
from ..tasks.orders import (
    DEFAULT_SECONDS,
    MAX_COUNT,
    MAX_SECONDS,
    AudioOrder,
    Format,
    ImageOrder,
    Kind,
    Order,
    VideoOrder,
    asked_size,
    image_size,
    label_of,
    missing,
    out_of_range,
    video_size,
    within,
)

MAX_PROMPT: Final[Mapping[Kind, int]] = {"image": 1000, "video": 2000, "audio": 2000}
"""Characters. Image: CreateAigcImageTask, "最大支持1000字符"; video: the AIGC guide of 2026-05-29; audio:
CreateAigcAudioTask, "最大支持2000字符"."""

AUDIO_SECONDS = 3
"""Ours: no field asks for a length, and a few seconds are a few kilobytes."""

_AUDIO_FORMATS: Final[Mapping[str, Format]] = {"": "mp3", "mp3": "mp3", "wav": "wav"}
"""By OutputAudioFormat. The document names no values; these two are ours."""


def order_of(kind: Kind, fields: Mapping[str, Json]) -> Order:
    """`fields` are checked against the kind's table."""
    match kind:
        case "image":
            return _image(fields)
        case "video":
            return _video(fields)
        case "audio":
            return _audio(fields)


def _image(fields: Mapping[str, Json]) -> ImageOrder:
    extra = table_of(fields, "ExtraParameters")
    _check_logo(extra)
    asked = text_of(extra, "OutputFormat") or "png"
    if asked not in {"png", "jpeg"}:
        raise out_of_range("ExtraParameters.OutputFormat", "jpeg or png")
    ratio = asked_size(text_of(fields, "AdditionalParameters")) or text_of(extra, "AspectRatio")
    return ImageOrder(
        prompt=_prompt(fields, "image", "ImageInfos"),
        label=label_of(fields),
        size=image_size(ratio, text_of(extra, "Resolution")),
        count=int(within("OutputImageCount", integer_of(fields, "OutputImageCount", 1), MAX_COUNT)),
        format="jpg" if asked == "jpeg" else "png",
    )


def _video(fields: Mapping[str, Json]) -> VideoOrder:
    extra = table_of(fields, "ExtraParameters")
    _check_logo(extra)
    return VideoOrder(
        prompt=_prompt(fields, "video", "ImageUrl", "ImageInfos"),
        label=label_of(fields),
        size=video_size(text_of(extra, "AspectRatio"), text_of(extra, "Resolution")),
        seconds=int(within("Duration", integer_of(fields, "Duration", DEFAULT_SECONDS), MAX_SECONDS)),
        audio=flag_of(extra, "EnableAudio"),
        first_url=text_of(fields, "ImageUrl"),
        last_url=text_of(fields, "LastImageUrl"),
    )


def _audio(fields: Mapping[str, Json]) -> AudioOrder:
    asked = text_of(table_of(fields, "ExtraParameters"), "OutputAudioFormat").lower()
    if asked not in _AUDIO_FORMATS:
        raise out_of_range("ExtraParameters.OutputAudioFormat", "mp3 or wav")
    prompt, label = _prompt(fields, "audio", "VideoInfos", "AudioInfos"), label_of(fields)
    film = VideoOrder(prompt, label, video_size("", ""), AUDIO_SECONDS, audio=True, first_url="", last_url="")
    return AudioOrder(
        prompt=prompt,
        label=label,
        seconds=AUDIO_SECONDS,
        format=_AUDIO_FORMATS[asked],
        film=film if fields.get("VideoInfos") else None,
    )


def _prompt(fields: Mapping[str, Json], kind: Kind, *instead: str) -> str:
    """Needed unless one of the fields `instead` of it is set."""
    prompt = text_of(fields, "Prompt")
    if not prompt and not any(fields.get(name) for name in instead):
        raise missing("Prompt", f", and has none of {', '.join(instead)} either")
    if len(prompt) > MAX_PROMPT[kind]:
        raise out_of_range("Prompt", f"at most {MAX_PROMPT[kind]} characters (it has {len(prompt)})")
    return prompt


def _check_logo(extra: Mapping[str, Json]) -> None:
    if integer_of(extra, "LogoAdd", 0) not in {0, 1}:
        raise out_of_range("ExtraParameters.LogoAdd", "0 or 1")
