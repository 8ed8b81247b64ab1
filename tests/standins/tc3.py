"""TC3-HMAC-SHA256 as a server checks it, from "Signature v3" of the Tencent Cloud API documentation (2026-10)."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from .calls import Call, Refusal

SECRET_ID: Final = "AKIDSTANDIN"
SECRET_KEY: Final = "KEYSTANDIN"

SKEW_S: Final = 300.0
"""Seconds that a request's timestamp may differ from the service's clock."""

_SHAPE: Final = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<id>[^/,]+)/(?P<date>\d{4}-\d\d-\d\d)/(?P<service>\w+)/tc3_request, ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def require_signed(call: Call, service: str) -> None:
    """Raise Refusal unless the stand-in's keys have signed the call for this service."""
    found = _SHAPE.fullmatch(call.headers.get("authorization", ""))
    if found is None or found["service"] != service:
        raise Refusal("AuthFailure.InvalidAuthorization", "The Authorization header is malformed.")
    if found["id"] != SECRET_ID:
        raise Refusal("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    stamp = call.headers.get("x-tc-timestamp", "")
    if not stamp.isdecimal() or abs(call.now - int(stamp)) > SKEW_S:
        raise Refusal("AuthFailure.SignatureExpire", "The timestamp is more than five minutes off.")
    names = found["names"].split(";")
    is_dated = datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%d") == found["date"]
    is_complete = names == sorted(names) and {"content-type", "host"} <= set(names) <= set(call.headers)
    if not is_dated or not is_complete or found["signature"] != _signature(call, names, found["date"], service, stamp):
        raise Refusal("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")


def _signature(call: Call, names: list[str], date: str, service: str, stamp: str) -> str:
    canonical = "\n".join(("POST", "/", "", _lines(call.headers, names), ";".join(names), _sha256(call.body)))
    text = "\n".join(("TC3-HMAC-SHA256", stamp, f"{date}/{service}/tc3_request", _sha256(canonical.encode())))
    key = f"TC3{SECRET_KEY}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _lines(headers: Mapping[str, str], names: list[str]) -> str:
    return "".join(f"{name}:{headers[name].strip().lower()}\n" for name in names)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
