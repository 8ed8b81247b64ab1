"""The tasks of all services: their start, their lines, their frames and their counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf
from random import Random
from typing import Final

from ..tasks.line import Line
from ..tasks.orders import KINDS, AudioOrder, Kind, Order, VideoOrder
from ..tasks.place import Place
from ..tasks.refusal import Refused
from ..tasks.reply import Frames
from ..tasks.running import Running
from ..tasks.tasks import WAITING_SHARE, Durations, Failure, Origin, ServiceTask
from .exchange import FAULT_MESSAGE
from .settings import Settings

URL_LIFE_S: Final[Mapping[Origin, float]] = {"mps": 12 * 3600.0, "vod": 7 * 86_400.0, "relay": 7 * 86_400.0}
"""Seconds that a result's URL lives: "图片存储12小时", DescribeAigcImageTaskResponse of MPS; "有效期 7 天", StorageMode
of VOD's AigcImageOutputConfig (official SDKs 3.1.194)."""

_PERMANENT_S: Final = 100 * 365 * 86_400.0
"""Seconds that the URL of a permanent result lives."""

_LATER = Failure("ModelGenerateFailed", "The model could not generate a result for this prompt.")


class Workshop:
    """All tasks of an emulator. `tasks` stay for good, half a kilobyte each: an old task can still be queried.

    Call `move` before reading: lines advance with the time, not by themselves.
    """

    def __init__(self, settings: Settings, durations: Random) -> None:
        self.tasks: dict[str, ServiceTask] = {}
        self.creates: Counter[Kind] = Counter()
        self.most_running: Counter[Kind] = Counter()
        self._settings = settings
        ranges: dict[Kind, tuple[float, float]] = {
            "image": settings.image_seconds,
            "video": settings.video_seconds,
            "audio": settings.audio_seconds,
        }
        self._durations = Durations(durations, ranges, settings.speed, settings.task_seconds or {})
        self._running: dict[tuple[Origin, Kind], Running] = {
            (origin, kind): Running() for origin in URL_LIFE_S for kind in KINDS
        }
        self._lines: dict[Origin, Line] = {}
        if (places := settings.vod_processing) is not None:
            # One line for each account: the relay's customers share the relay's account.
            self._lines = {"vod": Line(places, self._begin), "relay": Line(places, self._begin)}

    def __repr__(self) -> str:
        return f"Workshop(tasks={len(self.tasks)})"

    def move(self, now: float) -> None:
        for line in self._lines.values():
            line.move(now)

    def make(
        self,
        origin: Origin,
        order: Order,
        task_id: str,
        now: float,
        *,
        kind: Kind,
        fails_with: str,
        priority: int = 0,
        permanent: bool = False,
        session_id: str = "",
        place: Place | None = None,
    ) -> Frames | None:
        """Begin a task or put it in line, and return the frames to fetch. `fails_with` is the code of a planned
        failure; empty for none."""
        line = self._lines.get(origin)
        frames = None
        if self._settings.fetch_frames and isinstance(order, VideoOrder) and order.needs_frames:
            frames = Frames(task_id, order)
        length = self._durations.of(kind, order.prompt)
        task = ServiceTask(
            task_id=task_id,
            origin=origin,
            kind=kind,
            order=order,
            created_at=now,
            turn_at=now if line is None else inf,
            waits=length * WAITING_SHARE if line is None else 0.0,
            length=length,
            frames_at=now if frames is None else inf,
            url_life=_PERMANENT_S if permanent else URL_LIFE_S[origin] / self._settings.speed,
            failure=self._failure(order, fails_with),
            session_id=session_id,
            place=place,
        )
        self.tasks[task_id] = task
        self._count(task, now)
        if line is not None:
            line.join(task_id, priority, now)
        return frames

    def _failure(self, order: Order, fails_with: str) -> Failure | None:
        if fails_with:
            return Failure(fails_with, FAULT_MESSAGE)
        if isinstance(order, AudioOrder) and order.flaw:
            return Failure("InvalidParameterValue", order.flaw)
        return _LATER if self._settings.failing_word in order.prompt else None

    def _count(self, task: ServiceTask, now: float) -> None:
        self.creates[task.kind] += 1
        self._running[task.origin, task.kind].start(task.ends_at)
        self.most_running[task.kind] = max(self.most_running[task.kind], self.running(task.kind, now))

    def running(self, kind: Kind, now: float, origins: Iterable[Origin] = tuple(URL_LIFE_S)) -> int:
        """The number of tasks that have not ended, tasks in line included."""
        return sum(self._running[origin, kind].count(now) for origin in origins)

    def require_allowed(self, prompt: str, code: str) -> None:
        """Raise Refused with this code if the prompt contains the forbidden word."""
        if self._settings.forbidden_word in prompt:
            raise Refused(code, "The prompt was blocked by content review.")

    def require_model(self, model: str, now: float, origin: Origin) -> None:
        """Raise Refused if as many of the model's tasks as `model_running` allows have not ended."""
        most = (self._settings.model_running or {}).get(model)
        if most is None:
            return
        running = sum(
            task.origin == origin and task.order.label.partition(" ")[0] == model and now < task.ends_at
            for task in self.tasks.values()
        )
        if running >= most:
            raise Refused("RequestLimitExceeded", f"The tasks of {model} have reached the maximum concurrency.")

    # Changes of a task

    def _begin(self, task_id: str, at: float) -> ServiceTask:
        self._replace(self.tasks[task_id].with_turn(at))
        return self.tasks[task_id]

    def frames_ready(self, task_id: str, now: float) -> None:
        self._settle(self._awaiting(task_id).with_frames(now), now)

    def frames_failed(self, task_id: str, reason: str, now: float) -> None:
        self._settle(self._awaiting(task_id).with_break(Failure("ResourceNotFound", reason), now), now)

    def _awaiting(self, task_id: str) -> ServiceTask:
        task = self.tasks[task_id]
        if not task.awaits_frames:
            raise ValueError(f"task {task_id} awaits no frames")
        return task

    def _settle(self, task: ServiceTask, now: float) -> None:
        self._replace(task)
        if task.ends_at < inf and (line := self._lines.get(task.origin)) is not None:
            line.set_end(task, now)

    def _replace(self, task: ServiceTask) -> None:
        had_end = self.tasks[task.task_id].ends_at < inf
        self.tasks[task.task_id] = task
        if not had_end and task.ends_at < inf:
            self._running[task.origin, task.kind].set_end(task.ends_at)
