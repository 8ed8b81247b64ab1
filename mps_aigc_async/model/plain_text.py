"""Text that neither steers a terminal nor hides anything from its reader.

Pure. Prompts, ids, file names and the service's messages come from outside. Escape sequences recolour or erase a line,
set a window's title and answer as if the user typed. Marks of direction let `gnp.exe` read as `exe.png`. Invisible
characters make two ids look alike or carry a hidden message (https://trojansource.codes, 2021; "ASCII smuggling" by tag
characters and variation selectors, 2024).

Chinese text and emoji stay readable: wide blanks, joiners inside an emoji or a word, and single variation selectors.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

STAND_IN: Final = "\ufffd"
"""Stands for a character that is not shown, so that the reader sees a gap."""

_JOINERS: Final = "\u200c\u200d"
"""Zero-width joiner and non-joiner: emoji, Persian and the scripts of India need them (Unicode 15.1, section 23.2)."""

_BLANK_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks without ink that Python calls printable (Unicode's Default_Ignorable_Code_Point, and the empty
Braille pattern)."""

_SELECTOR: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Variation selectors. A single selector chooses a character's form, as emoji or as a Chinese variant; a row of
selectors is hidden data."""

_BREAKS: Final = re.compile(r"[\r\n\t\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""Every character that Python, a terminal or an editor takes for the end of a line, and tabs."""


CUT: Final = "a text was cut in the middle of a character (an unpaired surrogate)"
"""The fault of a text that no UTF-8 can carry: JSON (`"\\ud83c"`) and Python's file names can hold it."""


def is_cut(text: str) -> bool:
    """Whether a text holds half a character.

    >>> is_cut("shot-\\udcff"), is_cut("镜头")
    (True, False)
    """
    return any("\ud800" <= char <= "\udfff" for char in text)


def visible(text: str) -> str:
    """Put a stand-in for each character that steers a terminal or cannot be seen; line ends and tabs stay.

    >>> visible("red: \\x1b[31m"), visible("\\u202egnp.exe"), visible("黑\\u3000猫 👩\\u200d🎨")
    ('red: �[31m', '�gnp.exe', '黑\\u3000猫 👩\\u200d🎨')
    """
    return text if text.isprintable() and text.isascii() else "".join(_visible_parts(text, STAND_IN, "\n\t"))


def visible_line(text: str) -> str:
    """Make a text visible on a single line, so that a foreign message cannot look like a second message of this
    program.

    >>> visible_line("no\\r\\nerror: pay again\\x1b[31m")
    'no error: pay again�[31m'
    """
    return visible(_BREAKS.sub(" ", text))


def without_invisible(text: str) -> str:
    """Drop such characters without a stand-in, to search a text for secrets: an invisible character must split none.

    >>> without_invisible("sk-\\u200b01\\r\\n23")
    'sk-01 23'
    """
    return text if text.isprintable() and text.isascii() else "".join(_visible_parts(_BREAKS.sub(" ", text), "", ""))


def _visible_parts(text: str, stand_in: str, exceptions: str) -> Iterator[str]:
    before = ""
    for at, char in enumerate(text):
        if char in exceptions or _has_ink(char, before, text[at + 1 : at + 2]):
            yield char
        else:
            yield stand_in
        before = char


def _has_ink(char: str, before: str, after: str) -> bool:
    if char in _JOINERS:  # between two characters of a script that joins; in ASCII it would only hide
        return before > "\x7f" and after > "\x7f" and before not in _JOINERS and after not in _JOINERS
    if _SELECTOR.fullmatch(char):
        return before != "" and not _SELECTOR.fullmatch(before)
    if char in _BLANK_LETTERS:
        return False
    return char.isprintable() or unicodedata.category(char) == "Zs"
