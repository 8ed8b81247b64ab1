"""COS: the answers to requests for the objects in buckets."""

from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Self
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from ..tasks.buckets import Address, Buckets
from ..tasks.faults import Fault
from ..tasks.reply import XML, Reply
from ..tasks.storage import Piece
from .cos_signature import CosKey, CosRefused, CosRequest, check
from .exchange import FAULT_MESSAGE
from .records import BucketStatistics
from .settings import Settings
from .workshop import Workshop

_FAULT_STATUS = 503
"""Default status of a planned `error`."""


@dataclass(frozen=True, slots=True)
class ObjectCall:
    """A request for an object, as received."""

    method: str
    host: str
    path: str
    """Raw; the same for `query`."""
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values by name, in any case."""

    @classmethod
    def get(cls, url: str, headers: Mapping[str, str] | None = None) -> Self:
        """A GET of a URL."""
        parts = urlsplit(url)
        return cls("GET", parts.netloc, parts.path, parts.query, headers or {})


class Cos:
    """The service COS of one account. `admit` takes the account's keys."""

    def __init__(self, settings: Settings, buckets: Buckets, workshop: Workshop, ids: Random) -> None:
        self._buckets = buckets
        self._workshop = workshop
        self._ids = ids
        self._keys = {settings.secret_id: CosKey(settings.secret_key)}
        self._answers: Counter[str] = Counter()
        self._refusals: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def __repr__(self) -> str:
        return f"Cos({self._buckets!r})"

    def admit(self, secret_id: str, secret_key: str, token: str, until: float) -> None:
        """Admit a temporary key pair with its token, before `until` (Unix seconds)."""
        self._keys[secret_id] = CosKey(secret_key, token, until)

    def answer(self, call: ObjectCall, now: float) -> Piece | Reply:
        """An object to render and send, or a reply in its place. The answer is counted."""
        address = self._address(call)
        try:
            piece = self.find(call, now)
        except CosRefused as refusal:
            self._refusals[address.bucket][refusal.code] += 1
            return self.reply(refusal, call.path)
        self._answers[address.bucket] += 1
        return replace(piece, request_id=self._request_id())

    def find(self, call: ObjectCall, now: float) -> Piece:
        """The object that a call may read. Raises CosRefused."""
        address = self._address(call)
        headers = {**{name.lower(): value for name, value in call.headers.items()}, "host": call.host}
        bucket = self._buckets[address.bucket]
        if bucket.access == "missing":
            raise CosRefused(404, "NoSuchBucket", "The specified bucket does not exist.")
        is_signed = check(CosRequest(call.method, address.path, call.query, headers), self._keys, now)
        if not is_signed and bucket.access != "public-read":
            raise CosRefused(403, "AccessDenied", "Access Denied.")
        if call.method not in {"GET", "HEAD"}:
            raise CosRefused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        piece = self._buckets.piece(address, now, self._workshop.tasks.get)
        if piece is None:
            raise CosRefused(404, "NoSuchKey", "The specified key does not exist.")
        return piece

    def _address(self, call: ObjectCall) -> Address:
        return self._buckets.address(call.host, call.path) or Address("", "", call.path)

    def error(self, fault: Fault) -> Reply:
        """A planned error in COS's form."""
        return self.reply(CosRefused(fault.status or _FAULT_STATUS, fault.code, FAULT_MESSAGE))

    def statistics(self, now: float) -> Mapping[str, BucketStatistics]:
        objects = self._buckets.objects(self._workshop.tasks.values(), now)
        names = sorted({*objects, *self._answers, *self._refusals})
        return {
            name: BucketStatistics(objects[name], self._answers[name], dict(self._refusals.get(name, {})))
            for name in names
        }

    def reply(self, refusal: CosRefused, resource: str = "/") -> Reply:
        """An error in COS's form: https://www.tencentcloud.com/document/product/436/7730."""
        request_id = self._request_id()
        parts = {
            "Code": refusal.code,
            "Message": refusal.message,
            "Resource": resource,
            "RequestId": request_id,
            "TraceId": request_id,
        }
        body = "".join(f"\t<{name}>{escape(text)}</{name}>\n" for name, text in parts.items())
        return Reply(
            refusal.status,
            {"Content-Type": XML, "x-cos-request-id": request_id},
            f"<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n{body}</Error>\n".encode(errors="replace"),
        )

    def _request_id(self) -> str:
        return b64encode(self._ids.randbytes(24)).decode()
