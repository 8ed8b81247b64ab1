"""What a dialect is: how one service is spoken, as values.

A dialect turns a request into a `Call`, a `Call` into an `HttpRequest` (signed, when the time is known), and an
`HttpAnswer` into a typed value or one of our errors. It sees no socket and no clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ..credentials import Credentials
from ..requests import CosStore, Step
from ..states import Kind, TaskFault, TaskState
from .answers import is_no_reason

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

TaskRequest = Step
"""A request for one task."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, ready to go. `headers` hold the signature or the key: they are never logged."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    def __repr__(self) -> str:
        return f"HttpRequest({self.path!r}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer as it came. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One API call before it is signed: each attempt signs it anew."""

    action: str
    body: bytes
    decode: Callable[[HttpAnswer], T_co]
    """Raises ServiceError or TransportError for anything but success."""
    path: str = "/"
    method: str = "POST"
    deduplicated: bool = False
    """Whether the service itself refuses it when it is sent a second time: an ambiguous one may then be sent again."""

    @property
    def reads(self) -> bool:
        """Whether sending it again can cost nothing: Tencent's read-only actions are named Describe… and List…."""
        return self.action.startswith(("Describe", "List"))


@dataclass(frozen=True, slots=True)
class Created:
    """A create's answer."""

    task_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A poll's answer."""

    state: TaskState
    word: str
    """The service's own word for the state, as it came."""
    request_id: str
    message: str = ""
    urls: tuple[str, ...] = ()
    resolution: str | None = None
    duration: float | None = None
    """Seconds, of the first audio."""
    videos: tuple[str, ...] = ()
    """Beside an audio's `urls`: the video with the sound on it, where there is one."""
    known: bool = True
    """Whether the word is a documented one."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of the results, where they are kept there."""
    fault_code: str = ""
    """The service's code of a failed task's fault; empty where there is none (MPS)."""
    fault: TaskFault | None = None
    """What that code means."""
    made_nothing: bool = False
    """Whether the answer shows that a failed task made nothing and is not billed (`vod_faults.made_nothing`)."""

    @property
    def ended_failed(self) -> bool:
        """Whether the service says that the task failed."""
        return self.state is TaskState.FAILED

    @property
    def explains_no_result(self) -> bool:
        """Whether the task is DONE without a URL, and its message reads like the reason."""
        return self.state is TaskState.DONE and not self.has_ended and not is_no_reason(self.message)

    @property
    def has_ended(self) -> bool:
        """DONE without a URL has not: a result that is not there yet is polled on, within the deadline."""
        return self.state is TaskState.FAILED or (self.state is TaskState.DONE and bool(self.urls or self.videos))


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some of the account's tasks: their TaskIds by the session that they were created in."""

    task_ids: Mapping[str, str]
    next_page: str
    """Empty for the last one."""


class Dialect(Protocol):
    """How one service is spoken."""

    @property
    def backend(self) -> str:
        """Its name in the config and the ledger."""
        ...

    @property
    def takes_sessions(self) -> bool:
        """Whether a create can carry a session id, by which the service refuses a second one."""
        ...

    @property
    def limits(self) -> Mapping[str, float]:
        """Documented calls per second, by action."""
        ...

    @property
    def default_limit(self) -> float:
        """Calls per second of an action that `limits` does not name."""
        ...

    @property
    def url_life_s(self) -> float:
        """Seconds that a result's URL lives."""
        ...

    def create_action(self, kind: Kind) -> str: ...

    def describe_action(self, kind: Kind, /) -> str: ...

    def create(self, request: TaskRequest, store: CosStore | None, session_id: str = "", /) -> Call[Created]:
        """The create of one task. `store` is the default for a request that names no bucket of its own.

        Raises InvalidRequest, by the field's name, for what this service cannot be asked for.
        """
        ...

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]: ...

    def call(self, action: str, params: Mapping[str, object], /) -> Call[dict[str, object]]:
        """Any action of the service; decoded to the inside of its envelope."""
        ...

    def tasks(self, state: TaskState, page: str, /) -> Call[TaskPage] | None:
        """A page of the account's tasks in one state, to find a session's task in; None where there is no list."""
        ...

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int, /) -> HttpRequest: ...
