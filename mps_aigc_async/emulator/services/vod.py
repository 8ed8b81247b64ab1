"""Tencent VOD's desk: images, videos and audios, all described by one action."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..tasks.fields import Json, integer_of, text_of, texts_of
from ..tasks.orders import Kind, missing, within
from ..tasks.refusal import Refused
from ..tasks.tasks import ServiceTask
from . import actions, billing
from .equipment import Equipment
from .exchange import Answer, ServiceCall
from .gateway import GatewayDesk
from .vod_account import STATUS, VodAccount

VERSION = "2018-07-17"
"""X-TC-Version of VOD. The version selects between MPS and VOD, which share a port here and have separate hosts
elsewhere."""

_UNSUPPORTED = ("FileId", "CreateTime", "FinishTime")
"""Filters of DescribeTasks that the emulator refuses, since it does not implement them."""

MAX_FILES = 20
"""Most files of one DescribeMediaInfos ("媒体文件 ID 列表，N 从 0 开始取值，最大 19")."""

_NEWEST_FIRST = {"Field": "CreateTime", "Order": "Desc"}
"""The only order of the emulator's lists."""

_KINDS: Final[Mapping[str, Kind]] = {"Image": "image", "Video": "video", "Audio": "audio"}
"""The kinds by AigcType and QuotaType."""


class Vod(GatewayDesk):
    """VOD's desk (`exchange.Desk`)."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment, service="vod", version=VERSION, actions=actions.VOD, prefix="vod:")
        self._sub_app_id = equipment.settings.sub_app_id
        self._account = VodAccount("vod", equipment)
        self._tasks = equipment.workshop.tasks
        self._quota_limits = equipment.settings.vod_quotas or {}

    def answer(self, call: ServiceCall) -> Answer:
        action, fields = self._gateway.admit(call)
        if self._sub_app_id is not None and fields.get("SubAppId") != self._sub_app_id:
            raise Refused("InvalidParameterValue.SubAppId", "The SubAppId is not one of this account's.")
        match action.verb, action.kind:
            case "create", kind if kind is not None:
                return self._account.create(kind, fields, call)
            case "list", _:
                return self._list(fields, call.now)
            case "media", _:
                return self._media(fields, call.now)
            case "usage", _:
                return self._usage(fields, call.now)
            case "quotas", _:
                return self._quotas(fields, call.now)
            case _:
                return self._detail(fields, call.now)

    def _detail(self, fields: Mapping[str, Json], now: float) -> Answer:
        task_id = text_of(fields, "TaskId")
        if not task_id:
            raise missing("TaskId")
        task = self._account.find(task_id, now)
        if task is None:
            raise Refused("InvalidParameterValue.TaskId", f"There is no task {task_id}.")
        return Answer(self._account.detail(task, now), task_id)

    def _media(self, fields: Mapping[str, Json], now: float) -> Answer:
        file_ids = texts_of(fields, "FileIds")
        if not file_ids:
            raise missing("FileIds")
        within("FileIds", len(file_ids), most=MAX_FILES)
        return Answer(self._account.media(file_ids, now))

    def _usage(self, fields: Mapping[str, Json], now: float) -> Answer:
        word = text_of(fields, "AigcType")
        if not word:
            raise missing("AigcType")
        span = billing.span_of(fields, now, "InvalidParameterValue")
        data: list[Json] = [
            {"Specification": name, "DataSet": billing.by_day_or_minutes(group, span)}
            for name, group in billing.by_specification(self._billed(word, now)).items()
        ]
        return Answer({"AigcUsageDataSet": data})

    def _quotas(self, fields: Mapping[str, Json], now: float) -> Answer:
        if "SubAppId" not in fields:  # "Required: Yes", DescribeAigcQuotas
            raise missing("SubAppId")
        return Answer(billing.quotas(fields, self._quota_limits, self._billed(text_of(fields, "QuotaType"), now)))

    def _billed(self, word: str, now: float) -> Sequence[ServiceTask]:
        """The tasks that are billed, by the word of their AigcType or QuotaType."""
        kind = _KINDS.get(word)
        return [] if kind is None else billing.billed_tasks(self._tasks.values(), "vod", kind, now)

    def _list(self, fields: Mapping[str, Json], now: float) -> Answer:
        """A page of tasks, the newest first. The token is the TaskId of the next task."""
        if filters := [name for name in _UNSUPPORTED if name in fields]:
            raise Refused("UnsupportedOperation", f"The emulator does not list by {', '.join(filters)}.")
        if fields.get("Sort", _NEWEST_FIRST) != _NEWEST_FIRST:
            raise Refused("UnsupportedOperation", "The emulator lists the newest first only.")
        limit = int(within("Limit", integer_of(fields, "Limit", 10), most=100))
        status, token = text_of(fields, "Status"), text_of(fields, "ScrollToken")
        tasks = self._account.recent(now)
        if token:
            ids = [task.task_id for task in tasks]
            if token not in ids:
                raise Refused("InvalidParameterValue", "The parameter `ScrollToken` is not one that was given out.")
            tasks = tasks[ids.index(token) :]
        matching = [task for task in tasks if not status or STATUS[task.status(now)] == status]
        following = matching[limit].task_id if len(matching) > limit else ""
        page: list[Json] = [self._account.summary(task, now) for task in matching[:limit]]
        return Answer({"TaskSet": page, "ScrollToken": following})
