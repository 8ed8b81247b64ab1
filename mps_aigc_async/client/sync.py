"""The client of a program without a loop: the methods of `AigcClient`, which wait.

`tests/client/test_sync_surface.py` compares each method with its model.
"""

import threading
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

from ..concurrency.blocking_source import read_in_thread
from ..concurrency.fan_out import Observer, Out, Run
from ..concurrency.loop_thread import LoopThread
from ..engine.batch import BatchItem, require_many
from ..engine.job import Job
from ..engine.plan import Plan
from ..engine.statistics import Statistics
from ..engine.task import Task
from ..ledger import JobRecord
from ..model.budget import Budget
from ..model.events import Callback
from ..model.outcomes import Outcome
from ..model.requests import AudioRequest, ImageRequest, ImageToVideo, Request, Step, VideoRequest, VideoToAudio
from ..model.results import (
    AudioResult,
    ImageResult,
    ImageToVideoResult,
    Result,
    StepResult,
    VideoResult,
    VideoToAudioResult,
)
from ..model.settlement import Settlement
from ..model.states import JobState, Kind
from ..model.usage import Quota, UsageReport
from ..network.buckets import SIGNED_S
from ..wire.dialect import TaskStatus
from ..wire.scenes import TaskDetails, TaskFilter, TaskList
from .base import Many, Place
from .notebook_bar import bar_of
from .sync_base import SyncBase
from .sync_handles import AnySyncTask, SyncJob, SyncRun, SyncTask, SyncWorker, in_loop, iterate


class SyncClient(SyncBase):
    """`AigcClient` for code without a loop: each method waits, and any thread may call it.

    ```python
    with SyncClient(Config.load(), ledger="jobs.db") as client:
        image = client.generate(ImageRequest(prompt="a lake by moonlight"))
    ```

    The arguments are those of `AigcClient`. A thread inside runs the loop. Without `with`, the first call opens the
    client; `close()` or the end of the main thread closes it, and waits at most 10 s for creates in flight. Closed, it
    raises ClientClosed until another `with` opens it again. In a forked child the first call opens a client of the
    child's own; a ledger file still belongs to one process at a time.

    Ctrl-C in a call ends the waiting alone: a create on its way is still recorded. Callbacks (`on_event`, `only`) run
    in the loop's thread: they must not block, and a call of the client that waits raises ClientError there.
    """

    # --- requests and tasks -------------------------------------------------------------------------------------------

    @overload
    def generate(
        self, request: ImageRequest, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> ImageResult: ...
    @overload
    def generate(
        self, request: VideoRequest, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> VideoResult: ...
    @overload
    def generate(
        self, request: ImageToVideo, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> ImageToVideoResult: ...
    @overload
    def generate(
        self, request: AudioRequest, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> AudioResult: ...
    @overload
    def generate(
        self, request: VideoToAudio, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> VideoToAudioResult: ...
    def generate(self, request: Request, *, save_to: str | Path | None = None, timeout: float | None = None) -> Result:
        """Create, wait, save into `save_to` if given, and return the result.

        Raises the error that ended the request (see `errors`), or TaskTimeout after `timeout` seconds: the task itself
        runs on. A chain's error has the paid results in `partial`. A request whose `id` is in the ledger is not
        created again. A request without an `id` is recognised as the n-th of its content since the client was opened.
        """

        async def make() -> Result:
            return await self._client.generate(request, save_to=save_to, timeout=timeout)

        return self._call(make)

    def check(self, request: Request) -> None:
        """Raise InvalidRequest if the request cannot be sent. Sends nothing, and needs no open client."""
        self._client.check(request)

    def plan(
        self,
        requests: Iterable[BatchItem],
        *,
        ledger: str | Path | None = None,
        retry_failed: bool | Callable[[JobRecord], bool] = False,
        redo_changed: bool = False,
        redo: Collection[str] = (),
        budget: Budget | None = None,
    ) -> Plan:
        """Tell what `run` would create for these requests, what it would cost by the config's `prices`, and when it
        could be finished. Sends nothing, and needs no open client. The options and errors are those of
        `AigcClient.plan`."""
        # Read here: the iterable may block, or call this client.
        items = requests if isinstance(requests, list | tuple) else list(requests)

        def plan() -> Plan:
            return self._client.plan(
                items,
                ledger=ledger,
                retry_failed=retry_failed,
                redo_changed=redo_changed,
                redo=redo,
                budget=budget,
            )

        return plan() if self._thread is None else self._call(lambda: in_loop(plan))

    @overload
    def run(
        self, requests: Many[ImageRequest], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> SyncRun[Outcome[ImageRequest, ImageResult]]: ...
    @overload
    def run(
        self, requests: Many[VideoRequest], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> SyncRun[Outcome[VideoRequest, VideoResult]]: ...
    @overload
    def run(
        self, requests: Many[AudioRequest], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> SyncRun[Outcome[AudioRequest, AudioResult]]: ...
    @overload
    def run(
        self, requests: Many[ImageToVideo], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> SyncRun[Outcome[ImageToVideo, ImageToVideoResult]]: ...
    @overload
    def run(
        self, requests: Many[VideoToAudio], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> SyncRun[Outcome[VideoToAudio, VideoToAudioResult]]: ...
    @overload
    def run(
        self, requests: Many[BatchItem], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> SyncRun[Outcome[BatchItem, Result]]: ...
    def run(
        self,
        requests: Many[BatchItem],
        *,
        ledger: Place = None,
        save_to: Place = None,
        budget: Budget | None = None,
    ) -> SyncRun[Outcome[BatchItem, Result]]:
        """Run any number of requests; iterate over their outcomes as they end. The input is read lazily.

        An iterable that is no list or tuple is read in a thread of its own: it may block, and may call this client. An
        asynchronous iterable runs in the client's loop.

        The failure of a request is never raised: a bad item has an outcome too. The iteration raises the errors that
        concern all requests: ConfigError for an unusable `save_to`, LedgerError, and AccountError or Unreachable after
        the outcomes of the requests that had begun. The same batch with the same `ledger` continues where it stopped.
        `budget` bounds all that the ledger has created or may have, and a notebook shows a bar, as in `AigcClient.run`.
        """
        require_many(requests)
        source = requests if isinstance(requests, AsyncIterable | list | tuple) else read_in_thread(requests)
        bar = bar_of(requests)
        return self._started(lambda: self._client.run(source, ledger=ledger, save_to=save_to, budget=budget), bar)

    @overload
    def enqueue(self, request: ImageRequest, *, save_to: str | Path | None = None) -> SyncJob[ImageResult]: ...
    @overload
    def enqueue(self, request: VideoRequest, *, save_to: str | Path | None = None) -> SyncJob[VideoResult]: ...
    @overload
    def enqueue(self, request: AudioRequest, *, save_to: str | Path | None = None) -> SyncJob[AudioResult]: ...
    @overload
    def enqueue(self, request: ImageToVideo, *, save_to: str | Path | None = None) -> SyncJob[ImageToVideoResult]: ...
    @overload
    def enqueue(self, request: VideoToAudio, *, save_to: str | Path | None = None) -> SyncJob[VideoToAudioResult]: ...
    def enqueue(self, request: Request, *, save_to: str | Path | None = None) -> SyncJob[Result]:
        """Queue a request, and return its job at once. The client makes its jobs in their order, as the limits allow,
        and saves their results into `save_to` if given. Raises InvalidRequest for a request that cannot be sent."""
        thread = self._opened()
        job: Job[Any] = thread.call(lambda: in_loop(lambda: self._client.enqueue(request, save_to=save_to)))
        return SyncJob(job, thread.call)

    def job(self, job_id: str) -> SyncJob[Result]:
        """A job of the ledger, also of an earlier process: by its request's id, in its latest version, or by the
        version's name. Raises InvalidRequest if the ledger lacks it."""
        thread = self._opened()
        return SyncJob(thread.call(lambda: self._client.job(job_id)), thread.call)

    def jobs(self, *, state: JobState | str | None = None, name: str = "*") -> Iterator[SyncJob[Result]]:
        """The jobs of the ledger, also of earlier processes: those in a state, with a name such as `shot-0*`. Begins
        nothing. Raises InvalidRequest for a state that there is not."""
        call = self._opened().call
        return (SyncJob(job, call) for job in iterate(self._client.jobs(state=state, name=name), call))

    def resume(
        self, *, save_to: str | Path | None = None, ledger: str | Path | None = None
    ) -> list[Outcome[Request, Result]]:
        """Go on with every request that the ledger has begun or planned, until all have ended: poll, create, and save
        into the folder that each was planned with, or into `save_to`. Return their outcomes. The errors are those of
        `AigcClient.resume`."""
        return self._call(lambda: self._client.resume(save_to=save_to, ledger=ledger))

    def save_unsaved(
        self,
        *,
        save_to: str | Path,
        ledger: str | Path | None = None,
        only: Callable[[JobRecord], bool] | None = None,
    ) -> SyncRun[Outcome[JobRecord, Result]]:
        """Save all results in the ledger that are paid for and not saved; iterate over the jobs' outcomes as they end.
        Nothing is created. Jobs whose task still runs at the service are polled to its end first. `only` chooses among
        the jobs. The outcomes and errors are those of `AigcClient.save_unsaved`."""
        return self._started(lambda: self._client.save_unsaved(save_to=save_to, ledger=ledger, only=only))

    def outcomes(self, name: str | None = None) -> Iterator[Outcome[BatchItem, Result]]:
        """The outcomes of the requests that are queued for workers, in the order in which they ended, until all have.

        `name` is another ledger of the client's database. Raises LedgerError for a ledger in which nothing was queued,
        and ConfigError for a client without a ledger in PostgreSQL.
        """
        return iterate(self._client.outcomes(name), self._call)

    def worker(
        self, *, save_to: str | Path | None = None, concurrency: int | None = None, budget: Budget | None = None
    ) -> SyncWorker:
        """A worker for the requests that are queued in this client's ledger, so many at once. Needs the extra
        `workers`. Raises ConfigError for a client without a ledger in PostgreSQL, and for a `concurrency` below 1.

        `budget` bounds all that the ledger has created or may have, as in `AigcClient.worker`."""
        thread = self._opened()
        make = partial(self._client.worker, save_to=save_to, concurrency=concurrency, budget=budget)
        return SyncWorker(thread.call(lambda: in_loop(make)), thread)

    @overload
    def submit(self, request: ImageRequest) -> SyncTask[ImageResult]: ...
    @overload
    def submit(self, request: VideoRequest) -> SyncTask[VideoResult]: ...
    @overload
    def submit(self, request: AudioRequest) -> SyncTask[AudioResult]: ...
    def submit(self, request: Step) -> AnySyncTask:
        """Create a task and return as soon as the service has accepted it. Raises InvalidRequest for a chain."""
        thread = self._opened()
        task: Task[Any] = thread.call(lambda: self._client.submit(request))
        return SyncTask(task, thread.call)

    @overload
    def attach(self, kind: Literal["image", Kind.IMAGE], task_id: str) -> SyncTask[ImageResult]: ...
    @overload
    def attach(self, kind: Literal["video", Kind.VIDEO], task_id: str) -> SyncTask[VideoResult]: ...
    @overload
    def attach(self, kind: Literal["audio", Kind.AUDIO], task_id: str) -> SyncTask[AudioResult]: ...
    @overload
    def attach(self, kind: str | Kind, task_id: str) -> AnySyncTask: ...
    def attach(self, kind: str | Kind, task_id: str) -> AnySyncTask:
        """The handle of an existing task by its TaskId, wherever and whenever it was created.

        Raises InvalidRequest at once for a kind that the backend does not make. Waiting for the task raises
        InvalidRequest if the ledger has it with another kind.
        """
        task: Task[Any] = self._client.attach(kind, task_id)
        return SyncTask(task, self._call)

    def status(self, kind: str | Kind, task_id: str) -> TaskStatus:
        """Poll any task once. Raises ServiceError or TransportError; InvalidRequest for a kind that the backend does
        not make and for a text that cannot be a TaskId."""
        return self._call(lambda: self._client.status(kind, task_id))

    def on_event(self, callback: Callback) -> Callable[[], None]:
        """Call `callback` with each event from now on. Return a function that ends the subscription.

        The callback runs in the loop's thread: it must not block, and a call of this client that waits raises
        ClientError there. The callback's exceptions are logged and change nothing. Its KeyboardInterrupt and SystemExit
        are raised in the calls that wait. Raises TypeError for a coroutine function and for an object that is not
        callable.
        """
        return self._client.on_event(callback)

    def statistics(self) -> Statistics:
        """A snapshot."""
        if not isinstance(threading.current_thread(), LoopThread):
            self._opened()
        return self._client.statistics()

    # --- jobs of a ledger ---------------------------------------------------------------------------------------------

    def unknown(self, ledger: str | Path | None = None) -> list[JobRecord]:
        """The jobs whose create got no reply, the oldest first: they may or may not have been accepted."""
        return self._call(lambda: self._client.unknown(ledger))

    def settle(self, job_id: str, how: Settlement, *, ledger: str | Path | None = None) -> JobRecord:
        """Decide a job of `unknown()` by `CreateAgain()`, `Attach("4-Aigc…")` or `Drop()`. Return the changed job.

        The next run with this ledger goes on from there. Raises InvalidRequest for a job that is not unknown and for
        a task that is another job's, TaskNotFound for a task that the service does not know: the job is unchanged then.
        """
        return self._call(lambda: self._client.settle(job_id, how, ledger=ledger))

    def retry_failed(
        self, *, ledger: str | Path | None = None, only: Callable[[JobRecord], bool] | None = None
    ) -> list[JobRecord]:
        """Retry the failed jobs that `only` accepts: return them as *planned*; the next run creates them. The jobs are
        chosen as `AigcClient.retry_failed` does."""
        return self._call(lambda: self._client.retry_failed(ledger=ledger, only=only))

    def new_version(self, job_id: str, request: BatchItem | None = None, *, ledger: str | Path | None = None) -> str:
        """Plan a request of the ledger to be made again, from its latest content or from that of `request`. Return the
        new version's name, such as `shot-001@2`: the next `generate` or `run` of that content makes it. The former
        version keeps its rows and files. `job_id` means the same as in `AigcClient.new_version`.

        Raises InvalidRequest for a request that is not in the ledger, or whose create is unknown (`settle`).
        """
        return self._call(lambda: self._client.new_version(job_id, request, ledger=ledger))

    def redo(
        self,
        job_id: str,
        request: BatchItem | None = None,
        *,
        save_to: str | Path | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Make a request of the client's ledger again, as a new version (`new_version`), and return its result. The
        errors are those of `new_version` and `generate`."""
        return self._call(lambda: self._client.redo(job_id, request, save_to=save_to, timeout=timeout))

    def counts(self, ledger: str | Path | None = None) -> Mapping[JobState, int]:
        """Jobs by state."""
        return self._call(lambda: self._client.counts(ledger))

    # --- calls that concern no job ------------------------------------------------------------------------------------

    def call(self, action: str, params: Mapping[str, object], *, account: str | None = None) -> dict[str, object]:
        """Send any action of the service, signed and paced (its documented limit, else 20/s). Return its `Response`.

        A failed read is retried. Any other action is retried only if the service cannot have accepted it. Where the
        config has several accounts, `account` names the one that is meant, here and below.
        """
        return self._call(lambda: self._client.call(action, params, account=account))

    def task_list(
        self, page: int = 1, page_size: int = 20, *, only: TaskFilter | None = None, account: str | None = None
    ) -> TaskList:
        """List one page of the account's tasks of other AIGC scenes (redraw, drama, documents to videos), on MPS.

        The tasks of `generate`, `run` and `submit` are not among them: the service lists those nowhere. Raises
        InvalidRequest on another backend.
        """
        return self._call(lambda: self._client.task_list(page, page_size, only=only, account=account))

    def task_details(self, task_id: str, *, account: str | None = None) -> TaskDetails:
        """Poll one task of such a scene. Images, videos and audios are polled with `status`."""
        return self._call(lambda: self._client.task_details(task_id, account=account))

    def signed_url(self, result: StepResult | str, *, expires: float = SIGNED_S, account: str | None = None) -> str:
        """A URL by which everybody can GET a result in your own bucket for `expires` seconds: its first URL, or the
        `result.urls[n]` that is given. Needs the extra `cos`.

        Signed with temporary keys, the URL ends with them. Raises InvalidRequest for a URL of any other place.
        """
        return self._call(lambda: self._client.signed_url(result, expires=expires, account=account))

    def save(self, result: Result, path: str | Path, *, account: str | None = None) -> tuple[Path, ...]:
        """Save a result as files at `path`, as `result.save` does; a result in your own bucket is read with a signed
        URL. Raises ConfigError, ResultExpired and DownloadError."""
        return self._call(lambda: self._client.save(result, path, account=account))

    def usage(
        self,
        since: date,
        until: date | None = None,
        *,
        ledger: str | Path | None = None,
        account: str | None = None,
    ) -> UsageReport:
        """The service's count for its bill beside the ledger's (MPS, VOD), in days of UTC+8, until now by default."""
        return self._call(lambda: self._client.usage(since, until, ledger=ledger, account=account))

    def quotas(self, *, account: str | None = None) -> tuple[Quota, ...]:
        """The quotas for images and videos that the account has at VOD. Raises InvalidRequest on another backend."""
        return self._call(lambda: self._client.quotas(account=account))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _started(self, start: Callable[[], Run[Out]], observer: Observer[Out] | None = None) -> SyncRun[Out]:
        """A batch, which belongs to the loop in which it is made. The observer belongs to the callers' threads."""
        thread = self._opened()
        return SyncRun(thread.call(lambda: in_loop(start)), thread, observer)
