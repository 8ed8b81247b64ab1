"""What an open client is made of: the graph of parts, and how it is taken down."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

from yarl import URL

from ..concurrency.home import Home
from ..concurrency.owner import TaskOwner
from ..config import Config
from ..credentials.credentials import Credentials, CredentialSource
from ..credentials.keyring import KeyRing
from ..jobs.announcer import Announcer
from ..jobs.chains import Pipelines
from ..jobs.context import JobContext, Waits
from ..jobs.jobs import Jobs
from ..jobs.lookahead import Lookaheads
from ..jobs.poller import Poller
from ..jobs.registry import registry_of
from ..jobs.session_trust import SessionTrust
from ..jobs.sessions import Sessions
from ..ledger import Ledger, MemoryLedger, SqliteLedger, join
from ..limits import LimitsKey, Rates
from ..limits.account import AccountLimits
from ..model.defaults import Defaults
from ..model.errors import LedgerError
from ..model.events import Events
from ..model.requests import CosStore, Request
from ..model.states import Kind
from ..network.calls import Calls
from ..network.clock import ServiceClock
from ..network.downloads import Downloads
from ..network.transport import ResultSource, Timeouts, Transport
from ..policy.retries import RetryPolicy
from ..policy.tempo import Fixed
from ..wire.dialect import Dialect
from .checks import ensure_sendable
from .statistics import Statistics, snapshot

T = TypeVar("T")
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


class Engine:
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
        self.work = TaskOwner()
        """What closing cancels at once: batches and polls."""
        self.exchanges = TaskOwner()
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
        self._ahead = Lookaheads.of(
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
            JobContext(
                ledger=ledger,
                registry=registry,
                sessions=Sessions(self.calls, self.dialect, self.clock, trust),
                calls=self.calls,
                dialect=self.dialect,
                limits=self.limits,
                poller=self.poller,
                downloads=self.downloads,
                clock=self.clock,
                announcer=Announcer(settings.events, self.clock.now),
                exchanges=self.exchanges,
                work=self.work,
                store=settings.store,
                waits=Waits(
                    running_s={
                        Kind.IMAGE: timeouts.image_seconds,
                        Kind.VIDEO: timeouts.video_seconds,
                        Kind.AUDIO: timeouts.audio_seconds,
                    },
                    queue_s=timeouts.queue_seconds,
                    save_s=timeouts.save_seconds or inf,
                ),
            )
        )
        self._jobs.append(jobs)
        await jobs.resuming.resume()
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
            jobs.resuming.leave()

    def _stop_creating(self) -> None:
        for jobs in self._jobs:
            jobs.stop_creating()

    def _hand_over(self) -> None:
        for jobs in self._jobs:
            jobs.resuming.hand_over()

    def _say_what_is_left(self) -> None:
        left, unanswered = self.poller.left, self.exchanges.ended_early
        in_place = {watch.follower: watch.follower.ledger_in_place for watch in left}
        forgotten = [watch.task_id for watch in left if not (watch.is_in_ledger and in_place[watch.follower])]
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
