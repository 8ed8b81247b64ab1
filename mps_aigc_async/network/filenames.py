"""File names for requests' ids: readable, always inside the folder, never the same for two ids.

Pure. An id may hold any character. A file system allows fewer, and may treat two names as one: Windows and macOS ignore
letter case, macOS ignores Unicode's normal forms, Windows drops a trailing dot and reserves names such as CON
(https://learn.microsoft.com/windows/win32/fileio/naming-a-file, 2026-11).
"""

import hashlib
import re
import unicodedata
from typing import Final

MAX_NAME_BYTES: Final = 200
"""Bytes of a file name without its suffix: file systems allow 255, and `.part` and a number are added."""

_DIGEST: Final = 12
"""Hex digits that tell two names apart: 48 bits, for the ids of one folder."""

_CUT: Final = re.compile(rf".+-[0-9a-f]{{{_DIGEST}}}", re.DOTALL)
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?:\.|$)", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"%[0-9A-F]{2}")


def stem_of(request_id: str, *, encoding: str = "utf-8", folds_case: bool = False) -> str:
    """Return the file name, without suffix, for a request's id.

    Every printable character of `encoding` that each file system can hold stays; any other one becomes `%` and its hex,
    so that two ids never share a name. If the file system folds letter case, a name that folding would change gets a
    digest of its id.

    >>> stem_of("shot-001"), stem_of("../镜头 1"), stem_of("镜", encoding="latin-1"), stem_of("con.1")
    ('shot-001', '%2E.%2F镜头 1', '%E9%95%9C', '%63on.1')
    >>> stem_of("A1", folds_case=True), stem_of("a1", folds_case=True)
    ('A1~16a36e86f6fe', 'a1')
    """
    name = "".join(char if _stays(char, encoding) else _hex(char) for char in request_id)
    if name.startswith((".", " ")) or _RESERVED.match(name):  # hidden, the folder above, or Windows' own
        name = _hex(name[0]) + name[1:]
    if name.endswith((".", " ")):  # Windows drops them
        name = name[:-1] + _hex(name[-1])
    if folds_case and _folded(name) != _lowered(name):
        return _with_digest(name, request_id, "~")  # no other name contains a tilde
    if len(name.encode()) > MAX_NAME_BYTES or _looks_shortened(name):
        return _with_digest(name, request_id, "-")
    return name


_NOT_IN_NAMES: Final = frozenset('/\\:*?"<>|%+~')
"""Windows' reserved characters, and those that have a meaning here: the escape, the number of a file, the digest."""


def _stays(char: str, encoding: str) -> bool:
    # A combining mark would be a second spelling of its letter on macOS.
    if not char.isprintable() or char in _NOT_IN_NAMES or unicodedata.category(char).startswith("M"):
        return False
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _hex(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogatepass"))


def _lowered(name: str) -> str:
    """Return the name with its escapes in lower case. Every name has them in upper case, so no information is lost."""
    return _ESCAPE.sub(lambda escape: escape[0].lower(), name)


def _folded(name: str) -> str:
    """Return the name in the form that a case-folding file system may compare: lower or upper case, composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).upper().casefold())


def _looks_shortened(name: str) -> bool:
    """Whether a name could be the shortened name of a longer id: cutting within a letter removes up to 3 more bytes."""
    return len(name.encode()) > MAX_NAME_BYTES - 4 and _CUT.fullmatch(name) is not None


def _with_digest(name: str, request_id: str, mark: str) -> str:
    digest = hashlib.sha256(request_id.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    cut = name.encode()[: MAX_NAME_BYTES - _DIGEST - 1].decode(errors="ignore")
    return f"{cut}{mark}{digest}"
