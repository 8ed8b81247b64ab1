"""Faults of a result's download: how long to retry after each, and how to report them."""

import logging
import re
from enum import Enum
from math import inf
from typing import Final

from ..model.errors import DownloadError

_log: Final = logging.getLogger("mps_aigc_async")

BACKOFF_S: Final = 0.5
BACKOFF_MOST_S: Final = 60.0
DOUBTFUL_S: Final = 300.0
"""Seconds to retry after an empty file, a text page or an unexpected fault: a gateway's error page goes away within
minutes, and a page that stays never becomes a picture."""

_USER: Final = re.compile(r"^((?:[a-z][a-z0-9+.-]*:(?=[/\\]))?[/\\]*)[^/\\]*@", re.IGNORECASE)


class Retry(Enum):
    """How long to retry after a fault."""

    NONE = "do not retry: the fault is permanent"
    WHILE_NEW = "retry while the result is new: storage may lag behind the service"
    MINUTES = "retry for DOUBTFUL_S"
    ALWAYS = "retry until the time allowed is over"
    AT_ONCE = "retry without a wait: the download gave up its place"


class Fault(Exception):
    """The reason why an attempt produced no file."""

    is_refusal = False
    """Whether the server refused the URL itself."""
    frames = ""
    """The traceback of an unexpected exception, without its text, which may quote the URL."""

    def __init__(self, reason: str, retry: Retry = Retry.ALWAYS) -> None:
        super().__init__(reason)
        self.retry = retry


class Retries:
    """Counts a result's faults and decides whether to retry."""

    def __init__(self, url: str, now: float, new_for_s: float, begin_within_s: float = inf) -> None:
        self._begins_until = now + begin_within_s
        self._latest = Fault(f"cannot fetch {safe_url(url)}: it took too long")
        self._new_until = now + new_for_s
        self._failures = 0
        self._doubtful_since: float | None = None

    def delay_after(self, fault: Fault, now: float) -> float | None:
        """Return the seconds to wait before the next attempt; None to stop."""
        self._latest = fault
        if fault.retry is Retry.AT_ONCE:
            return 0.0
        if fault.retry is not Retry.MINUTES:
            self._doubtful_since = None
        elif self._doubtful_since is None:
            self._doubtful_since = now
            _log.warning("%s; retrying for %.0f minutes%s", fault, DOUBTFUL_S / 60, fault.frames)
        if now >= min(self._ends(fault.retry, now), self._begins_until):
            return None
        self._failures += 1
        return min(BACKOFF_MOST_S, BACKOFF_S * 2.0 ** min(self._failures, 30), self._begins_until - now)

    def _ends(self, retry: Retry, now: float) -> float:
        """Return the time of the last retry, on the loop's clock."""
        match retry:
            case Retry.NONE:
                return now
            case Retry.WHILE_NEW:
                return self._new_until
            case Retry.MINUTES:
                return (now if self._doubtful_since is None else self._doubtful_since) + DOUBTFUL_S
            case _:
                return inf

    def error(self) -> DownloadError:
        """Return the latest fault as an error for the caller."""
        error = DownloadError(str(self._latest))
        error.refused = self._latest.is_refusal
        return error


def safe_url(url: str) -> str:
    """Return a URL without its query and fragment, where signatures stand, and without a user's password."""
    public_part = _USER.sub(r"\1", re.split(r"[?#]", url, maxsplit=1)[0])
    return "".join(char if char.isprintable() else "?" for char in public_part)
