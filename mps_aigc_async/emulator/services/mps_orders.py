"""MPS's creates as orders: read the checked fields of a request, and apply the rules beyond their types.

Each function raises Refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ..tasks.fields import Json, flag_of, integer_of, table_of, text_of
from ..tasks.orders import (
    DEFAULT_SECONDS,
    MAX_COUNT,
    MAX_SECONDS,
    AudioOrder,
    ImageOrder,
    Kind,
    Order,
    VideoOrder,
    image_format,
    image_size,
    label_of,
    missing,
    out_of_range,
    video_size,
    within,
)
from ..tasks.place import Place
from .audio_orders import AUDIO_SECONDS, audio_order, flaw_of, require_scene_and_version

MAX_PROMPT: Final[Mapping[Kind, int]] = {"image": 1000, "video": 2000, "audio": 2000}
"""Characters. Image: CreateAigcImageTask, "最大支持1000字符"; video: the AIGC guide of 2026-05-29; audio:
CreateAigcAudioTask, "最大支持2000字符"."""


def order_of(kind: Kind, fields: Mapping[str, Json]) -> Order:
    """The order of a create. `fields` are checked against the kind's table."""
    match kind:
        case "image":
            return _image(fields)
        case "video":
            return _video(fields)
        case "audio":
            return _audio(fields)


def place_of(fields: Mapping[str, Json]) -> Place | None:
    """Where the results go; None for MPS's own storage."""
    if "StoreCosParam" not in fields:
        return None
    store = table_of(fields, "StoreCosParam")
    for name in ("CosBucketName", "CosBucketRegion"):  # "需要cos存储时，该值必填" (AigcStoreCosParam, SDK 3.1.194)
        if not text_of(store, name):
            raise missing(f"StoreCosParam.{name}")
    folder = text_of(store, "CosBucketPath").strip("/")
    return Place(text_of(store, "CosBucketName"), text_of(store, "CosBucketRegion"), folder)


def _image(fields: Mapping[str, Json]) -> ImageOrder:
    extra = table_of(fields, "ExtraParameters")
    _check_logo(extra)
    output_format = text_of(extra, "OutputFormat")
    if output_format not in {"", "png", "jpeg"}:
        raise out_of_range("ExtraParameters.OutputFormat", "jpeg or png")
    return ImageOrder(
        prompt=_prompt(fields, "image", "ImageInfos"),
        label=label_of(fields),
        size=image_size(extra, text_of(fields, "AdditionalParameters")),
        count=int(within("OutputImageCount", integer_of(fields, "OutputImageCount", 1), MAX_COUNT)),
        format=image_format(output_format),
    )


def _video(fields: Mapping[str, Json]) -> VideoOrder:
    extra = table_of(fields, "ExtraParameters")
    _check_logo(extra)
    return VideoOrder(
        prompt=_prompt(fields, "video", "ImageUrl", "ImageInfos"),
        label=label_of(fields),
        size=video_size(extra),
        seconds=int(within("Duration", integer_of(fields, "Duration", DEFAULT_SECONDS), MAX_SECONDS)),
        audio=flag_of(extra, "EnableAudio"),
        first_url=text_of(fields, "ImageUrl"),
        last_url=text_of(fields, "LastImageUrl"),
    )


def _audio(fields: Mapping[str, Json]) -> AudioOrder:
    extra = table_of(fields, "ExtraParameters")
    prompt = _prompt(fields, "audio", "VideoInfos", "AudioInfos")
    require_scene_and_version(fields)
    format_field = ("ExtraParameters.OutputAudioFormat", text_of(extra, "OutputAudioFormat"))
    order = audio_order(fields, prompt, format_field, seconds=AUDIO_SECONDS)  # MPS has no field for the length
    return replace(order, flaw=flaw_of(fields, text_of(extra, "ResourceId")))


def _prompt(fields: Mapping[str, Json], kind: Kind, *instead: str) -> str:
    """The prompt, which is required unless one of the fields `instead` is set."""
    prompt = text_of(fields, "Prompt")
    if not prompt and not any(fields.get(name) for name in instead):
        raise missing("Prompt", f", and has none of {', '.join(instead)} either")
    if len(prompt) > MAX_PROMPT[kind]:
        raise out_of_range("Prompt", f"at most {MAX_PROMPT[kind]} characters (it has {len(prompt)})")
    return prompt


def _check_logo(extra: Mapping[str, Json]) -> None:
    if integer_of(extra, "LogoAdd", 0) not in {0, 1}:
        raise out_of_range("ExtraParameters.LogoAdd", "0 or 1")
