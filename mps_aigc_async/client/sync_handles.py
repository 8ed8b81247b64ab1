"""Batches, tasks and workers of a `SyncClient`: the objects of an asynchronous client, whose methods wait."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from ..concurrency.blocking_source import END
from ..concurrency.fan_out import Observer, Out_co, Run
from ..concurrency.loop_thread import LoopThread
from ..engine.job import Job
from ..engine.task import ResultT, Task
from ..model.errors import ClientClosed
from ..model.events import Event
from ..model.requests import Request
from ..model.results import AudioResult, ImageResult, Result, VideoResult
from ..model.states import JobState, Kind
from ..wire.dialect import TaskStatus

T = TypeVar("T")
ResultT_co = TypeVar("ResultT_co", bound=Result, covariant=True)


class Call(Protocol):
    """Runs work in the loop of a client, and waits for its result."""

    def __call__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T: ...


class SyncTask(Generic[ResultT]):
    """A task at the service, by its TaskId: a `Task` whose methods wait."""

    def __init__(self, task: Task[ResultT], call: Call) -> None:
        self._task: Task[ResultT] = task
        self._call = call

    def __repr__(self) -> str:
        return repr(self._task)

    @property
    def kind(self) -> Kind:
        return self._task.kind

    @property
    def task_id(self) -> str:
        return self._task.task_id

    @property
    def request_id(self) -> str | None:
        """The create's RequestId; None for an attached task."""
        return self._task.request_id

    def status(self) -> TaskStatus:
        """Poll the task once, at the usual pace. Raises ServiceError or TransportError."""
        return self._call(self._task.status)

    def wait(self, timeout: float | None = None) -> ResultT:
        """Wait for the task's result. Raises TaskFailed, or TaskTimeout after `timeout` seconds: the task itself runs
        on."""
        return self._call(lambda: self._task.wait(timeout))


AnySyncTask = SyncTask[ImageResult] | SyncTask[VideoResult] | SyncTask[AudioResult]


class SyncJob(Generic[ResultT_co]):
    """A request of a ledger: a `Job` whose methods wait. `for event in job` yields its events until it ends."""

    def __init__(self, job: Job[ResultT_co], call: Call) -> None:
        self._job: Job[ResultT_co] = job
        self._call = call

    def __repr__(self) -> str:
        return repr(self._job)

    @property
    def id(self) -> str:
        """The request's id; of a later version with its number, such as `shot-001@2`."""
        return self._job.id

    @property
    def request(self) -> Request:
        return self._job.request

    @property
    def task_ids(self) -> Mapping[Kind, str]:
        """The TaskIds of its tasks, by kind."""
        return dict(self._job.task_ids)

    @property
    def state(self) -> JobState:
        """The state of its first step that is not made yet; of a request that is made, the last step's."""
        return self._job.state

    @property
    def has_ended(self) -> bool:
        return self._job.has_ended

    @property
    def position(self) -> int | None:
        """The number of queued requests of this client whose turn comes before; None once it has begun."""
        return self._call(lambda: in_loop(lambda: self._job.position))

    @property
    def eta_s(self) -> float | None:
        """Seconds until it can have ended, by the limits, the caps and the usual durations; None once it has ended."""
        return self._call(lambda: in_loop(lambda: self._job.eta_s))

    def wait_until_stored(self) -> None:
        """Return when the ledger has the request (`Job.stored`). Raises InvalidRequest if the ledger has its id with
        other content."""
        self._call(self._stored)

    async def _stored(self) -> None:
        await asyncio.shield(self._job.stored)

    def result(self, timeout: float | None = None) -> ResultT_co:
        """Wait for the result. Raises the error that ended the request, JobCancelled among them; TaskTimeout after
        `timeout` seconds: only the waiting ends then."""
        return self._call(lambda: self._job.result(timeout))

    def cancel(self) -> JobState:
        """Cancel the job, and return the state that it had (`Job.cancel`)."""
        return self._call(lambda: in_loop(self._job.cancel))

    def __iter__(self) -> Iterator[Event]:
        return iterate(aiter(self._job), self._call)


class SyncRun(Generic[Out_co]):
    """The outcomes of a batch as its requests end: an iterator, and a context manager to leave it early.

    A `break` out of the loop cancels the batch as soon as this object is dropped; Ctrl-C in a wait cancels it at once.
    If the loop's body may raise, use `with`. Several threads may share the iterator.
    """

    def __init__(self, run: Run[Out_co], thread: LoopThread, observer: Observer[Out_co] | None = None) -> None:
        self._run = run
        self._thread = thread
        self._observer = observer or Observer[Any]()
        self._ended = False

    def __repr__(self) -> str:
        return f"<SyncRun, {self.in_flight} under way>"

    @property
    def in_flight(self) -> int:
        """The number of items whose work has not ended."""
        return self._run.in_flight

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Out_co:
        if self._ended:
            raise StopIteration
        self._observer.begin()
        try:
            outcome = cast("Out_co", self._thread.call(lambda: next_of(self._run)))
        except BaseException:
            self._observer.end()
            raise
        if outcome is END:
            self._ended = True
            self._observer.end()
            raise StopIteration
        self._observer.take(outcome)
        return outcome

    def __enter__(self) -> Self:
        self._thread.call(self._run.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the batch, and return when none of its work runs any more."""
        self._ended = True
        self._observer.end()
        with suppress(ClientClosed):  # then nothing of the batch runs any more, or not in this process
            self._thread.call(self._run.aclose)


class _AsyncWorker(Protocol):
    """`engine.worker.Worker`, which is an extra."""

    async def run(self) -> None: ...
    def stop(self) -> None: ...
    def drain(self) -> None: ...


class SyncWorker:
    """Runs the queued requests of a ledger. Use `SyncClient.worker`."""

    def __init__(self, worker: _AsyncWorker, thread: LoopThread) -> None:
        self._worker = worker
        self._thread = thread

    def __repr__(self) -> str:
        return repr(self._worker)

    def run(self) -> None:
        """Run requests until `stop`, or until the batch is drained. Ctrl-C gives the requests back, too.

        Raises AccountError, Unreachable or LedgerError for a failure that concerns all requests: the requests are given
        back then. Raises BudgetReached once the requests that had begun have ended; the others are given back. Raises
        ConfigError for a folder that cannot be written, and ClientClosed for a second run.
        """
        self._thread.call(self._worker.run)

    def stop(self) -> None:
        """Take no request any more, and give those that run back. Their tasks run on at the service."""
        self._thread.call(lambda: in_loop(self._worker.stop))

    def drain(self) -> None:
        """Take no request any more, and end when those that have begun have ended."""
        self._thread.call(lambda: in_loop(self._worker.drain))


async def in_loop(function: Callable[[], T]) -> T:
    """The value of a plain function that must be called in the client's loop."""
    return function()


async def next_of(items: AsyncIterator[T]) -> T | object:
    """The next item, or END."""
    return await anext(items, END)


def iterate(items: AsyncIterator[T], call: Call) -> Generator[T, None, None]:
    """Yield the items of an asynchronous iterator."""
    while (item := call(lambda: next_of(items))) is not END:
        yield cast("T", item)
