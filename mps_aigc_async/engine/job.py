"""The user's handle on one request of a ledger: queued, under way, or ended."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from ..jobs.watch import Watch
from ..ledger import JobRecord
from ..model import events
from ..model.errors import AigcError, JobCancelled
from ..model.outcomes import Outcome
from ..model.plain_text import visible_line
from ..model.requests import Request, steps_of
from ..model.results import Result
from ..model.states import JobState, Kind
from .task import within

ResultT_co = TypeVar("ResultT_co", bound=Result, covariant=True)

_STATES: Final[Mapping[type[events.Event], JobState]] = {
    events.Planned: JobState.PLANNED,
    events.Paced: JobState.INTENT,
    events.Submitted: JobState.SUBMITTED,
    events.Done: JobState.DONE,
    events.Saved: JobState.SAVED,
    events.Failed: JobState.FAILED,
    events.Unknown: JobState.UNKNOWN,
}

_ENDS: Final = frozenset({JobState.SAVED, JobState.FAILED, JobState.UNKNOWN})

_MADE: Final = frozenset({JobState.DONE, JobState.SAVED})


class Driver(Protocol):
    """Drives the jobs of a client."""

    def begin(self, job: "Job[Result]") -> None:
        """Go on with a job, unless it is under way already. Raises ClientError."""
        ...

    def cancel(self, job: "Job[Result]") -> JobState:
        """Create nothing more for a job, and wait no longer for its tasks. Return the state that it had."""
        ...

    def position_of(self, job: "Job[Result]") -> int | None: ...

    def seconds_to_end(self, job: "Job[Result]") -> float | None: ...

    def watch_of(self, name: str) -> Watch | None: ...


class Job(Generic[ResultT_co]):
    """A request of a client's ledger.

    `async for event in job` yields its events from now on, until it ends. Waiting for a job of an earlier process, by
    `result()` or by its events, goes on with it.
    """

    def __init__(
        self,
        name: str,
        request: Request,
        driver: Driver,
        save_to: str | Path | None,
        rows: Mapping[Kind, JobRecord] | None = None,
    ) -> None:
        self.id = name
        """The request's id; of a later version with its number, such as `shot-001@2`."""
        self.request: Final = request
        self.task_ids = {kind: row.task_id for kind, row in (rows or {}).items() if row.task_id}
        """The TaskIds of its tasks, by kind."""
        self.save_to: Final = save_to
        """The folder for its results; None for none."""
        self.stored: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        """Await it to know that the ledger has the request: `resume` goes on with it even after a kill. Raises
        InvalidRequest if the ledger has the id with other content."""
        self._driver = driver
        self._states = {kind: row.state for kind, row in (rows or {}).items()}
        if rows is not None:
            self.stored.set_result(None)
        self._end: asyncio.Future[Outcome[Request, Result]] = asyncio.get_running_loop().create_future()
        self._listeners: set[asyncio.Queue[events.Event | None]] = set()

    def __repr__(self) -> str:
        return f"<Job {visible_line(self.id)}, {self.state}>"

    @property
    def state(self) -> JobState:
        """The state of its first step that is not made yet; of a request that is made, the last step's."""
        kinds = [step.kind for step in steps_of(self.request)]
        states = [self._states.get(kind, JobState.PLANNED) for kind in kinds]
        return next((state for state in states if state not in _MADE), states[-1])

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to create, to wait for or to save."""
        return self.is_told or self.state in _ENDS or (self.state is JobState.DONE and self.save_to is None)

    @property
    def position(self) -> int | None:
        """The number of queued requests of this client whose turn comes before; None once it has begun."""
        return self._driver.position_of(self)

    @property
    def eta_s(self) -> float | None:
        """Seconds until it can have ended, by the limits, the caps and the usual durations; None once it has ended."""
        return self._driver.seconds_to_end(self)

    async def result(self, timeout: float | None = None) -> ResultT_co:
        """Wait for the result. Raises the error that ended the request, JobCancelled among them; TaskTimeout after
        `timeout` seconds: only the waiting ends then."""
        self._driver.begin(self)
        watch: Callable[[], Watch | None] = lambda: self._driver.watch_of(self.id)  # noqa: E731 — a name for the type
        outcome = await within(timeout, asyncio.shield(self._end), watch, job_id=self.id)
        if outcome.error is not None:
            outcome.error.partial = outcome.partial
            raise outcome.error
        return outcome.result  # type: ignore[return-value] # an outcome has one or the other

    def cancel(self) -> JobState:
        """Cancel the job, and return the state that it had. A *planned* job is not created any more. A *submitted* one
        is only no longer waited for: its task runs on, is billed if it succeeds, and the ledger keeps its result.
        The same request again, or `retry_failed`, goes on with it."""
        return self.state if self.has_ended else self._driver.cancel(self)

    def __aiter__(self) -> AsyncIterator[events.Event]:
        return self._events()

    async def _events(self) -> AsyncGenerator[events.Event, None]:
        self._driver.begin(self)
        queue: asyncio.Queue[events.Event | None] = asyncio.Queue()
        if self.is_told:
            return
        self._listeners.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)

    # --- for its driver -----------------------------------------------------------------------------------------------

    @property
    def is_told(self) -> bool:
        """Whether those who wait for the job have its outcome."""
        return self._end.done()

    @property
    def states(self) -> Mapping[Kind, JobState]:
        """The states of its steps, as far as they are known."""
        return self._states

    def on_event(self, event: events.Event) -> None:
        """Take the news of one of its steps."""
        if (state := _STATES.get(type(event))) is not None:
            self._states[event.kind] = state
        if isinstance(event, events.Submitted):
            self.task_ids[event.kind] = event.task_id
        for queue in self._listeners:
            queue.put_nowait(event)

    def end(self, outcome: Outcome[Request, Result]) -> None:
        """Tell all that wait how the request ended."""
        if self._end.done():
            return
        self._end.set_result(outcome)
        if not self.stored.done():
            self.stored.set_exception(outcome.error or AigcError("the job has ended"))
            self.stored.exception()  # marks it as retrieved: not every caller awaits it
        for queue in self._listeners:
            queue.put_nowait(None)

    def cancelled(self, state: JobState) -> JobCancelled:
        """The error of a job that is cancelled in a state."""
        tasks = ", ".join(f"{kind} {task_id}" for kind, task_id in self.task_ids.items())
        match state:
            case JobState.PLANNED:
                text = "cancelled before it was created: nothing was sent for it"
            case JobState.INTENT:
                text = "cancelled while its create was on its way: the answer is still recorded"
            case _:
                text = f"no longer waited for ({tasks}): the task runs on, and the ledger keeps its result"
        return JobCancelled(text, job_id=self.id)
