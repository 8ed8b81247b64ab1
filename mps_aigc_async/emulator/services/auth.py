"""Authenticate a call: check its TC3 signature on the received bytes.

The rules are those of "Signature v3" (Tencent Cloud API documentation). SignedHeaders must contain `content-type` and
`host`, and may contain more (the official SDK signs these two). Header values count as received, the Host with its
port. The timestamp may be 300 s off. The key ladder and the canonical form come from `wire.tc3`, which the published
vectors pin.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from ...wire import tc3
from ..tasks.refusal import Refused

_AUTHORIZATION = re.compile(
    rf"{tc3.ALGORITHM} +Credential=(?P<id>[\w-]+)/(?P<date>\d{{4}}-\d\d-\d\d)/(?P<service>[a-z0-9]+)/{tc3.TERMINATOR}"
    r", *SignedHeaders=(?P<names>[a-z0-9;-]+), *Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_MUST_BE_SIGNED = frozenset({"content-type", "host"})


@dataclass(slots=True)
class _Key:
    """A key of one service, with its latest derived key: that changes only with the UTC date."""

    service: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    until: float = inf
    _derived_for: str = ""
    _signing: bytes = field(default=b"", repr=False)

    def signing(self, date: str) -> bytes:
        if self._derived_for != date:
            self._signing = tc3.key_ladder(self.secret, date, self.service)[2]
            self._derived_for = date
        return self._signing

    def check_token(self, token: str | None, now: float) -> None:
        """Raise Refused if a temporary key has another token or has expired. A permanent key's token is ignored."""
        if self.token is not None and (token is None or not hmac.compare_digest(token.encode(), self.token.encode())):
            raise Refused("AuthFailure.TokenFailure", "The token is not the one of this SecretId.")
        if now >= self.until:
            raise Refused("AuthFailure.TokenFailure", "The token has expired.")


class Judge:
    """The keys of one account at one service: the permanent key pair, and temporary key pairs."""

    __slots__ = ("_keys", "_service")

    def __init__(self, secret_id: str, secret_key: str, service: str) -> None:
        self._service = service
        self._keys = {secret_id: _Key(service, secret_key)}

    def __repr__(self) -> str:
        return f"Judge({self._service!r})"

    def admit(self, secret_id: str, secret_key: str, token: str, until: float) -> None:
        """Admit a temporary key pair with its token, before `until` (Unix seconds)."""
        self._keys[secret_id] = _Key(self._service, secret_key, token, until)

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raise Refused unless one of the account's keys signed these headers and this body. `headers` has lower-case
        names."""
        claim = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if claim is None:
            raise _malformed("it is not of the form `TC3-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`")
        timestamp = _timestamp(headers)
        names = claim["names"].split(";")
        _check_claim(claim, names, headers, timestamp, self._service)
        # The cheap checks first: they need no hash.
        key = self._keys.get(claim["id"])
        if key is None:
            raise Refused("AuthFailure.SecretIdNotFound", "The SecretId is not found, please ensure it is correct.")
        if abs(now - timestamp) > tc3.MAX_SKEW_S:
            raise Refused(
                "AuthFailure.SignatureExpire",
                f"Your timestamp {timestamp} is more than {tc3.MAX_SKEW_S} s off the server's clock ({int(now)}).",
            )
        key.check_token(headers.get("x-tc-token"), now)
        text = tc3.string_to_sign(
            timestamp, tc3.credential_scope(claim["date"], self._service), tc3.canonical_request(headers, names, body)
        )
        if not hmac.compare_digest(tc3.signature(key.signing(claim["date"]), text), claim["signature"]):
            raise Refused("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")


def _check_claim(
    claim: re.Match[str], names: list[str], headers: Mapping[str, str], timestamp: int, service: str
) -> None:
    """Check the Authorization header against the rest of the request, before any hashing."""
    if not _MUST_BE_SIGNED.issubset(names):
        raise _malformed("SignedHeaders must hold content-type and host")
    if names != sorted(set(names)):
        raise _malformed("SignedHeaders must be sorted and name each header once")
    if absent := [name for name in names if name not in headers]:
        raise _malformed(f"signed headers that did not arrive: {', '.join(absent)}")
    if not all(headers[name].isascii() for name in names):
        raise _malformed("a signed header's value is not ASCII")
    if claim["service"] != service:
        raise _malformed(f"the credential scope is for service {claim['service']}, this is {service}")
    if claim["date"] != tc3.utc_date(timestamp):
        raise _malformed(f"the scope's date {claim['date']} is not the UTC date of X-TC-Timestamp")


def _timestamp(headers: Mapping[str, str]) -> int:
    value = headers.get("x-tc-timestamp")
    if value is None:
        raise Refused("MissingParameter", "The request is missing the header X-TC-Timestamp.")
    # At most 11 digits: a longer number has no UTC date to compare with.
    if not re.fullmatch(r"\d{1,11}", value, re.ASCII):
        raise Refused("InvalidParameterValue", "The header X-TC-Timestamp must be Unix time in seconds.")
    return int(value)


def _malformed(reason: str) -> Refused:
    return Refused("AuthFailure.InvalidAuthorization", f"The Authorization header is not valid: {reason}.")
