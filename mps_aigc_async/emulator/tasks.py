"""A task's life as the service tells it: WAIT, RUN, then DONE or FAIL, each a pure function of the task and the time.

A video that was given frames waits for them as well: it is not done before its first frame has been fetched, and
fails if it can't be. Whoever fetches them reports it (`with_frames`, `failed`).
"""

from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Literal, TypeAlias

from .orders import Kind, Order

Status: TypeAlias = Literal["WAIT", "RUN", "DONE", "FAIL"]

URL_LIFE_S = 12 * 3600.0
"""Seconds that a result's URL lives: "图片存储12小时", DescribeAigcImageTaskResponse of the official SDK 3.1.194."""

WAITING_SHARE = 0.1
"""The share of a task's time that it spends in WAIT. Ours; the service publishes none."""


@dataclass(frozen=True, slots=True)
class Task:
    """Times are Unix seconds. `ends_at` is infinite while frames are awaited; `failure` is the Message of a FAIL."""

    task_id: str
    kind: Kind
    order: Order
    created_at: float
    runs_at: float
    due_at: float
    ends_at: float
    expires_after: float
    """Seconds from its end until its URLs expire."""
    failure: str = ""

    def status(self, now: float) -> Status:
        if now >= self.ends_at:
            return "FAIL" if self.failure else "DONE"
        return "RUN" if now >= self.runs_at else "WAIT"

    @property
    def expires_at(self) -> float:
        return self.ends_at + self.expires_after

    @property
    def awaits_frames(self) -> bool:
        return self.ends_at == inf

    def with_frames(self, now: float) -> "Task":
        """The frames are there: it ends when it was due, or now if they were late."""
        return replace(self, ends_at=max(self.due_at, now))

    def failed(self, message: str, now: float) -> "Task":
        return replace(self, ends_at=now, failure=message)


class Durations:
    """Seeded durations, in seconds of wall time: `speed` has already been divided out.

    They lean towards the short end of the documented range with a tail to the long one, as queueing services do.
    """

    __slots__ = ("_random", "_ranges", "_speed")

    def __init__(self, random: Random, ranges: dict[Kind, tuple[float, float]], speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive: {speed}")
        for kind, (shortest, longest) in ranges.items():
            if not 0 <= shortest <= longest:
                raise ValueError(f"{kind}_seconds must be a range (shortest, longest): {(shortest, longest)}")
        self._random = random
        self._ranges = ranges
        self._speed = speed

    def task(self, task_id: str, kind: Kind, order: Order, now: float, *, awaits_frames: bool, failure: str) -> Task:
        shortest, longest = self._ranges[kind]
        length = self._random.triangular(shortest, longest, shortest + (longest - shortest) / 4) / self._speed
        return Task(
            task_id=task_id,
            kind=kind,
            order=order,
            created_at=now,
            runs_at=now + length * WAITING_SHARE,
            due_at=now + length,
            ends_at=inf if awaits_frames else now + length,
            expires_after=URL_LIFE_S / self._speed,
            failure=failure,
        )
