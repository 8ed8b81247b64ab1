"""VOD's creates as orders: read the checked fields of a request, and apply the rules beyond their types.

The relay's creates arrive here too, translated into VOD's fields. Each function raises Refused.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Final

from ..tasks.fields import Json, integer_of, number_of, table_of, tables_of, text_of
from ..tasks.orders import (
    DEFAULT_SECONDS,
    INLINE,
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
from .audio_orders import audio_order

MAX_BASE64 = 7 * 1024 * 1024
"""Bytes of all files together, before Base64: "所有文件的文件大小总和不能超过 7 MB"."""

MAX_MEDIA_NAME: Final = 64

_SOURCE: Final[Mapping[str, str]] = {"File": "FileId", "Url": "Url", "Base64": "Base64"}
"""The field that holds a file, by the file's Type."""


def order_of(kind: Kind, fields: Mapping[str, Json]) -> Order:
    """The order of a create. `fields` are checked against the kind's table."""
    if kind == "audio":
        return _audio(fields)
    # "必选" on the actions' pages, as the relay's copy of them says: 模型名称 and 模型版本, "必需".
    for name in ("ModelName", "ModelVersion"):
        if not text_of(fields, name):
            raise missing(name)
    if not text_of(fields, "Prompt") and not fields.get("FileInfos"):
        raise missing("Prompt", ", and has no FileInfos either")
    within("TasksPriority", integer_of(fields, "TasksPriority", 0), most=10, least=-10)
    output = _output(fields)
    files = tables_of(fields, "FileInfos")
    _check_files(files)
    return _video(fields, output, files) if kind == "video" else _image(fields, output)


def _output(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    output = table_of(fields, "OutputConfig")
    if len(text_of(output, "MediaName")) > MAX_MEDIA_NAME:
        raise out_of_range("OutputConfig.MediaName", f"at most {MAX_MEDIA_NAME} characters")
    return output


def _audio(fields: Mapping[str, Json]) -> AudioOrder:
    """An audio: its page requires neither model nor version (2026-05-19)."""
    inputs = [(name, file) for name in ("VideoInfos", "AudioInfos") for file in tables_of(fields, name)]
    for name, file in inputs:
        source = _SOURCE[text_of(file, "Type") or "File"]
        if not text_of(file, source):
            raise missing(f"{name}.{source}")
    prompt, output = text_of(fields, "Prompt"), _output(fields)
    if not prompt and not inputs:
        raise missing("Prompt", ", and has neither VideoInfos nor AudioInfos")
    seconds = int(within("OutputConfig.Duration", integer_of(output, "Duration", 0), MAX_SECONDS, least=0))
    format_field = ("OutputConfig.OutputAudioFormat", text_of(output, "OutputAudioFormat"))
    return audio_order(fields, prompt, format_field, seconds)


def _image(fields: Mapping[str, Json], output: Mapping[str, Json]) -> ImageOrder:
    count = integer_of(output, "OutputImageCount", 1)
    return ImageOrder(
        prompt=text_of(fields, "Prompt"),
        label=label_of(fields),
        size=image_size(output, _additional(text_of(fields, "ExtInfo"))),
        count=int(within("OutputConfig.OutputImageCount", count, MAX_COUNT)),
        format=image_format(text_of(output, "OutputFormat")),
    )


def _video(fields: Mapping[str, Json], output: Mapping[str, Json], files: list[Mapping[str, Json]]) -> VideoOrder:
    first, last = _frame(files, "FirstFrame"), _frame(files, "LastFrame")
    if last is None and (text_of(fields, "LastFrameUrl") or text_of(fields, "LastFrameFileId")):
        last = {"Type": "Url", "Url": text_of(fields, "LastFrameUrl")}
    if last is not None and first is None:  # "可以单独传首帧，不能单独传尾帧"
        raise out_of_range("FileInfos", "given a first frame where there is a last one")
    seconds = number_of(output, "Duration", DEFAULT_SECONDS)
    return VideoOrder(
        prompt=text_of(fields, "Prompt"),
        label=label_of(fields),
        size=video_size(output),
        seconds=round(within("OutputConfig.Duration", seconds, MAX_SECONDS)),
        audio=text_of(output, "AudioGeneration") == "Enabled",
        first_url=_url(first),
        last_url=_url(last),
    )


def _frame(files: list[Mapping[str, Json]], usage: str) -> Mapping[str, Json] | None:
    """The one image of this Usage. An image without a Usage is a FirstFrame."""
    frames = [
        file
        for file in files
        if text_of(file, "Category") in {"", "Image"} and (text_of(file, "Usage") or "FirstFrame") == usage
    ]
    if len(frames) > 1:  # "支持各一张"
        raise out_of_range("FileInfos", f"given one {usage} at most (it has {len(frames)})")
    return frames[0] if frames else None


def _url(file: Mapping[str, Json] | None) -> str:
    """The URL of an image to fetch. Empty for a media file of VOD's own: the emulator has no media library."""
    if file is None or text_of(file, "Type") == "File":
        return ""
    base64 = text_of(file, "Base64")
    return INLINE + base64 if text_of(file, "Type") == "Base64" else text_of(file, "Url")


def _check_files(files: list[Mapping[str, Json]]) -> None:
    total = 0
    for index, file in enumerate(files):
        source = _SOURCE[text_of(file, "Type") or "File"]
        if not text_of(file, source):
            raise missing(f"FileInfos.{index}.{source}")
        if source == "Base64":
            total += _decoded_size(f"FileInfos.{index}.Base64", text_of(file, source))
    if total > MAX_BASE64:
        raise out_of_range("FileInfos", f"at most {MAX_BASE64} bytes together (they have {total})")


def _decoded_size(path: str, base64: str) -> int:
    try:
        return len(b64decode(base64, validate=True))
    except ValueError as error:  # "不要有data:image/jpeg;base64,之类的前缀"
        raise out_of_range(path, "Base64, without a prefix") from error


def _additional(extension: str) -> str:
    """The AdditionalParameters in an ExtInfo. Both are strings that hold a JSON document."""
    try:
        outer: Json = json.loads(extension or "{}")
        inner = text_of(outer, "AdditionalParameters") if isinstance(outer, Mapping) else ""
        json.loads(inner or "{}")
    except ValueError:  # the field is reserved for private agreements, so ignore a text that is no JSON
        return ""
    return inner
