"""The user's own buckets in COS: readable URLs of their objects, and whether the keys can read a bucket at all.

The service answers with bare URLs, which a private bucket refuses. Each download and each create signs anew, so that a
signature is never older than its attempt, and temporary keys are those of the moment.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final
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

OF_THE_KEYS: Final = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
"""Refusals of keys. Temporary keys may end at that moment, and others follow them: then they show nothing."""

AGAIN_S: Final = 60.0
"""Seconds after which a refused bucket is probed again: the user may have created it meanwhile. As long as a refusal of
the account holds."""


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
        learn_time: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._downloads = downloads
        self._owner = owner
        self._wall = wall
        self._learn_time = learn_time
        self._learning: asyncio.Task[None] | None = None
        self._probes: dict[tuple[str, str], tuple[asyncio.Task[str], float]] = {}
        """By bucket and region: the latest probe, and when it began (on the loop's clock)."""

    @property
    def _signs(self) -> bool:
        return self._settings.access is BucketAccess.SIGNED

    async def readable(self, url: str) -> str:
        """The URL to fetch a result from now: signed, if it leads into a private bucket and is bare.

        Raises ConfigError without the extra, and AccountError if there are no keys at the moment."""
        return await self.sign(url, SIGNED_S) if self._signs and self._bucket_of(url) else url

    def doubt_keys(self) -> None:
        """Take note that COS has refused to let a result be read: later attempts sign with fresh keys, if any."""
        self._keys.doubt()

    async def readable_inputs(self, request: StepT) -> StepT:
        """The request with signed URLs for its inputs in the user's own buckets. Raises as `readable` does."""
        signed = {url: await self._sign_for_others(url, INPUT_S) for url in self.bare_inputs(request)}
        own = self._own_buckets(request)
        return with_inputs(request, lambda source: signed.get(self._own_url(source, own), source))

    def bare_inputs(self, request: Step) -> frozenset[str]:
        """The bare URLs of a request's inputs that `readable_inputs` signs."""
        if not self._signs:
            return frozenset()
        own = self._own_buckets(request)
        return frozenset(url for _, source in inputs_of(request) if (url := self._own_url(source, own)))

    def _own_buckets(self, request: Step) -> list[str]:
        return [store.bucket for store in (request.store, self._settings.store) if store is not None]

    def _own_url(self, source: InputUrl | Path, own: Sequence[str]) -> str:
        """The bare URL of an input in a bucket of the user's; empty for every other input."""
        url = ""
        if isinstance(source, TaskResult):
            # A file with an id is VOD's or a relay's, in a bucket of its own.
            url = source.urls[0] if source.urls and source.never_expires and not source.file_ids else ""
        elif isinstance(source, str) and any(is_stored_in(bucket, [source]) for bucket in own):
            url = source
        return url if self._bucket_of(url) else ""

    async def signed_url(self, source: InputUrl, life_s: float) -> str:
        """Sign a result's first URL, or a URL, on the user's request. Raises InvalidRequest for a URL that leads into
        no bucket, for a life out of bounds, and for values of other types."""
        _require_source(source)
        if not _is_number(life_s) or not 1 <= life_s <= LONGEST_SIGNATURE_S:  # NaN is in no range
            raise InvalidRequest(f"expires is {life_s!r}: give seconds, from 1 to {LONGEST_SIGNATURE_S}")
        url = next(iter(source.urls), "") if isinstance(source, TaskResult) else source
        if not self._bucket_of(url):
            raise InvalidRequest(
                f"{safe_url(url) or 'the result'} is no bare URL of a COS bucket: only results in a bucket of your own "
                "(`cosOutput`) need a signature"
            )
        return await self._sign_for_others(url, life_s)

    async def _sign_for_others(self, url: str, life_s: float) -> str:
        """Sign a URL that is used later, and not again by this client: temporary keys should not be near their end."""
        await self._keys.renewed()
        return await self.sign(url, life_s)

    async def sign(self, url: str, life_s: float) -> str:
        """Sign a GET of a bare object URL. Raises as `readable` does."""
        if self._learning is None:  # a signature by a machine's clock that is wrong is refused
            self._learning = self._owner.start(self._learn_time(), "reading of the service's time")
        await asyncio.wait({self._learning})
        keys = await self._keys.current()
        if not is_loopback(urlsplit(url).hostname or ""):  # the token of temporary keys travels in the URL
            url = f"https://{url.partition('://')[2]}"
        return await asyncio.to_thread(signed_get, url, keys, now=self._wall(), life_s=life_s)

    def why_refused(self, url: str) -> str:
        """How to read a result in the user's bucket that COS has refused."""
        if not self._signs:
            return '`cosOutput.access` is "public", and the bucket is not: set "private", and the client signs'
        if not self._bucket_of(url):
            return (
                "the client cannot sign URLs of this host: set `cosOutput.endpoint` for another COS than the public one"
            )
        return "the keys need cos:GetObject"

    def _bucket_of(self, url: str) -> str:
        return bucket_of(url, self._settings.endpoint)

    # --- the probe ----------------------------------------------------------------------------------------------------

    async def require_readable(self, store: CosStore) -> None:
        """Raise an error if COS shows that results in this bucket could not be read. A bucket is probed before its
        first create, and again some time after a refusal.

        Raises AccountError for the config's bucket, which concerns all requests, and InvalidRequest for a request's
        own.
        """
        code = await asyncio.shield(self._probe_of(store))
        if code not in REFUSALS:
            return
        place = f"the bucket {store.bucket} in {store.region}"
        text = f"the results in {place} could not be read, and nothing was created: {REFUSALS[code]}"
        if store != self._settings.store:
            raise InvalidRequest(f"store: {text}")
        raise AccountError(f"Cos.{code}", text, ending=Ending.ACCOUNT_REFUSED)

    def _probe_of(self, store: CosStore) -> asyncio.Task[str]:
        """The latest probe of a bucket, or a new one."""
        place, now = (store.bucket, store.region), asyncio.get_running_loop().time()
        probe, began_at = self._probes.get(place, (None, now))
        if probe is None or (now - began_at >= AGAIN_S and _has_refused(probe)):
            probe = self._owner.start(self._probe(store), f"probe of the bucket {store.bucket}")
            self._probes[place] = probe, now
        return probe

    async def _probe(self, store: CosStore) -> str:
        """The code of COS's error; empty for any other answer, and without one or without keys. A public bucket is
        asked without a signature, as its results are read."""
        key = "/".join(part for part in ((store.path or "").strip("/"), PROBE) if part)
        url = object_url(store.bucket, store.region, key, self._settings.endpoint)
        if self._bucket_of(url) != store.bucket.lower():  # a request's region may name any host: our token is for COS
            return ""
        try:
            keys = await self._keys.current()
            address = await self.sign(url, SIGNED_S) if self._signs else url
            match = _CODE.search(await self._downloads.glance(address))
        except AccountError:  # the create has the same keys, and ends with the same error
            return ""
        code = match[1].decode() if match else ""
        if code in OF_THE_KEYS and keys.token is not None:
            self._keys.doubt()
            return ""
        if code == "AccessDenied":
            _log.warning(
                "COS may refuse to let this client read the bucket %s (AccessDenied): %s",
                store.bucket,
                self.why_refused(url),
            )
        return code


def _require_source(source: object) -> None:
    if not isinstance(source, str | TaskResult):
        raise InvalidRequest(
            f"signed_url takes a task's result or a URL, not {type(source).__name__}: of a chain's result give "
            "`.image`, `.video` or `.audio`, of several URLs one"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_refused(probe: asyncio.Task[str]) -> bool:
    """Whether a probe has ended with a refusal, or without an answer for a reason of ours."""
    if not probe.done():
        return False
    return probe.cancelled() or probe.exception() is not None or probe.result() in REFUSALS
