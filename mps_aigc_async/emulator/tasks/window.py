"""The rate limit in its strictest reading, and the meter that shows how close a client came.

The service publishes a number per second but not the window's shape, so the emulator uses the strictest shape: ANY
half-open second [t, t+1), by arrival. Times are seconds and never go back; `Service.handle` ensures this.
The code subtracts times (`at - earlier`) and never adds to them: with Unix times in a float, adding 1 rounds and
subtracting neighbours does not.
"""

from collections import deque
from collections.abc import Mapping

WINDOW_S = 1.0


class Window:
    """Admit at most `limit` calls in any half-open second; with `None`, all calls. A refused call does not count."""

    __slots__ = ("_admitted", "_limit")

    def __init__(self, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"a rate limit is at least 1 per second; None means no limit: {limit}")
        self._limit = limit
        self._admitted: deque[float] = deque(maxlen=limit or 0)

    def __repr__(self) -> str:
        return f"Window(limit={self._limit})"

    def admit(self, at: float) -> bool:
        # The deque holds the last `limit` admitted calls: if the oldest is a second away, no second contains them all.
        if self._limit is not None and len(self._admitted) == self._limit and at - self._admitted[0] < WINDOW_S:
            return False
        self._admitted.append(at)
        return True


class Rates:
    """A window for each action, by its full name."""

    __slots__ = ("_windows",)

    def __init__(self, limits: Mapping[str, int | None]) -> None:
        self._windows = {name: Window(limit) for name, limit in limits.items()}

    def __repr__(self) -> str:
        return f"Rates({self._windows!r})"

    def admit(self, name: str, at: float) -> bool:
        return self._windows[name].admit(at)


class Meter:
    """The number of arrivals, and the most in any half-open second."""

    __slots__ = ("_recent", "most", "total")

    def __init__(self) -> None:
        self.total = 0
        self.most = 0
        self._recent: deque[float] = deque()

    def __repr__(self) -> str:
        return f"Meter(total={self.total}, most={self.most})"

    def count(self, at: float) -> None:
        # The fullest window can always be moved to end just after an arrival, so it is enough to look back.
        recent = self._recent
        recent.append(at)
        while at - recent[0] >= WINDOW_S:
            recent.popleft()
        self.total += 1
        self.most = max(self.most, len(recent))
