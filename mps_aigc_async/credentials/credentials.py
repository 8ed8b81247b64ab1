"""Keys, in a form that does not leak."""

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


def strip_key(secret: SecretStr) -> SecretStr:
    """Remove blanks, line ends, invisible characters and quotes around a copied key.

    A container's secret file often ends with a line end, and no header can carry one.

    >>> strip_key(SecretStr(' "key"\\n')).get_secret_value()
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
    """Remove the words before a bearer's key: documents show it as `Authorization: Bearer KEY`."""
    secret = strip_key(secret)
    return strip_key(SecretStr(_BEARER.sub("", secret.get_secret_value(), count=1)))


def _trimmed(text: str) -> str:
    visible = [at for at, char in enumerate(text) if not _is_invisible(char)]
    return text[visible[0] : visible[-1] + 1] if visible else ""


def _is_invisible(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) in ("Cc", "Cf")


def fault_in(secret: SecretStr) -> str:
    """The reason why a text cannot be a key, without the text itself; empty if it can be one.

    Keys travel in HTTP headers. A header that cannot be sent would look like a network fault, and be retried.

    >>> fault_in(SecretStr("two words"))
    'has a blank in it, and a key is printable ASCII without blanks: copy it again'
    """
    odd = next((char for char in secret.get_secret_value() if not "!" <= char <= "~"), "")
    if not odd:
        return ""
    if odd in "\r\n":
        name = "a line end"
    elif odd.isspace():
        name = "a blank"
    else:
        name = "a control character" if ord(odd) < 0x80 else f"the character U+{ord(odd):04X}"
    return f"has {name} in it, and a key is printable ASCII without blanks: copy it again"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair of Tencent Cloud, with the session token if the keys are temporary.

    Neither the SecretKey nor the token appears in a repr or in a traceback that shows variables. Raises ConfigError for
    a text that no HTTP header can carry.
    """

    secret_id: str
    secret_key: SecretStr
    token: SecretStr | None = None
    expires_at: datetime | None = field(default=None, repr=False, compare=False)
    """When temporary keys expire, with a time zone; None if unknown. Equality of credentials ignores it."""

    def __post_init__(self) -> None:
        secrets: dict[str, object] = {"secret_key": self.secret_key, "token": self.token or SecretStr("")}
        for name, secret in secrets.items():
            if not isinstance(secret, SecretStr):  # a plain text would stand in a repr
                raise ConfigError(f"{name} is a {type(secret).__name__}: give pydantic's SecretStr({name})")
        faults = {
            "secret_id": fault_in(SecretStr(self.secret_id)),
            "secret_key": fault_in(self.secret_key),
            "token": fault_in(self.token or SecretStr("")),
        }
        for name, fault in faults.items():
            if fault:
                raise ConfigError(f"{name} {fault}")
        if self.expires_at is not None and self.expires_at.utcoffset() is None:
            # Read as local time, a UTC time could be hours late: the keys would be used after they expired.
            raise ConfigError("expires_at names no time zone: write it as datetime.fromtimestamp(seconds, UTC)")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not be quoted. The SecretId counts: it is half of a pair."""
        return (self.secret_id, *(secret.get_secret_value() for secret in (self.secret_key, self.token) if secret))

    @property
    def account(self) -> str:
        """A name for the key's account that may be stored: it tells two accounts apart and cannot sign anything.

        >>> Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")).account
        'AKID…PLE#7a898e50'
        """
        digest = hashlib.sha256(self.secret_id.encode()).hexdigest()[:8]
        return f"{self.secret_id[:4]}…{self.secret_id[-3:]}#{digest}"


CredentialSource = Callable[[], Awaitable[Credentials]]
"""Returns new credentials and never blocks the loop: `async def refresh() -> Credentials`."""
