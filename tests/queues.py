"""A service of the tests' own that works on few tasks at once, in virtual time: its queue, or refusals inside tasks.

Written from the documents of MPS and VOD and the relays' answers, and independent of the project's emulator. The
service judges nothing: the tests look at its requests.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mps_aigc_async import Config
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

WAITING: Final = {"mps": "WAIT", "vod": "WAITING"}
KINDS: Final = {"image": "AigcImageTask", "video": "AigcVideoTask"}


@dataclass(slots=True)
class Made:
    """A task: accepted at `at`, works from `begins` to `ends` (Unix seconds)."""

    task_id: str
    kind: str
    at: float
    begins: float
    ends: float
    asked: Mapping[str, Any]
    """The create's parameters."""
    fault: Mapping[str, Any] = field(default_factory=dict)
    """The member of its answer, in place of a result."""


class Queues:
    """A transport that is the service as well, and works on `at_once` tasks of all kinds together, each for `run_s`."""

    def __init__(self, backend: str = "vod", *, run_s: float = 300.0, at_once: int = 1, word: str = "QUEUED") -> None:
        self.backend = backend
        self.run_s = run_s
        self.at_once = at_once
        self.word = word
        """The relay's for a task that waits."""
        self.wrapped = backend == "relay"
        self.tasks: dict[str, Made] = {}
        self.polls: list[tuple[float, str]] = []
        self.refused_polls: dict[str, Any] = {}
        """Answered to every poll of a task that waits, if it is set."""

    def config(self, videos: int = 5, poll_ms: int = 30000, **sections: Any) -> Config:  # noqa: ANN401 — JSON
        given: dict[str, Any] = {
            "backend": self.backend,
            "tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"},
            "vod": {"subAppId": 1},
            "relay": {"baseUrl": "http://127.0.0.1:80", "apiKey": "KEYEXAMPLE"},
            "concurrency": {"maxImageTasks": 5, "maxVideoTasks": videos, "pollIntervalMs": poll_ms},
        }
        return Config.parse({**given, **sections})

    # --- the wire -----------------------------------------------------------------------------------------------------

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        await asyncio.sleep(0.02)
        body: dict[str, Any] = json.loads(request.body) if request.body else {}
        action = request.headers.get("X-TC-Action", "")
        if self.backend == "relay" and request.method == "GET":
            answer = self._polled(request.path.rpartition("/")[2])
        elif self.backend == "relay":
            answer = self._created("video" if "video" in request.path else "image", body)
        elif action.startswith("Create"):
            answer = self._created("video" if "Video" in action else "image", body)
        elif action.startswith("Describe") and "TaskId" in body:
            answer = self._polled(body["TaskId"], "video" if "Video" in action else "image")
        else:
            answer = {"Response": {"TaskSet": [], "RequestId": "r"}}
        return HttpAnswer(200, {"content-type": "application/json"}, json.dumps(answer).encode())

    async def close(self) -> None:
        """Nothing to close."""

    # --- the service --------------------------------------------------------------------------------------------------

    def _created(self, kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        task = self.accept(f"1-Aigc{kind.title()}-{len(self.tasks)}", kind, asked)
        self.tasks[task.task_id] = task
        return {"Response": {"TaskId": task.task_id, "RequestId": f"create of {task.task_id}"}}

    def accept(self, task_id: str, kind: str, asked: Mapping[str, Any]) -> Made:
        """The task, queued behind the others."""
        now = wall()
        ends = sorted((task.ends for task in self.tasks.values()), reverse=True)
        begins = max(now, ends[self.at_once - 1]) if len(ends) >= self.at_once else now
        return Made(task_id, kind, now, begins, begins + self.run_s, asked)

    def running(self) -> int:
        return sum(1 for task in self.tasks.values() if task.begins <= wall() < task.ends and not task.fault)

    def _polled(self, task_id: str, kind: str = "") -> dict[str, Any]:
        now, task = wall(), self.tasks.get(task_id)
        self.polls.append((now, task_id))
        wrong = self.backend == "mps" and task is not None and task.kind != kind
        if task is None or wrong:
            error = {"Code": "ResourceNotFound", "Message": "not found"}
            return {"Response": {"Error": error, "RequestId": "r"}}
        if now < task.begins and self.refused_polls:
            return self.refused_polls
        if self.backend == "mps":
            return {"Response": {**self._mps(task, now), "RequestId": "r"}}
        detail = self._vod(task, now)
        if not self.wrapped:
            return {"Response": {**detail, "RequestId": "r"}}
        words = {"WAITING": self.word, "PROCESSING": "IN_PROGRESS"}
        failed = "FAILURE" if task.fault else "SUCCESS"
        data = {"task_id": task_id, "status": words.get(detail["Status"], failed), "fail_reason": "", "data": detail}
        return {"code": "success", "message": "", "data": data}

    def _mps(self, task: Made, now: float) -> dict[str, Any]:
        if now < task.ends:
            return {"Status": "WAIT" if now < task.begins else "RUN"}
        return {"Status": "DONE", f"{task.kind.title()}Urls": ["http://127.0.0.1/1"]}

    def _vod(self, task: Made, now: float) -> dict[str, Any]:
        member: dict[str, Any] = {"TaskId": task.task_id, "Status": "PROCESSING", "ErrCode": 0, "ErrCodeExt": ""}
        word = "WAITING" if now < task.begins else "PROCESSING"
        if now >= task.ends:
            word = "FINISH"
            files = {"Output": {"FileInfos": [{"FileUrl": "http://127.0.0.1/1", "StorageMode": "Temporary"}]}}
            member |= {"Status": "FINISH", "Message": "SUCCESS", **(task.fault or files)}
        return {"TaskType": KINDS[task.kind], "Status": word, KINDS[task.kind]: member}


class Full(Queues):
    """A service without a queue: beyond `at_once`, a task is accepted, and ends at once with a fault in its FINISH."""

    def __init__(
        self,
        backend: str = "vod",
        *,
        run_s: float = 300.0,
        at_once: int = 3,
        code: str = "RequestLimitExceeded",
        message: str = "reached the maximum concurrency",
    ) -> None:
        super().__init__(backend, run_s=run_s, at_once=at_once)
        self.fault = {"ErrCode": 70000, "ErrCodeExt": code, "Message": message, "Output": None}
        self.most_at_once = 0

    def accept(self, task_id: str, kind: str, asked: Mapping[str, Any]) -> Made:
        now = wall()
        if self.running() >= self.at_once:
            return Made(task_id, kind, now, now, now + 1.0, asked, self.fault)
        self.most_at_once = max(self.most_at_once, self.running() + 1)
        return Made(task_id, kind, now, now, now + self.run_s, asked)

    @property
    def refused(self) -> list[Made]:
        return [task for task in self.tasks.values() if task.fault]

    @property
    def good(self) -> list[Made]:
        return [task for task in self.tasks.values() if not task.fault]
