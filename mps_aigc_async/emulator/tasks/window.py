"""The rate limit under its strictest reading, and the meter that says how close a client came.

The service publishes a number per second and not the window's shape, so the emulator takes the shape that no other
is stricter than: ANY half-open second [t, t+1), by arrival. Times are seconds and never go back; the service sees to
that. Differences are taken (`at - earlier`), never sums: with Unix times in a float, adding 1 rounds and subtracting
neighbours does not.
"""

from collections import deque
from collections.abc import Mapping

WINDOW_S = 1.0


class Window:
    """Admits at most `limit` in any half-open second; `None` admits everything. A refusal uses up nothing."""

    __slots__ = ("_admitted", "_limit")

    def __init__(self, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"a rate limit is at least 1 per second, or None for no limit: {limit}")
        self._limit = limit
        self._admitted: deque[float] = deque(maxlen=limit or 0)

    def __repr__(self) -> str:
        return f"Window(limit={self._limit})"

    def admit(self, at: float) -> bool:
        # The deque holds the last `limit` admitted: if the oldest of them is a second away, no second holds them all.
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
    """Counts arrivals, and the most that fell into any one half-open second."""

    __slots__ = ("_recent", "most", "total")

    def __init__(self) -> None:
        self.total = 0
        self.most = 0
        self._recent: deque[float] = deque()

    def __repr__(self) -> str:
        return f"Meter(total={self.total}, most={self.most})"

    def count(self, at: float) -> None:
        # The fullest window can always be moved until it ends just after an arrival, so looking back is enough.
        recent = self._recent
        recent.append(at)
        while at - recent[0] >= WINDOW_S:
            recent.popleft()
        self.total += 1
        self.most = max(self.most, len(recent))
