"""The signature of COS, checked on the received request: pure.

The rules are those of "Request Signature" (https://www.tencentcloud.com/document/product/436/7778, read 2026-11). A
request has its signature in the Authorization header or in the query. The signature covers the method, the path without
its percent-encoding, and the headers and parameters in its lists; COS cannot check the others. The refusals are from
"Error Codes" (436/7730) and "403 Error for COS Access" (436/40105).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final
from urllib.parse import parse_qsl, quote

MAX_SKEW_S: Final = 900
""""RequestTimeTooSkewed: The difference between the local time and server time is more than 15 minutes" (436/7730)."""

TOKEN: Final = "x-cos-security-token"  # noqa: S105 - the name of a header and a parameter

_FIELDS: Final = frozenset(
    {"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"}
)
_TIMES: Final = re.compile(r"(\d{1,11});(\d{1,11})", re.ASCII)


class CosRefused(Exception):
    """A refusal of COS: an HTTP status, a code of COS's list, and a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class CosKey:
    """A secret key; for a temporary one, its token and its end (Unix seconds)."""

    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    until: float = inf


@dataclass(frozen=True, slots=True)
class CosRequest:
    method: str
    path: str
    """Decoded, as the signature covers it."""
    query: str = field(default="", repr=False)
    """Raw."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values by lower-case name."""

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class _Claim:
    """A signature that a request carries."""

    key_id: str
    sign_time: str
    key_time: str
    headers: Sequence[str]
    params: Sequence[str]
    signature: str = field(repr=False)


def check(request: CosRequest, keys: Mapping[str, CosKey], now: float) -> bool:
    """Return whether the request carries a signature. Raise CosRefused for one that is not valid at `now`."""
    fields = _fields(request)
    if not fields:
        return False
    claim = _claim(fields)
    key = keys.get(claim.key_id)
    if key is None:
        raise _unknown_key()
    for times in (claim.sign_time, claim.key_time):
        _check_times(times, now)
    _check_token(key, request, now)
    if not any(hmac.compare_digest(text, claim.signature) for text in _signatures(request, claim, key.secret)):
        raise CosRefused(403, "SignatureDoesNotMatch", "The Signature you specified is invalid.")
    return True


def _fields(request: CosRequest) -> Mapping[str, str]:
    """The parts of the signature by name; none for a request without a signature."""
    if header := request.headers.get("authorization", ""):
        pairs = (part.partition("=") for part in header.split("&"))  # unlike a query's, the values are not encoded
        return {name: value for name, _, value in pairs}
    return {name: value for name, value in request.params.items() if name in _FIELDS}


def _claim(fields: Mapping[str, str]) -> _Claim:
    if fields.keys() != _FIELDS or fields["q-sign-algorithm"] != "sha1":
        raise _malformed(f"it must have exactly {', '.join(sorted(_FIELDS))}, with the algorithm sha1")
    headers, params = (_names(fields[name]) for name in ("q-header-list", "q-url-param-list"))
    for names in (headers, params):
        if names != sorted({name.lower() for name in names}):
            raise _malformed("its lists must be in lower case and sorted, with each name once")
    if not fields["q-signature"].isascii():
        raise _malformed("q-signature is not ASCII")
    return _Claim(fields["q-ak"], fields["q-sign-time"], fields["q-key-time"], headers, params, fields["q-signature"])


def _names(text: str) -> list[str]:
    return text.split(";") if text else []


def _check_times(times: str, now: float) -> None:
    match = _TIMES.fullmatch(times)
    if match is None:
        raise _malformed("its times must be two Unix times in seconds, start;end")
    start, end = int(match[1]), int(match[2])
    if start - now > MAX_SKEW_S:
        raise CosRefused(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )
    # No document names the refusal of a signature that begins within 15 minutes: "expired" is the other one for times.
    if not start <= now <= end:
        raise CosRefused(403, "AccessDenied", "Request has expired")


def _check_token(key: CosKey, request: CosRequest, now: float) -> None:
    """Raise CosRefused if a temporary key has ended, or comes without its token. A permanent key's token is ignored."""
    if now >= key.until:
        raise CosRefused(400, "ExpiredToken", "The provided token has expired.")
    token = request.headers.get(TOKEN) or request.params.get(TOKEN, "")
    # No document names this refusal: without its token, a temporary SecretId is taken for one that does not exist.
    if key.token is not None and not hmac.compare_digest(token.encode(errors="replace"), key.token.encode()):
        raise _unknown_key()


def _signatures(request: CosRequest, claim: _Claim, secret: str) -> list[str]:
    """The signatures that fit the request; none if something that was signed did not arrive.

    A signed host may count without its port: the real COS has none, and the official SDK signs the bare host name.
    """
    params = {_encoded(name).lower(): _encoded(value) for name, value in request.params.items()}
    headers = {_encoded(name).lower(): _encoded(value) for name, value in request.headers.items()}
    if not (params.keys() >= set(claim.params) and headers.keys() >= set(claim.headers)):
        return []
    hosts = {headers.get("host", ""), headers.get("host", "").partition("%3A")[0]}
    return [
        signature(
            secret,
            claim.sign_time,
            claim.key_time,
            http_string(
                request.method,
                request.path,
                {name: params[name] for name in claim.params},
                {name: host if name == "host" else headers[name] for name in claim.headers},
            ),
        )
        for host in hosts
    ]


def http_string(method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """HttpString, from the signed parameters and headers, encoded and in their order."""
    texts = ("&".join(f"{name}={value}" for name, value in pairs.items()) for pairs in (params, headers))
    return "\n".join([method.lower(), path, *texts, ""])


def signature(secret: str, sign_time: str, key_time: str, http: str) -> str:
    sign_key = _hmac(secret, key_time)
    return _hmac(sign_key, string_to_sign(sign_time, http))


def string_to_sign(sign_time: str, http: str) -> str:
    digest = hashlib.sha1(_bytes(http), usedforsecurity=False).hexdigest()
    return f"sha1\n{sign_time}\n{digest}\n"


def _hmac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), "sha1").hexdigest()


def _encoded(text: str) -> str:
    return quote(_bytes(text), safe="")


def _bytes(text: str) -> bytes:
    """The bytes as received: aiohttp hands on bytes that are not UTF-8 as lone surrogates."""
    return text.encode(errors="surrogateescape")


def _unknown_key() -> CosRefused:
    return CosRefused(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")


def _malformed(reason: str) -> CosRefused:
    return CosRefused(403, "AccessDenied", f"The signature is malformed: {reason}.")
