"""One account's tasks at VOD: asked of it directly, or through the relay, which has an account of its own.

Requests come here in VOD's words, checked against a table; answers are the inside of VOD's Response.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from ..tasks.fields import Json, integer_of, table_of, text_of
from ..tasks.orders import ImageOrder, Kind, VideoOrder
from ..tasks.refusal import Refused
from ..tasks.tasks import Origin, ServiceTask, Status
from .equipment import Equipment
from .exchange import Answer, ServiceCall
from .vod_orders import order_of

REMEMBERED_S: Final = 3 * 86_400.0
"""Seconds that a task can be asked about ("最多可以查询3天之内提交的任务", DescribeTaskDetail) and a SessionId
stays taken ("三天内", CreateAigcImageTaskRequest; the answers' models say seven days)."""

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
"""By ErrCodeExt; else 70000, an internal error. A refusal for too many at once is told by the ErrCodeExt alone:
"空字符串表示成功，其它值表示失败"."""

_NEVER: Final = "9999-12-31T23:59:59Z"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a create said that its task's answers repeat."""

    session_id: str
    session_context: str
    permanent: bool
    given: Mapping[str, Json]


class VodAccount:
    def __init__(self, origin: Origin, equipment: Equipment) -> None:
        self._origin: Origin = origin
        self._settings = equipment.settings
        self._workshop = equipment.workshop
        self._storage = equipment.storage
        self._ids = equipment.ids
        self._asked: dict[str, _Asked] = {}
        self._sessions: dict[str, float] = {}  # when each was first taken; kept for good, as the tasks are

    def __repr__(self) -> str:
        return f"VodAccount({self._origin!r}, tasks={len(self._asked)})"

    def create(self, kind: Kind, fields: Mapping[str, Json], call: ServiceCall) -> Answer:
        """Raises Refused."""
        order = order_of(kind, fields)
        self._workshop.require_allowed(order.prompt, "InvalidParameter.VoilationContent")
        self._workshop.require_model(text_of(fields, "ModelName"), call.now, self._origin)
        asked = self._asked_of(fields)
        self._take_session(asked, call.now)
        task_id = f"251007502-Aigc{kind.capitalize()}-{self._ids.getrandbits(128):032x}t"
        self._asked[task_id] = asked
        frames = self._workshop.make(
            self._origin,
            order,
            task_id,
            call.now,
            kind=kind,
            fails_with=call.fails_with,
            permanent=asked.permanent,
            session_id=asked.session_id,
            priority=integer_of(fields, "TasksPriority", 0),
        )
        return Answer({"TaskId": task_id}, task_id, frames)

    def _asked_of(self, fields: Mapping[str, Json]) -> _Asked:
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
        given = {name: fields[name] for name in ("ModelName", "ModelVersion", "Prompt") if name in fields}
        permanent = text_of(table_of(fields, "OutputConfig"), "StorageMode") == "Permanent"
        return _Asked(session_id, context, permanent, given)

    def _take_session(self, asked: _Asked, now: float) -> None:
        """Raises Refused, without the first TaskId: the refusal proves that there is one, and no more."""
        if not asked.session_id:  # "不带或者带空字符串表示不做去重"
            return
        if self._origin == "relay" and not self._settings.relay_sessions:
            return
        taken_at = self._sessions.get(asked.session_id)
        if taken_at is not None and now - taken_at < REMEMBERED_S:
            raise Refused("InvalidParameterValue.SessionId", "The SessionId has been used: the request is a duplicate.")
        self._sessions[asked.session_id] = now

    def find(self, task_id: str, now: float) -> ServiceTask | None:
        """One of its own tasks, of the last days."""
        task = self._workshop.tasks.get(task_id) if task_id in self._asked else None
        return task if task is not None and now - task.created_at <= REMEMBERED_S else None

    def recent(self, now: float) -> Sequence[ServiceTask]:
        """The tasks that can be asked about, the newest first."""
        found = []
        for task_id in reversed(self._asked):
            task = self._workshop.tasks[task_id]
            if now - task.created_at > REMEMBERED_S:
                break
            found.append(task)
        return found

    # Answers

    def summary(self, task: ServiceTask, now: float) -> dict[str, Json]:
        """TaskSimpleInfo, which the list consists of and the detail begins with."""
        status = task.status(now)
        asked = self._asked[task.task_id]
        return {
            "TaskId": task.task_id,
            "TaskType": f"Aigc{task.kind.capitalize()}Task",
            "Status": STATUS[status],
            "CreateTime": _iso(task.created_at),
            "BeginProcessTime": "" if status == "WAIT" else _iso(min(task.runs_at, now)),
            "FinishTime": _iso(task.ends_at) if STATUS[status] == "FINISH" else "",
            "SessionId": asked.session_id,
            "SessionContext": asked.session_context,
        }

    def detail(self, task: ServiceTask, now: float) -> Mapping[str, Json]:
        """DescribeTaskDetail: what all tasks have, and the member that TaskType names; the other kind's is null."""
        summary = self.summary(task, now)
        shared = ("TaskType", "Status", "CreateTime", "BeginProcessTime", "FinishTime")
        members: dict[str, Json] = {"AigcImageTask": None, "AigcVideoTask": None}
        members[f"Aigc{task.kind.capitalize()}Task"] = self._member(task, now)
        return {**{name: summary[name] for name in shared}, **members}

    def _member(self, task: ServiceTask, now: float) -> Mapping[str, Json]:
        asked = self._asked[task.task_id]
        status = task.status(now)
        failure = task.failure if status == "FAIL" else None
        files = self._files(task, asked.permanent) if status == "DONE" else []
        return {
            "TaskId": task.task_id,
            "Status": "FINISH" if STATUS[status] == "FINISH" else "PROCESSING",  # it has no WAITING of its own
            "ErrCode": 0 if failure is None else _ERR_CODE.get(failure.code, 70_000),
            "ErrCodeExt": failure.code if failure is not None else self._settings.vod_success if files else "",
            "Message": "" if failure is None else failure.message,
            "Progress": progress(task, now),
            "Input": asked.given,
            "Output": {"FileInfos": files},
            "SessionId": asked.session_id,
            "SessionContext": asked.session_context,
        }

    def media(self, file_ids: Sequence[str], now: float) -> Mapping[str, Json]:
        """DescribeMediaInfos, of permanent results: where each of them is."""
        urls = {
            _file_id(task, index): url
            for task_id, asked in self._asked.items()
            if asked.permanent and (task := self._workshop.tasks[task_id]).status(now) == "DONE"
            for index, url in enumerate(self._storage.urls(task))
        }
        found: list[Json] = [
            {"FileId": file_id, "BasicInfo": {"MediaUrl": urls[file_id]}} for file_id in file_ids if file_id in urls
        ]
        return {"MediaInfoSet": found, "NotExistFileIdSet": [file_id for file_id in file_ids if file_id not in urls]}

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
            if permanent:
                file["FileId"] = _file_id(task, index)
                if not self._settings.vod_file_urls:
                    file["FileUrl"] = ""
            files.append(file)
        return files


def _file_id(task: ServiceTask, index: int) -> str:
    return f"{int(task.task_id[-17:-1], 16):020d}{index:02d}"


def progress(task: ServiceTask, now: float) -> int:
    """Per cent; 100 only when it has ended."""
    if now >= task.ends_at:
        return 100
    if now <= task.runs_at:
        return 0
    span = task.due_at - task.runs_at
    return min(99, int(100 * (now - task.runs_at) / span)) if span > 0 else 99  # late frames can hold it up


def _meta(task: ServiceTask) -> Mapping[str, Json]:
    """MediaMetaData without what only the rendered file knows: its size and its bit rate."""
    match task.order:
        case ImageOrder(size=(width, height)):
            return {"Container": task.order.formats[0], "Width": width, "Height": height}
        case VideoOrder(size=(width, height), seconds=seconds):
            return {"Container": "mp4", "Width": width, "Height": height, "Duration": float(seconds)}
        case _:
            return {}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
