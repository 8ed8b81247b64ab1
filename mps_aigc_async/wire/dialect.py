"""What a dialect is: how one service is spoken, as values.

A dialect turns a request into a `Call`, a `Call` into an `HttpRequest` (signed, when the time is known), and an
`HttpAnswer` into a typed value or one of our errors. It sees no socket and no clock.
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
"""Most files that one call asks about: DescribeMediaInfos numbers its FileIds from 0 to 19 (VOD SDK 3.1.194)."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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

    def __repr__(self) -> str:
        return f"HttpAnswer({self.status}, {len(self.body)} bytes)"  # it may quote the request's headers


def is_read(action: str) -> bool:
    """Whether an action only reads: Tencent's are named Describe… and List…."""
    return action.startswith(("Describe", "List"))


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
    """Whether the service is known to refuse it when it is sent a second time: an ambiguous one may then be sent again.
    Set by the caller: a dialect does not know whether a relay honours the session ids that it takes."""

    @property
    def reads(self) -> bool:
        """Whether sending it again can cost nothing."""
        return is_read(self.action)


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
    bare_file_ids: tuple[str, ...] = ()
    """The part of `file_ids` whose results have no URL."""
    lifetime: Lifetime = UNSTATED
    """How long the results live, as far as the service says."""
    progress: int | None = None
    """Per cent, where the service tells (VOD, the relay)."""
    usage: Usage | None = None
    """The service's count for its bill, if it tells (VOD's videos)."""
    begun_at: float | None = None
    """When the service began to work on the task (Unix seconds), where it tells (VOD)."""
    finished_at: float | None = None
    """When the task ended at the service (Unix seconds), where it tells (VOD)."""
    fault_code: str = ""
    """The service's code of a failed task's fault; empty where there is none (MPS)."""
    fault: TaskFault | None = None
    """The meaning of that code."""
    made_nothing: bool = False
    """Whether the answer shows that a failed task made nothing and is not billed (`vod_faults.made_nothing`)."""

    @property
    def has_results(self) -> bool:
        """Whether anything is there to fetch: a URL, or a file that is kept at the service."""
        return bool(self.urls or self.videos or self.file_ids)

    @property
    def ended_failed(self) -> bool:
        """Whether the service says that the task failed."""
        return self.state is TaskState.FAILED

    @property
    def explains_no_result(self) -> bool:
        """Whether the task is DONE without a result, and its message reads like the reason."""
        return self.state is TaskState.DONE and not self.has_ended and not is_no_reason(self.message)

    @property
    def has_ended(self) -> bool:
        """DONE without a result has not: a result that is not there yet is polled on, within the deadline."""
        return self.state is TaskState.FAILED or (self.state is TaskState.DONE and self.has_results)


class SessionRule(StrEnum):
    """The evidence for how a service answers a second create of one session."""

    NONE = "none"
    """A create carries no session."""
    UNPROVEN = "unproven"
    """A create carries one. Nothing says that the service refuses a second: several accounts that stand behind relays
    ignore it."""
    TRUSTED = "trusted"
    """It refuses a second one, by the user's word."""
    DOCUMENTED = "documented"
    """It refuses a second one, by its documents."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some of the account's tasks."""

    task_ids: Mapping[str, str]
    """TaskIds by the session that they were created in; of two tasks of one session the one that comes later."""
    next_page: str
    """Empty for the last one."""
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All TaskIds of a session that more than one task has: the service did not refuse its second create."""


class Dialect(Protocol):
    """How one service is spoken."""

    @property
    def backend(self) -> str:
        """Its name in the config and the ledger."""
        ...

    @property
    def sessions(self) -> SessionRule:
        """Whether a create carries a session id, and whether the service refuses a second one by it."""
        ...

    @property
    def signs_time(self) -> bool:
        """Whether each call carries its time, which the service checks: a call by a wrong clock is refused then."""
        ...

    @property
    def scope(self) -> Mapping[str, str]:
        """The further scope of its TaskIds and sessions, beside account and endpoint, by the config's names: a ledger
        belongs to it as well."""
        ...

    @property
    def limits(self) -> Mapping[str, float]:
        """Documented calls per second, by action."""
        ...

    @property
    def limits_region(self) -> str:
        """The access region that its calls per second are counted in; empty where the service does not say that it
        counts them by region."""
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
        """Whether the request's results are stored without an end. `store` is as for `create`."""
        ...

    def create_action(self, kind: Kind) -> str: ...

    def describe_action(self, kind: Kind, /) -> str: ...

    def create(self, request: Step, store: CosStore | None, session_id: str = "", /) -> Call[Created]:
        """The create of one task. `store` is the default for a request that names no bucket of its own.

        Raises InvalidRequest, by the field's name, for what this service cannot be asked for.
        """
        ...

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]: ...

    def media_urls(self, file_ids: Sequence[str], /) -> Call[Mapping[str, str]] | None:
        """The URLs of files that the service keeps, by their ids; at most FILES_AT_ONCE. None where no action tells."""
        ...

    def call(self, action: str, params: Mapping[str, object], /) -> Call[dict[str, object]]:
        """Any action of the service; decoded to the inside of its envelope."""
        ...

    def tasks(self, state: TaskState, page: str, /) -> Call[TaskPage] | None:
        """A page of the account's tasks in one state, to find a session's task in; None where there is no list."""
        ...

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int, /) -> HttpRequest: ...
