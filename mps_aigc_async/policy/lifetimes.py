"""How long a task's results can be fetched. Pure decisions.

A result that does not expire and a result whose end nobody knows both have no time. `Expiry.never` tells them apart.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile(r"-[0-9]{5,}")
"""How an account's number (APPID) ends a bucket's name."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The service's own word on how long results live."""

    permanent: bool = False
    """Whether they are stored without the limited life of a temporary URL."""
    endless: bool = False
    """Whether the service says that they are never deleted."""
    ends_at: float | None = None
    """When the first of them is deleted (Unix seconds), if the service tells a time."""

    @classmethod
    def of_all(cls, lifetimes: Sequence["Lifetime"]) -> "Lifetime":
        """One lifetime for a task's results: the first result to end decides.

        >>> kept, week = Lifetime(permanent=True, endless=True), Lifetime(ends_at=5.0)
        >>> Lifetime.of_all([kept, week])
        Lifetime(permanent=False, endless=False, ends_at=5.0)
        >>> Lifetime.of_all([kept, kept]), Lifetime.of_all([])
        (Lifetime(permanent=True, endless=True, ends_at=None), Lifetime(permanent=False, endless=False, ends_at=None))
        """
        ends = [one.ends_at for one in lifetimes if one.ends_at is not None]
        return cls(
            permanent=bool(lifetimes) and all(one.permanent for one in lifetimes),
            endless=bool(lifetimes) and all(one.endless for one in lifetimes),
            ends_at=min(ends, default=None),
        )


UNSTATED: Final = Lifetime()
"""The service says nothing: its documented life of a URL applies."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """When results can no longer be fetched."""

    at: float | None
    """Unix seconds, never later than the truth; None if they never expire, or if nobody knows when."""
    never: bool = False


NEVER: Final = Expiry(None, never=True)
NOBODY_KNOWS: Final = Expiry(None)


def expiry(lifetime: Lifetime, *, made_after: float | None, seen_at: float, url_life_s: float) -> Expiry:
    """When results expire. `made_after` is a time at which they were not made yet, `seen_at` one at which they were.

    A temporary URL has the documented life, and no more: the service may say of its FILE that it is never deleted
    (ExpireTime's documented default). So its word counts only if it is earlier than that life can end.

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
    return NOBODY_KNOWS if made_after is None else Expiry(made_after + url_life_s)


def made_after(unfinished_at: float | None, begun_at: float | None, seen_at: float) -> float | None:
    """The latest time at which the results are known not to have been made: the last poll that found the task
    unfinished, or the moment when the service began to work on it (its BeginProcessTime, if that can be true).

    >>> made_after(100.0, 130.0, 200.0), made_after(None, 130.0, 200.0), made_after(100.0, 300.0, 200.0)
    (130.0, 130.0, 100.0)
    """
    known = [at for at in (unfinished_at, begun_at) if at is not None and at <= seen_at]
    return max(known, default=unfinished_at)


def is_stored_in(bucket: str, urls: Sequence[str]) -> bool:
    """Whether all URLs lead into the user's own bucket: then the service does not delete what they name.

    The bucket is the first part of the host (`bucket.cos.region.myqcloud.com`) or of the path; a query is only a
    signature. A bucket's whole name ends with the account's number, which a user may leave out.

    >>> is_stored_in("shots-1250000000", ["https://shots-1250000000.cos.ap-guangzhou.myqcloud.com/a.png"])
    True
    >>> is_stored_in("shots-1250000000", ["https://mps-1.cos.ap-guangzhou.myqcloud.com/a.png?x=shots-1250000000"])
    False
    """
    return bool(bucket and urls) and all(_leads_into(bucket, url) for url in urls)


def _leads_into(bucket: str, url: str) -> bool:
    host, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    places = (host.partition(".")[0].casefold(), path.partition("/")[0].casefold())
    own = bucket.casefold()
    return any(place == own or _NUMBER.fullmatch(place.removeprefix(own)) for place in places if place.startswith(own))
