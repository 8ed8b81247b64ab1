"""Keys, kept so that they do not leak."""

import hashlib
from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair of Tencent Cloud, with the session token of temporary ones.

    Neither the SecretKey nor the token is in a repr, nor in a traceback that shows its variables.
    """

    secret_id: str
    secret_key: SecretStr
    token: SecretStr | None = None

    @property
    def account(self) -> str:
        """A name for the account of this key that may be written down: enough to tell two apart, not enough to use.

        >>> Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")).account
        'AKID…PLE#7a898e50'
        """
        known = hashlib.sha256(self.secret_id.encode()).hexdigest()[:8]
        return f"{self.secret_id[:4]}…{self.secret_id[-3:]}#{known}"
