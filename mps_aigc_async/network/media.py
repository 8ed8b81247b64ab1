"""Whether downloaded bytes are a result, and the suffix of their file.

Pure. The first bytes decide, then the content type, then the URL's path: a storage may serve a picture as `text/plain`,
and a gateway may serve its error page as `image/png`. The signatures come from the IANA media type registrations and
https://mimesniff.spec.whatwg.org/ (2026-11); a row from another source cites it.
"""

import codecs
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from ..model.states import Kind

HEAD_BYTES: Final = 1024
"""Bytes of a result that are examined: the signatures lie within 262, but an SVG may begin with a comment."""

_MP4: Final = (".mp4", ".m4a", ".m4v")
_SIGNATURES: Final[tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), suffixes)
    for pattern, suffixes in (
        # If several suffixes share a signature, the content type or the path chooses, then the requested kind, else the
        # first suffix.
        (rb"\x89PNG\r\n\x1a\n", (".png",)),
        (rb"\xff\xd8\xff", (".jpg",)),
        (rb"GIF8[79]a", (".gif",)),
        (rb"RIFF.{4}WEBP", (".webp",)),
        (rb"RIFF.{4}WAVE", (".wav",)),
        (rb"RIFF.{4}AVI ", (".avi",)),
        (rb"BM.{4}\0{4}", (".bmp",)),  # the reserved field of a BITMAPFILEHEADER is zero
        (rb"II\*\0|MM\0\*", (".tiff",)),
        (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", (".jxl",)),  # ISO/IEC 18181-2
        (rb".{4}ftyp(?:avif|avis)|.{4}ftyp.{4}.{4}(?:.{4}){0,8}?avif", (".avif",)),  # AVIF 1.1, brands
        (rb".{4}ftyp(?:hei[cxms]|hev[cmxs]|mif1|msf1)", (".heic",)),  # ISO/IEC 23008-12
        (rb".{4}ftyp(?:M4A |M4B )", (".m4a",)),
        (rb".{4}ftypM4V ", (".m4v", ".mp4")),
        (rb".{4}ftypqt  |.{4}(?:moov|mdat|wide|skip|free)", (".mov", ".mp4")),  # Apple's QuickTime File Format
        (rb".{4}ftyp", _MP4),
        (rb"\x1a\x45\xdf\xa3.{0,60}?webm", (".webm", ".weba")),
        (rb"\x1a\x45\xdf\xa3", (".mkv", ".mka")),
        (rb"FLV\x01", (".flv",)),
        (rb"ID3[\x02-\x04]", (".mp3", ".aac", ".flac")),  # id3.org: a tag that may stand before each of these
        (rb"\xff[\xf0\xf1\xf8\xf9]", (".aac",)),  # ADTS, ISO/IEC 13818-7: layer 0
        (rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", (".mp3",)),  # ISO/IEC 11172-3: layer III
        (rb"ADIF", (".aac",)),
        (rb"fLaC", (".flac",)),
        (rb"OggS", (".ogg", ".opus", ".ogv")),
        (rb"FORM.{4}AIF[FC]", (".aiff",)),
        (rb"#!AMR", (".amr",)),
        (rb"glTF[\x01\x02]\0\0\0", (".glb",)),  # Khronos glTF 2.0, binary container
        (rb"Kaydara FBX Binary  \0", (".fbx",)),
        (rb"ply\r?\n", (".ply",)),
        (rb"PK\x03\x04", (".zip", ".usdz", ".3mf")),
    )
)

CONTENT_TYPES: Final = {
    "image/png": ".png",
    "image/x-png": ".png",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/pjpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/x-ms-bmp": ".bmp",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/heif": ".heic",
    "image/tiff": ".tiff",
    "image/jxl": ".jxl",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "video/x-m4v": ".m4v",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "audio/x-matroska": ".mka",
    "video/x-msvideo": ".avi",
    "video/x-flv": ".flv",
    "video/ogg": ".ogv",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/m4a": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/aac": ".aac",
    "audio/x-aac": ".aac",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/x-wav": ".wav",
    "audio/aiff": ".aiff",
    "audio/x-aiff": ".aiff",
    "audio/amr": ".amr",
    "audio/webm": ".weba",
    "model/gltf-binary": ".glb",
    "model/gltf+json": ".gltf",
    "model/obj": ".obj",
    "model/stl": ".stl",
    "model/ply": ".ply",
    "model/vnd.usdz+zip": ".usdz",
    "application/zip": ".zip",
    "application/x-zip-compressed": ".zip",
}
"""Suffixes by media type: IANA's registry, and unregistered names that storages use (2026-11)."""

SUFFIXES: Final = frozenset({*CONTENT_TYPES.values(), ".jpeg", ".tif", ".fbx"})
"""Suffixes that a result may have. A URL's path may have others (`.php`, `.exe`): they are ignored."""

USUAL_SUFFIX: Final = {Kind.IMAGE: ".png", Kind.VIDEO: ".mp4", Kind.AUDIO: ".mp3"}

_MEDIA: Final = {
    suffix: Kind(medium)
    for content_type, suffix in CONTENT_TYPES.items()
    if (medium := content_type.partition("/")[0]) in set(Kind)
}

_IN_PATH: Final = re.compile(r"\.[a-z0-9]{2,5}$")
_TEXT_TYPE: Final = re.compile(r"text/.*|application/(.+\+)?(xml|json|html)")
"""Content types of pages that gateways, captive portals and storages send instead of a result."""
_MARKUP: Final = re.compile(r"[\s\ufeff]*[<{\[]")
_SVG: Final = re.compile(
    r"[\s\ufeff]*(?>(?:<\?.*?\?>|<!--.*?-->|<!doctype\s+svg[^\[>]*(?:\[.*?\]\s*)?>)\s*)*+<(?:[\w.-]+:)?svg[\s>/]",
    re.DOTALL | re.IGNORECASE,
)
"""The first element is `svg`: an HTML page may hold an `svg` further on, and an error's text may name it."""
_BINARY: Final = re.compile(r"[\0-\x08\x0e-\x1a]")
_UNREADABLE: Final = re.compile(r"[\0-\x08\x0e-\x1a\x7f\ufffd]")
"""Characters in no text of UTF-8. A page of markup may be in another encoding."""
_TEXT_SUFFIXES: Final = frozenset({".obj", ".gltf", ".stl"})
"""3D formats that are text; a PLY has a signature."""


def suffix_for(head: bytes, content_type: str, url: str, kind: Kind) -> str | None:
    """Return the suffix of a result that begins with `head`; None for a text page, which is not a result.

    >>> suffix_for(b"RIFF....WEBPVP8 ", "image/png", "https://r.example/a.php?sign=x", Kind.IMAGE)
    '.webp'
    >>> suffix_for(b"<html><title>502", "image/png", "https://r.example/a.png", Kind.IMAGE) is None
    True
    """
    content_type = content_type.lower()
    labels = [suffix for suffix in (CONTENT_TYPES.get(content_type), _in_path(url)) if suffix is not None]
    by_content = formats_of(head)
    if by_content:
        by_label = [suffix for suffix in labels if suffix in by_content]
        by_kind = [suffix for suffix in by_content if _MEDIA.get(suffix) is kind]
        return [*by_label, *by_kind, *by_content][0]
    if _is_page(head, content_type, labels):
        return None
    return labels[0] if labels else USUAL_SUFFIX[kind]


def medium_of(suffix: str, otherwise: Kind) -> Kind:
    """Return the kind that a suffix belongs to; `otherwise` for 3D models, archives and others without a kind."""
    return _MEDIA.get(suffix, otherwise)


def formats_of(head: bytes) -> tuple[str, ...]:
    """Return the suffixes that a file with this head may have, by its signature; empty for an unknown signature."""
    suffixes = next((suffixes for pattern, suffixes in _SIGNATURES if pattern.match(head)), ())
    return suffixes or ((".svg",) if _SVG.match(_text(head)) else ())


def _is_page(head: bytes, content_type: str, labels: Sequence[str]) -> bool:
    """Whether bytes of no known signature are a page: text by their content type, or by the bytes themselves.

    No picture, film or sound is all text, and `404 page not found` may come as image/png."""
    if content_type.startswith("model/"):  # some 3D formats are text
        return False
    text = _text(head)
    if _TEXT_TYPE.fullmatch(content_type) is not None or _is_markup(text):
        return True
    return _UNREADABLE.search(text) is None and not (labels and labels[0] in _TEXT_SUFFIXES)


def _is_markup(text: str) -> bool:
    return _MARKUP.match(text) is not None and not _BINARY.search(text)


def _text(head: bytes) -> str:
    utf_16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    # Incremental: the head may end within a letter.
    return codecs.getincrementaldecoder("utf-16" if utf_16 else "utf-8")(errors="replace").decode(head)


def _in_path(url: str) -> str | None:
    try:
        match = _IN_PATH.search(unquote(urlsplit(url).path).lower())
    except ValueError:  # brackets without an address
        return None
    return match[0] if match and match[0] in SUFFIXES else None
