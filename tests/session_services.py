"""Services of the tests' own that take session ids: a relay and VOD, each in one object, in memory or over a socket.

The services share nothing with the emulator, and take each create's fate from a script.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate

from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.model.errors import TransportError
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

Reply = tuple[int, dict[str, object] | str] | None
"""A status and a body; None for a connection that is closed without an answer."""


@dataclass
class Made:
    """A task."""

    task_id: str
    session: str
    body: dict[str, object]
    at: float


@dataclass
class Sessioned:
    """The part that both services share: tasks by session, and a script of the creates' fates.

    Fates: `answer`; `504`, `drop` and `no id`: created, and answered so; `lost`: not created, and not answered.
    """

    fates: list[str] = field(default_factory=list)
    honours: bool = True
    refuses_first: bool = False
    """Whether it refuses the very first create by its session."""
    now: Callable[[], float] = wall
    dated: bool = True
    tasks: list[Made] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    """Of all creates that arrived."""
    reads: int = 0

    @property
    def by_session(self) -> Counter[str]:
        return Counter(task.session for task in self.tasks)

    @property
    def most_of_a_prompt(self) -> int:
        return max(Counter(str(task.body.get("prompt", task.body.get("Prompt"))) for task in self.tasks).values())

    def is_taken(self, session: str) -> bool:
        if self.refuses_first and len(self.bodies) == 1:
            return True
        remembered = [task for task in self.tasks if task.session == session and self.now() - task.at < 3 * 24 * 3600]
        return self.honours and bool(session) and bool(remembered)

    def create(self, body: dict[str, object], session: str) -> tuple[str, Made | None]:
        """The fate of a create, and its task if there is one."""
        self.bodies.append(body)
        fate = self.fates.pop(0) if self.fates else "answer"
        if fate == "lost":
            return fate, None
        if self.is_taken(session):
            return "taken", None
        if fate not in ("answer", "504", "drop", "no id", "page"):
            return fate, None
        self.tasks.append(Made(f"task-{len(self.tasks)}", session, body, self.now()))
        return fate, self.tasks[-1]

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        raise NotImplementedError

    # --- in memory, as a transport ------------------------------------------------------------------------------------

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        reply = self.handle(request.method, request.path, dict(request.headers), request.body)
        if reply is None:
            raise TransportError("no answer", ending=Ending.UNKNOWN)
        status, said = reply
        headers = {"date": formatdate(self.now(), usegmt=True)} if self.dated else {}
        return HttpAnswer(status, headers, said.encode() if isinstance(said, str) else json.dumps(said).encode())

    async def close(self) -> None:
        """Nothing to close."""

    # --- over a socket ------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        reply = self.handle(request.method, request.path, dict(request.headers), await request.read())
        if reply is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, said = reply
        text = said if isinstance(said, str) else json.dumps(said)
        return web.Response(status=status, text=text, content_type="application/json")


@asynccontextmanager
async def serving(service: Sessioned) -> AsyncIterator[URL]:
    """The service on a port of its own."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", service._serve)
    async with TestServer(application) as server:
        yield server.make_url("/")


def finished(task: Made) -> dict[str, object]:
    """VOD's answer about a task that has ended."""
    inner = {
        "TaskId": task.task_id, "Status": "FINISH", "ErrCode": 0, "Message": "", "Progress": 100,
        "Output": {"FileInfos": [{"FileUrl": f"https://files.example/{task.task_id}.png", "FileId": ""}]},
    }  # fmt: skip
    return {"TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": inner, "RequestId": "r"}


KIND = "the action"
"""The key under which VOD's service notes a create's action in its body."""


def ended(task: Made) -> dict[str, object]:
    """The same, in the member of the task's kind."""
    answer = finished(task)
    if task.body[KIND] == "CreateAigcImageTask":
        return answer
    inner = answer.pop("AigcImageTask")
    if task.body[KIND] == "CreateAigcVideoTask":
        return {**answer, "TaskType": "AigcVideoTask", "AigcVideoTask": inner}
    assert isinstance(inner, dict)
    output = {"AudioInfos": inner["Output"]["FileInfos"], "VideoInfos": []}
    return {**answer, "TaskType": "AigcAudioTask", "AigcAudioTask": {**inner, "Output": output}}


def vod_error(code: str, message: str = "refused") -> dict[str, object]:
    return {"Response": {"Error": {"Code": code, "Message": message}, "RequestId": "r"}}


SESSION_TAKEN = "InvalidParameterValue.SessionId"
FULL = "RequestLimitExceeded: reached the maximum concurrency"
"""The fate of a create for which the model has no room."""


@dataclass
class RelayService(Sessioned):
    """A relay with bearer keys: `wrapped` answers creates in its other envelope."""

    wrapped: bool = False

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        assert headers["Authorization"] == "Bearer sk-EXAMPLE"
        if method == "GET":
            self.reads += 1
            found = [task for task in self.tasks if path.endswith(f"/{task.task_id}")]
            if not found:
                return 400, {"code": "task_not_exist", "message": "no such task", "data": None}
            return 200, {"Response": finished(found[0])}
        asked = json.loads(body)
        fate, made = self.create(asked, str(asked.get("session_id", "")))
        match fate:
            case "answer":
                assert made is not None
                if self.wrapped:
                    return 200, {"code": "success", "data": {"task_id": made.task_id}}
                return 200, {"Response": {"TaskId": made.task_id, "RequestId": "r"}}
            case "taken":
                return 200, vod_error(SESSION_TAKEN)
            case "504":
                return 504, "<html>504 Gateway Time-out</html>"
            case "no id":
                return 200, {"code": "success", "data": {}}
            case "page":
                return 200, "<html>ok</html>"
            case "drop" | "lost":
                return None
            case _:
                return 400, {"error": {"code": fate, "message": fate}}


@dataclass
class VodService(Sessioned):
    """VOD: `window_s` is how far a signature's time may be off, `lag_s` how far the list of tasks lags behind."""

    window_s: float = 300.0
    lag_s: float = 0.0
    looks: int = 0

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        assert (method, path) == ("POST", "/")
        asked, action = json.loads(body), headers["X-TC-Action"]
        if abs(float(headers["X-TC-Timestamp"]) - self.now()) > self.window_s:
            return 200, vod_error("AuthFailure.SignatureExpire")
        match action:
            case "DescribeTaskDetail":
                self.reads += 1
                found = [task for task in self.tasks if task.task_id == asked["TaskId"]]
                return 200, {"Response": ended(found[0])} if found else vod_error("InvalidParameterValue.TaskId")
            case "DescribeTasks":
                self.looks += 1
                return 200, {"Response": {"TaskSet": list(self._listed(asked["Status"])), "RequestId": "r"}}
            case "CreateAigcAudioTask" if "SessionId" in asked:  # SDK 3.1.194: the request has no such field
                return 200, vod_error("UnknownParameter")
            case _:
                return self._created({**asked, KIND: action})

    def _listed(self, status: str) -> Iterable[dict[str, object]]:
        for task in self.tasks:
            if status == "FINISH" and self.now() - task.at >= self.lag_s:
                yield {"TaskId": task.task_id, "Status": status, "SessionId": task.session}

    def _created(self, asked: dict[str, object]) -> Reply:
        fate, made = self.create(asked, str(asked.get("SessionId", "")))
        match fate:
            case "answer":
                assert made is not None
                return 200, {"Response": {"TaskId": made.task_id, "RequestId": "r"}}
            case "taken":
                return 200, vod_error(SESSION_TAKEN)
            case "504":
                return 504, "<html>504 Gateway Time-out</html>"
            case "no id":
                return 200, {"Response": {"RequestId": "r"}}
            case "page":
                return 200, "<html>ok</html>"
            case "drop" | "lost":
                return None
            case _:
                return 200, vod_error(*fate.split(": "))
