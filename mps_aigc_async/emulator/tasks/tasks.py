"""A task's life: it stands in line if there is one, waits, runs, and ends well or not, each a pure function of the task
and the time. What the services call these states is theirs.

A video that was given frames waits for them as well: it is not done before its first frame has been fetched, and
fails if it can't be. Whoever fetches them reports it (`with_frames`, `broken`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Literal, TypeAlias

from .orders import Kind, Order, VideoOrder

Origin: TypeAlias = Literal["mps", "vod", "relay"]
"""The service that a task was made by: each has its own account, and knows no other's tasks."""

Status: TypeAlias = Literal["WAIT", "RUN", "DONE", "FAIL"]

WAITING_SHARE = 0.1
"""The share of a task's time that it spends in WAIT where there is no line. Ours; the services publish none."""


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    """MPS tells none of a task's; VOD's is the ErrCodeExt."""
    message: str


@dataclass(frozen=True, slots=True)
class ServiceTask:
    """Times are Unix seconds, lengths seconds. A time that is not known yet is infinite."""

    task_id: str
    origin: Origin
    kind: Kind
    order: Order
    created_at: float
    turn_at: float
    """When the line reached it: at once, if there is none."""
    waits: float
    """From its turn until it runs."""
    length: float
    """From its turn until it is due."""
    frames_at: float
    """When its frames were there."""
    url_life: float
    """From its end until its URLs expire."""
    failure: Failure | None = None
    session_id: str = ""
    """The caller's, by which VOD and the relay refuse a second create; empty for none."""
    broken_at: float = inf
    """When it was found that it can't be done."""

    @property
    def runs_at(self) -> float:
        return self.turn_at + self.waits

    @property
    def due_at(self) -> float:
        return self.turn_at + self.length

    @property
    def ends_at(self) -> float:
        return min(self.broken_at, max(self.due_at, self.frames_at))

    @property
    def expires_at(self) -> float:
        return self.ends_at + self.url_life

    @property
    def awaits_frames(self) -> bool:
        return self.frames_at == inf and self.broken_at == inf

    @property
    def stands_in_line(self) -> bool:
        return self.turn_at == inf and self.broken_at == inf

    def status(self, now: float) -> Status:
        if now >= self.ends_at:
            return "FAIL" if self.failure else "DONE"
        return "RUN" if now >= self.runs_at else "WAIT"

    def begun(self, at: float) -> "ServiceTask":
        """Its turn has come."""
        return replace(self, turn_at=at)

    def with_frames(self, now: float) -> "ServiceTask":
        """The frames are there: it ends when it was due, or now if they were late."""
        order = self.order.without_data() if isinstance(self.order, VideoOrder) else self.order
        return replace(self, order=order, frames_at=now)

    def broken(self, failure: Failure, now: float) -> "ServiceTask":
        return replace(self, broken_at=now, failure=failure)


class Durations:
    """Durations, in seconds of wall time: `speed` has already been divided out.

    Those not `given` by their prompt are drawn, seeded. They lean towards the short end of the documented range with a
    tail to the long one, as queueing services do.
    """

    __slots__ = ("_given", "_random", "_ranges", "_speed")

    def __init__(
        self, random: Random, ranges: dict[Kind, tuple[float, float]], speed: float, given: Mapping[str, float]
    ) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive: {speed}")
        for kind, (shortest, longest) in ranges.items():
            if not 0 <= shortest <= longest:
                raise ValueError(f"{kind}_seconds must be a range (shortest, longest): {(shortest, longest)}")
        if any(seconds < 0 for seconds in given.values()):
            raise ValueError("task_seconds must not be negative")
        self._random = random
        self._ranges = ranges
        self._speed = speed
        self._given = given

    def of(self, kind: Kind, prompt: str) -> float:
        if (given := self._given.get(prompt)) is not None:
            return given / self._speed
        shortest, longest = self._ranges[kind]
        return self._random.triangular(shortest, longest, shortest + (longest - shortest) / 4) / self._speed
