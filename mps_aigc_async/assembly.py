"""What an open client is made of: the graph of parts, and how it is taken down."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from yarl import URL

from .calls import Calls
from .clock import ServiceClock
from .config import Config
from .credentials import Credentials, CredentialSource
from .defaults import Defaults, ensure_sendable
from .downloads import Downloads
from .errors import DamagedRow, InvalidRequest, LedgerError
from .events import Events
from .faults import as_aigc_error
from .folders import Folder, absolute, prepare_folder
from .home import Home
from .jobs import Jobs
from .keyring import KeyRing
from .ledger import JobRecord, Ledger, MemoryLedger, SqliteLedger, join
from .limits import AccountLimits, LimitsKey, Rates
from .lookahead import Lookahead
from .names import Names
from .ownership import Owner
from .pipelines import Pipelines
from .policy import RetryPolicy, stops_a_batch
from .poller import Poller
from .registry import registry_of
from .requests import REQUEST_ID, CosStore, Request, Step, parse
from .results import Outcome
from .scheduler import Begun
from .session_trust import SessionTrust
from .sessions import Sessions
from .states import Kind
from .statistics import Statistics, snapshot
from .tempo import Fixed
from .transport import ResultSource, Timeouts, Transport
from .wire.dialect import Dialect

T = TypeVar("T")
BatchItem = Request | Mapping[str, Any]
"""A request, or a batch file's line as decoded JSON."""

_log: Final = logging.getLogger("mps_aigc_async")

MOST_TOLD: Final = 100
"""TaskIds named when a client is closed while their tasks run."""

CLOSE_GRACE_S: Final = 10.0
"""Closing waits this long for creates in flight: an answer that comes is a task that is not lost."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parts are built from."""

    config: Config
    endpoint: URL
    credentials: Credentials | CredentialSource = field(repr=False)
    """Not shown: a source is a user's object, and a `partial` shows its arguments."""
    account: str
    store: CosStore | None
    retry: RetryPolicy | None
    timeouts: Timeouts
    transport: Callable[[], Transport]
    wall: Callable[[], float]
    events: Events
    dialect: Dialect
    defaults: Defaults

    def check(self, request: Request) -> None:
        """Raise InvalidRequest for what could not be sent."""
        ensure_sendable(request, self.defaults, self.dialect, self.store, self.config.catalog)


class Parts:
    """The parts of an open client."""

    def __init__(self, settings: Settings) -> None:
        config = settings.config
        self.home = Home.here()
        self.clock = ServiceClock(settings.wall, self.home.loop.time)
        self._settings = settings
        self.capacities = {
            Kind.IMAGE: config.concurrency.max_image_tasks,
            Kind.VIDEO: config.concurrency.max_video_tasks,
            Kind.AUDIO: config.concurrency.max_audio_tasks,
        }
        self.dialect = settings.dialect
        self.limits = AccountLimits(
            Rates(
                default=self.dialect.default_limit,
                by_action={**self.dialect.limits, **config.limits},
                jitter_s=config.pacing.jitter_ms / 1000,
            ),
            self.capacities,
            key=LimitsKey(self.dialect.backend, str(settings.endpoint), settings.account, self.dialect.limits_region),
        )
        self.work = Owner()
        """What closing cancels at once: batches and polls."""
        self.exchanges = Owner()
        """What closing waits for: creates whose answer may be a paid task."""
        self.transport = settings.transport()
        self.downloads = Downloads(
            settings.timeouts, source=self.transport if isinstance(self.transport, ResultSource) else None
        )
        self.keys = KeyRing(settings.credentials, self.clock.now)
        self.calls = Calls(
            self.dialect, self.transport, self.keys, self.limits, clock=self.clock, policy=settings.retry
        )
        self.poller = Poller(
            self.calls,
            self.dialect,
            self.limits,
            self.work,
            tempo=self.limits.tempo if config.concurrency.poll_strategy == "adaptive" else Fixed(),
            interval_s=config.concurrency.poll_interval_ms / 1000,
            wall=self.clock.now,
        )
        self._ahead = Lookahead.of(
            self.limits.slots, self.dialect.url_life_s, lambda step: self.dialect.keeps(step, settings.store)
        )
        self._ledgers: dict[Path | None, asyncio.Task[Ledger]] = {}
        self._pipelines: dict[Path | None, asyncio.Task[Pipelines]] = {}
        self._jobs: list[Jobs] = []

    async def ledger(self, path: Path | None) -> Ledger:
        """The ledger at a path, opened once; None is the one in memory."""
        return await self._once(self._ledgers, path, self._open_ledger)

    async def pipelines(self, path: Path | None) -> Pipelines:
        """What runs requests with the ledger at a path; what an earlier process left in it is resumed first."""
        return await self._once(self._pipelines, path, self._open_pipelines)

    async def _once(
        self,
        opened: dict[Path | None, asyncio.Task[T]],
        path: Path | None,
        open_it: Callable[[Path | None], Coroutine[Any, Any, T]],
    ) -> T:
        """Open something once, whoever asks first and whoever of them is cancelled."""
        if path not in opened:
            opened[path] = self.work.start(open_it(path), f"open {path}")
        try:
            return await asyncio.shield(opened[path])
        except LedgerError:
            opened.pop(path, None)  # mended, it may be opened by the next who asks
            raise

    async def _open_ledger(self, path: Path | None) -> Ledger:
        if path is None:
            return MemoryLedger()
        settings = self._settings
        belongs_to = {
            "account": settings.account,
            "backend": settings.dialect.backend,
            "endpoint": str(settings.endpoint),
            **settings.dialect.scope,
        }
        return await join(path, belongs_to, SqliteLedger.open)

    async def _open_pipelines(self, path: Path | None) -> Pipelines:
        settings, timeouts = self._settings, self._settings.config.timeouts
        ledger = await self.ledger(path)
        registry = registry_of(ledger)
        trust = SessionTrust(self.dialect.sessions, str(settings.endpoint), ledger, registry.evidence)
        jobs = Jobs(
            ledger=ledger,
            calls=self.calls,
            dialect=self.dialect,
            limits=self.limits,
            poller=self.poller,
            downloads=self.downloads,
            owner=self.exchanges,
            work=self.work,
            registry=registry,
            listeners=settings.events,
            clock=self.clock,
            sessions=Sessions(self.calls, self.dialect, self.clock, trust),
            store=settings.store,
            deadlines_s={
                Kind.IMAGE: timeouts.image_seconds,
                Kind.VIDEO: timeouts.video_seconds,
                Kind.AUDIO: timeouts.audio_seconds,
            },
            queue_s=timeouts.queue_seconds,
            save_s=timeouts.save_seconds or inf,
        )
        self._jobs.append(jobs)
        await jobs.resume()
        return Pipelines(jobs, settings.defaults, settings.check, self._ahead, self.clock.now)

    def statistics(self) -> Statistics:
        """A snapshot, from any thread."""
        return snapshot(self.limits, self.home.loop.time(), polling=len(self.poller), creating=len(self.exchanges))

    async def close(self) -> None:
        """Every part is closed, whatever happens to the ones before it: a second Ctrl-C must leave no thread behind."""
        if self.home.is_gone:
            await self._abandon()
            return
        async with AsyncExitStack() as parts:  # the last one pushed is closed first
            parts.callback(self.limits.leave)
            parts.callback(self._say_what_is_left)
            parts.push_async_callback(self._close_ledgers)
            parts.callback(self._hand_over)  # after the exchanges: their answers may be tasks
            parts.push_async_callback(self.transport.close)
            parts.push_async_callback(self.downloads.close)
            parts.push_async_callback(self.keys.close)  # after the exchanges: one may wait for keys to sign with
            parts.push_async_callback(self.exchanges.close, CLOSE_GRACE_S)
            parts.callback(self._hurry_ledgers)  # before the exchanges, which may be waiting for a full disk
            parts.callback(self._stop_creating)
            parts.callback(self.calls.stop_creating)
            parts.callback(self.poller.close)  # before the last exchanges end: what they submit is resumed later
            parts.push_async_callback(self.work.close)
            parts.callback(self._leave)

    async def _abandon(self) -> None:
        """Free what is open though the loop is closed, or runs in the process that this one was forked from."""
        async with AsyncExitStack() as parts:
            if not self.home.is_of_another_process:  # there the tasks are polled on
                parts.callback(self._say_what_is_left)
            parts.push_async_callback(self._close_ledgers)
            parts.push_async_callback(self.transport.close)
            parts.push_async_callback(self.downloads.close)
            parts.callback(self.poller.abandon)
            parts.callback(self._leave)

    def _leave(self) -> None:
        for jobs in self._jobs:
            jobs.leave()

    def _stop_creating(self) -> None:
        for jobs in self._jobs:
            jobs.stop_creating()

    def _hand_over(self) -> None:
        for jobs in self._jobs:
            jobs.hand_over()

    def _say_what_is_left(self) -> None:
        left, unanswered = self.poller.left, self.exchanges.ended_early
        in_place = {watch.follower: watch.follower.ledger_in_place for watch in left}
        forgotten = [watch.task_id for watch in left if not (watch.remembered and in_place[watch.follower])]
        if left or unanswered:
            _log.info(
                "closed with work left: %d tasks run on at the service, %d of them known to a ledger file, which goes "
                "on with them when it is opened again; %d calls that may cost something were not answered",
                len(left),
                len(left) - len(forgotten),
                unanswered,
            )
        if forgotten:
            _log.warning(
                "closed while tasks run that no ledger file knows: wait for them by TaskId (`client.attach`): %s%s",
                ", ".join(forgotten[:MOST_TOLD]),
                ", …" if len(forgotten) > MOST_TOLD else "",
            )

    def _hurry_ledgers(self) -> None:
        for ledger in self._open_ledgers():
            ledger.hurry()

    async def _close_ledgers(self) -> None:
        async with AsyncExitStack() as ledgers:
            for ledger in self._open_ledgers():
                ledgers.push_async_callback(ledger.close)

    def _open_ledgers(self) -> list[Ledger]:
        opened = [one for one in self._ledgers.values() if one.done()]  # a loop that is closed may have left others
        return [one.result() for one in opened if not one.cancelled() and one.exception() is None]


class BatchRun:
    """One `run`: what happens to each of its items."""

    def __init__(self, parts: Parts, ledger: Path | None, save_to: str | Path | None, names: Names) -> None:
        self._parts = parts
        self._ledger = ledger
        self._save_to = save_to
        self._names = names
        self._read = 0
        self._folder: Folder | None = None
        self._pipelines: Pipelines | None = None

    async def prepare(self) -> None:
        self._folder = await folder_for(self._save_to)
        self._pipelines = await self._parts.pipelines(self._ledger)

    async def work(self, item: BatchItem, begun: Begun) -> Outcome[BatchItem]:
        self._read += 1
        number = f"item {self._read}"
        try:
            request = as_request(item)
            name = self._names.name(request)
        except Exception as error:  # noqa: BLE001 — an item may be any object, and its attributes may raise anything
            name = _own_id(item) or number
            return Outcome(
                job_id=name, request=item, error=as_aigc_error(error, f"reading {number}").about(job_id=name)
            )
        assert self._pipelines is not None  # noqa: S101 — prepared before the first item
        outcome = await self._pipelines.outcome(request, name, self._folder, begun)
        return replace(cast("Outcome[BatchItem]", outcome), request=item)

    @staticmethod
    def stops(outcome: Outcome[BatchItem]) -> BaseException | None:
        """Errors that no other item would escape."""
        error = outcome.error
        if isinstance(error, DamagedRow):
            return None
        return error if isinstance(error, LedgerError) or (error is not None and stops_a_batch(error)) else None


class UnsavedRun:
    """One `save_unsaved`: which jobs it takes, and what happens to each."""

    def __init__(
        self, parts: Parts, ledger: Path | None, save_to: str | Path, only: Callable[[JobRecord], bool]
    ) -> None:
        self._parts = parts
        self._ledger = ledger
        self._save_to = save_to
        self._only = only
        self._ready: tuple[Pipelines, Folder] | None = None

    async def prepare(self) -> None:
        folder = await prepared_folder(self._save_to)
        self._ready = await self._parts.pipelines(self._ledger), folder

    async def jobs(self) -> AsyncIterator[JobRecord]:
        assert self._ready is not None  # noqa: S101 — prepared before the first job is read
        pipelines, _ = self._ready
        async for job in pipelines.unsaved():
            if self._only(job):
                yield job

    async def work(self, job: JobRecord, begun: Begun) -> Outcome[JobRecord]:
        begun()  # no job waits to be created here
        assert self._ready is not None  # noqa: S101 — as above
        pipelines, folder = self._ready
        return await pipelines.save_job(job, folder)

    @staticmethod
    def stops(outcome: Outcome[JobRecord]) -> BaseException | None:
        """A ledger that cannot be written: it could not keep the other files either."""
        is_general = isinstance(outcome.error, LedgerError) and not isinstance(outcome.error, DamagedRow)
        return outcome.error if is_general else None


def as_request(item: BatchItem) -> Request:
    """The item as a request. Raises InvalidRequest for anything else."""
    request = parse(item) if isinstance(item, Mapping) else item
    if not isinstance(request, Request):
        kinds = "an ImageRequest, a VideoRequest, an AudioRequest"
        raise InvalidRequest(f"{type(item).__name__} is not a request: give {kinds} or a chain of them")
    return request


def _own_id(item: object) -> str:
    """The id that a line gives itself, if it is one; another fault of the line may keep it from being a request."""
    own = None
    with suppress(Exception):  # as when the item was read
        own = item.get("id") if isinstance(item, Mapping) else None
    return own if isinstance(own, str) and REQUEST_ID.fullmatch(own) else ""


def as_step(item: BatchItem) -> Step:
    """The request of a single task. Raises InvalidRequest for anything else."""
    request = as_request(item)
    if not isinstance(request, Step):
        raise InvalidRequest(f"{type(request).__name__} is a chain of tasks: `generate` and `run` make it")
    return request


def require_many(requests: object) -> None:
    """Raise InvalidRequest for what is no iterable of requests, or one that is a single thing."""
    is_single = isinstance(requests, str | bytes | Mapping | Request)
    if is_single or not isinstance(requests, Iterable | AsyncIterable):
        kind = type(requests).__name__
        raise InvalidRequest(f"`run` takes a list or another iterable of requests, not {kind}; `generate` makes one")


async def folder_for(save_to: str | Path | None) -> Folder | None:
    return None if save_to is None else await prepared_folder(save_to)


async def prepared_folder(save_to: str | Path) -> Folder:
    """The folder, made and found to be writable. Raises ConfigError."""
    # The ledger's paths stay valid when the working directory or a symlink changes.
    return await asyncio.to_thread(lambda: prepare_folder(absolute(save_to)))
