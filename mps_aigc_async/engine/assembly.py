"""The parts of an open client: how they are put together, and how they are closed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Final

from yarl import URL

from ..concurrency.home import Home
from ..concurrency.owner import TaskOwner
from ..config import Config
from ..credentials.credentials import Credentials, CredentialSource
from ..credentials.keyring import KeyRing
from ..jobs.announcer import Announcer
from ..jobs.context import JobContext, Waits
from ..jobs.jobs import Jobs
from ..jobs.lookahead import Lookaheads
from ..jobs.poller import Poller
from ..jobs.registry import registry_of
from ..jobs.runner import RequestRunner
from ..jobs.session_holders import SessionHolders
from ..jobs.session_trust import SessionTrust
from ..jobs.sessions import NO_TASK, TIME_ANSWER_S, Sessions
from ..jobs.stray_tasks import StrayTasks
from ..ledger import Ledger
from ..model.defaults import Defaults
from ..model.events import Events
from ..model.requests import Request
from ..model.states import Kind
from ..network.buckets import Buckets, BucketSettings
from ..network.calls import Calls
from ..network.clock import ServiceClock
from ..network.downloads import Downloads
from ..network.input_looks import InputLooks
from ..network.proxies import is_loopback
from ..network.transport import ResultSource, Timeouts, Transport
from ..policy.retries import RetryPolicy
from ..policy.tempo import Fixed
from ..wire.dialect import Dialect
from .checks import ensure_sendable
from .input_checks import InputChecks
from .ledgers import LedgerPlace, open_ledger
from .limit_homes import LimitsPart, capacities_of, open_limits
from .once import OncePerPlace
from .statistics import Statistics, snapshot
from .usage import UsageReader

_log: Final = logging.getLogger("mps_aigc_async")

MOST_TASK_IDS: Final = 100
"""TaskIds that a warning names when a client is closed while their tasks run."""

CLOSE_GRACE_S: Final = 10.0
"""Seconds that closing waits for creates in flight: an answer that arrives is a task that is not lost."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The values from which the parts are built."""

    config: Config
    endpoint: URL
    credentials: Credentials | CredentialSource = field(repr=False)
    """Left out of the repr: a source is a user's object, and the repr of a `partial` contains its arguments."""
    account: str
    buckets: BucketSettings
    retry: RetryPolicy | None
    timeouts: Timeouts
    transport: Callable[[], Transport]
    wall: Callable[[], float]
    events: Events
    dialect: Dialect
    defaults: Defaults

    def check(self, request: Request) -> None:
        """Raise InvalidRequest for a request that could not be sent."""
        ensure_sendable(request, self.defaults, self.dialect, self.buckets, self.config.catalog)


@dataclass(frozen=True, slots=True)
class ResumedLedger:
    """A ledger in use: the jobs of earlier processes have been resumed."""

    jobs: Jobs
    """The jobs of the ledger, one by one."""
    runner: RequestRunner
    """Runs requests with the ledger."""


class Engine:
    """The parts of an open client."""

    def __init__(
        self, settings: EngineSettings, clock: ServiceClock, transport: Transport, limits_part: LimitsPart
    ) -> None:
        config = settings.config
        self.home = Home.here()
        self.clock = clock
        self._settings = settings
        self.capacities = capacities_of(config)
        self.dialect = settings.dialect
        self.transport = transport
        self._limits_part = limits_part
        self.limits = limits_part.limits
        self.work = TaskOwner()
        """Tasks that closing cancels at once: batches and polls."""
        self.exchanges = TaskOwner()
        """Tasks that closing waits for: creates whose answer may be a paid task."""
        self.downloads = Downloads(
            settings.timeouts, source=self.transport if isinstance(self.transport, ResultSource) else None
        )
        self.keys = KeyRing(settings.credentials, self.clock.now)
        self.calls = Calls(
            self.dialect, self.transport, self.keys, self.limits, clock=self.clock, policy=settings.retry
        )
        self.buckets = Buckets(settings.buckets, self.keys, self.downloads, self.work, self.clock.now, self._learn_time)
        self.usage = UsageReader(self.calls, self.dialect)
        self.poller = Poller(
            self.calls,
            self.dialect,
            self.limits,
            self.work,
            tempo=self.limits.tempo if config.concurrency.poll_strategy == "adaptive" else Fixed(),
            interval_s=config.concurrency.poll_interval_ms / 1000,
            wall=self.clock.now,
        )
        self._lookaheads = Lookaheads.of(
            self.limits.slots, self.dialect.url_life_s, lambda step: self.dialect.keeps(step, settings.buckets.store)
        )
        self._looks = self._input_looks()
        self._ledgers = OncePerPlace(self.work, self._open_ledger)
        self._resumed_ledgers = OncePerPlace(self.work, self._resume_ledger)
        self._jobs: list[Jobs] = []
        self._strays = StrayTasks(self.calls, self.dialect, self.limits, self.work, self.poller.spacing_s)

    @classmethod
    async def open(cls, settings: EngineSettings) -> "Engine":
        """Open the limits, and put the parts together. Raises ConfigError for limits that cannot be opened."""
        clock = ServiceClock(settings.wall, asyncio.get_running_loop().time)
        transport = settings.transport()
        try:
            part = await open_limits(
                settings.config, settings.dialect, settings.endpoint, settings.account, transport, clock.now
            )
        except BaseException:
            await transport.close()
            raise
        return cls(settings, clock, transport, part)

    async def _learn_time(self) -> None:
        """Learn the service's time by a poll, if it is not known yet and the service answers soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIME_ANSWER_S):
                await self.calls.learn_time(self.dialect.describe(Kind.IMAGE, NO_TASK))

    async def open_ledger(self, place: LedgerPlace | None) -> Ledger:
        """Open the ledger at a place, once; for None, the ledger in memory."""
        return await self._ledgers.get(place)

    async def resume_ledger(self, place: LedgerPlace | None) -> ResumedLedger:
        """Open the ledger at a place and resume the jobs of an earlier process, once."""
        return await self._resumed_ledgers.get(place)

    async def _open_ledger(self, place: LedgerPlace | None) -> Ledger:
        settings = self._settings
        belongs_to = {
            "account": settings.account,
            "backend": settings.dialect.backend,
            "endpoint": str(settings.endpoint),
            **settings.dialect.scope,
        }
        return await open_ledger(place, belongs_to)

    async def _resume_ledger(self, place: LedgerPlace | None) -> ResumedLedger:
        settings, timeouts = self._settings, self._settings.config.timeouts
        ledger = await self.open_ledger(place)
        registry = registry_of(ledger)
        trust = SessionTrust(self.dialect.sessions, str(settings.endpoint), ledger, registry.evidence)
        jobs = Jobs(
            JobContext(
                ledger=ledger,
                registry=registry,
                sessions=Sessions(
                    self.calls, self.dialect, self.clock, trust, SessionHolders(ledger, registry.session_holders)
                ),
                calls=self.calls,
                dialect=self.dialect,
                limits=self.limits,
                poller=self.poller,
                downloads=self.downloads,
                clock=self.clock,
                announcer=Announcer(settings.events, self.clock.now),
                exchanges=self.exchanges,
                work=self.work,
                store=settings.buckets.store,
                buckets=self.buckets,
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
        checks = InputChecks(
            settings.check,
            settings.defaults.complete,
            settings.dialect.backend,
            self._looks,
            self.buckets.bare_inputs,
        )
        runner = RequestRunner(jobs, settings.defaults, checks.check, self._lookaheads, self.clock.now)
        return ResumedLedger(jobs, runner)

    def _input_looks(self) -> InputLooks | None:
        """The looks at inputs, if the config wants them. A transport that stands in for HTTP has no URLs to look at."""
        if not self._settings.config.check_inputs or isinstance(self.transport, ResultSource):
            return None
        return InputLooks(self.work, sees_private=is_loopback(self._settings.endpoint.host or ""))

    async def _close_looks(self) -> None:
        if self._looks is not None:
            await self._looks.close()

    def statistics(self) -> Statistics:
        """A snapshot, from any thread."""
        return snapshot(self.limits, self.home.loop.time(), polling=len(self.poller), creating=len(self.exchanges))

    async def close(self) -> None:
        """Close every part, even if closing another part fails: a second Ctrl-C must leave no thread behind."""
        if self.home.is_gone:
            await self._abandon()
            return
        async with AsyncExitStack() as parts:  # the last one pushed is closed first
            parts.push_async_callback(self._leave_limits)
            parts.callback(self._log_unfinished)
            parts.push_async_callback(self._close_ledgers)
            parts.callback(self._hand_over)  # after the exchanges: their answers may be tasks
            parts.push_async_callback(self.transport.close)
            parts.push_async_callback(self.downloads.close)
            parts.push_async_callback(self._close_looks)
            parts.push_async_callback(self.keys.close)  # after the exchanges: one may wait for keys to sign with
            parts.push_async_callback(self.exchanges.close, CLOSE_GRACE_S)
            parts.callback(self._hurry_ledgers)  # before the exchanges, which may be waiting for a full disk
            parts.callback(self.poller.close)  # before the last exchanges end: their tasks are resumed later
            parts.push_async_callback(self.work.close)
            parts.callback(self._stop_creating)  # before any wait, in which a send time could come
            parts.callback(self.calls.stop_creating)
            parts.callback(self._strays.close)  # before the poller and the work leave some
            parts.callback(self._leave)

    async def _abandon(self) -> None:
        """Free the open parts though the loop is closed, or runs in the process that this process was forked from."""
        async with AsyncExitStack() as parts:
            if not self.home.is_of_another_process:  # the other process polls the tasks on
                parts.callback(self._limits_part.abandon)
                parts.callback(self._log_unfinished)
            parts.push_async_callback(self._close_ledgers)
            parts.push_async_callback(self.transport.close)
            parts.push_async_callback(self.downloads.close)
            parts.push_async_callback(self._close_looks)
            parts.callback(self.poller.abandon)
            if not self.home.is_of_another_process:
                parts.callback(self.poller.hold_slots)
                parts.callback(self._hand_over)  # clients of other loops may have the ledger open
                parts.callback(self._strays.close)
            parts.callback(self._leave)

    async def _leave_limits(self) -> None:
        await self._limits_part.leave()

    def _leave(self) -> None:
        for jobs in self._jobs:
            jobs.resuming.leave()

    def _stop_creating(self) -> None:
        for jobs in self._jobs:
            jobs.stop_creating()

    def _hand_over(self) -> None:
        for jobs in self._jobs:
            jobs.resuming.hand_over()

    def _log_unfinished(self) -> None:
        """Log the tasks that run on, and warn of those that no ledger file has."""
        left, without_reply = self.poller.left, self.exchanges.ended_early
        in_place = {watch.follower: watch.follower.ledger_in_place for watch in left}
        not_in_file = [watch.task_id for watch in left if not (watch.is_in_ledger and in_place[watch.follower])]
        if left or without_reply:
            _log.info(
                "closed with work left: %d tasks run on at the service; opening a ledger file again resumes %d of "
                "them; %d calls that may cost something got no reply",
                len(left),
                len(left) - len(not_in_file),
                without_reply,
            )
        if not_in_file:
            _log.warning(
                "closed while tasks run that are in no ledger file: wait for them by TaskId (`client.attach`): %s%s",
                ", ".join(not_in_file[:MOST_TASK_IDS]),
                ", …" if len(not_in_file) > MOST_TASK_IDS else "",
            )

    def _hurry_ledgers(self) -> None:
        for ledger in self._ledgers.ready():
            ledger.hurry()

    async def _close_ledgers(self) -> None:
        async with AsyncExitStack() as ledgers:
            for ledger in self._ledgers.ready():
                ledgers.push_async_callback(ledger.close)
