"""The tasks of the other AIGC scenes (redraw, drama, documents to videos), as values: queried, never created.

Source: DescribeAigcTaskList and DescribeAigcTaskStatus of the MPS API, version 2019-06-12, as of the official SDK
3.1.194 (2026-10). Neither action lists the tasks of CreateAigc{Image,Video,Audio}Task.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .answers import task_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """The tasks to list. A field that is None does not restrict the list."""

    task_id: str | None = None
    task_type: str | None = None
    """RedrawVideo, AIDrama, DocGenVideo, FissionVideo."""
    status: str | None = None
    resolution: str | None = None
    ratio: str | None = None
    execute_mode: str | None = None
    """`auto`, or `phased`: the user confirms before generation."""
    video_type: str | None = None
    """For FissionVideo: ugc, talk, display, unboxing, reaction."""
    model_tier: str | None = None
    """`standard` or `flagship`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTask:
    """The fields of a task that both actions return. A missing text is empty; times are in the service's form."""

    task_id: str
    task_type: str
    status: str
    """PENDING, RUNNING, FINISHED, STOP (stopped), FAILED or TIMEOUT."""
    stage: str
    create_time: str
    scheduled_time: str
    finished_time: str
    result_code: int | None
    result_message: str
    request_body: str
    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask(SceneTask):
    """A task in a `TaskList`."""

    urls: tuple[str, ...]
    resolution: str
    ratio: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskList:
    """A page of tasks."""

    total: int
    page: int
    """From 1."""
    page_size: int
    tasks: tuple[ListedTask, ...]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetails(SceneTask):
    """The details of a task, by its TaskId."""

    output_url: str
    request_id: str


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _id(value: object) -> str:
    return _text(value) or task_id(value)


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> int:
    return _integer(value) or 0


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _listed(value: object) -> tuple[ListedTask, ...]:
    tasks = value if isinstance(value, list) else []
    return tuple(ListedTask(**_read(LISTED, task)) for task in tasks if isinstance(task, dict))


Row = tuple[str, str, Callable[[object], object]]
# attribute, field on the wire, and the function that reads the value
FILTER: Final[Mapping[str, str]] = {
    "task_id": "TaskId",
    "task_type": "TaskType",
    "status": "TaskStatus",
    "resolution": "Resolution",
    "ratio": "Ratio",
    "execute_mode": "ExecuteMode",
    "video_type": "VideoType",
    "model_tier": "ModelTier",
}
_TASK: Final[tuple[Row, ...]] = (
    ("task_id", "TaskId", _id),
    ("task_type", "TaskType", _text),
    ("status", "TaskStatus", _text),
    ("stage", "Stage", _text),
    ("create_time", "CreateTime", _text),
    ("scheduled_time", "ScheduledTime", _text),
    ("finished_time", "FinishedTime", _text),
    ("result_code", "TaskResultCode", _integer),
    ("result_message", "TaskResultMsg", _text),
    ("request_body", "RequestBody", _text),
    ("info", "TaskInfo", _text),
)
LISTED: Final[tuple[Row, ...]] = (
    *_TASK,
    ("urls", "Urls", _texts),
    ("resolution", "Resolution", _text),
    ("ratio", "Ratio", _text),
)
LIST: Final[tuple[Row, ...]] = (
    ("total", "Total", _number),
    ("page", "PageNum", _number),
    ("page_size", "PageSize", _number),
    ("tasks", "Tasks", _listed),
    ("request_id", "RequestId", _text),
)
DETAILS: Final[tuple[Row, ...]] = (*_TASK, ("output_url", "OutputUrl", _text), ("request_id", "RequestId", _text))


def _read(rows: tuple[Row, ...], fields: Mapping[str, object]) -> dict[str, Any]:
    return {attribute: read(fields.get(name)) for attribute, name, read in rows}


def list_params(page: int, page_size: int, only: TaskFilter | None) -> dict[str, object]:
    """DescribeAigcTaskList's parameters."""
    values = {
        name: value for attribute, name in FILTER.items() if (value := getattr(only, attribute, None)) is not None
    }
    return {"PageNum": page, "PageSize": page_size, **({"QueryTaskFilter": values} if values else {})}


def task_list(response: Mapping[str, object]) -> TaskList:
    """DescribeAigcTaskList's answer."""
    return TaskList(**_read(LIST, response))


def task_details(response: Mapping[str, object]) -> TaskDetails:
    """DescribeAigcTaskStatus's answer."""
    return TaskDetails(**_read(DETAILS, response))
