"""An account's tasks at VOD: the account of direct calls, or the relay's own account.

Requests have VOD's names and are checked against a table; answers are the inside of VOD's Response.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from ..tasks.fields import Json, integer_of, table_of, text_of
from ..tasks.orders import AudioOrder, ImageOrder, Kind, VideoOrder
from ..tasks.refusal import Refused
from ..tasks.tasks import Origin, ServiceTask, Status
from .equipment import Equipment
from .exchange import Answer, ServiceCall
from .vod_orders import order_of

REMEMBERED_S: Final = 3 * 86_400.0
"""Seconds for which a task can be queried ("最多可以查询3天之内提交的任务", DescribeTaskDetail) and a SessionId stays
in use ("三天内", CreateAigcImageTaskRequest; the answers' models say seven days)."""

MAX_SESSION_ID: Final = 50
MAX_SESSION_CONTEXT: Final = 1000

VodStatus: TypeAlias = Literal["WAITING", "PROCESSING", "FINISH"]
STATUS: Final[Mapping[Status, VodStatus]] = {
    "WAIT": "WAITING",
    "RUN": "PROCESSING",
    "DONE": "FINISH",
    "FAIL": "FINISH",
}

_ERR_CODE: Final[Mapping[str, int]] = {"RequestLimitExceeded": 0, "ResourceNotFound": 60_000}
"""ErrCode by ErrCodeExt. Other failures have 70000, an internal error. A failure for too many running tasks is in the
ErrCodeExt alone: "空字符串表示成功，其它值表示失败"."""

_NEVER: Final = "9999-12-31T23:59:59Z"


@dataclass(frozen=True, slots=True)
class _Echo:
    """The fields of a create that its task's answers repeat."""

    session_id: str
    session_context: str
    permanent: bool
    inputs: Mapping[str, Json]


class VodAccount:
    def __init__(self, origin: Origin, equipment: Equipment) -> None:
        self._origin: Origin = origin
        self._settings = equipment.settings
        self._workshop = equipment.workshop
        self._storage = equipment.storage
        self._ids = equipment.ids
        self._echoes: dict[str, _Echo] = {}
        self._sessions: dict[str, float] = {}  # when each was first used; stored for good, like the tasks

    def __repr__(self) -> str:
        return f"VodAccount({self._origin!r}, tasks={len(self._echoes)})"

    def create(self, kind: Kind, fields: Mapping[str, Json], call: ServiceCall) -> Answer:
        """Create a task. Raises Refused."""
        order = order_of(kind, fields)
        self._workshop.require_allowed(order.prompt, "InvalidParameter.VoilationContent")
        self._workshop.require_model(text_of(fields, "ModelName"), call.now, self._origin)
        echo = self._echo_of(fields)
        self._take_session(echo, call.now)
        task_id = f"251007502-Aigc{kind.capitalize()}-{self._ids.getrandbits(128):032x}t"
        self._echoes[task_id] = echo
        frames = self._workshop.make(
            self._origin,
            order,
            task_id,
            call.now,
            kind=kind,
            fails_with=call.fails_with,
            permanent=echo.permanent,
            session_id=echo.session_id,
            priority=integer_of(fields, "TasksPriority", 0),
        )
        return Answer({"TaskId": task_id}, task_id, frames)

    def _echo_of(self, fields: Mapping[str, Json]) -> _Echo:
        session_id, context = text_of(fields, "SessionId"), text_of(fields, "SessionContext")
        if len(session_id) > MAX_SESSION_ID:
            raise Refused(
                "InvalidParameterValue.SessionIdTooLong", f"SessionId has at most {MAX_SESSION_ID} characters."
            )
        if len(context) > MAX_SESSION_CONTEXT:
            raise Refused(
                "InvalidParameterValue.SessionContextTooLong",
                f"SessionContext has at most {MAX_SESSION_CONTEXT} characters.",
            )
        inputs = {name: fields[name] for name in ("ModelName", "ModelVersion", "Prompt") if name in fields}
        permanent = text_of(table_of(fields, "OutputConfig"), "StorageMode") == "Permanent"
        return _Echo(session_id, context, permanent, inputs)

    def _take_session(self, echo: _Echo, now: float) -> None:
        """Take the session for this task. Raises Refused for a session in use. The refusal proves that the session has
        a task, and does not name the task."""
        if not echo.session_id:  # "不带或者带空字符串表示不做去重"
            return
        if self._origin == "relay" and not self._settings.relay_sessions:
            return
        taken_at = self._sessions.get(echo.session_id)
        if taken_at is not None and now - taken_at < REMEMBERED_S:
            raise Refused("InvalidParameterValue.SessionId", "The SessionId has been used: the request is a duplicate.")
        self._sessions[echo.session_id] = now

    def find(self, task_id: str, now: float) -> ServiceTask | None:
        """A task of this account, if it can still be queried."""
        task = self._workshop.tasks.get(task_id) if task_id in self._echoes else None
        return task if task is not None and now - task.created_at <= REMEMBERED_S else None

    def recent(self, now: float) -> Sequence[ServiceTask]:
        """The tasks that can be queried, the newest first."""
        tasks = []
        for task_id in reversed(self._echoes):
            task = self._workshop.tasks[task_id]
            if now - task.created_at > REMEMBERED_S:
                break
            tasks.append(task)
        return tasks

    # Answers

    def summary(self, task: ServiceTask, now: float) -> dict[str, Json]:
        """TaskSimpleInfo: an entry of the list, and the beginning of the detail."""
        status = task.status(now)
        echo = self._echoes[task.task_id]
        return {
            "TaskId": task.task_id,
            "TaskType": f"Aigc{task.kind.capitalize()}Task",
            "Status": STATUS[status],
            "CreateTime": _iso(task.created_at),
            "BeginProcessTime": "" if status == "WAIT" else _iso(min(task.runs_at, now)),
            "FinishTime": _iso(task.ends_at) if STATUS[status] == "FINISH" else "",
            "SessionId": echo.session_id,
            "SessionContext": echo.session_context,
        }

    def detail(self, task: ServiceTask, now: float) -> Mapping[str, Json]:
        """DescribeTaskDetail: the fields of all tasks, and the member named by TaskType. The other kinds' members
        are null."""
        summary = self.summary(task, now)
        names = ("TaskType", "Status", "CreateTime", "BeginProcessTime", "FinishTime")
        members: dict[str, Json] = {"AigcImageTask": None, "AigcVideoTask": None, "AigcAudioTask": None}
        members[f"Aigc{task.kind.capitalize()}Task"] = self._member(task, now)
        return {**{name: summary[name] for name in names}, **members}

    def _member(self, task: ServiceTask, now: float) -> Mapping[str, Json]:
        echo = self._echoes[task.task_id]
        status = task.status(now)
        failure = task.failure if status == "FAIL" else None
        files = self._files(task, echo.permanent) if status == "DONE" else []
        member: dict[str, Json] = {
            "TaskId": task.task_id,
            "Status": "FINISH" if STATUS[status] == "FINISH" else "PROCESSING",  # the member has no WAITING
            "ErrCode": 0 if failure is None else _ERR_CODE.get(failure.code, 70_000),
            "ErrCodeExt": failure.code if failure is not None else self._settings.vod_success if files else "",
            "Message": "" if failure is None else failure.message,
            "Progress": progress(task, now),
            "Input": echo.inputs,
        }
        if isinstance(task.order, AudioOrder):  # AigcAudioTask has no session
            count = task.order.count
            return {**member, "Output": {"AudioInfos": files[:count], "VideoInfos": files[count:]}}
        sessions = {"SessionId": echo.session_id, "SessionContext": echo.session_context}
        return {**member, "Output": {"FileInfos": files}, **sessions}

    def media(self, file_ids: Sequence[str], now: float) -> Mapping[str, Json]:
        """DescribeMediaInfos: the URLs of permanent results."""
        urls = {
            _file_id(task, index): url
            for task_id, echo in self._echoes.items()
            if echo.permanent and (task := self._workshop.tasks[task_id]).status(now) == "DONE"
            for index, url in enumerate(self._storage.urls(task))
        }
        infos: list[Json] = [
            {"FileId": file_id, "BasicInfo": {"MediaUrl": urls[file_id]}} for file_id in file_ids if file_id in urls
        ]
        return {"MediaInfoSet": infos, "NotExistFileIdSet": [file_id for file_id in file_ids if file_id not in urls]}

    def _files(self, task: ServiceTask, permanent: bool) -> Sequence[Json]:
        expires = _NEVER if permanent else _iso(task.expires_at)
        mode = "Permanent" if permanent else "Temporary"
        files = []
        for index, url in enumerate(self._storage.urls(task)):
            file: dict[str, Json] = {
                "StorageMode": mode,
                "FileType": task.order.formats[index],
                "FileUrl": url,
                "ExpireTime": expires,
                "MetaData": _meta(task),
            }
            if isinstance(task.order, AudioOrder):
                file["Duration"] = float(task.order.seconds)
            if permanent:
                file["FileId"] = _file_id(task, index)
                if not self._settings.vod_file_urls:
                    file["FileUrl"] = ""
            files.append(file)
        return files


def _file_id(task: ServiceTask, index: int) -> str:
    return f"{int(task.task_id[-17:-1], 16):020d}{index:02d}"


def progress(task: ServiceTask, now: float) -> int:
    """Progress in per cent; 100 only for a task that has ended."""
    if now >= task.ends_at:
        return 100
    if now <= task.runs_at:
        return 0
    span = task.due_at - task.runs_at
    return min(99, int(100 * (now - task.runs_at) / span)) if span > 0 else 99  # late frames can delay the end


def _meta(task: ServiceTask) -> Mapping[str, Json]:
    """MediaMetaData, without size and bit rate: only the rendered file has these."""
    match task.order:
        case ImageOrder(size=(width, height)):
            return {"Container": task.order.formats[0], "Width": width, "Height": height}
        case VideoOrder(size=(width, height), seconds=seconds):
            return {"Container": "mp4", "Width": width, "Height": height, "Duration": float(seconds)}
        case _:
            return {}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
