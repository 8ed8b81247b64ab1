"""One result's faults: how long each is worth trying again, and what is told of them."""

import logging
import re
from enum import Enum
from math import inf
from typing import Final

from .errors import DownloadError

_log: Final = logging.getLogger("mps_aigc_async")

BACKOFF_S: Final = 0.5
BACKOFF_MOST_S: Final = 60.0
DOUBTFUL_S: Final = 300.0
"""Seconds for which an answer that is no result (empty, a text page, a fault that nobody foresaw) is tried again: a
gateway's error page passes in a few minutes, and one that stays will not turn into a picture by waiting."""

_USER: Final = re.compile(r"^((?:[a-z][a-z0-9+.-]*:(?=[/\\]))?[/\\]*)[^/\\]*@", re.IGNORECASE)


class Hope(Enum):
    """How long a fault is worth trying again."""

    NONE = "it will not change"
    WHILE_NEW = "while the result is new: storage may lag behind the service"
    MINUTES = "for DOUBTFUL_S"
    ALWAYS = "as long as there is time"
    AT_ONCE = "without a wait: it made room for others"


class Fault(Exception):
    """Why an attempt brought no file."""

    refused = False
    """Whether the URL itself was refused by who serves it."""
    frames = ""
    """Where an exception came from that nobody foresaw: without its text, which may quote the URL."""

    def __init__(self, reason: str, hope: Hope = Hope.ALWAYS) -> None:
        super().__init__(reason)
        self.hope = hope


class Trials:
    """One result's faults, and whether to try again."""

    def __init__(self, url: str, now: float, new_for_s: float, begin_within_s: float = inf) -> None:
        self._begins_until = now + begin_within_s
        self._latest = Fault(f"cannot fetch {shown(url)}: it took too long")
        self._new_until = now + new_for_s
        self._failures = 0
        self._doubtful_since: float | None = None

    def delay_after(self, fault: Fault, now: float) -> float | None:
        """Seconds to wait before the next attempt; None if there is to be none."""
        self._latest = fault
        if fault.hope is Hope.AT_ONCE:
            return 0.0
        if fault.hope is not Hope.MINUTES:
            self._doubtful_since = None
        elif self._doubtful_since is None:
            self._doubtful_since = now
            _log.warning("%s; it is tried again for %.0f minutes%s", fault, DOUBTFUL_S / 60, fault.frames)
        if now >= min(self._ends(fault.hope, now), self._begins_until):
            return None
        self._failures += 1
        return min(BACKOFF_MOST_S, BACKOFF_S * 2.0 ** min(self._failures, 30), self._begins_until - now)

    def _ends(self, hope: Hope, now: float) -> float:
        """When there is no more sense in trying."""
        match hope:
            case Hope.NONE:
                return now
            case Hope.WHILE_NEW:
                return self._new_until
            case Hope.MINUTES:
                return (now if self._doubtful_since is None else self._doubtful_since) + DOUBTFUL_S
            case _:
                return inf

    def error(self) -> DownloadError:
        """The latest fault, for the caller."""
        error = DownloadError(str(self._latest))
        error.refused = self._latest.refused
        return error


def shown(url: str) -> str:
    """A URL without its query and fragment, where signatures stand, and without a user's password."""
    shown = _USER.sub(r"\1", re.split(r"[?#]", url, maxsplit=1)[0])
    return "".join(char if char.isprintable() else "?" for char in shown)
