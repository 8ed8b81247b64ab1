"""What has been seen: the log of arrivals, bounded, and the counts, complete."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from .window import Meter


@dataclass(frozen=True, slots=True)
class Arrival:
    """One signed call as it was judged. `at` is Unix seconds."""

    action: str
    """Its full name, as in `actions.ACTIONS`."""
    at: float
    code: str | None
    """None if it was accepted; else the code of the refusal, or the name of the fault that came before it."""
    task_id: str | None
    """The task created or asked about, where there is one."""
    fault: str | None = None
    """The fault that befell the answer. With `code` None the call was accepted all the same."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot; none of it changes afterwards."""

    created: Mapping[str, int]
    """By kind, of all services together, as the two below."""
    running: Mapping[str, int]
    most_running: Mapping[str, int]
    refused: Mapping[str, int]
    """By code (or fault, as `Arrival.code`)."""
    arrivals: Mapping[str, int]
    """By action, refused ones included. The same for `most_per_second`."""
    most_per_second: Mapping[str, int]
    """The most that arrived in any half-open second."""
    downloads: int
    """Requests for results: in part, whole or HEAD, and the emulator's own when a frame is one of its images."""


class Records:
    __slots__ = ("arrivals", "downloads", "meters", "refused")

    def __init__(self, log_size: int) -> None:
        self.arrivals: deque[Arrival] = deque(maxlen=log_size)
        self.refused: Counter[str] = Counter()
        self.meters: defaultdict[str, Meter] = defaultdict(Meter)
        self.downloads = 0

    def __repr__(self) -> str:
        return f"Records(refused={dict(self.refused)})"

    def arrived(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self.meters[arrival.action].count(arrival.at)
        if arrival.code is not None:
            self.refused[arrival.code] += 1
