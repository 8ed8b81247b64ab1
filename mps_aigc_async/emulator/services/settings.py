"""The settings of an emulator, checked at once: a test should fail at its own mistake, not three calls later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, get_args

from ..tasks.orders import KINDS
from ..tasks.place import Access, Bucket
from ..tasks.storage import Piece
from .actions import ACTIONS

RelayEnvelope: TypeAlias = Literal["detail", "wrapped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    speed: float = 1.0
    """Divisor of the tasks' durations and of the life of result URLs. The rate window, the signature's 5 minutes and
    the 3 days of VOD's tasks and SessionIds stay unchanged."""
    seed: int = 7
    """Seed of all draws: durations, ids, faults. Calls in the same order get the same answers."""
    image_seconds: tuple[float, float] = (60.0, 180.0)
    """Shortest and longest task, before `speed`: "1–3 minutes" for an image, "3–5" for a video (AIGC guide)."""
    video_seconds: tuple[float, float] = (180.0, 300.0)
    audio_seconds: tuple[float, float] = (30.0, 90.0)
    """Chosen for the emulator: no document states the duration of an audio task."""
    task_seconds: Mapping[str, float] | None = field(default=None, repr=False)
    """Seconds of tasks by prompt, before `speed`: a job's duration then does not depend on the order of the creates.
    Durations for other prompts are drawn from their kind's range."""
    max_running: Mapping[str, int] | None = None
    """Most running tasks of MPS by kind, `{"image": 50, "video": 10}`: more are refused with LimitExceeded.CreateTask.
    Other kinds have no cap."""
    model_running: Mapping[str, int] | None = None
    """Most running tasks by ModelName, `{"Hailuo": 10}`: more are refused with RequestLimitExceeded, the rate's code.
    Reported for MPS's Hailuo H3 and for VOD in 2026-08."""
    limits: Mapping[str, int | None] | None = None
    """Calls per second by action (its full name in `actions.ACTIONS`), in place of the documented limits; None as a
    value means no limit."""
    secret_id: str = field(default="AKIDEXAMPLE", repr=False)
    secret_key: str = field(default="KEYEXAMPLE", repr=False)
    forbidden_word: str = "forbidden-content"
    """Creates with this word in the prompt are refused with InvalidParameter.ViolationContent; VOD's spelling is
    InvalidParameter.VoilationContent."""
    failing_word: str = "fail-later"
    """Tasks with this word in the prompt end as FAIL, at VOD as FINISH with an ErrCodeExt."""
    fetch_frames: bool = True
    """Whether a video waits until its images have been fetched. In memory, without a network, the service finds its own
    results; all other images count as fetched."""
    media: Callable[[Piece], bytes] | None = field(default=None, repr=False)
    """Function for a result's bytes in place of rendering, `media=lambda piece: b"\\x89PNG\\r\\n\\x1a\\n"`: quick, and
    without the extra `emulator`."""
    log_size: int = 100_000
    """Most arrivals in the log. The counters stay complete."""
    buckets: Mapping[str, Bucket] | None = None
    """Buckets of COS by name, `{"shots-1250000000": Bucket("public-read", "ap-guangzhou")}`. A create may name any
    other bucket too: each is private, and found in every region."""
    sub_app_id: int | None = None
    """VOD's application, which every call must name. With None, calls may name any application or no application."""
    vod_processing: int | None = None
    """Tasks of an account that VOD processes at a time; the others wait in line. None means no line. An account has 1
    by default ("默认限制1个并发处理", CreateAigcImageTask). The relay's account has a line of its own."""
    vod_success: str = ""
    """The ErrCodeExt of a successful task of VOD or the relay: documented as empty, and reported as `SUCCESS`."""
    vod_file_urls: bool = True
    """False leaves the FileUrl of permanent results empty: DescribeMediaInfos then returns it for the FileId."""
    vod_quotas: Mapping[str, int] | None = None
    """The account's quotas at VOD by QuotaType, `{"Image": 1000}`. The emulator only reports them, and refuses nothing
    for them."""
    process_region: str = "ap-guangzhou"
    """The region in which MPS's tasks are processed: DescribeUsageData reports a task to those who name its region, and
    without a region only this default's."""
    relay_key: str = field(default="RELAYEXAMPLE", repr=False)
    """The bearer token of the relay."""
    relay_query: str = "/tencent-vod/v1/query/{task_id}"
    """The path of the relay's query. The relay's own pages do not document it."""
    relay_envelope: RelayEnvelope = "detail"
    """The answer to a query: VOD's DescribeTaskDetail, bare or inside the family's task record."""
    relay_create_envelope: RelayEnvelope = "detail"
    """The answer to a create: VOD's Response, or the family's task record with the task's id."""
    relay_sessions: bool = True
    """False for a relay that ignores `session_id`: a second create of one session creates a second task."""

    def __post_init__(self) -> None:
        _require_names("limits", self.limits or {}, ACTIONS)
        _require_names("max_running", self.max_running or {}, KINDS)
        for name, bucket in (self.buckets or {}).items():
            if bucket.access not in get_args(Access):
                raise ValueError(f"the bucket {name} must have an access of {get_args(Access)}: {bucket.access!r}")
        if self.relay_query.count("{task_id}") != 1:
            raise ValueError(f"relay_query must contain {{task_id}} once: {self.relay_query!r}")
        for name in ("relay_envelope", "relay_create_envelope"):
            if getattr(self, name) not in get_args(RelayEnvelope):
                raise ValueError(f"{name} must be one of {get_args(RelayEnvelope)}: {getattr(self, name)!r}")


def _require_names(setting: str, values: Mapping[str, object], names: Iterable[str]) -> None:
    if unknown := sorted(set(values) - set(names)):
        raise ValueError(f"{setting} has unknown names: {unknown}; the emulator has {sorted(names)}")


class SettingsFields(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments, for functions that take them and pass them on."""

    speed: float
    seed: int
    image_seconds: tuple[float, float]
    video_seconds: tuple[float, float]
    audio_seconds: tuple[float, float]
    task_seconds: Mapping[str, float] | None
    max_running: Mapping[str, int] | None
    model_running: Mapping[str, int] | None
    limits: Mapping[str, int | None] | None
    secret_id: str
    secret_key: str
    forbidden_word: str
    failing_word: str
    fetch_frames: bool
    media: Callable[[Piece], bytes] | None
    log_size: int
    buckets: Mapping[str, Bucket] | None
    sub_app_id: int | None
    vod_processing: int | None
    vod_success: str
    vod_file_urls: bool
    vod_quotas: Mapping[str, int] | None
    process_region: str
    relay_key: str
    relay_query: str
    relay_envelope: RelayEnvelope
    relay_create_envelope: RelayEnvelope
    relay_sessions: bool
