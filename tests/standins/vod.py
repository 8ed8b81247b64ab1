"""VOD, from its API documents (2018-07-17, of 2026-10): a session is created once, failures hide in FINISH."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from .book import FORBIDDEN, Book, Manners, Order, Task, stage
from .calls import Call, Json, Lost, Refusal, Reply, fields_of, first_of, table_of, text_of
from .mps import media_url, refusing, sealed
from .tc3 import require_signed

SUB_APP_ID: Final = 1500_000_123
LIMITS: Final = {
    "CreateAigcImageTask": 20,
    "CreateAigcVideoTask": 20,
    "CreateAigcAudioTask": 20,
    "DescribeTaskDetail": 100,
    "DescribeTasks": 20,
    "DescribeMediaInfos": 100,
}
"""Calls in any one second (each action's own page, 2026-10)."""
URL_LIFE_S: Final = 7 * 86_400.0
"""Of a temporary file (OutputConfig.StorageMode)."""

_BOTH: Final = frozenset(
    {
        "ModelName", "ModelVersion", "FileInfos", "Prompt", "NegativePrompt", "EnhancePrompt", "OutputConfig",
        "InputRegion", "SceneType", "Seed", "SessionId", "SessionContext", "TasksPriority", "ExtInfo",
    }
)  # fmt: skip
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "image": _BOTH,
    "video": _BOTH | {"SubjectInfos", "LastFrameFileId", "LastFrameUrl", "Procedure"},
    "audio": frozenset(
        {
            "ModelName", "ModelVersion", "SceneType", "Prompt", "VideoInfos", "AudioInfos", "OutputConfig",
            "AdditionalParameters",
        }
    ),
}  # fmt: skip
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("ModelName", "ModelVersion"),
    "video": ("ModelName", "ModelVersion"),
    "audio": (),
}
_APPLICATION: Final = frozenset({"SubAppId"})
_LIST: Final = frozenset({"Status", "FileId", "CreateTime", "FinishTime", "Sort", "Limit", "ScrollToken"})
_WORDS: Final = {"waiting": "WAITING", "running": "PROCESSING", "done": "FINISH", "failed": "FINISH"}


class VodAccount:
    """An account's tasks, in VOD's words. The relay has such an account too."""

    def __init__(self, manners: Manners) -> None:
        self.book = Book(manners, LIMITS)
        self.base_url = ""

    def create(self, kind: str, fields: Mapping[str, Json], now: float, lost_after: Lost) -> Task:
        """Raises Refusal or Lost."""
        prompt, session = text_of(fields, "Prompt"), text_of(fields, "SessionId")
        if len(session) > 50:
            raise Refusal("InvalidParameterValue.SessionIdTooLong", "The SessionId is too long.")
        if FORBIDDEN in prompt:
            raise Refusal("InvalidParameter.VoilationContent", "The content is forbidden.")
        first = first_of(fields, "VideoInfos" if kind == "audio" else "FileInfos")
        frame = text_of(first, "Url") or text_of(first, "FileId")
        permanent = text_of(table_of(fields, "OutputConfig"), "StorageMode") == "Permanent"
        order = Order(kind, prompt, session, frame, permanent)
        return self.book.make(order, f"1500000123-Aigc{kind.title()}-{uuid4().hex}t", now, lost_after)

    def detail(self, task: Task, now: float) -> dict[str, Json]:
        """DescribeTaskDetail's answer, without its RequestId."""
        at = stage(task, now)
        member: dict[str, Json] = {
            "TaskId": task.task_id,
            "Status": {"waiting": "PROCESSING"}.get(at, _WORDS[at]),
            "ErrCode": 70_000 if at == "failed" else 0,
            "ErrCodeExt": {"failed": "InternalError", "done": self.book.manners.success_word}.get(at, ""),
            "Message": "the model failed" if at == "failed" else "",
            "Progress": 100 if at in ("done", "failed") else 50 if at == "running" else 0,
            "Output": {"FileInfos": [self._file(task)] if at == "done" else []},
            "SessionId": task.session,
        }
        if task.kind == "audio":
            del member["SessionId"]
            member["Output"] = {"AudioInfos": [self._file(task)] if at == "done" else [], "VideoInfos": []}
        return {**summary(task, now), f"Aigc{task.kind.title()}Task": member}

    def _file(self, task: Task) -> dict[str, Json]:
        if task.permanent:  # the result is in the media library, and has a URL there
            return {"StorageMode": "Permanent", "FileId": file_id(task), "FileUrl": "", "ExpireTime": ""}
        expires_at = iso(task.ends_at + URL_LIFE_S)
        url = media_url(self.base_url, task)
        return {"StorageMode": "Temporary", "FileId": "", "FileUrl": url, "ExpireTime": expires_at}


class Vod:
    """VOD's actions."""

    def __init__(self, manners: Manners) -> None:
        self._account = VodAccount(manners)
        self.book = self._account.book

    @property
    def base_url(self) -> str:
        return self._account.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self._account.base_url = url

    def answer(self, call: Call) -> Reply:
        """The reply to a call. Raises Lost."""
        return refusing(self.book, self._answered, call)

    def _answered(self, call: Call) -> Reply:
        require_signed(call, "vod")
        action = call.headers.get("x-tc-action", "")
        if call.headers.get("x-tc-version") != "2018-07-17" or action not in LIMITS:
            raise Refusal("InvalidAction", f"The action `{action}` is not found.")
        self.book.arrived(action, call.now)
        match action:
            case "CreateAigcImageTask" | "CreateAigcVideoTask" | "CreateAigcAudioTask":
                kind = next(kind for kind in FIELDS if kind.title() in action)
                fields = _of_application(call, FIELDS[kind], _REQUIRED[kind])
                task = self._account.create(kind, fields, call.now, Lost())
                return sealed({"TaskId": task.task_id}, self.book.manners.answer_s)
            case "DescribeTaskDetail":
                fields = _of_application(call, frozenset({"TaskId"}), ("TaskId",))
                found = self.book.polled(text_of(fields, "TaskId"), call.now)
                if found is None:
                    raise Refusal("InvalidParameterValue.TaskId", "The TaskId is invalid.")
                return sealed(self._account.detail(found, call.now))
            case "DescribeTasks":
                return sealed(self._listed(_of_application(call, _LIST, ()), call.now))
            case _:
                return sealed(self._media(_of_application(call, frozenset({"FileIds", "Filters"}), ("FileIds",))))

    def _listed(self, fields: Mapping[str, Json], now: float) -> dict[str, Json]:
        """A page of the account's list, the newest first, which tasks enter late."""
        entered = now - self.book.manners.list_lag_s
        found = [task for task in reversed(self.book.tasks.values()) if task.made_at <= entered]
        word = text_of(fields, "Status")
        rows = [row for row in (summary(task, now) for task in found) if word in ("", row["Status"])]
        begin, limit = int(text_of(fields, "ScrollToken") or 0), fields.get("Limit", 10)
        if not isinstance(limit, int) or not 1 <= limit <= 100:
            raise Refusal("InvalidParameterValue.Limit", "The Limit is 1 to 100.")
        page: list[Json] = [*rows[begin : begin + limit]]
        return {"TaskSet": page, "ScrollToken": str(begin + limit) if begin + limit < len(rows) else ""}

    def _media(self, fields: Mapping[str, Json]) -> dict[str, Json]:
        asked = fields["FileIds"]
        files = {file_id(task): task for task in self.book.tasks.values() if task.permanent}
        names: Sequence[str] = [name for name in asked if isinstance(name, str)] if isinstance(asked, list) else []
        known: list[Json] = [
            {"FileId": name, "BasicInfo": {"MediaUrl": media_url(self.base_url, files[name])}}
            for name in names
            if name in files
        ]
        return {"MediaInfoSet": known, "NotExistFileIdSet": [name for name in names if name not in files]}


def _of_application(call: Call, names: frozenset[str], required: tuple[str, ...]) -> dict[str, Json]:
    fields = fields_of(call.body, names | _APPLICATION, required)
    if fields.get("SubAppId") != SUB_APP_ID:
        raise Refusal("InvalidParameterValue.SubAppId", "The SubAppId is invalid.")
    return fields


def summary(task: Task, now: float) -> dict[str, Json]:
    """The fields of a task's row in the list, which its detail has as well."""
    word = _WORDS[stage(task, now)]
    return {
        "TaskId": task.task_id,
        "TaskType": f"Aigc{task.kind.title()}Task",
        "Status": word,
        "CreateTime": iso(task.made_at),
        "BeginProcessTime": "" if word == "WAITING" else iso(task.begins_at),
        "FinishTime": iso(task.ends_at) if word == "FINISH" else "",
        "SessionId": task.session,
    }


def file_id(task: Task) -> str:
    """Of a file in the media library: a number of nineteen digits."""
    return str(int(task.task_id.rpartition("-")[2][:15], 16)).rjust(19, "5")


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
