"""The user's own buckets in COS: readable URLs of their objects, and whether the keys can read a bucket at all.

The service answers with bare URLs, which a private bucket refuses. Each download and each create signs anew, so that a
signature is never older than its attempt, and temporary keys are those of the moment.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from ..concurrency.owner import TaskOwner
from ..credentials.cos_sdk import HOW_TO_READ, can_sign, signed_get
from ..credentials.keyring import KeyRing
from ..model.errors import AccountError, InvalidRequest
from ..model.input_urls import InputUrl, StepT, inputs_of, with_inputs
from ..model.requests import CosStore, Step
from ..model.results import TaskResult
from ..model.states import Ending
from ..policy.cos_urls import bucket_of, object_url
from ..policy.lifetimes import is_stored_in
from .download_retries import safe_url
from .downloads import Downloads
from .proxies import is_loopback

_log: Final = logging.getLogger("mps_aigc_async")

SIGNED_S: Final = 3600.0
"""Seconds that a download's signature lives. The storage judges a signature when the request arrives, and each attempt
has a new one; the hour is for a proxy or a redirect that asks again."""

LONGEST_SIGNATURE_S: Final = 365 * 24 * 3600
"""Most seconds of a signature on the user's request. COS documents no bound; a longer one is more likely a mistake."""

INPUT_S: Final = 12 * 3600.0
"""Seconds that the signature of an input lives: as long as a URL of the service's own storage (guide of 2026-05-29).
The service fetches an input when its task begins, which may wait for hours in the queue."""

PROBE: Final = ".mps-aigc-probe"
"""The object that a probe asks for. No such object exists: a bucket that the keys can read answers NoSuchKey."""

PROBE_AGAIN_S: Final = 60.0
"""Seconds after which a bucket that was refused is probed again, as long as a refusal of the account stops creates: the
user may have made the bucket, or corrected the keys, meanwhile."""

_CODE: Final = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
"""The error code in COS's XML."""

REFUSALS: Final = {
    "NoSuchBucket": "there is no such bucket in that region",
    "InvalidBucketName": "the name is no bucket's: the account's number belongs to it, such as results-1250000000",
    "InvalidAccessKeyId": "COS does not know the SecretId",
    "SignatureDoesNotMatch": "COS refuses the signature: check the SecretKey",
}
"""COS's codes that show that no result in the bucket can be read ("Error codes" and "403 Error for COS Access", COS,
2024-03-25). AccessDenied shows less: COS may answer so for a missing object, to keys without the right to list the
bucket."""


class BucketAccess(Enum):
    """How the results in the user's buckets are read."""

    SIGNED = "private"
    BARE = "public"


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """The config's `cosOutput`."""

    store: CosStore | None = None
    """The bucket for the results of requests that name no bucket of their own."""
    access: BucketAccess = BucketAccess.BARE
    endpoint: str = ""
    """The base URL of another COS than the public one."""

    def why_unreadable(self, store: CosStore | None) -> str:
        """Why results in this bucket could not be read for want of the COS SDK; empty if they could."""
        if store is None or self.access is BucketAccess.BARE or can_sign():
            return ""
        return f"the results in the bucket {store.bucket} could not be read: {HOW_TO_READ}"


class Buckets:
    """Signs URLs into the user's own buckets with the present keys."""

    def __init__(
        self,
        settings: BucketSettings,
        keys: KeyRing,
        downloads: Downloads,
        owner: TaskOwner,
        wall: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._downloads = downloads
        self._owner = owner
        self._wall = wall
        self._probes: dict[CosStore, tuple[asyncio.Task[str], float]] = {}
        """Each bucket's latest probe, and when it began (on the loop's clock)."""

    @property
    def _signs(self) -> bool:
        return self._settings.access is BucketAccess.SIGNED

    async def readable(self, url: str) -> str:
        """The URL to fetch a result from now: signed, if it leads into a private bucket and is bare.

        Raises ConfigError without the extra, and AccountError if there are no keys at the moment."""
        return await self.sign(url, SIGNED_S) if self._signs and self._bucket_of(url) else url

    async def readable_inputs(self, request: StepT) -> StepT:
        """The request with signed URLs for its inputs in the user's own buckets. Raises as `readable` does."""
        signed = {url: await self.sign(url, INPUT_S) for url in self.bare_inputs(request)}
        own = self._own_buckets(request)
        return with_inputs(request, lambda source: signed.get(self._own_url(source, own), source))

    def bare_inputs(self, request: Step) -> frozenset[str]:
        """The bare URLs of a request's inputs that `readable_inputs` signs."""
        if not self._signs:
            return frozenset()
        own = self._own_buckets(request)
        return frozenset(url for source in inputs_of(request) if (url := self._own_url(source, own)))

    def _own_buckets(self, request: Step) -> list[str]:
        return [store.bucket for store in (request.store, self._settings.store) if store is not None]

    def _own_url(self, source: InputUrl, own: Sequence[str]) -> str:
        """The bare URL of an input in a bucket of the user's; empty for every other input."""
        if isinstance(source, TaskResult):
            url = source.urls[0] if source.urls and source.never_expires else ""
        else:
            url = source if any(is_stored_in(bucket, [source]) for bucket in own) else ""
        return url if self._bucket_of(url) else ""

    async def signed_url(self, source: InputUrl, life_s: float) -> str:
        """Sign a result's first URL, or a URL, on the user's request. Raises InvalidRequest for a URL that leads into
        no bucket, and for a life out of bounds."""
        if not 1 <= life_s <= LONGEST_SIGNATURE_S:  # NaN is in no range
            raise InvalidRequest(f"expires is {life_s}: give seconds, from 1 to {LONGEST_SIGNATURE_S}")
        url = next(iter(source.urls), "") if isinstance(source, TaskResult) else source
        if not self._bucket_of(url):
            raise InvalidRequest(
                f"{safe_url(url) or 'the result'} is no bare URL of a COS bucket: only results in a bucket of your own "
                "(`cosOutput`) need a signature"
            )
        return await self.sign(url, life_s)

    async def sign(self, url: str, life_s: float) -> str:
        """Sign a GET of a bare object URL. Raises as `readable` does."""
        keys = await self._keys.current()
        if not is_loopback(urlsplit(url).hostname or ""):  # the token of temporary keys travels in the URL
            url = url.replace("http://", "https://", 1)
        return await asyncio.to_thread(signed_get, url, keys, now=self._wall(), life_s=life_s)

    def _bucket_of(self, url: str) -> str:
        return bucket_of(url, self._settings.endpoint)

    # --- the probe ----------------------------------------------------------------------------------------------------

    async def require_readable(self, store: CosStore) -> None:
        """Raise an error if COS shows that results in this bucket could not be read. A bucket is probed before
        its first create, and again only some time after a refusal.

        Raises AccountError for the config's bucket, which concerns all requests, and InvalidRequest for a request's
        own.
        """
        if not self._signs:
            return
        code = await asyncio.shield(self._latest_probe(store))
        if code not in REFUSALS:
            return
        place = f"the bucket {store.bucket} in {store.region}"
        text = f"the results in {place} could not be read, and nothing was created: {REFUSALS[code]}"
        if store != self._settings.store:
            raise InvalidRequest(f"store: {text}")
        raise AccountError(f"Cos.{code}", text, ending=Ending.ACCOUNT_REFUSED)

    def _latest_probe(self, store: CosStore) -> asyncio.Task[str]:
        now = asyncio.get_running_loop().time()
        probe, began = self._probes.get(store, (None, now))
        is_over = probe is not None and probe.done() and now - began >= PROBE_AGAIN_S
        if probe is None or (is_over and (probe.exception() is not None or probe.result() in REFUSALS)):
            probe = self._owner.start(self._probe(store), f"probe of the bucket {store.bucket}")
            self._probes[store] = (probe, now)
        return probe

    async def _probe(self, store: CosStore) -> str:
        """The code of COS's error; empty for any other answer, and without one or without keys."""
        key = "/".join(part for part in ((store.path or "").strip("/"), PROBE) if part)
        url = object_url(store.bucket, store.region, key, self._settings.endpoint)
        try:
            match = _CODE.search(await self._downloads.glance(await self.sign(url, SIGNED_S)))
        except AccountError:  # the create has the same keys, and ends with the same error
            return ""
        code = match[1].decode() if match else ""
        if code == "AccessDenied":
            _log.warning(
                "COS may refuse to let these keys read the bucket %s (AccessDenied): they need cos:GetObject there",
                store.bucket,
            )
        return code
