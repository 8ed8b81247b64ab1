"""The losses of a database that are news for the log: arithmetic only, the time is an argument."""

from math import inf
from typing import Final

QUIET_S: Final = 10.0
"""Seconds from one loss that is told to the next one: a database that comes and goes must not fill the log."""


class Outages:
    """Whether a loss, and the return after it, are news for the log. A return is told if its loss was.

    >>> outages = Outages()
    >>> [outages.is_news(0.0), outages.is_news(2.0), outages.ends_told()]
    [True, False, True]
    >>> [outages.is_news(3.0), outages.ends_told()]
    [False, False]
    >>> [outages.is_news(10.0), outages.ends_told()]
    [True, True]
    """

    def __init__(self, again_s: float = inf) -> None:
        """A loss that lasts is told again after `again_s`."""
        self._again_s = again_s
        self._told_at = -inf
        self._is_told = False

    def is_news(self, now: float) -> bool:
        """Note a failure; return whether to tell of it."""
        if now - self._told_at < (self._again_s if self._is_told else QUIET_S):
            return False
        self._told_at, self._is_told = now, True
        return True

    def ends_told(self) -> bool:
        """Note that the database is back; return whether its loss was told."""
        was_told, self._is_told = self._is_told, False
        return was_told
