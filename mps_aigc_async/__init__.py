"""Images, videos and audio through Tencent Cloud MPS's AIGC API: paced, capped, durable, never paid for twice."""

import logging

from . import catalog, events
from .catalog import CatalogWarning
from .client import AigcClient
from .config import Config
from .credentials import Credentials, CredentialSource
from .errors import (
    AccountError,
    AigcError,
    ClientClosed,
    ClientError,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    JobDropped,
    LedgerError,
    NoTaskId,
    Redirected,
    ResultExpired,
    ServiceError,
    TaskBlocked,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    Throttled,
    TooManyTasks,
    TransportError,
    UnexpectedError,
    Unreachable,
)
from .events import Event
from .ledger import JobRecord
from .log_lines import LOGGER, make_plain
from .outcomes import Outcome
from .policy import RetryPolicy
from .requests import (
    AudioRequest,
    CosStore,
    ImageRequest,
    ImageToVideo,
    ReferenceImage,
    ReferenceVideo,
    Subject,
    VideoRequest,
    VideoToAudio,
    VodFile,
    VodOptions,
)
from .results import AudioResult, ImageResult, ImageToVideoResult, Usage, VideoResult, VideoToAudioResult
from .scheduler import Run
from .settlement import Attach, CreateAgain, Drop
from .states import JobState, Kind, TaskFault, TaskState
from .statistics import PaceStatistics, SlotStatistics, Statistics
from .task import Task
from .transport import Timeouts
from .wire.dialect import TaskStatus
from .wire.scenes import ListedTask, TaskDetails, TaskFilter, TaskList

# No record of ours steers the terminal that a handler may print it on.
logging.getLogger(LOGGER).addFilter(make_plain)

__all__ = [
    "AccountError",
    "AigcClient",
    "AigcError",
    "Attach",
    "AudioRequest",
    "AudioResult",
    "CatalogWarning",
    "ClientClosed",
    "ClientError",
    "Config",
    "ConfigError",
    "ContentViolation",
    "CosStore",
    "CreateAgain",
    "CreateOutcomeUnknown",
    "CredentialSource",
    "Credentials",
    "DamagedRow",
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
    "ListedTask",
    "NoTaskId",
    "Outcome",
    "PaceStatistics",
    "Redirected",
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
    "TaskBlocked",
    "TaskDetails",
    "TaskFailed",
    "TaskFault",
    "TaskFilter",
    "TaskList",
    "TaskNotFound",
    "TaskState",
    "TaskStatus",
    "TaskTimeout",
    "Throttled",
    "Timeouts",
    "TooManyTasks",
    "TransportError",
    "UnexpectedError",
    "Unreachable",
    "Usage",
    "VideoRequest",
    "VideoResult",
    "VideoToAudio",
    "VideoToAudioResult",
    "VodFile",
    "VodOptions",
    "catalog",
    "events",
]
