"""A task's life: it stands in line (if there is a line), waits, runs, and ends done or failed. Each state is a pure
function of the task and the time. The services have their own words for these states.

A video with frames also waits for them: it is done only after its frames have been fetched, and fails if a fetch fails.
The shell reports the fetch (`with_frames`, `with_break`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Literal, TypeAlias

from .orders import Kind, Order, VideoOrder
from .place import Place

Origin: TypeAlias = Literal["mps", "vod", "relay"]
"""The service of a task. Each service has an account of its own, and knows no other service's tasks."""

Status: TypeAlias = Literal["WAIT", "RUN", "DONE", "FAIL"]

WAITING_SHARE = 0.1
"""The share of its time that a task waits if there is no line. Chosen for the emulator; the services publish none."""


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    """VOD's ErrCodeExt. MPS reports no code for a failed task."""
    message: str


@dataclass(frozen=True, slots=True)
class ServiceTask:
    """A task at the service. Times are Unix seconds, lengths seconds. A time that is not known yet is infinite."""

    task_id: str
    origin: Origin
    kind: Kind
    order: Order
    created_at: float
    turn_at: float
    """When its turn in the line came: at once, if there is no line."""
    waits: float
    """Seconds from its turn until it runs."""
    length: float
    """Seconds from its turn until it is due."""
    frames_at: float
    """When its frames had been fetched."""
    url_life: float
    """Seconds from its end until its URLs expire."""
    failure: Failure | None = None
    session_id: str = ""
    """The caller's SessionId, by which VOD and the relay refuse a second create; empty for none."""
    broken_at: float = inf
    """When the fetch of its frames failed."""
    place: Place | None = None
    """Where its results go in COS; None for the service's own storage."""

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

    def with_turn(self, at: float) -> "ServiceTask":
        """The task after its turn has come."""
        return replace(self, turn_at=at)

    def with_frames(self, now: float) -> "ServiceTask":
        """The task after the fetch of its frames. It ends when it was due, or now if the frames were late."""
        order = self.order.without_data() if isinstance(self.order, VideoOrder) else self.order
        return replace(self, order=order, frames_at=now)

    def with_break(self, failure: Failure, now: float) -> "ServiceTask":
        """The task after the fetch of its frames failed."""
        return replace(self, broken_at=now, failure=failure)


class Durations:
    """Durations in seconds of wall time: each is already divided by `speed`.

    `by_prompt` sets the durations of some prompts. All others are drawn, seeded: most near the short end of the
    documented range, with a tail to the long end, as at services with a queue.
    """

    __slots__ = ("_by_prompt", "_random", "_ranges", "_speed")

    def __init__(
        self, random: Random, ranges: dict[Kind, tuple[float, float]], speed: float, by_prompt: Mapping[str, float]
    ) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive: {speed}")
        for kind, (shortest, longest) in ranges.items():
            if not 0 <= shortest <= longest:
                raise ValueError(f"{kind}_seconds must be a range (shortest, longest): {(shortest, longest)}")
        if any(seconds < 0 for seconds in by_prompt.values()):
            raise ValueError("task_seconds must not be negative")
        self._random = random
        self._ranges = ranges
        self._speed = speed
        self._by_prompt = by_prompt

    def of(self, kind: Kind, prompt: str) -> float:
        if (seconds := self._by_prompt.get(prompt)) is not None:
            return seconds / self._speed
        shortest, longest = self._ranges[kind]
        return self._random.triangular(shortest, longest, shortest + (longest - shortest) / 4) / self._speed
