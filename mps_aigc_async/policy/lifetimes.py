"""The expiry of a task's results. Pure decisions.

A result that never expires and a result of unknown expiry both have no time. `Expiry.never` tells them apart.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .cos_urls import bucket_in_host

_NUMBER: Final = re.compile(r"-[0-9]{5,}")
"""The account's number (APPID) at the end of a bucket's name."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The service's own statement of how long results live."""

    permanent: bool = False
    """Whether the results are stored without the limited life of a temporary URL."""
    endless: bool = False
    """Whether the service says that the results are never deleted."""
    ends_at: float | None = None
    """When the first result is deleted (Unix seconds), if the service states a time."""

    @classmethod
    def of_all(cls, lifetimes: Sequence["Lifetime"]) -> "Lifetime":
        """The lifetime of a task's results together: the first result to end decides.

        >>> endless, week = Lifetime(permanent=True, endless=True), Lifetime(ends_at=5.0)
        >>> Lifetime.of_all([endless, week])
        Lifetime(permanent=False, endless=False, ends_at=5.0)
        >>> Lifetime.of_all([endless, endless]), Lifetime.of_all([])
        (Lifetime(permanent=True, endless=True, ends_at=None), Lifetime(permanent=False, endless=False, ends_at=None))
        """
        ends = [lifetime.ends_at for lifetime in lifetimes if lifetime.ends_at is not None]
        return cls(
            permanent=bool(lifetimes) and all(lifetime.permanent for lifetime in lifetimes),
            endless=bool(lifetimes) and all(lifetime.endless for lifetime in lifetimes),
            ends_at=min(ends, default=None),
        )


UNSTATED: Final = Lifetime()
"""No statement of the service: its documented life of a URL applies."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """When results can no longer be fetched."""

    at: float | None
    """Unix seconds, never later than the truth; None if the results never expire, or if the time is unknown."""
    never: bool = False


NEVER: Final = Expiry(None, never=True)
UNKNOWN: Final = Expiry(None)


def expiry(lifetime: Lifetime, *, made_after: float | None, seen_at: float, url_life_s: float) -> Expiry:
    """When results expire. At `made_after` the results were not made yet; at `seen_at` they were.

    A temporary URL has the documented life and no more, even if the service says that the FILE is never deleted
    (ExpireTime's documented default). So the service's time counts only if it comes before the end of that life.

    >>> expiry(UNSTATED, made_after=100.0, seen_at=110.0, url_life_s=50.0)
    Expiry(at=150.0, never=False)
    >>> expiry(Lifetime(ends_at=130.0), made_after=100.0, seen_at=110.0, url_life_s=50.0)
    Expiry(at=130.0, never=False)
    >>> expiry(Lifetime(permanent=True, endless=True), made_after=100.0, seen_at=110.0, url_life_s=50.0).never
    True
    """
    if lifetime.permanent:
        return NEVER if lifetime.endless else Expiry(lifetime.ends_at)
    if lifetime.ends_at is not None and lifetime.ends_at <= seen_at + url_life_s:
        return Expiry(lifetime.ends_at)
    return UNKNOWN if made_after is None else Expiry(made_after + url_life_s)


def made_after(unfinished_at: float | None, begun_at: float | None, seen_at: float) -> float | None:
    """The latest time at which the results were certainly not made yet: the last poll that found the task unfinished,
    or the moment when the service began the run (BeginProcessTime, if it is plausible).

    >>> made_after(100.0, 130.0, 200.0), made_after(None, 130.0, 200.0), made_after(100.0, 300.0, 200.0)
    (130.0, 130.0, 100.0)
    """
    times = [at for at in (unfinished_at, begun_at) if at is not None and at <= seen_at]
    return max(times, default=unfinished_at)


def is_stored_in(bucket: str, urls: Sequence[str]) -> bool:
    """Whether all URLs lead into the user's own bucket: the service does not delete files there.

    The bucket is the first part of the host (`bucket.cos.region.myqcloud.com`), or of the path at a COS of another
    host; a query is only a signature. A bucket's whole name ends with the account's number, but a user may leave the
    number out.

    >>> is_stored_in("shots-1250000000", ["https://shots-1250000000.cos.ap-guangzhou.myqcloud.com/a.png"])
    True
    >>> is_stored_in("shots-1250000000", ["https://mps-1.cos.ap-guangzhou.myqcloud.com/a.png?x=shots-1250000000"])
    False
    >>> is_stored_in("shots-1250000000", ["https://mps-1.cos.ap-guangzhou.myqcloud.com/shots-1250000000/a.png"])
    False
    """
    return bool(bucket and urls) and all(_leads_into(bucket, url) for url in urls)


def _leads_into(bucket: str, url: str) -> bool:
    host, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    in_host = host.partition(".")[0].casefold()
    places = (in_host,) if bucket_in_host(host) else (in_host, path.partition("/")[0].casefold())
    own = bucket.casefold()
    return any(place == own or _NUMBER.fullmatch(place.removeprefix(own)) for place in places if place.startswith(own))
