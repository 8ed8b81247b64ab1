"""What has been seen: the log of arrivals, bounded, and the counts, complete."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from ..tasks.orders import Kind
from ..tasks.tasks import Origin, ServiceTask, Status
from ..tasks.window import Meter


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
class CreatedTask:
    """A task that the service has accepted, whatever its answer said: an account pays for these. Times are Unix
    seconds."""

    task_id: str
    service: Origin
    kind: Kind
    prompt: str
    model: str
    """Name and version, as "Hunyuan 3.0"."""
    session_id: str
    """The SessionId of its create at VOD or the relay; empty for none."""
    created_at: float
    ends_at: float | None
    """None while it is not known: it stands in line, or waits for its frames."""
    status: Status

    @classmethod
    def of(cls, task: ServiceTask, now: float) -> "CreatedTask":
        return cls(
            task_id=task.task_id,
            service=task.origin,
            kind=task.kind,
            prompt=task.order.prompt,
            model=task.order.label,
            session_id=task.session_id,
            created_at=task.created_at,
            ends_at=task.ends_at if task.ends_at < inf else None,
            status=task.status(now),
        )


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
    """Requests for results: in part, whole or HEAD. Over HTTP the emulator's own count too, for a video's frame that is
    one of its images."""
    tasks: tuple[CreatedTask, ...]
    """All tasks of all services, the oldest first."""


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
