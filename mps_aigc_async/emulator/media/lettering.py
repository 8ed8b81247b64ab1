"""Text on a picture: wrapped lines, also of Chinese, in a font with Latin and Chinese glyphs."""

import re
from functools import cache
from importlib.resources import as_file, files

from PIL import Image, ImageDraw, ImageFont

_FONT = files("noto_cjk_sans_otc") / "NotoSansCJK-Regular.ttc"
_SIMPLIFIED_CHINESE = 2
"""The face's index in the collection, whose order is JP, KR, SC, TC, HK."""

_CJK = r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
_CLOSING = r"[、。〉》」』】〕！），．：；？）”’…]"
"""Characters that never start a line, so they go with the character before."""

_WORD = re.compile(rf"{_CJK}{_CLOSING}*|(?:(?!{_CJK})\S)+|\s+")


@cache
def font(pixels: int) -> ImageFont.FreeTypeFont:
    with as_file(_FONT) as path:
        return ImageFont.truetype(str(path), pixels, index=_SIMPLIFIED_CHINESE)


def printable(text: str) -> str:
    """The text without characters that no font can draw: lone surrogates (JSON allows them) and control characters."""
    whole = text.encode(errors="replace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in whole)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int, most_lines: int) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces and between Chinese characters; an ellipsis ends a cut text."""
    lines = [""]
    for word in _WORD.findall(printable(text)):
        if face.getlength(lines[-1] + word.rstrip()) <= width:
            lines[-1] += word
        elif lines[-1]:
            lines.append(word.lstrip())
        else:  # a word wider than the line runs over the edge
            lines[-1] = word
        if len(lines) > most_lines:
            return [
                *(line.rstrip() for line in lines[: most_lines - 1]),
                _shorten(lines[most_lines - 1], face, width),
            ]
    return [line.rstrip() for line in lines]


def _shorten(line: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    while line and face.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def write(picture: Image.Image, prompt: str, label: str) -> None:
    """The prompt in the picture's lower part, on a shade that rises from the edge, and a small label above it."""
    width, height = picture.size
    short = min(width, height)
    size, margin = max(11, short // 14), max(8, short // 16)
    face, small = font(size), font(max(8, size * 3 // 5))
    lines = wrap(prompt, face, width - 2 * margin, most_lines=4) if prompt else []
    line_height = round(size * 1.32)
    top = height - margin - line_height * len(lines)
    _shade(picture, max(0, top - 3 * size))
    draw = ImageDraw.Draw(picture)
    draw.text((margin, top - round(size * 0.95)), printable(label), font=small, fill=(255, 255, 255, 190))
    for number, line in enumerate(lines):
        draw.text((margin, top + number * line_height), line, font=face, fill="white")


def _shade(picture: Image.Image, top: int) -> None:
    width, height = picture.size
    ramp = Image.linear_gradient("L").resize((width, height - top)).point([round(value * 0.78) for value in range(256)])
    picture.paste((6, 8, 20), (0, top, width, height), ramp)
