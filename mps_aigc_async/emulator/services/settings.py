"""How an emulator behaves, checked when it is made: a test should fail at its own mistake, not three calls later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, get_args

from ..tasks.orders import KINDS
from ..tasks.storage import Piece
from .actions import ACTIONS

RelayEnvelope: TypeAlias = Literal["detail", "wrapped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    speed: float = 1.0
    """Divides the tasks' durations and the life of result URLs; never the rate window, the signature's 5 minutes or the
    3 days of VOD's tasks and SessionIds."""
    seed: int = 7
    """Of every draw: durations, ids, faults. Calls that come in the same order get the same answers."""
    image_seconds: tuple[float, float] = (60.0, 180.0)
    """Shortest and longest task, before `speed`: "1–3 minutes" for an image, "3–5" for a video (AIGC guide)."""
    video_seconds: tuple[float, float] = (180.0, 300.0)
    audio_seconds: tuple[float, float] = (30.0, 90.0)
    """Ours: the documents say nowhere how long an audio takes."""
    task_seconds: Mapping[str, float] | None = field(default=None, repr=False)
    """By prompt, how long its tasks take, before `speed`: so that whoever creates in another order gets the same for
    the same job. Of a prompt left out it is drawn from its kind's range."""
    max_running: Mapping[str, int] | None = None
    """By kind, `{"image": 50, "video": 10}`, of MPS's tasks: beyond it LimitExceeded.CreateTask. A kind left out has no
    cap."""
    model_running: Mapping[str, int] | None = None
    """By ModelName, `{"Hailuo": 10}`, how many of its tasks may run at once: beyond it RequestLimitExceeded, the rate's
    code. Reported of MPS's Hailuo H3 and of VOD in 2026-08."""
    limits: Mapping[str, int | None] | None = None
    """By action (its full name in `actions.ACTIONS`), in place of the documented calls per second; None as a value is
    no limit."""
    secret_id: str = field(default="AKIDEXAMPLE", repr=False)
    secret_key: str = field(default="KEYEXAMPLE", repr=False)
    forbidden_word: str = "forbidden-content"
    """A prompt that contains it is refused at the create: InvalidParameter.ViolationContent, of which VOD's spelling is
    InvalidParameter.VoilationContent."""
    failing_word: str = "fail-later"
    """A prompt that contains it makes a task that ends FAIL, at VOD in a FINISH with an ErrCodeExt."""
    fetch_frames: bool = True
    """A video waits for the images it was given until they have been fetched; False takes them for granted. In memory
    the service finds its own results without a network, and takes all other images for granted."""
    media: Callable[[Piece], bytes] | None = field(default=None, repr=False)
    """Makes a result's bytes in place of rendering them, `media=lambda piece: b"\\x89PNG\\r\\n\\x1a\\n"`: quick, and
    without the extra `emulator`."""
    log_size: int = 100_000
    """Arrivals kept in the log. The counters are complete whatever it is."""
    sub_app_id: int | None = None
    """VOD's application, which every call has to name; None takes any, and none."""
    vod_processing: int | None = None
    """Tasks that VOD processes at a time for an account, the others waiting in line; None is no line. An account has 1
    unless it asks for more ("默认限制1个并发处理", CreateAigcImageTask). The relay's account has a line of its own."""
    vod_success: str = ""
    """The ErrCodeExt of a task of VOD or the relay that ended well: documented as empty, and reported as `SUCCESS`."""
    vod_file_urls: bool = True
    """False leaves a permanent result's FileUrl empty: DescribeMediaInfos tells it by the FileId."""
    relay_key: str = field(default="RELAYEXAMPLE", repr=False)
    """The bearer token of the relay."""
    relay_query: str = "/tencent-vod/v1/query/{task_id}"
    """The path of the relay's query, which its own pages don't document."""
    relay_envelope: RelayEnvelope = "detail"
    """The answer to a query: VOD's DescribeTaskDetail, or that wrapped in the family's task record."""
    relay_create_envelope: RelayEnvelope = "detail"
    """The answer to a create: VOD's Response, or the task's id in the family's task record."""
    relay_sessions: bool = True
    """False for a relay that ignores `session_id`: a second create of one session makes a second task."""

    def __post_init__(self) -> None:
        _known("limits", self.limits or {}, ACTIONS)
        _known("max_running", self.max_running or {}, KINDS)
        if self.relay_query.count("{task_id}") != 1:
            raise ValueError(f"relay_query holds {{task_id}} once: {self.relay_query!r}")
        for name in ("relay_envelope", "relay_create_envelope"):
            if getattr(self, name) not in get_args(RelayEnvelope):
                raise ValueError(f"{name} is one of {get_args(RelayEnvelope)}: {getattr(self, name)!r}")


def _known(setting: str, given: Mapping[str, object], names: Iterable[str]) -> None:
    if unknown := sorted(set(given) - set(names)):
        raise ValueError(f"{setting} names what the emulator does not have: {unknown}; it has {sorted(names)}")


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
    sub_app_id: int | None
    vod_processing: int | None
    vod_success: str
    vod_file_urls: bool
    relay_key: str
    relay_query: str
    relay_envelope: RelayEnvelope
    relay_create_envelope: RelayEnvelope
    relay_sessions: bool
