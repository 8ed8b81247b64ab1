"""Texts of strangers, made fit to be kept and shown: one line, without our secrets and without signatures.

A relay or a proxy may quote a request's headers in its answer, and the answer's texts go into errors, logs, events, the
ledger and the report. So `Calls.attempt` masks every value and error that an answer or a transport gives it, and
nothing above has to think of it.

A stranger's quotation may be cut, wrapped, escaped or encoded. So a secret is found by its pieces of WIDTH characters,
in any letter case, in the text as it is, in Base64, and below percent, HTML and backslash escapes.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from html import unescape
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote

from ..model.errors import AigcError
from ..model.plain_text import STAND_IN, without_invisible

T = TypeVar("T")
ErrorT = TypeVar("ErrorT", bound=AigcError)

WIDTH: Final = 8
"""Characters. A shorter secret is not masked: it is a test's, such as `key`, and would blank out ordinary words. A
longer one is found by any piece of this length, so that no text shows more than 7 characters of it in a row."""

ID_WIDTH: Final = 16
"""The same of an id, which names a paid task or its file: masked, it is lost. It may share a word or the account's
number with a key (`aigc-image`, 10 digits), and one that quotes a key shows more of it."""

MASK: Final = "***"

MOST_KEPT: Final = 4000
"""Most characters kept of one text: the services' messages have a few hundred, and a ledger's row is no place for a
page of HTML."""

ESCAPED_MOST: Final = 3
"""Layers of escapes that are looked below: an HTML page in a JSON text in a JSON text has three."""

_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))")
_URL: Final = re.compile(r"://[!#-&(-;=?-~]*")
"""A URL from its host on. It is matched whole, and divided then: a pattern that looks for the query itself looks again
from each `://`, and takes minutes for an answer full of them."""
_QUERY: Final = re.compile(r"[?#].*")
"""A URL's query and fragment, where signatures stand; its path stays."""
_USER: Final = re.compile(r"(://)[^/\s?#]*@")
"""A URL's user name and password, which may have an `@` in it."""
_SIGNED: Final = re.compile(r"(?:TC3-HMAC-SHA256\b.{0,400}?)?Signature=[0-9a-f]*", re.IGNORECASE)
"""An Authorization header of the API 3.0, or what is left of one."""
_URL_FIELD: Final = re.compile(r"urls?$|^videos$")
"""Names of the fields whose texts are URLs: values to fetch from, never changed."""
_ID_FIELD: Final = re.compile(r"ids?$|^twins$")
"""Names of the fields whose texts are ids."""


def _encoded(secret: str) -> set[str]:
    """The Base64 of a secret inside a longer text, without the characters at its ends that depend on its neighbours."""
    raw = secret.encode(errors="surrogatepass")
    whole = {b64encode(bytes(offset) + raw).decode()[-(-4 * offset // 3) :].rstrip("=")[:-1] for offset in range(3)}
    return whole | {text.translate({ord("+"): "-", ord("/"): "_"}) for text in whole}


_SIGNED_IN_BASE64: Final = tuple(sorted(_encoded("TC3-HMAC-SHA256")))
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_=-]{12,}")


def one_line(text: str) -> str:
    """The text on one line, bounded, without characters that steer a terminal or cannot be seen.

    >>> one_line("line\\r\\nfeed \\x1b[31mred \\u202egnp.exe")
    'line feed [31mred gnp.exe'
    """
    if len(text) > MOST_KEPT:
        text = text[: MOST_KEPT - 1] + "…"
    return without_invisible(text)


class Mask:
    """Hides some secrets wherever they stand.

    >>> Mask(["sk-0123456789"]).text("Invalid key: Bearer sk-0123456789")
    'Invalid key: Bearer ***'
    """

    __slots__ = ("_id_width", "_pieces")

    def __init__(self, secrets: Iterable[str]) -> None:
        masked = [secret for secret in secrets if len(secret) >= WIDTH]
        texts = [form for secret in masked for form in (secret, *_encoded(secret))]
        self._pieces = frozenset(piece for text in texts for piece in _pieces_of(text))
        self._id_width = min([ID_WIDTH, *map(len, masked)])

    def __repr__(self) -> str:
        return "<Mask>"

    def text(self, text: str, signature: str = "") -> str:
        """A stranger's text, masked. `signature` is the one of the request that it answers."""
        return self._masked(text, signature, WIDTH)

    def _masked(self, text: str, signature: str, width: int) -> str:
        text = self._hidden(one_line(text), signature, width)
        # An error's text has stand-ins already, where invisible characters parted a secret.
        plain = _unescaped(text).replace(STAND_IN, "")
        # Below its escapes it is for people as well; with the escapes it would still hold the secret.
        if plain != text and (hidden := self._hidden(plain, signature, width)) != plain:
            text = hidden
        return _USER.sub(r"\1", _URL.sub(_without_query, text)) if "://" in text else text

    def value(self, value: T, signature: str = "") -> T:
        """A decoded answer with its texts masked, its URLs as they are. A plain dict, which is a raw answer that the
        user asked for, is returned as it is."""
        if not is_dataclass(value) or isinstance(value, type):
            return value
        changed: dict[str, object] = {}
        for name in _masked_fields(type(value)):
            before: object = getattr(value, name)
            width = self._id_width if _ID_FIELD.search(name) else WIDTH
            if before and (after := self._inner(before, signature, width)) != before:
                changed[name] = after
        return cast("T", replace(cast("Any", value), **changed)) if changed else value

    def error(self, error: ErrorT, signature: str = "") -> ErrorT:
        """The same error with its texts masked, and without the chain and the frames that lead to it: these hold the
        answer, or a foreign exception that may quote the request."""
        for name, known in vars(error).items():
            if isinstance(known, str) and name not in ("job_id", "action"):
                setattr(error, name, self.text(known, signature))
        error.args = tuple(
            self.text(arg, signature) if isinstance(arg, str) else type(arg).__name__ for arg in error.args
        )
        if notes := getattr(error, "__notes__", None):
            error.__notes__ = [self.text(str(note), signature) for note in notes]
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)

    def _inner(self, value: object, signature: str, width: int) -> object:
        if isinstance(value, str):
            return self._masked(value, signature, width)
        if isinstance(value, tuple):
            return tuple(self._inner(item, signature, width) for item in value)
        if isinstance(value, dict):
            # An id that had to be masked names nothing any more.
            return {
                key: item for key, item in value.items() if self._inner((key, item), signature, width) == (key, item)
            }
        return self.value(value, signature)

    def _hidden(self, text: str, signature: str, width: int) -> str:
        if len(text) < WIDTH:
            return text
        if "=" in text:
            text = _SIGNED.sub(MASK, text)
        if any(mark in text for mark in _SIGNED_IN_BASE64):
            text = _BASE64.sub(lambda run: MASK if any(mark in run[0] for mark in _SIGNED_IN_BASE64) else run[0], text)
        low, pieces = _lowered(text), self._pieces
        if any(signature[at : at + WIDTH] in low for at in range(0, len(signature), WIDTH)):
            pieces |= _pieces_of(signature)
        found = [at for at in range(len(low) - WIDTH + 1) if low[at : at + WIDTH] in pieces]
        return _without(text, _in_runs(found, width)) if found else text


@cache
def _masked_fields(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if not _URL_FIELD.search(field.name))


def _pieces_of(secret: str) -> set[str]:
    low = _lowered(secret)
    return {low[at : at + WIDTH] for at in range(len(low) - WIDTH + 1)}


def _in_runs(found: list[int], width: int) -> list[int]:
    """The places of those pieces that make up at least `width` characters in a row."""
    if width == WIDTH:
        return found
    places = set(found)
    first = [at for at in found if places.issuperset(range(at, at + width - WIDTH + 1))]
    return sorted({at + more for at in first for more in range(width - WIDTH + 1)})


def _without(text: str, found: list[int]) -> str:
    """The text with MASK in place of the pieces that begin at these places."""
    kept, end = "", 0
    for start in found:
        if start > end or not kept:
            kept += text[end:start] + MASK
        end = start + WIDTH
    return kept + text[end:]


def _without_query(url: re.Match[str]) -> str:
    return _QUERY.sub(f"?{MASK}", url[0])


def _lowered(text: str) -> str:
    """In lower case, with every character at its place: `İ` is the only one that becomes two."""
    return text.replace("\u0130", "I").lower()


def _unescaped(text: str) -> str:
    """The text below its percent, HTML and backslash escapes."""
    for _ in range(ESCAPED_MOST):
        if not any(mark in text for mark in "%&\\"):
            break
        text = one_line(_ESCAPED.sub(_unescaped_one, unescape(unquote(text))))
    return text


def _unescaped_one(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else escape[3]
