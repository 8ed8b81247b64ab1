"""Images and videos through Tencent Cloud MPS's AIGC API: paced, capped, durable, and never paid for twice."""

from . import catalog, events
from .assembly import PaceStatistics, SlotStatistics, Statistics
from .catalog import CatalogWarning
from .client import AigcClient, Task
from .config import Config
from .credentials import Credentials, CredentialSource
from .errors import (
    AccountError,
    AigcError,
    ClientClosed,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    DownloadError,
    InvalidRequest,
    JobDropped,
    LedgerError,
    ResultExpired,
    ServiceError,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    Throttled,
    TooManyTasks,
    TransportError,
)
from .events import Event
from .ledger import JobRecord
from .policy import RetryPolicy
from .requests import CosStore, ImageRequest, ImageToVideo, ReferenceImage, ReferenceVideo, Subject, VideoRequest
from .results import ImageResult, ImageToVideoResult, Outcome, VideoResult
from .scheduler import Run
from .settlement import Attach, CreateAgain, Drop
from .states import JobState, Kind, TaskState
from .transport import Timeouts
from .wire.dialect import TaskStatus

__all__ = [
    "AccountError",
    "AigcClient",
    "AigcError",
    "Attach",
    "CatalogWarning",
    "ClientClosed",
    "Config",
    "ConfigError",
    "ContentViolation",
    "CosStore",
    "CreateAgain",
    "CreateOutcomeUnknown",
    "CredentialSource",
    "Credentials",
    "DownloadError",
    "Drop",
    "Event",
    "ImageRequest",
    "ImageResult",
    "ImageToVideo",
    "ImageToVideoResult",
    "InvalidRequest",
    "JobDropped",
    "JobRecord",
    "JobState",
    "Kind",
    "LedgerError",
    "Outcome",
    "PaceStatistics",
    "ReferenceImage",
    "ReferenceVideo",
    "ResultExpired",
    "RetryPolicy",
    "Run",
    "ServiceError",
    "SlotStatistics",
    "Statistics",
    "Subject",
    "Task",
    "TaskFailed",
    "TaskNotFound",
    "TaskState",
    "TaskStatus",
    "TaskTimeout",
    "Throttled",
    "Timeouts",
    "TooManyTasks",
    "TransportError",
    "VideoRequest",
    "VideoResult",
    "catalog",
    "events",
]
