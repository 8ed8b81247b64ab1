"""The service, sans I/O: received bytes and the time in, an answer and what to do with the connection out.

No socket, clock or asyncio below this line: the aiohttp shell is one user, a test in virtual time another.

    service = Service(Settings(speed=60))
    reply = service.handle("POST", "/", headers, body, now=1_700_000_000.0)

The order of judgement is a gateway's: the signature first, for only it says whose limit the call counts against;
then the rate; then what the call says; last whether the account may run one more task.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.utils import formatdate
from random import Random
from typing import Final

from .actions import ACTIONS, VERSION, Action
from .auth import Judge
from .faults import MEDIA, Fault, Faults
from .fields import Json, decode, text_of
from .orders import Kind, Order, VideoOrder, image_order, video_order
from .records import Arrival, Records, Statistics
from .refusal import Refused
from .reply import Frames, Reply, conduct_of, page
from .running import Running
from .settings import Settings
from .storage import Piece, Storage
from .tasks import Durations, Task
from .window import Window

MAX_BODY = 10 * 1024 * 1024
"""Bytes of a request under TC3: "请求包大小" of "Signature v3"."""

_ID_PREFIX: Final[Mapping[Kind, str]] = {"image": "4-AigcImage-", "video": "4-AigcVideo-"}
_LATER_FAILURE = "The model could not generate a result for this prompt."


class Service:
    """`faults` may be added to at any time; `storage.base_url` says where results are served."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        limits = self.settings.limits or {}
        # A stream of draws for each purpose: a poll more or a fault less must not change how long a task takes.
        self._ids = self._stream("ids")
        self._request_ids = self._stream("request ids")
        self.faults = Faults(self._stream("faults"))
        self.storage = Storage(self._stream("storage").randbytes(32))
        self._durations = Durations(
            self._stream("durations"),
            {"image": self.settings.image_seconds, "video": self.settings.video_seconds},
            self.settings.speed,
        )
        self._judge = Judge(self.settings.secret_id, self.settings.secret_key)
        self._windows = {name: Window(limits.get(name, action.per_second)) for name, action in ACTIONS.items()}
        self._running: dict[Kind, Running] = {"image": Running(), "video": Running()}
        self._tasks: dict[str, Task] = {}  # for good, half a kilobyte each: an old task can still be asked about
        self._records = Records(self.settings.log_size)
        self._latest = 0.0
        self._date = (0, "")

    def __repr__(self) -> str:
        return f"Service({self.settings!r}, tasks={len(self._tasks)})"

    def _stream(self, purpose: str) -> Random:
        return Random(f"{self.settings.seed}/{purpose}")  # noqa: S311 - reproducible is what it is for

    # One call of the API

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
        """Answers one HTTP request that arrived, complete, at `now` (Unix seconds).

        Header names may be in any case. A `now` before an earlier one counts as that one: arrivals have an order.
        """
        now = self._latest = max(now, self._latest)
        received = {name.lower(): value for name, value in headers.items()}
        action = received.get("x-tc-action", "")
        fault = self.faults.draw(action)
        if fault is not None and not fault.accepted:
            code = fault.code if fault.fault == "error" else fault.fault
            self._records.arrived(Arrival(action, now, code, None, fault.fault))
            return self._spoilt(fault, self._envelope({}, now), now)
        befell = None if fault is None else fault.fault
        try:
            task, content, frames = self._answer(method, path, action, received, body, now)
        except Refused as refused:
            self._records.arrived(Arrival(action, now, refused.code, None, befell))
            reply = self._envelope(_error(refused.code, refused.message), now)
        else:
            self._records.arrived(Arrival(action, now, None, task.task_id, befell))
            reply = replace(self._envelope(content, now), frames=frames)
        return reply if fault is None else self._spoilt(fault, reply, now)

    def _answer(
        self, method: str, path: str, action: str, headers: Mapping[str, str], body: bytes, now: float
    ) -> tuple[Task, Mapping[str, Json], Frames | None]:
        """The task concerned, the inside of Response, and the frames to fetch. Raises Refused."""
        if method != "POST" or path != "/":
            raise Refused("UnsupportedProtocol", f"The emulator answers POST /, not {method} {path}.")
        if len(body) > MAX_BODY:
            raise Refused("RequestSizeLimitExceeded", f"The request is larger than {MAX_BODY} bytes.")
        self._judge.check(headers, body, now)
        called = self._called(action, headers)
        if not self._windows[action].admit(now):
            raise Refused("RequestLimitExceeded", f"Your requests of {action} exceed the limit per second.")
        if not headers["content-type"].startswith("application/json"):
            raise Refused("InvalidParameter", "The Content-Type of a request must be application/json.")
        fields = decode(body, called.fields)
        if called.verb == "create":
            return self._create(called.kind, fields, now)
        task = self._described(called.kind, fields)
        return task, self._description(task, now), None

    @staticmethod
    def _called(action: str, headers: Mapping[str, str]) -> Action:
        if not action:
            raise Refused("MissingParameter", "The request is missing the header X-TC-Action.")
        if (version := headers.get("x-tc-version")) != VERSION:
            raise Refused("NoSuchVersion", f"The API version {version} does not exist; it is {VERSION}.")
        if action not in ACTIONS:
            raise Refused("InvalidAction", f"The emulator has no action {action}; it has {', '.join(ACTIONS)}.")
        return ACTIONS[action]

    def _create(
        self, kind: Kind, fields: Mapping[str, Json], now: float
    ) -> tuple[Task, Mapping[str, Json], Frames | None]:
        order: Order = image_order(fields) if kind == "image" else video_order(fields)
        if self.settings.forbidden_word in order.prompt:
            raise Refused("InvalidParameter.ViolationContent", "The prompt was blocked by content review.")
        running = self._running[kind]
        most = (self.settings.max_running or {}).get(kind)
        if most is not None and running.count(now) >= most:
            raise Refused("LimitExceeded.CreateTask", f"At most {most} {kind} tasks may run at once.")
        task_id = f"{_ID_PREFIX[kind]}{self._ids.getrandbits(128):032x}"
        frames = None
        if self.settings.fetch_frames and isinstance(order, VideoOrder) and order.needs_frames:
            frames = Frames(task_id, order)
        failure = _LATER_FAILURE if self.settings.failing_word in order.prompt else ""
        task = self._durations.task(task_id, kind, order, now, awaits_frames=frames is not None, failure=failure)
        self._tasks[task_id] = task
        self._records.created[kind] += 1
        running.start(task.ends_at, now)
        return task, {"TaskId": task_id}, frames

    def _described(self, kind: Kind, fields: Mapping[str, Json]) -> Task:
        task_id = text_of(fields, "TaskId")
        if not task_id:
            raise Refused("MissingParameter", "The request is missing the parameter `TaskId`.")
        task = self._tasks.get(task_id)
        if task is None or task.kind != kind:
            raise Refused("FailedOperation.TaskNotFound", f"There is no {kind} task {task_id}.")
        return task

    def _description(self, task: Task, now: float) -> Mapping[str, Json]:
        status = task.status(now)
        # "ok" on success, as the service has been seen to say: a client that takes any Message for a failure is wrong.
        message = {"DONE": "ok", "FAIL": task.failure}.get(status, "")
        urls: Sequence[str] = self.storage.urls(task) if status == "DONE" else []
        if task.kind == "image":
            return {"Status": status, "Message": message, "ImageUrls": urls}
        width, height = task.order.size
        resolution = f"{width}x{height}" if urls else ""
        return {"Status": status, "Message": message, "VideoUrls": urls, "Resolution": resolution}

    # What the shell reports and asks

    def frames_ready(self, task_id: str, now: float) -> None:
        """The frames of `Reply.frames` have been fetched: the task ends when it was due, or now if that has passed."""
        self._settle(self._awaiting(task_id).with_frames(now))

    def frames_failed(self, task_id: str, reason: str, now: float) -> None:
        """The frames could not be had: the task ends FAIL, now, with `reason` in its Message."""
        self._settle(self._awaiting(task_id).failed(reason, now))

    def _awaiting(self, task_id: str) -> Task:
        task = self._tasks[task_id]
        if not task.awaits_frames:
            raise ValueError(f"task {task_id} awaits no frames")
        return task

    def _settle(self, task: Task) -> None:
        self._tasks[task.task_id] = task
        self._running[task.kind].end_known(task.ends_at)

    def media(self, path: str, query: str, now: float) -> Piece | Reply:
        """What a GET of a result's URL gets: a piece to render and send, or an answer in its place."""
        fault = self.faults.draw(MEDIA)
        if fault is not None and fault.fault not in {"reset_after", "hang", "delay"}:  # only these let it begin
            return self._spoilt(fault, page(200, "a download"), now)
        found = self.storage.find(path, query, now, self._tasks.get)
        if isinstance(found, Reply):
            return found
        self._records.downloads += 1
        return found if fault is None else replace(found, conduct=conduct_of(fault), delay=fault.seconds)

    def statistics(self, now: float) -> Statistics:
        records = self._records
        return Statistics(
            created={kind: records.created[kind] for kind in self._running},
            running={kind: running.count(now) for kind, running in self._running.items()},
            most_running={kind: running.most for kind, running in self._running.items()},
            refused=dict(records.refused),
            arrivals={action: meter.total for action, meter in records.meters.items()},
            most_per_second={action: meter.most for action, meter in records.meters.items()},
            downloads=records.downloads,
        )

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """The log, oldest first: the last `log_size` calls."""
        return tuple(self._records.arrivals)

    # Answers

    def _envelope(self, content: Mapping[str, Json], now: float) -> Reply:
        request_id = _uuid(self._request_ids.getrandbits(128))
        body = json.dumps({"Response": {**content, "RequestId": request_id}})
        # Exactly `application/json`: the official SDK compares, and overlooks the error beside any other spelling.
        return Reply(200, {"Content-Type": "application/json", "Date": self._http_date(now)}, body.encode())

    def _http_date(self, now: float) -> str:
        second = int(now)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    def _spoilt(self, fault: Fault, reply: Reply, now: float) -> Reply:
        """The reply after the fault. What was accepted stays accepted: the frames are fetched all the same."""
        match fault.fault:
            case "error":
                spoilt = self._envelope(_error(fault.code, "A fault that was asked for."), now)
            case "http_status":
                spoilt = page(fault.status, f"{fault.status} from a gateway")
            case "not_json":
                spoilt = page(200, "Welcome to the hotel's network")
            case "reset_before" | "reset_after" | "hang" | "delay":
                spoilt = reply
        return replace(
            spoilt,
            headers={**spoilt.headers, "Date": self._http_date(now)},
            conduct=conduct_of(fault),
            delay=fault.seconds,
            frames=reply.frames,
        )


def _error(code: str, message: str) -> Mapping[str, Json]:
    return {"Error": {"Code": code, "Message": message}}


def _uuid(bits: int) -> str:
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
