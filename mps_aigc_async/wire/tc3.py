"""TC3-HMAC-SHA256, Tencent Cloud API 3.0's request signature, as pure functions.

Source: "Signature v3" of the Tencent Cloud API documentation and the AIGC guide of 2026-05-29, whose examples also
sign `x-tc-action`. The time is an argument: a signature is a value, and the sender owns the clock.

Traps, each pinned by a published vector in the tests:
- the body hashed must be the very bytes sent: serialise once, sign those bytes;
- `x-tc-action` is lower-cased in the canonical form, while its header keeps its case;
- the scope's date is the timestamp's UTC date, never the local one.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

ALGORITHM = "TC3-HMAC-SHA256"
TERMINATOR = "tc3_request"

MAX_SKEW_S = 300
"""Seconds that a timestamp may be off the service's clock before AuthFailure.SignatureExpire."""

_LOWERED = frozenset({"x-tc-action"})
"""Headers whose VALUE is lower-cased in the canonical form. The documented rule lower-cases the names only, but the
published example signs `describeinstances` for this header."""


def canonical_request(headers: Mapping[str, str], signed_headers: Sequence[str], body: bytes) -> str:
    """The text that is hashed: POST, `/`, no query, the headers named in `signed_headers`, the body's hash.

    `headers` has lower-case names; `signed_headers` lower-case names in the order signed. Raises KeyError for a
    signed header that is absent.
    """
    lines = "".join(f"{name}:{_canonical_value(name, headers[name])}\n" for name in signed_headers)
    return f"POST\n/\n\n{lines}\n{';'.join(signed_headers)}\n{hashlib.sha256(body).hexdigest()}"


def _canonical_value(name: str, value: str) -> str:
    value = value.strip()
    return value.lower() if name in _LOWERED else value


def utc_date(timestamp: int) -> str:
    """The UTC date of a Unix timestamp in seconds, as the scope writes it: `2019-02-25`."""
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


def credential_scope(date: str, service: str) -> str:
    return f"{date}/{service}/{TERMINATOR}"


def string_to_sign(timestamp: int, scope: str, canonical: str) -> str:
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def key_ladder(secret_key: str, date: str, service: str) -> tuple[bytes, bytes, bytes]:
    """The three derived keys (date, service, signing). Only the last key signs."""
    date_key = _hmac(f"TC3{secret_key}".encode(), date)
    service_key = _hmac(date_key, service)
    return date_key, service_key, _hmac(service_key, TERMINATOR)


def signature(signing_key: bytes, text: str) -> str:
    return _hmac(signing_key, text).hex()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


class Signer:
    """A signer for one service, which keeps the derived key of the day.

    The key changes with the UTC date and the secret, so one entry is enough: a batch signs thousands of times a day
    with the same key, and a refreshed credential replaces it.
    """

    __slots__ = ("_derived_for", "_service", "_signing_key")

    def __init__(self, service: str) -> None:
        self._service = service
        self._derived_for: tuple[str, str] | None = None
        self._signing_key = b""

    def __repr__(self) -> str:
        return f"Signer({self._service!r})"

    def authorization(
        self, secret_id: str, secret_key: str, timestamp: int, headers: Mapping[str, str], body: bytes
    ) -> str:
        """The Authorization header's value. All of `headers` are signed; their names are lower case."""
        date = utc_date(timestamp)
        if self._derived_for != (secret_key, date):
            self._signing_key = key_ladder(secret_key, date, self._service)[2]
            self._derived_for = (secret_key, date)
        names = sorted(headers)
        scope = credential_scope(date, self._service)
        text = string_to_sign(timestamp, scope, canonical_request(headers, names, body))
        return (
            f"{ALGORITHM} Credential={secret_id}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature(self._signing_key, text)}"
        )
