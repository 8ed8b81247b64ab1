"""Texts from outside, made safe to store and show: one line, without the user's secrets and without signatures.

A relay or a proxy may quote a request's headers in its answer, and the answer's texts go into errors, logs, events, the
ledger and the report. So `Calls.attempt` masks every value and error that an answer or a transport gives it; the
floors above need no masking of their own.

The quotation may be cut, wrapped, escaped or encoded. So a secret is found by its pieces of WIDTH characters, in any
letter case: in the plain text, in Base64, and below percent, HTML and backslash escapes.
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
"""Fewest characters of a secret that are masked. A shorter secret belongs to a test, such as `key`, and masking it
would blank out ordinary words. A longer secret is found by any piece of this length, so that no text shows more than 7
of its characters in a row."""

ID_WIDTH: Final = 16
"""Fewest characters in a row that are masked in an id. An id names a paid task or its file and is useless once masked.
An id may share a word or the account's number with a key (`aigc-image`, 10 digits); an id that quotes a key shares more
characters."""

MASK: Final = "***"

MOST_KEPT: Final = 4000
"""Most characters of one text that are kept: the services' messages have a few hundred, and a ledger's row is no place
for a page of HTML."""

ESCAPED_MOST: Final = 3
"""Most layers of escapes that are removed before the search: an HTML page in a JSON text in a JSON text has three."""

_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))")
_URL: Final = re.compile(r"://[!#-&(-;=?-~]*")
"""A URL from its host on. The pattern matches a whole URL, which is then divided. Trap: a pattern for the query itself
starts again at each `://` and takes minutes for an answer full of them."""
_QUERY: Final = re.compile(r"[?#].*")
"""A URL's query and fragment, the place of signatures; the path stays."""
_USER: Final = re.compile(r"(://)[^/\s?#]*@")
"""A URL's user name and password. A password may contain an `@`."""
_SIGNED: Final = re.compile(r"(?:TC3-HMAC-SHA256\b.{0,400}?)?Signature=[0-9a-f]*", re.IGNORECASE)
"""An Authorization header of the API 3.0, or the rest of a cut one."""
_URL_FIELD: Final = re.compile(r"urls?$|^videos$")
"""Names of the fields whose texts are URLs. URLs are fetched, so they never change, but for a signature of our own."""
_KEY_FOR_COS: Final = re.compile(r"\?(?:.*&)?q-ak=([^&]*)")
"""The SecretId in a URL that is signed for COS."""
_ID_FIELD: Final = re.compile(r"ids?$|^twins$")
"""Names of the fields whose texts are ids."""


def _encoded(secret: str) -> set[str]:
    """The Base64 forms of a secret inside a longer text, without the characters that depend on its neighbours."""
    raw = secret.encode(errors="surrogatepass")
    whole = {b64encode(bytes(offset) + raw).decode()[-(-4 * offset // 3) :].rstrip("=")[:-1] for offset in range(3)}
    return whole | {text.translate({ord("+"): "-", ord("/"): "_"}) for text in whole}


_SIGNED_IN_BASE64: Final = tuple(sorted(_encoded("TC3-HMAC-SHA256") | _encoded("q-sign-algorithm")))
"""Marks of the API's signatures and of COS's."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_=-]{12,}")


def one_line(text: str) -> str:
    """Put a text on one line, bounded, without invisible characters and without those that steer a terminal.

    >>> one_line("line\\r\\nfeed \\x1b[31mred \\u202egnp.exe")
    'line feed [31mred gnp.exe'
    """
    if len(text) > MOST_KEPT:
        text = text[: MOST_KEPT - 1] + "…"
    return without_invisible(text)


class Mask:
    """Hides secrets in texts, values and errors.

    >>> Mask(["sk-0123456789"]).text("Invalid key: Bearer sk-0123456789")
    'Invalid key: Bearer ***'
    """

    __slots__ = ("_id_width", "_pieces")

    def __init__(self, secrets: Iterable[str]) -> None:
        long_enough = [secret for secret in secrets if len(secret) >= WIDTH]
        texts = [form for secret in long_enough for form in (secret, *_encoded(secret))]
        self._pieces = frozenset(piece for text in texts for piece in _pieces_of(text))
        self._id_width = min([ID_WIDTH, *map(len, long_enough)])

    def __repr__(self) -> str:
        return "<Mask>"

    def text(self, text: str, signature: str = "") -> str:
        """Mask a text from outside. `signature` is the signature of the request that the text answers."""
        return self._mask_text(text, signature, WIDTH)

    def _mask_text(self, text: str, signature: str, width: int) -> str:
        text = self._hide(one_line(text), signature, width)
        # An error's text already has stand-ins where invisible characters parted a secret.
        plain = _unescaped(text).replace(STAND_IN, "")
        # If the unescaped text holds a secret, the result is the unescaped one: people can read it as well.
        if plain != text and (masked_plain := self._hide(plain, signature, width)) != plain:
            text = masked_plain
        return _USER.sub(r"\1", _URL.sub(_without_query, text)) if "://" in text else text

    def value(self, value: T, signature: str = "") -> T:
        """Mask the texts of a decoded answer, without its URLs. A plain dict is returned unchanged: it is a raw answer
        that the user asked for."""
        if not is_dataclass(value) or isinstance(value, type):
            return value
        changes: dict[str, object] = {}
        for name in _url_fields(type(value)):
            urls: object = getattr(value, name)
            if urls and (bare := self._unsigned(urls)) != urls:
                changes[name] = bare
        for name in _masked_fields(type(value)):
            before: object = getattr(value, name)
            width = self._id_width if _ID_FIELD.search(name) else WIDTH
            if before and (after := self._inner(before, signature, width)) != before:
                changes[name] = after
        return cast("T", replace(cast("Any", value), **changes)) if changes else value

    def error(self, error: ErrorT, signature: str = "") -> ErrorT:
        """Mask the texts of an error, and remove its chain and its frames: they hold the answer, or a foreign exception
        that may quote the request."""
        for name, attribute in vars(error).items():
            if isinstance(attribute, str) and name not in ("job_id", "action"):
                setattr(error, name, self.text(attribute, signature))
        error.args = tuple(
            self.text(arg, signature) if isinstance(arg, str) else type(arg).__name__ for arg in error.args
        )
        if notes := getattr(error, "__notes__", None):
            error.__notes__ = [self.text(str(note), signature) for note in notes]
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)

    def _inner(self, value: object, signature: str, width: int) -> object:
        if isinstance(value, str):
            return self._mask_text(value, signature, width)
        if isinstance(value, tuple):
            return tuple(self._inner(item, signature, width) for item in value)
        if isinstance(value, dict):
            # A masked id names nothing any more, so its entry is dropped.
            return {
                key: item for key, item in value.items() if self._inner((key, item), signature, width) == (key, item)
            }
        return self.value(value, signature)

    def _unsigned(self, urls: object) -> object:
        """URLs without signatures by our own keys for COS: an answer that repeats the URL of an input has one."""
        if isinstance(urls, tuple):
            return tuple(self._unsigned(url) for url in urls)
        if not isinstance(urls, str) or not (key := _KEY_FOR_COS.search(urls)):
            return urls
        return urls if self._hide(key[1], "", self._id_width) == key[1] else urls.partition("?")[0]

    def _hide(self, text: str, signature: str, width: int) -> str:
        if len(text) < WIDTH:
            return text
        if "=" in text:
            text = _SIGNED.sub(MASK, text)
        if any(mark in text for mark in _SIGNED_IN_BASE64):
            text = _BASE64.sub(lambda run: MASK if any(mark in run[0] for mark in _SIGNED_IN_BASE64) else run[0], text)
        low, pieces = _lowered(text), self._pieces
        if any(signature[at : at + WIDTH] in low for at in range(0, len(signature), WIDTH)):
            pieces |= _pieces_of(signature)
        places = [at for at in range(len(low) - WIDTH + 1) if low[at : at + WIDTH] in pieces]
        return _without(text, _in_runs(places, width)) if places else text


@cache
def _url_fields(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if _URL_FIELD.search(field.name))


@cache
def _masked_fields(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if not _URL_FIELD.search(field.name))


def _pieces_of(secret: str) -> set[str]:
    low = _lowered(secret)
    return {low[at : at + WIDTH] for at in range(len(low) - WIDTH + 1)}


def _in_runs(places: list[int], width: int) -> list[int]:
    """The places of the pieces that form at least `width` characters in a row."""
    if width == WIDTH:
        return places
    every = set(places)
    first = [at for at in places if every.issuperset(range(at, at + width - WIDTH + 1))]
    return sorted({at + more for at in first for more in range(width - WIDTH + 1)})


def _without(text: str, places: list[int]) -> str:
    """Put MASK in place of the pieces that begin at these places."""
    result, end = "", 0
    for start in places:
        if start > end or not result:
            result += text[end:start] + MASK
        end = start + WIDTH
    return result + text[end:]


def _without_query(url: re.Match[str]) -> str:
    return _QUERY.sub(f"?{MASK}", url[0])


def _lowered(text: str) -> str:
    """The text in lower case, each character at its place: only `İ` would become two characters."""
    return text.replace("\u0130", "I").lower()


def _unescaped(text: str) -> str:
    """The text without its percent, HTML and backslash escapes."""
    for _ in range(ESCAPED_MOST):
        if not any(mark in text for mark in "%&\\"):
            break
        text = one_line(_ESCAPED.sub(_unescaped_one, unescape(unquote(text))))
    return text


def _unescaped_one(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else escape[3]
