"""VOD's creates, read: the checked fields of a request, the relay's translated ones included, and the rules beyond
their types. Each raises Refused."""

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

MAX_BASE64 = 7 * 1024 * 1024
"""Bytes of all files together, before Base64: "所有文件的文件大小总和不能超过 7 MB"."""

MAX_MEDIA_NAME: Final = 64

_SOURCE: Final[Mapping[str, str]] = {"File": "FileId", "Url": "Url", "Base64": "Base64"}
"""The field that holds the file, by its Type."""


def order_of(kind: Kind, fields: Mapping[str, Json]) -> Order:
    """`fields` are checked against the kind's table."""
    # "必选" on the actions' pages, as the relay's copy of them says: 模型名称 and 模型版本, "必需".
    for name in ("ModelName", "ModelVersion"):
        if not text_of(fields, name):
            raise missing(name)
    if not text_of(fields, "Prompt") and not fields.get("FileInfos"):
        raise missing("Prompt", ", and has no FileInfos either")
    within("TasksPriority", integer_of(fields, "TasksPriority", 0), most=10, least=-10)
    output = table_of(fields, "OutputConfig")
    if len(text_of(output, "MediaName")) > MAX_MEDIA_NAME:
        raise out_of_range("OutputConfig.MediaName", f"at most {MAX_MEDIA_NAME} characters")
    files = tables_of(fields, "FileInfos")
    _check_files(files)
    return _video(fields, output, files) if kind == "video" else _image(fields, output)


def _image(fields: Mapping[str, Json], output: Mapping[str, Json]) -> ImageOrder:
    ratio = asked_size(_additional(text_of(fields, "ExtInfo"))) or text_of(output, "AspectRatio")
    count = integer_of(output, "OutputImageCount", 1)
    return ImageOrder(
        prompt=text_of(fields, "Prompt"),
        label=label_of(fields),
        size=image_size(ratio, text_of(output, "Resolution")),
        count=int(within("OutputConfig.OutputImageCount", count, MAX_COUNT)),
        format="jpg" if text_of(output, "OutputFormat") == "jpeg" else "png",
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
        size=video_size(text_of(output, "AspectRatio"), text_of(output, "Resolution")),
        seconds=round(within("OutputConfig.Duration", seconds, MAX_SECONDS)),
        audio=text_of(output, "AudioGeneration") == "Enabled",
        first_url=_url(first),
        last_url=_url(last),
    )


def _frame(files: list[Mapping[str, Json]], usage: str) -> Mapping[str, Json] | None:
    """The one image of this Usage; FirstFrame is what an image is that says none."""
    found = [
        file
        for file in files
        if text_of(file, "Category") in {"", "Image"} and (text_of(file, "Usage") or "FirstFrame") == usage
    ]
    if len(found) > 1:  # "支持各一张"
        raise out_of_range("FileInfos", f"given one {usage} at most (it has {len(found)})")
    return found[0] if found else None


def _url(file: Mapping[str, Json] | None) -> str:
    """Where the image is fetched. One of VOD's own media files is not: the emulator has no library of them."""
    if file is None or text_of(file, "Type") == "File":
        return ""
    encoded = text_of(file, "Base64")
    return INLINE + encoded if text_of(file, "Type") == "Base64" else text_of(file, "Url")


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


def _decoded_size(path: str, encoded: str) -> int:
    try:
        return len(b64decode(encoded, validate=True))
    except ValueError as error:  # "不要有data:image/jpeg;base64,之类的前缀"
        raise out_of_range(path, "Base64, without a prefix") from error


def _additional(extension: str) -> str:
    """AdditionalParameters of an ExtInfo: a JSON document in a string of a JSON document in a string."""
    try:
        outer: Json = json.loads(extension or "{}")
        inner = text_of(outer, "AdditionalParameters") if isinstance(outer, Mapping) else ""
        json.loads(inner or "{}")
    except ValueError:  # reserved for what is agreed upon: what can't be read says nothing
        return ""
    return inner
