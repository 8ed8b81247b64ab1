"""The columns that a table may have: each is a field of a request, by its English path or its Chinese name. Pure."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from ..model.inputs import ReferenceImage, ReferenceVideo, Subject
from ..model.requests import AudioRequest, CosStore, ImageRequest, VideoRequest
from ..model.spelling import closest, letters
from ..model.states import Kind
from ..model.value import Value
from ..model.vod_options import VodFile, VodOptions


class Content(Enum):
    """The content of a column's cells."""

    PROSE = auto()
    """Text that is kept as written, such as a prompt."""
    WORD = auto()
    """A short name or a ratio, whose full-width letters and blanks mean the plain ones."""
    WHOLE = auto()
    FLAG = auto()
    SOURCE = auto()
    """A URL or a path."""
    SOURCES = auto()
    """URLs or paths, one a line."""
    JSON = auto()
    """An object or a list, as JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a request as a column."""

    path: tuple[str, ...]
    """`("id",)`, `("video", "duration")` or `("video", "vod", "seed")`."""
    content: Content
    chinese: str = ""
    """Its Chinese name; empty for a field that has none."""

    @property
    def name(self) -> str:
        return ".".join(self.path)


_REQUESTS: Final[Mapping[Kind, type[Value]]] = {
    Kind.IMAGE: ImageRequest,
    Kind.VIDEO: VideoRequest,
    Kind.AUDIO: AudioRequest,
}

KINDS: Final = {Kind.IMAGE: "图片", Kind.VIDEO: "视频", Kind.AUDIO: "音频"}
"""The Chinese names of kinds, as the MPS guide (2026-05-29) has them."""

FIELDS: Final = {
    "prompt": "提示词",
    "negative_prompt": "反向提示词",
    "enhance_prompt": "优化提示词",
    "model_name": "模型",
    "model_version": "模型版本",
    "scene_type": "场景",
    "aspect_ratio": "宽高比",
    "resolution": "分辨率",
    "duration": "时长",
    "enable_audio": "生成声音",
    "enable_bgm": "背景音乐",
    "off_peak": "错峰",
    "output_count": "张数",
    "output_format": "格式",
    "images": "参考图",
    "first_frame": "首帧",
    "last_frame": "尾帧",
    "videos": "参考视频",
    "audios": "参考音频",
    "subjects": "主体",
    "lyrics": "歌词",
    "resource_id": "歌曲编号",
    "logo_add": "水印",
    "additional_parameters": "附加参数",
    "operator": "操作人",
}
"""The Chinese names of fields; a column's is the kind's before it, such as 视频时长."""

ID_NAMES: Final = ("编号", "镜号", "镜头", "镜头号")

_PROSE: Final = frozenset({"prompt", "negative_prompt", "lyrics"})
_SOURCES: Final = frozenset({"first_frame", "last_frame", "url", "image"})
_NOTES: Final = frozenset({"note", "notes", "remark", "remarks", "comment", "comments", "备注", "说明", "注释"})


def _columns() -> Iterator[Column]:
    yield Column(("id",), Content.PROSE, ID_NAMES[0])
    for kind, request in _REQUESTS.items():
        for name, content in _fields_of(request):
            if name not in ("id", "vod", "store"):
                chinese = KINDS[kind] + FIELDS[name] if name in FIELDS else ""
                yield Column((kind.value, name), content, chinese)
        for name, content in _fields_of(CosStore):
            yield Column((kind.value, "store", name), content)
        for name, content in _fields_of(VodOptions):
            yield Column((kind.value, "vod", name), content)


def _fields_of(model: type[Value]) -> Iterator[tuple[str, Content]]:
    for name, field in model.model_fields.items():
        yield name, Content.PROSE if name in _PROSE else _content(name, field.annotation)


def _content(name: str, annotation: object) -> Content:
    """The content of a field's cells, by the field's type."""
    types = set(_types_in(annotation))
    if types & {Subject, VodFile} or dict in types:
        return Content.JSON
    if tuple in types:
        return Content.SOURCES
    if bool in types:
        return Content.FLAG
    if int in types:
        return Content.WHOLE
    return Content.SOURCE if name in _SOURCES else Content.WORD


def _types_in(annotation: object) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _types_in(part)
    elif origin is not None:
        yield origin
        for part in get_args(annotation):
            yield from (one for one in _types_in(part) if one in (Subject, VodFile, ReferenceImage, ReferenceVideo))
    else:
        yield annotation


COLUMNS: Final = tuple(_columns())

_BY_NAME: Final[Mapping[str, Column]] = {
    **{letters(column.name): column for column in COLUMNS},
    **{column.chinese: column for column in COLUMNS if column.chinese},
    **dict.fromkeys(ID_NAMES, COLUMNS[0]),
}


def plain(text: str) -> str:
    """A text's plain letters, digits and blanks: those of an East Asian keyboard have the same meaning.

    >>> plain("１６：９"), plain("\\u00a0Kling\\u30003.0 ")
    ('16:9', 'Kling 3.0')
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())


def column_of(header: str) -> Column | None:
    """The column of a header cell; None for an unknown one.

    >>> column_of("Video.Duration").name, column_of("视频时长（秒）").name, column_of("price")
    ('video.duration', 'video.duration', None)
    """
    text = plain(header)
    by_letters = _BY_NAME.get(letters(text))
    return by_letters or _BY_NAME.get("".join(text.partition("(")[0].split()))


def is_note(header: str) -> bool:
    """Whether a header cell says that its column is for people: `#…`, notes, 备注."""
    text = plain(header).casefold()
    return text.startswith("#") or text in _NOTES


def hint_for(header: str) -> str:
    """A hint about an unknown header cell; empty without one."""
    text = plain(header)
    field = next((name for name, chinese in FIELDS.items() if text == chinese), letters(text))
    of_kinds = [column for column in COLUMNS if len(column.path) == 2 and letters(column.path[1]) == letters(field)]
    if of_kinds:
        names = [column.chinese if text in FIELDS.values() else column.name for column in of_kinds]
        return f"is {' or '.join(names)} meant?"
    close = closest(text, [column.name for column in COLUMNS]) or closest(text, [c.chinese for c in COLUMNS])
    return f"is {close} meant?" if close else ""
