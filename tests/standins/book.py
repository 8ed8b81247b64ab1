"""A stand-in's manners and memory: its tasks, the creates it lost, its calls in each second."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final

from .calls import Json, Lost, Refusal

FORBIDDEN: Final = "forbidden-content"
"""A create whose prompt holds it is refused by the review of contents."""
FAILING: Final = "fail-later"
"""A task whose prompt holds it fails at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a stand-in behaves."""

    seed: int = 7
    """Of the tasks' durations and of the creates that are lost."""
    seconds: tuple[float, float] = (0.1, 0.3)
    """The shortest and the longest task."""
    answer_s: float = 0.0
    """How late an accepted create is answered."""
    lost: float = 0.0
    """The share of creates that are lost: half of them before a task is made, half after."""
    processing: int | None = None
    """Tasks processed at once, the others waiting (VOD: 1 by default); None for any number."""
    running: int | None = None
    """Tasks of a kind that may exist at once before `LimitExceeded.CreateTask` (MPS); None for any number."""
    list_lag_s: float = 0.0
    """How late a task is in the account's list (VOD)."""
    session_s: float = 3 * 86_400.0
    """Seconds for which a session is remembered: three days (SessionId, VOD's API documents of 2026-10)."""
    honours_sessions: bool = True
    """Whether the relay hands sessions on."""
    envelopes: tuple[str, ...] = ("response",)
    """How the relay answers creates and queries, in turn: `response` as VOD does, `wrapped` as its family does."""
    success_word: str = ""
    """The ErrCodeExt of a task that ended well (VOD, the relay)."""


@dataclass(frozen=True, slots=True)
class Task:
    task_id: str
    kind: str
    """`image` or `video`."""
    prompt: str
    session: str
    frame: str
    """The URL or the FileId of the image that a video begins with."""
    permanent: bool
    made_at: float
    begins_at: float
    ends_at: float

    @property
    def fails(self) -> bool:
        return FAILING in self.prompt


@dataclass(frozen=True, slots=True)
class Order:
    """A create's content, as far as a stand-in looks at it."""

    kind: str
    prompt: str
    session: str = ""
    frame: str = ""
    permanent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A stand-in's own account when all is over: the truth that no client may see."""

    tasks: Sequence[Task]
    lost_before: Sequence[str]
    """The prompts of the creates that were lost before a task was made."""
    lost_after: Sequence[str]
    polled: Mapping[str, float]
    """By TaskId, when its task was last asked about."""
    refused: Mapping[str, int]
    most_per_second: Mapping[str, int]
    """By action, the most calls in any second."""

    @classmethod
    def of(cls, told: Mapping[str, object]) -> "Seen":
        """The value of `Book.told`, when it has been JSON."""
        rest = dict(told)
        tasks = rest.pop("tasks")
        assert isinstance(tasks, list)
        return cls(tasks=[Task(**task) for task in tasks], **rest)  # type: ignore[arg-type] # its own JSON


@dataclass(slots=True)
class _Window:
    """The calls of one action in the last second."""

    arrivals: deque[float] = field(default_factory=deque)
    most: int = 0

    def count(self, now: float) -> int:
        while self.arrivals and self.arrivals[0] <= now - 1.0:
            self.arrivals.popleft()
        self.arrivals.append(now)
        self.most = max(self.most, len(self.arrivals))
        return len(self.arrivals)


class Book:
    def __init__(self, manners: Manners, limits: Mapping[str, int]) -> None:
        self.manners = manners
        self.tasks: dict[str, Task] = {}
        self.by_session: dict[str, Task] = {}
        """The task of the first create of each session, where sessions are honoured."""
        self._limits = limits
        self._durations = Random(f"{manners.seed} durations")
        self._losses = Random(f"{manners.seed} losses")
        self._ends: list[float] = []
        """When each processor is free again, as a heap."""
        self._lost: dict[str, list[str]] = {"before": [], "after": []}
        self._polled: dict[str, float] = {}
        self._refused: Counter[str] = Counter()
        self._windows: dict[str, _Window] = {}

    def arrived(self, action: str, now: float) -> None:
        """Raise Refusal if the action's limit is exceeded in this call's own second."""
        if self._windows.setdefault(action, _Window()).count(now) > self._limits.get(action, 20):
            self._windows[action].arrivals.pop()
            raise Refusal("RequestLimitExceeded", "Your current request times exceeds the limit.")

    def refused(self, refusal: Refusal) -> None:
        self._refused[refusal.code] += 1

    def make(self, order: Order, task_id: str, now: float, lost_after: Lost) -> Task:
        """Make a task. Raise Lost before it is made or, as `lost_after`, after; Refusal by its session or for room."""
        draw = self._losses.random()
        if draw < self.manners.lost / 2:
            self._lost["before"].append(order.prompt)
            raise Lost
        self._require_new(order, now)
        self._require_room(order.kind, now)
        begins_at = self._begin(now)
        ends_at = begins_at + self._durations.uniform(*self.manners.seconds)
        if self.manners.processing is not None:
            heappush(self._ends, ends_at)
        task = Task(
            task_id, order.kind, order.prompt, order.session, order.frame, order.permanent, now, begins_at, ends_at
        )
        self.tasks[task_id] = task
        if order.session:
            self.by_session[order.session] = task
        if draw < self.manners.lost:
            self._lost["after"].append(order.prompt)
            raise lost_after
        return task

    def _require_new(self, order: Order, now: float) -> None:
        first = self.by_session.get(order.session)
        if self.manners.honours_sessions and first is not None and now - first.made_at < self.manners.session_s:
            raise Refusal("InvalidParameterValue.SessionId", "The request is a duplicate: SessionId.")

    def _require_room(self, kind: str, now: float) -> None:
        running = sum(task.kind == kind and now < task.ends_at for task in self.tasks.values())
        if self.manners.running is not None and running >= self.manners.running:
            raise Refusal("LimitExceeded.CreateTask", "Too many tasks are running.")

    def _begin(self, now: float) -> float:
        """When the next task begins to be processed."""
        is_full = self.manners.processing is not None and len(self._ends) >= self.manners.processing
        return max(now, heappop(self._ends)) if is_full else now

    def polled(self, task_id: str, now: float) -> Task | None:
        task = self.tasks.get(task_id)
        if task is not None:
            self._polled[task_id] = now
        return task

    def told(self) -> dict[str, Json]:
        """`Seen`, as JSON."""
        return asdict(
            Seen(
                tasks=list(self.tasks.values()),
                lost_before=self._lost["before"],
                lost_after=self._lost["after"],
                polled=self._polled,
                refused=dict(self._refused),
                most_per_second={action: window.most for action, window in self._windows.items()},
            )
        )


def stage(task: Task, now: float) -> str:
    """`waiting`, `running`, `done` or `failed`."""
    if now < task.begins_at:
        return "waiting"
    if now < task.ends_at:
        return "running"
    return "failed" if task.fails else "done"
