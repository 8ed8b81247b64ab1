"""The public names, with all that they need. The package hands them on when the first one is used."""

from . import catalog
from .catalog import CatalogWarning
from .client import AigcClient, SyncClient, SyncJob, SyncRun, SyncTask
from .concurrency.fan_out import Run
from .config import Config
from .credentials.credentials import Credentials, CredentialSource
from .engine.job import Job
from .engine.plan import Plan, PlannedWork, Standing
from .engine.statistics import PaceStatistics, SlotStatistics, Statistics
from .engine.task import Task
from .ledger import JobRecord
from .model import events
from .model.budget import Budget
from .model.errors import (
    AccountError,
    AigcError,
    BudgetReached,
    ClientClosed,
    ClientError,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    JobCancelled,
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
from .model.events import Event
from .model.inputs import ReferenceImage, ReferenceVideo, Subject
from .model.outcomes import Failure, Origin, Outcome, Success
from .model.requests import AudioRequest, CosStore, ImageRequest, ImageToVideo, VideoRequest, VideoToAudio
from .model.results import AudioResult, ImageResult, ImageToVideoResult, Usage, VideoResult, VideoToAudioResult
from .model.settlement import Attach, CreateAgain, Drop
from .model.states import JobState, Kind, TaskFault, TaskState
from .model.usage import LedgerUsage, Quota, ServiceUsage, UsageComparison, UsageReport
from .model.vod_options import VodFile, VodOptions
from .network.transport import Timeouts
from .policy.retries import RetryPolicy
from .tables.reading import read_table
from .wire.dialect import TaskStatus
from .wire.scenes import ListedTask, TaskDetails, TaskFilter, TaskList

__all__ = [
    "AccountError",
    "AigcClient",
    "AigcError",
    "Attach",
    "AudioRequest",
    "AudioResult",
    "Budget",
    "BudgetReached",
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
    "Failure",
    "ImageRequest",
    "ImageResult",
    "ImageToVideo",
    "ImageToVideoResult",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobDropped",
    "JobRecord",
    "JobState",
    "Kind",
    "LedgerError",
    "LedgerUsage",
    "ListedTask",
    "NoTaskId",
    "Origin",
    "Outcome",
    "PaceStatistics",
    "Plan",
    "PlannedWork",
    "Quota",
    "Redirected",
    "ReferenceImage",
    "ReferenceVideo",
    "ResultExpired",
    "RetryPolicy",
    "Run",
    "ServiceError",
    "ServiceUsage",
    "SlotStatistics",
    "Standing",
    "Statistics",
    "Subject",
    "Success",
    "SyncClient",
    "SyncJob",
    "SyncRun",
    "SyncTask",
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
    "UsageComparison",
    "UsageReport",
    "VideoRequest",
    "VideoResult",
    "VideoToAudio",
    "VideoToAudioResult",
    "VodFile",
    "VodOptions",
    "catalog",
    "events",
    "read_table",
]
