"""The client of an asynchronous program: requests, batches and tasks."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from ..concurrency.fan_out import FanOut, Run
from ..engine.backends import kind_of
from ..engine.batch import BatchItem, BatchRun, UnsavedRun, as_request, as_step, bounds_of, folder_for, require_many
from ..engine.batch_progress import outcomes_of
from ..engine.ledgers import database_of
from ..engine.plan import Plan, Wishes, planner_of, retry_if_it_may_help, rows_at
from ..engine.request_ids import RequestIds
from ..engine.statistics import Statistics
from ..engine.task import AnyTask, Task, within
from ..jobs.terms import Terms
from ..ledger import JobRecord, MemoryRows
from ..model.budget import Budget
from ..model.events import Callback
from ..model.outcomes import Outcome
from ..model.requests import AudioRequest, ImageRequest, ImageToVideo, Request, Step, VideoRequest, VideoToAudio
from ..model.results import (
    AudioResult,
    ImageResult,
    ImageToVideoResult,
    Result,
    VideoResult,
    VideoToAudioResult,
)
from ..model.states import Kind
from ..model.task_ids import require_task_id
from ..wire.dialect import TaskStatus
from .account_calls import AccountCalls
from .base import Many, Place
from .job_calls import JobCalls
from .ledger_calls import LedgerCalls
from .notebook_bar import bar_of

if TYPE_CHECKING:
    from ..engine.worker import Worker


class AigcClient(AccountCalls, JobCalls, LedgerCalls):
    """Creates images, videos and audio, as many and as early as the account's limits allow.

    ```python
    async with AigcClient(Config.load(), ledger="jobs.db") as client:
        image = await client.generate(ImageRequest(prompt="a lake by moonlight"))
    ```

    Without a `config`, `Config.load()` finds it. `endpoint` replaces the service's URL (plain http only towards
    loopback). `ledger` is a file or a `postgresql://` URL that survives the process; without it the client remembers
    the latest 10,000 ended jobs until it closes. `credentials` replace the config's: `Credentials`, an `async def` that
    fetches new ones before their `expires_at`, or an object of the official SDK's credential classes. `transport` makes
    another transport than HTTP, and `wall` tells the time (Unix seconds) until the service has told its own: both are
    for tests.

    Clients of one account share its rates, its slots and a ledger file in a process; `limitStore` and a ledger in
    PostgreSQL are for several. A client belongs to the loop in which it is opened: in another loop, thread or process
    it raises ClientError before anything is sent. Raises ConfigError for unusable keys or URLs.
    """

    # --- requests and tasks -------------------------------------------------------------------------------------------

    @overload
    async def generate(
        self, request: ImageRequest, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> ImageResult: ...
    @overload
    async def generate(
        self, request: VideoRequest, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> VideoResult: ...
    @overload
    async def generate(
        self, request: ImageToVideo, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> ImageToVideoResult: ...
    @overload
    async def generate(
        self, request: AudioRequest, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> AudioResult: ...
    @overload
    async def generate(
        self, request: VideoToAudio, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> VideoToAudioResult: ...
    async def generate(
        self, request: Request, *, save_to: str | Path | None = None, timeout: float | None = None
    ) -> Result:
        """Create, wait, save into `save_to` if given, and return the result.

        Raises the error that ended the request (see `errors`), or TaskTimeout after `timeout` seconds: the task itself
        runs on. A chain's error has the paid results in `partial`. A request whose `id` is in the ledger is not
        created again. A request without an `id` is recognised as the n-th of its content since the client was opened.
        """
        request = as_request(request)
        return await self._make(request, self._ids.id_for(request), save_to, timeout)

    async def _make(self, request: Request, name: str, save_to: str | Path | None, timeout: float | None) -> Result:
        """Make the request of this name, in the version that the name may have."""
        engine = self._usable_engine()
        folder = await folder_for(save_to)
        runner = await engine.runner(self._ledger)
        work = engine.work.run_for(runner.outcome(request, name, Terms(save_to=folder)), f"request {name}")
        outcome = await within(timeout, work, lambda: engine.watch_of_request(name), job_id=name)
        if outcome.error is not None:
            outcome.error.partial = outcome.partial
            raise outcome.error
        assert outcome.result is not None  # noqa: S101 — an outcome has one or the other
        return outcome.result

    def check(self, request: Request) -> None:
        """Raise InvalidRequest if the request cannot be sent. Sends nothing, and needs no open client."""
        self._settings.accounts[0].check(as_request(request))

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
        could be finished. Sends nothing, and needs no open client.

        The options stand for calls before the run: `retry_failed()`, or a function as its `only`; and `new_version` for
        the requests whose content has changed (`redo_changed`) or whose ids are named (`redo`); `budget` is that of
        `run`. The ledger is read at once: for a batch of many thousands call `plan` in a thread. Raises LedgerError.
        """
        place = self._place_of(ledger)
        # As `run` does: with a durable ledger the same batch means the same jobs, without one new ones.
        ids = deepcopy(self._ids) if place is None else RequestIds()
        retries = retry_if_it_may_help if retry_failed is True else retry_failed or None
        wishes = Wishes(retry_failed=retries, redo_changed=redo_changed, redo=redo, budget=budget)
        planner = planner_of(self._settings.accounts, self._settings.wall())
        if place is None:
            rows = MemoryRows({}) if self._engine is None else self._engine.memory_rows()
            return planner.plan(requests, rows, wishes, ids)
        with rows_at(place) as stored:
            return planner.plan(requests, stored, wishes, ids)

    @overload
    def run(
        self, requests: Many[ImageRequest], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> Run[Outcome[ImageRequest, ImageResult]]: ...
    @overload
    def run(
        self, requests: Many[VideoRequest], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> Run[Outcome[VideoRequest, VideoResult]]: ...
    @overload
    def run(
        self, requests: Many[AudioRequest], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> Run[Outcome[AudioRequest, AudioResult]]: ...
    @overload
    def run(
        self, requests: Many[ImageToVideo], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> Run[Outcome[ImageToVideo, ImageToVideoResult]]: ...
    @overload
    def run(
        self, requests: Many[VideoToAudio], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> Run[Outcome[VideoToAudio, VideoToAudioResult]]: ...
    @overload
    def run(
        self, requests: Many[BatchItem], *, ledger: Place = None, save_to: Place = None, budget: Budget | None = None
    ) -> Run[Outcome[BatchItem, Result]]: ...
    def run(
        self,
        requests: Many[BatchItem],
        *,
        ledger: Place = None,
        save_to: Place = None,
        budget: Budget | None = None,
    ) -> Run[Outcome[BatchItem, Result]]:
        """Run any number of requests; iterate over their outcomes as they end. The input is read lazily.

        The failure of a request is never raised: a bad item has an outcome too. The iteration raises the errors that
        concern all requests: ConfigError for an unusable `save_to`, LedgerError, and AccountError or Unreachable after
        the outcomes of the requests that had begun. The same batch with the same `ledger` continues where it stopped.

        `budget` bounds all that the ledger has created or may have, in earlier runs too. The first request for which it
        leaves no room, and all later ones that are not created yet, end with BudgetReached and stay planned.

        In a notebook a bar counts the outcomes, if tqdm is installed (extra `notebook`) and `TQDM_DISABLE` is not set.
        """
        engine = self._usable_engine()
        require_many(requests)
        path = self._place_of(ledger)
        # With a durable ledger the same batch again means the same jobs; without one it means new jobs.
        ids = self._ids if path is None else RequestIds()
        batch = BatchRun(engine, path, save_to, ids, budget)
        fan_out = FanOut(requests, batch.work, bounds_of(engine), engine.work, batch.prepare, batch.stops)
        return Run(fan_out, bar_of(requests))

    def save_unsaved(
        self,
        *,
        save_to: str | Path,
        ledger: str | Path | None = None,
        only: Callable[[JobRecord], bool] | None = None,
    ) -> Run[Outcome[JobRecord, Result]]:
        """Save all results in the ledger that are paid for and not saved; iterate over the jobs' outcomes as they end.

        Jobs that are done are saved. Jobs whose task still runs at the service are polled to its end first. Nothing is
        created: a chain ends after the paid step. The ledger's jobs of earlier batches are included, and so are results
        that were requested without `save_to`. `only` chooses among the jobs.

        An outcome's `job_id` is the job's (`shot-001/image`), and its `request` is the job as read from the ledger.
        Its error is ResultExpired or DownloadError for a result that could not be saved, else the error that ended the
        task. The iteration itself raises ConfigError for an unusable `save_to`, and LedgerError.
        """
        engine = self._usable_engine()
        path = self._place_of(ledger)
        saving = UnsavedRun(engine, path, save_to, only or (lambda _: True))
        return Run(FanOut(saving.jobs(), saving.work, bounds_of(engine), engine.work, saving.prepare, saving.stops))

    def outcomes(self, name: str | None = None) -> AsyncIterator[Outcome[BatchItem, Result]]:
        """The outcomes of the requests that are queued for workers, in the order in which they ended, until all have.

        `name` is another ledger of the client's database. Raises LedgerError for a ledger in which nothing was queued,
        and ConfigError for a client without a ledger in PostgreSQL.
        """
        return outcomes_of(database_of(self._ledger, name))

    def worker(
        self, *, save_to: str | Path | None = None, concurrency: int | None = None, budget: Budget | None = None
    ) -> "Worker":
        """A worker for the requests that are queued in this client's ledger, so many at once. Needs the extra
        `workers`. Raises ConfigError for a client without a ledger in PostgreSQL, and for a `concurrency` below 1.

        `budget` bounds all that the ledger has created or may have, by all workers and runs. The worker ends before its
        bound: `run` raises BudgetReached."""
        from ..engine.worker import Worker  # noqa: PLC0415 — an extra

        return Worker(self._usable_engine(), database_of(self._ledger), save_to, concurrency, budget)

    @overload
    async def submit(self, request: ImageRequest) -> Task[ImageResult]: ...
    @overload
    async def submit(self, request: VideoRequest) -> Task[VideoResult]: ...
    @overload
    async def submit(self, request: AudioRequest) -> Task[AudioResult]: ...
    async def submit(self, request: Step) -> AnyTask:
        """Create a task and return as soon as the service has accepted it. Raises InvalidRequest for a chain."""
        engine, name = self._usable_engine(), self._ids.id_for(as_step(request))
        runner = await engine.runner(self._ledger)
        job = await engine.work.run_for(runner.submit(request, name), f"request {name}")

        async def finish() -> JobRecord:
            self._usable_engine()
            return await runner.finish(job, request)

        return self._task(job.kind, job.task_id or "", finish, job.request_id)

    @overload
    def attach(self, kind: Literal["image", Kind.IMAGE], task_id: str) -> Task[ImageResult]: ...
    @overload
    def attach(self, kind: Literal["video", Kind.VIDEO], task_id: str) -> Task[VideoResult]: ...
    @overload
    def attach(self, kind: Literal["audio", Kind.AUDIO], task_id: str) -> Task[AudioResult]: ...
    @overload
    def attach(self, kind: str | Kind, task_id: str) -> AnyTask: ...
    def attach(self, kind: str | Kind, task_id: str) -> AnyTask:
        """The handle of an existing task by its TaskId, wherever and whenever it was created.

        Raises InvalidRequest at once for a kind that the backend does not make. Waiting for the task raises
        InvalidRequest if the ledger has it with another kind.
        """
        task_kind = kind_of(kind)
        require_task_id(task_id)
        self._settings.accounts[0].dialect.describe(task_kind, task_id)

        async def finish() -> JobRecord:
            in_use = await self._usable_engine().resume_ledger(self._ledger)
            return await (await in_use.of_task(task_kind, task_id)).jobs.tasks.attach(task_kind, task_id)

        return self._task(task_kind, task_id, finish)

    async def status(self, kind: str | Kind, task_id: str) -> TaskStatus:
        """Poll any task once. Raises ServiceError or TransportError; InvalidRequest for a kind that the backend does
        not make and for a text that cannot be a TaskId."""
        engine, task_kind = self._usable_engine(), kind_of(kind)
        polling = (await engine.resume_ledger(self._ledger)).poll(task_kind, require_task_id(task_id))
        return await engine.work.run_for(polling, f"poll of {task_id}")

    def on_event(self, callback: Callback) -> Callable[[], None]:
        """Call `callback` with each event from now on. Return a function that ends the subscription.

        The callback's exceptions are logged and change nothing. Its KeyboardInterrupt and SystemExit end the loop, and
        so the program. Raises TypeError for a coroutine function and for an object that is not callable.
        """
        return self._settings.events.subscribe(callback)

    def statistics(self) -> Statistics:
        """A snapshot, from any thread."""
        return self._require_engine().statistics()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _task(
        self, kind: Kind, task_id: str, finish: Callable[[], Awaitable[JobRecord]], request_id: str | None = None
    ) -> AnyTask:
        return Task(
            kind,
            task_id,
            request_id,
            poll=lambda: self.status(kind, task_id),
            finish=finish,
            watch=lambda: None if self._engine is None else self._engine.watch_of_task(kind, task_id),
        )
