"""Keys, kept so that they do not leak."""

import hashlib
import re
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from ..model.errors import ConfigError

_QUOTES: Final = frozenset({'""', "''", "``", "“”", "‘’", "「」", "«»"})
_BEARER: Final = re.compile(r"(?:authorization\s*:\s*)?bearer(?:\s+|$)", re.IGNORECASE)


def stripped(secret: SecretStr) -> SecretStr:
    """Without what a copied key brings along: blanks, line ends, invisible characters and quotes around it.

    A container's secret file often ends with a line's end, which no header can carry.

    >>> stripped(SecretStr(' "key"\\n')).get_secret_value()
    'key'
    """
    text, before = secret.get_secret_value(), None
    while text != before:
        before = text
        text = _trimmed(text)
        if len(text) > 1 and text[0] + text[-1] in _QUOTES:
            text = text[1:-1]
    return SecretStr(text)


def without_scheme(secret: SecretStr) -> SecretStr:
    """A bearer's key without the words before it: documents show it as `Authorization: Bearer KEY`."""
    secret = stripped(secret)
    return stripped(SecretStr(_BEARER.sub("", secret.get_secret_value(), count=1)))


def _trimmed(text: str) -> str:
    odd = [at for at, char in enumerate(text) if not _is_invisible(char)]
    return text[odd[0] : odd[-1] + 1] if odd else ""


def _is_invisible(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) in ("Cc", "Cf")


def fault_in(secret: SecretStr) -> str:
    """Why a text is no key, without showing it; empty for one that may be.

    Keys travel in HTTP headers, and a header that cannot be sent would look like a network's fault, time and again.

    >>> fault_in(SecretStr("two words"))
    'has a blank in it, and a key is printable ASCII without blanks: copy it again'
    """
    odd = next((char for char in secret.get_secret_value() if not "!" <= char <= "~"), "")
    if not odd:
        return ""
    if odd in "\r\n":
        what = "a line end"
    elif odd.isspace():
        what = "a blank"
    else:
        what = "a control character" if ord(odd) < 0x80 else f"the character U+{ord(odd):04X}"
    return f"has {what} in it, and a key is printable ASCII without blanks: copy it again"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair of Tencent Cloud, with the session token of temporary ones.

    Neither the SecretKey nor the token is in a repr, nor in a traceback that shows its variables. Raises ConfigError
    for what no HTTP header can carry.
    """

    secret_id: str
    secret_key: SecretStr
    token: SecretStr | None = None
    expires_at: datetime | None = field(default=None, repr=False, compare=False)
    """When temporary ones end, with its zone; None if that is not known. Keys are the same whatever is known of it."""

    def __post_init__(self) -> None:
        faults = {
            "secret_id": fault_in(SecretStr(self.secret_id)),
            "secret_key": fault_in(self.secret_key),
            "token": fault_in(self.token or SecretStr("")),
        }
        for name, fault in faults.items():
            if fault:
                raise ConfigError(f"{name} {fault}")
        if self.expires_at is not None and self.expires_at.utcoffset() is None:
            # Taken for the local time, one of UTC would be hours off, and the keys be used past their end.
            raise ConfigError("expires_at names no time zone: write it as datetime.fromtimestamp(seconds, UTC)")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not be quoted: the SecretId too, which is half of a pair."""
        return (self.secret_id, *(secret.get_secret_value() for secret in (self.secret_key, self.token) if secret))

    @property
    def account(self) -> str:
        """A name for the account of this key that may be written down: enough to tell two apart, not enough to use.

        >>> Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")).account
        'AKID…PLE#7a898e50'
        """
        known = hashlib.sha256(self.secret_id.encode()).hexdigest()[:8]
        return f"{self.secret_id[:4]}…{self.secret_id[-3:]}#{known}"


CredentialSource = Callable[[], Awaitable[Credentials]]
"""Gets new credentials, and never blocks the loop: `async def refresh() -> Credentials`."""
