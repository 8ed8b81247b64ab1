"""Events of jobs, as frozen values for listeners: progress bars, logs, metrics."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from itertools import count
from typing import Final

from .errors import AigcError
from .states import Kind

_log: Final = logging.getLogger("mps_aigc_async")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a single job, at `at` (Unix seconds)."""

    at: float
    job_id: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The job is in the ledger; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced(Event):
    """The create has its send time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Event):
    """The service accepted the task."""

    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled(Event):
    """The service answered a poll of the task."""

    task_id: str
    status: str
    """The service's own word."""
    progress: int | None = None
    """Per cent, if the service reports progress (VOD, the relay)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Event):
    """The client retries a create or a download after `delay_s` seconds.

    A create that waits for a free place at the service is sent when a task of this client has ended. After `delay_s`
    seconds, a single one of all waiting creates is sent as a trial.

    If the error is a TaskFailed, the model had no room for the task that the error names: that task made nothing, and
    the job gets another task."""

    error: AigcError
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled(Event):
    """The service refused a call for its rate although the client kept its pace: the pace slows down."""

    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Event):
    """The service finished the task."""

    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(Event):
    """The task's files are on disk."""

    task_id: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The job failed for good."""

    error: AigcError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Event):
    """The create may or may not have been accepted; the user settles the job."""

    error: AigcError


Callback = Callable[[Event], None]


class Events:
    """Sends each event to every listener. A listener's exception is logged and changes nothing.

    `interrupt` takes the KeyboardInterrupt or SystemExit that a listener raises: such an exception is meant for the
    program, not for the job of the event.
    """

    __slots__ = ("_callbacks", "_interrupt", "_numbers")

    def __init__(self, interrupt: Callable[[BaseException], None]) -> None:
        self._callbacks: dict[int, Callback] = {}
        self._interrupt = interrupt
        self._numbers = count()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call the callback for each event from now on; the returned function ends that.

        Raises TypeError for a callback that cannot be called, and for a coroutine function: no code would await its
        coroutine."""
        if not callable(callback):
            raise TypeError(f"an event callback must be a function, not {type(callback).__name__}")
        if iscoroutinefunction(callback) or iscoroutinefunction(getattr(callback, "__call__", None)):  # noqa: B004 — an object's `__call__` may be one
            raise TypeError(
                "an event callback must be a plain function, not a coroutine function: start a task from it, or put "
                "the event into an asyncio.Queue"
            )
        number = next(self._numbers)
        self._callbacks[number] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(number, None)

        return unsubscribe

    @property
    def has_listeners(self) -> bool:
        """Whether anyone listens: lets hot paths skip building an event."""
        return bool(self._callbacks)

    def emit(self, event: Event) -> None:
        for callback in tuple(self._callbacks.values()):
            try:
                callback(event)
            except (KeyboardInterrupt, SystemExit) as stop:
                self._interrupt(stop)
            except BaseException:  # noqa: BLE001 — the listener's bug is its own: a progress bar must not cost a paid task
                _log.exception("an event callback failed on %s", type(event).__name__)
