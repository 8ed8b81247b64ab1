"""The judgement that a member is gone, from looks at its heartbeat. Arithmetic only, the time is an argument.

A member raises a counter as long as it lives. An observer that sees the counter stand still at `ENOUGH` looks in a row
takes the member for gone. A slow member must not be taken for gone by an observer that was itself cut off: while nobody
could write, no counter moved. So an observer with a gap between its looks begins anew, and so does one whose own
heartbeat was not written.
"""

from collections.abc import Mapping
from typing import Final

APART_S: Final = 2.0
"""Seconds between two looks, and between two heartbeats."""

ENOUGH: Final = 5
"""Looks in a row that saw the counter stand still."""

GAP_S: Final = 4.0
"""Seconds between two looks from which on the observer was cut off itself."""


class Looks:
    """An observer's looks at the counters of the other members.

    >>> looks = Looks()
    >>> for second in range(0, 12, 2):
    ...     gone = looks.look({"a": second, "b": 7}, now=float(second))
    >>> sorted(gone)
    ['b']
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._still: dict[str, tuple[int, int]] = {}
        """By member: the counter, and the looks that have seen it stand still."""

    def look(self, counters: Mapping[str, int], now: float) -> frozenset[str]:
        """Note one look; return the members that are gone."""
        if self._at is None or now - self._at > GAP_S:
            self._still = {}
        self._at = now
        before = self._still
        self._still = {
            member: (counter, before[member][1] + 1 if before.get(member, (None, 0))[0] == counter else 0)
            for member, counter in counters.items()
        }
        return frozenset(member for member, (_, looks) in self._still.items() if looks >= ENOUGH)

    def begin_anew(self) -> None:
        """Forget the looks so far: this observer was cut off."""
        self._at = None
