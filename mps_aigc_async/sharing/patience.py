"""How long to wait for a database that is silent: as long as usual, until the user waits for the end.

Rows, members and slots may wait for one database one after the other. They have one end in common: a database that is
silent after it is asked again only now and then, and each question between fails at once. A database that answers is
waited for after the end, too: an answer to a create may be a task that was paid for.
"""

from math import inf
from typing import Final

LATE_S: Final = 1.0
"""Seconds for an answer after the end."""

REST_S: Final = 3.0
"""Seconds without a question after a silence that came after the end."""


class Patience:
    """The patience with one database. Times are the loop's."""

    def __init__(self, usual_s: float) -> None:
        self._usual_s = usual_s
        self._end = inf
        self._rests_until = -inf

    @property
    def is_hurried(self) -> bool:
        """Whether the user waits for the end."""
        return self._end < inf

    def hurry(self, until: float) -> None:
        """Let the user wait until then. A later end than before does nothing."""
        self._end = min(self._end, until)

    def wait_s(self, now: float) -> float:
        """Seconds for an answer to a question that is asked now; 0 during a rest."""
        return 0.0 if now < self._rests_until else min(self._usual_s, max(self._end - now, LATE_S))

    def note_silence(self, now: float) -> None:
        """Note that an answer has not come in time."""
        if now >= self._end:
            self._rests_until = now + REST_S
