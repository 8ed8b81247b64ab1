"""The protocol of a dialect, which translates for one service, and its values.

A dialect turns a request into a `Call`, a `Call` into an `HttpRequest` (signed, when the time is known), and an
`HttpAnswer` into a typed value or one of our errors. A dialect uses no socket and no clock.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from ..credentials.credentials import Credentials
from ..model.requests import CosStore, Step
from ..model.results import Usage
from ..model.states import Kind, TaskFault, TaskState
from ..policy.lifetimes import UNSTATED, Lifetime
from .answers import is_no_reason

FILES_AT_ONCE: Final = 20
"""Most files of one `media_urls` call: DescribeMediaInfos numbers its FileIds from 0 to 19 (VOD SDK 3.1.194)."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that is ready to send. `headers` hold the signature or the key, and are never logged."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    def __repr__(self) -> str:
        return f"HttpRequest({self.path!r}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to one request, not yet decoded. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpAnswer({self.status}, {len(self.body)} bytes)"  # the body may quote the request's headers


def is_read(action: str) -> bool:
    """Whether an action only reads: Tencent's reading actions are named Describe… and List…."""
    return action.startswith(("Describe", "List"))


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """An API call before the signature: each attempt signs the call again."""

    action: str
    body: bytes = field(repr=False)
    """Left out of the repr: it may have the signed URLs of inputs, which tools that report errors would show."""
    decode: Callable[[HttpAnswer], T_co]
    """Raises ServiceError or TransportError for anything but success."""
    path: str = "/"
    method: str = "POST"

    @property
    def reads(self) -> bool:
        """Whether a second send costs nothing."""
        return is_read(self.action)


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a create."""

    task_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """The answer to a poll."""

    state: TaskState
    word: str
    """The service's own word for the state, unchanged."""
    request_id: str
    message: str = ""
    urls: tuple[str, ...] = ()
    resolution: str | None = None
    durations: tuple[float | None, ...] = ()
    """Seconds of each audio, in the order of `urls`; empty if the answer tells none."""
    videos: tuple[str, ...] = ()
    """URLs of an audio task's videos: each has the new sound on it."""
    video_durations: tuple[float | None, ...] = ()
    """Seconds of each of `videos`."""
    known: bool = True
    """Whether `word` is documented."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of the results that VOD stores."""
    bare_file_ids: tuple[str, ...] = ()
    """The ids in `file_ids` whose results have no URL."""
    lifetime: Lifetime = UNSTATED
    """The lifetime of the results, as far as the answer states it."""
    progress: int | None = None
    """Per cent, if the service reports it (VOD, the relay)."""
    usage: Usage | None = None
    """The service's count for its bill, if reported (VOD's videos)."""
    begun_at: float | None = None
    """When the service began to work on the task (Unix seconds), if reported (VOD)."""
    finished_at: float | None = None
    """When the task ended at the service (Unix seconds), if reported (VOD)."""
    fault_code: str = ""
    """The service's code for a failed task's fault; empty if the service sends none (MPS)."""
    fault: TaskFault | None = None
    """The meaning of that code."""
    made_nothing: bool = False
    """Whether the answer shows that a failed task has no results and is not billed (`vod_faults.made_nothing`)."""

    @property
    def duration(self) -> float | None:
        """Seconds of the first audio or video whose seconds the answer tells."""
        return next((length for length in (*self.durations, *self.video_durations) if length is not None), None)

    @property
    def has_results(self) -> bool:
        """Whether there is a result to fetch: a URL, or a file that the service stores."""
        return bool(self.urls or self.videos or self.file_ids)

    @property
    def ended_failed(self) -> bool:
        """Whether the service reports the task as failed."""
        return self.state is TaskState.FAILED

    @property
    def explains_no_result(self) -> bool:
        """Whether the task is DONE without a result, and its message reads like the reason."""
        return self.state is TaskState.DONE and not self.has_ended and not is_no_reason(self.message)

    @property
    def has_ended(self) -> bool:
        """Whether the task has ended. DONE without a result is no end: polling goes on until the deadline."""
        return self.state is TaskState.FAILED or (self.state is TaskState.DONE and self.has_results)


class SessionRule(StrEnum):
    """The evidence that a service refuses a second create of one session."""

    NONE = "none"
    """Not applicable: creates carry no session."""
    UNPROVEN = "unproven"
    """No evidence: creates carry a session, but several accounts behind relays ignore it."""
    TRUSTED = "trusted"
    """The user's word."""
    DOCUMENTED = "documented"
    """The service's documents."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of the account's tasks."""

    task_ids: Mapping[str, str]
    """TaskIds by the session of their create. If two tasks have one session, the later in the list counts."""
    next_page: str
    """Empty on the last page."""
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All TaskIds of each session with more than one task: there the service did not refuse a second create."""


class Dialect(Protocol):
    """The translation between this package's values and one service's HTTP messages."""

    @property
    def backend(self) -> str:
        """The service's name in the config and the ledger."""
        ...

    def sessions(self, kind: Kind, /) -> SessionRule:
        """Whether creates of a kind carry a session id, and the evidence that the service refuses a second create by
        it."""
        ...

    @property
    def signs_time(self) -> bool:
        """Whether each call carries its time. The service checks the time and refuses a call by a wrong clock."""
        ...

    @property
    def scope(self) -> Mapping[str, str]:
        """The scope of TaskIds and sessions beside account and endpoint, by the config's names. A ledger belongs to one
        scope."""
        ...

    @property
    def limits(self) -> Mapping[str, float]:
        """Documented calls per second, by action."""
        ...

    @property
    def limits_region(self) -> str:
        """The access region in which calls per second are counted; empty if no document counts by region."""
        ...

    @property
    def default_limit(self) -> float:
        """Calls per second of an action that `limits` does not name."""
        ...

    @property
    def url_life_s(self) -> float:
        """Seconds that a temporary result's URL lives."""
        ...

    def keeps(self, request: Step, store: CosStore | None, /) -> bool:
        """Whether the request's results never expire. `store` is as for `create`."""
        ...

    def create_action(self, kind: Kind) -> str: ...

    def describe_action(self, kind: Kind, /) -> str: ...

    def create(self, request: Step, store: CosStore | None, session_id: str = "", /) -> Call[Created]:
        """The create of one task. `store` is the default for a request that names no bucket of its own.

        Raises InvalidRequest, by the field's name, for a field that this service does not support.
        """
        ...

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]: ...

    def media_urls(self, file_ids: Sequence[str], /) -> Call[Mapping[str, str]] | None:
        """The URLs of stored files, by their ids; at most FILES_AT_ONCE. None if the service has no such action."""
        ...

    def takes_file_ids(self, kind: Kind, /) -> frozenset[str]:
        """The fields of a request of this kind in which a stored result goes by its file id rather than its URL."""
        ...

    def call(self, action: str, params: Mapping[str, object], /) -> Call[dict[str, object]]:
        """Any action of the service, decoded to the inside of its envelope."""
        ...

    def tasks(self, state: TaskState, page: str, /) -> Call[TaskPage] | None:
        """A page of the account's tasks in one state, to find a session's task. None if the service has no list."""
        ...

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int, /) -> HttpRequest: ...


def scope_of(dialect: Dialect) -> str:
    """The scope of a dialect's TaskIds as one text; empty if account and endpoint are the whole scope."""
    return " ".join(f"{name}={value}" for name, value in dialect.scope.items())
