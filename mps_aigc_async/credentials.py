"""Keys, kept so that they do not leak."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import SecretStr

from .errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair of Tencent Cloud, with the session token of temporary ones.

    Neither the SecretKey nor the token is in a repr, nor in a traceback that shows its variables.
    """

    secret_id: str
    secret_key: SecretStr
    token: SecretStr | None = None
    expires_at: datetime | None = field(default=None, repr=False, compare=False)
    """When temporary ones end, with its zone; None if that is not known. Keys are the same whatever is known of it."""

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.utcoffset() is None:
            # Taken for the local time, one of UTC would be hours off, and the keys be used past their end.
            raise ConfigError("expires_at names no time zone: write it as datetime.fromtimestamp(seconds, UTC)")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be quoted: the SecretId too, which is half of a pair."""
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
