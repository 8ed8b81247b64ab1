"""The records of an emulator: a bounded log of arrivals, and complete counts."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from ..tasks.orders import Kind
from ..tasks.tasks import Origin, ServiceTask, Status
from ..tasks.window import Meter


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call and the emulator's judgement of it. `at` is Unix seconds."""

    action: str
    """The action's full name, as in `actions.ACTIONS`."""
    at: float
    code: str | None
    """The code of the refusal, or the name of the fault that came first; None for an accepted call."""
    task_id: str | None
    """The created or queried task, if any."""
    fault: str | None = None
    """The fault that befell the answer. If `code` is None, the call was still accepted."""


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """A task that the service has accepted, even if its answer was lost or false: the account pays for it. Times are
    Unix seconds."""

    task_id: str
    service: Origin
    kind: Kind
    prompt: str
    model: str
    """The model's name and version, such as "Hunyuan 3.0"."""
    session_id: str
    """The SessionId of its create at VOD or the relay; empty for none."""
    created_at: float
    ends_at: float | None
    """None while the end is not known: the task stands in line, or waits for its frames."""
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
class BucketStatistics:
    """The counts of one bucket."""

    objects: int
    answers: int
    """GETs and HEADs that were answered with an object, the emulator's own included, as in `Statistics.downloads`."""
    refusals: Mapping[str, int]
    """Refused requests by COS's code."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot, which does not change afterwards."""

    created: Mapping[str, int]
    """Tasks of all services together, by kind. The same for `running` and `most_running`."""
    running: Mapping[str, int]
    most_running: Mapping[str, int]
    refused: Mapping[str, int]
    """Refused calls by code (or fault, as in `Arrival.code`)."""
    arrivals: Mapping[str, int]
    """Calls by action, refused calls included. The same for `most_per_second`."""
    most_per_second: Mapping[str, int]
    """The most calls in any half-open second."""
    downloads: int
    """Requests for results: in part, whole or HEAD. Over HTTP the emulator's own requests count too: it fetches a
    video's frame that is one of its images."""
    buckets: Mapping[str, BucketStatistics]
    """The buckets of COS that have objects or were asked for one, by name."""
    tasks: tuple[CreatedTask, ...]
    """All tasks of all services, the oldest first."""


class Records:
    __slots__ = ("arrivals", "downloads", "meters", "refusals")

    def __init__(self, log_size: int) -> None:
        self.arrivals: deque[Arrival] = deque(maxlen=log_size)
        self.refusals: Counter[str] = Counter()
        self.meters: defaultdict[str, Meter] = defaultdict(Meter)
        self.downloads = 0

    def __repr__(self) -> str:
        return f"Records(refusals={dict(self.refusals)})"

    def add(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self.meters[arrival.action].count(arrival.at)
        if arrival.code is not None:
            self.refusals[arrival.code] += 1
