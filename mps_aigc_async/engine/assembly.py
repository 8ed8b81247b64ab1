"""The parts of an open client: how they are put together, and how they are closed."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from typing import Final

from yarl import URL

from ..concurrency.home import Home
from ..concurrency.owner import TaskOwner
from ..config import Config
from ..jobs.announcer import Announcer
from ..jobs.context import Waits
from ..jobs.registry import registry_of
from ..jobs.watch import Watch
from ..ledger import CommonLedger, Ledger, MemoryLedger, MemoryRows
from ..ledger.protocol import CLOSE_GRACE_S
from ..model.errors import AccountError, AigcError, InvalidRequest
from ..model.events import Events
from ..model.states import Kind
from ..network.clock import ServiceClock
from ..network.downloads import Downloads
from ..network.input_looks import InputLooks
from ..network.proxies import is_loopback
from ..network.transport import ResultSource, Timeouts, Transport
from ..policy.retries import RetryPolicy, stops_a_batch
from .account import AccountParts, AccountSettings, SharedParts
from .ledgers import LedgerPlace, open_ledger
from .limit_homes import LimitsPart, open_limits, rates_of
from .once import OncePerPlace
from .resumed import AccountJobs, ResumedLedger
from .routed_runner import RoutedRunner, Runner
from .routing import Router
from .statistics import Statistics, snapshot, total

_log: Final = logging.getLogger("mps_aigc_async")

MOST_TASK_IDS: Final = 100
"""TaskIds that a warning names when a client is closed while their tasks run."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The values from which the parts are built."""

    config: Config
    endpoint: URL
    accounts: Sequence[AccountSettings]
    """The first one is the client's own; the further ones are the config's `accounts`."""
    retry: RetryPolicy | None
    timeouts: Timeouts
    transport: Callable[[], Transport]
    wall: Callable[[], float]
    events: Events

    @property
    def waits(self) -> Waits:
        timeouts = self.config.timeouts
        return Waits(
            running_s={
                Kind.IMAGE: timeouts.image_seconds,
                Kind.VIDEO: timeouts.video_seconds,
                Kind.AUDIO: timeouts.audio_seconds,
            },
            queue_s=timeouts.queue_seconds,
            save_s=timeouts.save_seconds or inf,
        )

    def owner_of(self, account: AccountSettings) -> dict[str, str]:
        """The account, and all else in which its TaskIds are valid."""
        return {
            "account": account.name,
            "backend": account.dialect.backend,
            "endpoint": str(self.endpoint),
            **account.dialect.scope,
        }


class Engine:
    """The parts of an open client."""

    def __init__(
        self, settings: EngineSettings, clock: ServiceClock, transport: Transport, limits: Sequence[LimitsPart]
    ) -> None:
        self.home = Home.here()
        self.clock = clock
        self._settings = settings
        self.transport = transport
        self.work = TaskOwner()
        """Tasks that closing cancels at once: batches and polls."""
        self.exchanges = TaskOwner()
        """Tasks that closing waits for: creates whose answer may be a paid task."""
        self.writes = TaskOwner()
        """Tasks that closing waits for, too: short writes into a ledger."""
        self.downloads = Downloads(settings.timeouts, source=transport if isinstance(transport, ResultSource) else None)
        self._looks = self._input_looks()
        shared = SharedParts(
            clock=clock,
            transport=transport,
            downloads=self.downloads,
            announcer=Announcer(settings.events, clock.now),
            retry=settings.retry,
            waits=settings.waits,
            looks=self._looks,
            work=self.work,
            exchanges=self.exchanges,
        )
        self.accounts: Final[Mapping[str, AccountParts]] = {
            one.name: AccountParts(one, shared, part) for one, part in zip(settings.accounts, limits, strict=True)
        }
        self.router: Final = Router(self.accounts.values())
        self._ledgers = OncePerPlace(self.work, self._open_ledger)
        self._resumed_ledgers = OncePerPlace(self.work, self._resume_ledger)

    @classmethod
    async def open(cls, settings: EngineSettings) -> "Engine":
        """Open the limits, and put the parts together. Raises ConfigError for limits that cannot be opened."""
        clock = ServiceClock(settings.wall, asyncio.get_running_loop().time)
        async with AsyncExitStack() as on_error:
            transport = settings.transport()
            on_error.push_async_callback(transport.close)
            parts = []
            for one in settings.accounts:
                part = await open_limits(one.config, one.dialect, settings.endpoint, one.name, transport, clock.now)
                on_error.push_async_callback(_leave, part)
                parts.append(part)
            engine = cls(settings, clock, transport, parts)
            on_error.pop_all()
        return engine

    def account(self, name: str | None = None) -> AccountParts:
        """The account of this name; for None, the only one. Raises InvalidRequest."""
        if name is None and len(self.accounts) == 1:
            return next(iter(self.accounts.values()))
        if name is not None and name in self.accounts:
            return self.accounts[name]
        names = ", ".join(self.accounts)
        fault = "the config has several accounts" if name is None else f"the config has no account {name!r}"
        raise InvalidRequest(f"{fault}: name one of them, {names}")

    @property
    def capacities(self) -> Mapping[Kind, int]:
        """The tasks of each kind that may run at once, of all accounts together."""
        return {kind: sum(account.capacities[kind] for account in self.accounts.values()) for kind in Kind}

    def creates_per_second(self, kind: Kind) -> float:
        """The creates of a kind that may be sent in a second, by all accounts together."""
        return sum(
            rates_of(one.settings.config, one.dialect).of(one.dialect.create_action(kind))
            for one in self.accounts.values()
        )

    @property
    def events(self) -> Events:
        return self._settings.events

    # --- ledgers ------------------------------------------------------------------------------------------------------

    async def open_ledger(self, place: LedgerPlace | None) -> Ledger:
        """Open the ledger at a place, once; for None, the ledger in memory."""
        return await self._ledgers.get(place)

    def memory_rows(self) -> MemoryRows:
        """The rows of the ledger in memory at this moment."""
        in_memory = (ledger for ledger in self._ledgers.ready() if isinstance(ledger, MemoryLedger))
        return next((ledger.rows() for ledger in in_memory), MemoryRows({}))

    async def resume_ledger(self, place: LedgerPlace | None) -> ResumedLedger:
        """Open the ledger at a place and resume the jobs of an earlier process, once."""
        return await self._resumed_ledgers.get(place)

    def ready_ledger(self, place: LedgerPlace | None) -> ResumedLedger | None:
        """The ledger at a place, if it is in use by now."""
        return self._resumed_ledgers.ready_at(place)

    async def _open_ledger(self, place: LedgerPlace | None) -> Ledger:
        first, *others = map(self._settings.owner_of, self._settings.accounts)
        return await open_ledger(place, first, *others)

    async def _resume_ledger(self, place: LedgerPlace | None) -> ResumedLedger:
        ledger = await self.open_ledger(place)
        registry, endpoint = registry_of(ledger), str(self._settings.endpoint)
        common = CommonLedger(ledger, self.accounts)
        parts: dict[str, AccountJobs] = {}
        for name, account in self.accounts.items():
            view = ledger if len(self.accounts) == 1 else common.view_of(name)
            jobs = account.jobs_in(view, registry, endpoint)
            await jobs.resuming.resume()
            parts[name] = AccountJobs(account, view, jobs, account.runner_of(jobs))
        return ResumedLedger(common, parts)

    def view_of(self, account: AccountParts, ledger: Ledger) -> Ledger:
        """An open ledger as an account sees it."""
        return ledger if len(self.accounts) == 1 else CommonLedger(ledger, self.accounts).view_of(account.name)

    async def runner(self, place: LedgerPlace | None) -> Runner:
        """Runs requests with the ledger at a place."""
        in_use = await self.resume_ledger(place)
        return in_use.first.runner if len(self.accounts) == 1 else RoutedRunner(in_use, self.router, self.work)

    def watch_of_request(self, name: str) -> Watch | None:
        """The watch of a request's task, while it is polled."""
        watches = (account.poller.of_request(name) for account in self.accounts.values())
        return next((watch for watch in watches if watch is not None), None)

    def watch_of_task(self, kind: Kind, task_id: str) -> Watch | None:
        """The watch of a task, while it is polled."""
        watches = (account.poller.of_task(kind, task_id) for account in self.accounts.values())
        return next((watch for watch in watches if watch is not None), None)

    def stops_a_batch(self, error: AigcError) -> bool:
        """Whether every other request of a batch would fail with this error, too."""
        is_refused = len(self.accounts) > 1 and isinstance(error, AccountError) and self.router.has_open
        return stops_a_batch(error) and not is_refused

    def _input_looks(self) -> InputLooks | None:
        """The looks at inputs, if the config wants them. A transport that stands in for HTTP has no URLs to look at."""
        if not self._settings.config.check_inputs or isinstance(self.transport, ResultSource):
            return None
        return InputLooks(self.work, sees_private=is_loopback(self._settings.endpoint.host or ""))

    def statistics(self) -> Statistics:
        """A snapshot, from any thread."""
        now = self.home.loop.time()
        return total(
            {name: snapshot(one.limits, now, polling=len(one.poller)) for name, one in self.accounts.items()},
            creating=len(self.exchanges),
        )

    # --- closing ------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close every part, even if closing another part fails: a second Ctrl-C must leave no thread behind."""
        if self.home.is_gone:
            await self._abandon()
            return
        accounts = self.accounts.values()
        async with AsyncExitStack() as parts:  # the last one pushed is closed first
            for account in accounts:
                parts.push_async_callback(_leave, account.limits_part)
            parts.callback(self._log_unfinished)
            parts.push_async_callback(self._close_ledgers)
            for account in accounts:
                parts.callback(account.hand_over)  # after the exchanges: their answers may be tasks
            parts.push_async_callback(self.transport.close)
            parts.push_async_callback(self.downloads.close)
            parts.push_async_callback(self._close_looks)
            for account in accounts:  # after the exchanges: one may wait for keys to sign with
                parts.push_async_callback(account.keys.close)
            parts.push_async_callback(self.writes.close, CLOSE_GRACE_S)  # after the exchanges: one may wait for another
            parts.push_async_callback(self.exchanges.close, CLOSE_GRACE_S)
            parts.callback(self._hurry_stores)  # before the exchanges, which may be waiting for a full disk
            for account in accounts:  # before the last exchanges end: their tasks are resumed later
                parts.callback(account.poller.close)
            parts.push_async_callback(self.work.close)
            for account in accounts:  # before any wait, in which a send time could come
                parts.callback(account.stop_creating)
            for account in accounts:
                parts.callback(account.leave_ledgers)

    async def _abandon(self) -> None:
        """Free the open parts though the loop is closed, or runs in the process that this process was forked from."""
        accounts = self.accounts.values()
        is_here = not self.home.is_of_another_process  # the other process polls the tasks on
        async with AsyncExitStack() as parts:
            if is_here:
                for account in accounts:
                    parts.callback(account.limits_part.abandon)
                parts.callback(self._log_unfinished)
            parts.push_async_callback(self._close_ledgers)
            parts.push_async_callback(self.transport.close)
            parts.push_async_callback(self.downloads.close)
            parts.push_async_callback(self._close_looks)
            for account in accounts:
                parts.callback(account.poller.abandon)
            if is_here:
                for account in accounts:
                    parts.callback(account.poller.hold_slots)
                    parts.callback(account.hand_over)  # clients of other loops may have the ledger open
                    parts.callback(account.strays.close)
            for account in accounts:
                parts.callback(account.leave_ledgers)

    async def _close_looks(self) -> None:
        if self._looks is not None:
            await self._looks.close()

    def _log_unfinished(self) -> None:
        """Log the tasks that run on, and warn of those that no ledger file has."""
        left = [watch for account in self.accounts.values() for watch in account.poller.left]
        without_reply = self.exchanges.ended_early
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

    def _hurry_stores(self) -> None:
        for ledger in self._ledgers.ready():
            ledger.hurry()
        for account in self.accounts.values():
            account.limits_part.hurry()

    async def _close_ledgers(self) -> None:
        async with AsyncExitStack() as ledgers:
            for ledger in self._ledgers.ready():
                ledgers.push_async_callback(ledger.close)


async def _leave(part: LimitsPart) -> None:
    await part.leave()
