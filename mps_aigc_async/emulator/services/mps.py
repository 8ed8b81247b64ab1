"""MPS's desk: images, videos and audio, each with its own create and describe."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..tasks.fields import Json, integer_of, text_of, texts_of
from ..tasks.orders import AudioOrder, Kind, missing, within
from ..tasks.refusal import Refused
from ..tasks.tasks import ServiceTask
from . import actions, billing
from .equipment import Equipment
from .exchange import Answer, ServiceCall
from .gateway import GatewayDesk
from .mps_orders import order_of, place_of

VERSION = "2019-06-12"
"""X-TC-Version of MPS. The API has no other version."""

_MAX_PAGE = 100
"""Most tasks of a page, chosen for the emulator: the document sets no maximum."""

_KINDS: Final[Mapping[str, Kind]] = {"AIGCImage": "image", "AIGCVideo": "video"}
"""The kinds by the types of DescribeUsageData. Audio has no type."""


class Mps(GatewayDesk):
    """MPS's desk (`exchange.Desk`)."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment, service="mps", version=VERSION, actions=actions.MPS, prefix="")
        self._settings = equipment.settings
        self._workshop = equipment.workshop
        self._storage = equipment.storage
        self._buckets = equipment.buckets
        self._ids = equipment.ids

    def answer(self, call: ServiceCall) -> Answer:
        action, fields = self._gateway.admit(call)
        match action.verb, action.kind:
            case "create", kind if kind is not None:
                return self._create(kind, fields, call)
            case "list", _:
                return _no_tasks(fields)
            case "usage", _:
                return self._usage(fields, call.now)
            case _, kind:
                return self._description(self._find(kind, fields), call.now)

    def _create(self, kind: Kind, fields: Mapping[str, Json], call: ServiceCall) -> Answer:
        order = order_of(kind, fields)
        self._workshop.require_allowed(order.prompt, "InvalidParameter.ViolationContent")
        place = place_of(fields)
        if place is not None:
            self._buckets.open(place)
        most = (self._settings.max_running or {}).get(kind)
        if most is not None and self._workshop.running(kind, call.now, ("mps",)) >= most:
            raise Refused("LimitExceeded.CreateTask", f"At most {most} {kind} tasks may run at once.")
        self._workshop.require_model(text_of(fields, "ModelName"), call.now, "mps")
        task_id = f"4-Aigc{kind.capitalize()}-{self._ids.getrandbits(128):032x}"
        frames = self._workshop.make(
            "mps", order, task_id, call.now, kind=kind, fails_with=call.fails_with, place=place
        )
        return Answer({"TaskId": task_id}, task_id, frames)

    def _usage(self, fields: Mapping[str, Json], now: float) -> Answer:
        """DescribeUsageData. All tasks are processed in the region of the settings."""
        span = billing.span_of(fields, now, "InvalidParameter")
        is_here = self._settings.process_region in (texts_of(fields, "ProcessRegions") or ["ap-guangzhou"])
        data: list[Json] = []
        for word in texts_of(fields, "Types") or ["Transcode"]:
            kind = _KINDS.get(word)
            tasks = self._workshop.tasks.values() if is_here else ()
            billed = [] if kind is None else billing.billed_tasks(tasks, "mps", kind, now)
            details: list[Json] = [
                {"Specification": name, "Data": billing.by_day(group, span)}
                for name, group in billing.by_specification(billed).items()
            ]
            data.append({"TaskType": word, "Summary": billing.by_day(billed, span), "Details": details})
        return Answer({"Data": data})

    def _find(self, kind: Kind | None, fields: Mapping[str, Json]) -> ServiceTask:
        """The task of this kind. DescribeAigcTaskStatus has no kind and finds no task: it is for other scenes
        (RedrawVideo, AIDrama …), which the emulator does not have. Raises Refused."""
        task_id = text_of(fields, "TaskId")
        if not task_id:
            raise missing("TaskId")
        task = self._workshop.tasks.get(task_id)
        if task is None or task.origin != "mps" or kind is None:
            raise Refused("FailedOperation.TaskNotFound", f"There is no {kind or 'such'} task {task_id}.")
        if task.kind != kind:
            # As reported from the live service in 2026-08: the message does not mention the other kind.
            raise Refused("ResourceNotFound", "The resource is not found.")
        return task

    def _description(self, task: ServiceTask, now: float) -> Answer:
        status = task.status(now)
        # "ok" on success, as seen from the live service: a client must not take every Message for a failure.
        message = "ok" if status == "DONE" else task.failure.message if status == "FAIL" and task.failure else ""
        urls = self._urls(task) if status == "DONE" else []
        return Answer({"Status": status, "Message": message, **_results(task, urls)}, task.task_id)

    def _urls(self, task: ServiceTask) -> Sequence[str]:
        return self._storage.urls(task) if task.place is None else self._buckets.urls(task)


def _results(task: ServiceTask, urls: Sequence[str]) -> Mapping[str, Json]:
    if task.kind == "image":
        return {"ImageUrls": urls}
    if isinstance(task.order, AudioOrder):
        pieces: list[Json] = [{"Url": url, "Duration": task.order.seconds} for url in urls]
        return {"AudioInfos": pieces[: task.order.count], "VideoInfos": pieces[task.order.count :]}
    width, height = task.order.size
    return {"VideoUrls": urls, "Resolution": f"{width}x{height}" if urls else ""}


def _no_tasks(fields: Mapping[str, Json]) -> Answer:
    """DescribeAigcTaskList: an empty list, since its scenes are not in the emulator."""
    page = int(within("PageNum", integer_of(fields, "PageNum", 1), most=1_000_000))
    size = int(within("PageSize", integer_of(fields, "PageSize", 10), _MAX_PAGE))
    return Answer({"Total": 0, "PageNum": page, "PageSize": size, "Tasks": []})
