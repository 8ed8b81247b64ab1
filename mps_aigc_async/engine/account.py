"""One account in an open client: its keys, limits, calls and polls, and its jobs in each ledger."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from yarl import URL

from ..concurrency.owner import TaskOwner
from ..config import Config
from ..credentials.credentials import Credentials, CredentialSource
from ..credentials.keyring import KeyRing
from ..credentials.official_sdk import AnyCredentials, recognise
from ..jobs.announcer import Announcer
from ..jobs.context import JobContext, Waits
from ..jobs.jobs import Jobs
from ..jobs.lookahead import Lookaheads
from ..jobs.poller import Poller
from ..jobs.registry import JobRegistry
from ..jobs.runner import RequestRunner
from ..jobs.session_holders import SessionHolders
from ..jobs.session_trust import SessionTrust
from ..jobs.sessions import NO_TASK, TIME_ANSWER_S, Sessions
from ..jobs.stray_tasks import StrayTasks
from ..ledger import Ledger
from ..model.defaults import Defaults
from ..model.errors import ConfigError
from ..model.requests import Request
from ..model.states import Kind
from ..network.buckets import Buckets, BucketSettings
from ..network.calls import Calls
from ..network.clock import ServiceClock
from ..network.downloads import Downloads
from ..network.input_looks import InputLooks
from ..network.transport import Transport
from ..policy.retries import RetryPolicy
from ..policy.tempo import Fixed
from ..wire.dialect import Dialect
from .backends import account_of, buckets_of, check_limits, dialect_of
from .checks import ensure_sendable
from .input_checks import InputChecks
from .limit_homes import LimitsPart, capacities_of
from .usage import UsageReader


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The values from which an account's parts are built."""

    name: str
    config: Config
    """The client's config, with the account's own sections."""
    credentials: Credentials | CredentialSource = field(repr=False)
    """Left out of the repr: a source is a user's object, and the repr of a `partial` contains its arguments."""
    buckets: BucketSettings
    dialect: Dialect
    defaults: Defaults

    def check(self, request: Request) -> None:
        """Raise InvalidRequest for a request that could not be sent."""
        ensure_sendable(request, self.defaults, self.dialect, self.buckets, self.config.catalog)


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts of an open client that its accounts share."""

    clock: ServiceClock
    transport: Transport
    downloads: Downloads
    announcer: Announcer
    retry: RetryPolicy | None
    waits: Waits
    looks: InputLooks | None
    """The looks at inputs, if the config wants them."""
    work: TaskOwner
    """Tasks that closing cancels at once: batches and polls."""
    exchanges: TaskOwner
    """Tasks that closing waits for: creates whose answer may be a paid task."""


def account_settings(
    config: Config, endpoint: URL, credentials: AnyCredentials | None = None
) -> tuple[AccountSettings, ...]:
    """The settings of each account of a config. `credentials` replace the config's keys. Raises ConfigError."""
    if config.accounts and credentials is not None:
        raise ConfigError("credentials: with several accounts the keys are in the config's `accounts`")
    settings = tuple(_settings_of(one, endpoint, credentials) for one in config.of_accounts())
    _require_distinct(settings)
    return settings


def _require_distinct(accounts: Sequence[AccountSettings]) -> None:
    """Raise ConfigError for two accounts with the same keys: the limits of their one account would be counted twice."""
    owners: dict[str, int] = {}
    for number, one in enumerate(accounts):
        key = one.credentials.secret_id if isinstance(one.credentials, Credentials) else ""
        if (first := owners.setdefault(key, number)) != number:
            raise ConfigError(
                f"accounts[{number}] ({one.name}) has the keys of accounts[{first}] ({accounts[first].name}): give "
                "each account its own tencentCloud.secretId and secretKey (relay.apiKey), and name no account twice: "
                "its limits are counted by the name"
            )


def _settings_of(config: Config, endpoint: URL, credentials: AnyCredentials | None) -> AccountSettings:
    check_limits(config)
    keys = config.credentials() if credentials is None else recognise(credentials)
    buckets = buckets_of(config)
    if why := buckets.why_unreadable(buckets.store):
        raise ConfigError(f"cosOutput: {why}")
    return AccountSettings(
        name=config.account or account_of(keys),
        config=config,
        credentials=keys,
        buckets=buckets,
        dialect=dialect_of(config, endpoint),
        defaults=config.defaults(),
    )


class AccountParts:
    """The parts of one account."""

    def __init__(self, settings: AccountSettings, parts: SharedParts, limits_part: LimitsPart) -> None:
        config, now = settings.config, parts.clock.now
        self.name = settings.name
        self.settings = settings
        self._shared = parts
        self.limits_part = limits_part
        self.limits = limits_part.limits
        self.capacities = capacities_of(config)
        self.dialect = settings.dialect
        self.keys = KeyRing(settings.credentials, now)
        self.calls = Calls(self.dialect, parts.transport, self.keys, self.limits, clock=parts.clock, policy=parts.retry)
        self.buckets = Buckets(settings.buckets, self.keys, parts.downloads, parts.work, now, self._learn_time)
        self.usage = UsageReader(self.calls, self.dialect)
        self.poller = Poller(
            self.calls,
            self.dialect,
            self.limits,
            parts.work,
            tempo=self.limits.tempo if config.concurrency.poll_strategy == "adaptive" else Fixed(),
            interval_s=config.concurrency.poll_interval_ms / 1000,
            wall=now,
        )
        self._lookaheads = Lookaheads.of(
            self.limits.slots, self.dialect.url_life_s, lambda step: self.dialect.keeps(step, settings.buckets.store)
        )
        self.strays = StrayTasks(self.calls, self.dialect, self.limits, parts.work, self.poller.spacing_s)
        self._jobs: list[Jobs] = []

    def __repr__(self) -> str:
        return f"<AccountParts of {self.name}>"

    async def _learn_time(self) -> None:
        """Learn the service's time by a poll, if it is not known yet and the service answers soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIME_ANSWER_S):
                await self.calls.learn_time(self.dialect.describe(Kind.IMAGE, NO_TASK))

    # --- ledgers ------------------------------------------------------------------------------------------------------

    def jobs_in(self, ledger: Ledger, registry: JobRegistry, endpoint: str) -> Jobs:
        """The account's jobs in an open ledger."""
        parts = self._shared
        trust = SessionTrust(self.dialect.sessions, endpoint, ledger, registry.evidence)
        holders = SessionHolders(ledger, registry.session_holders)
        jobs = Jobs(
            JobContext(
                ledger=ledger,
                registry=registry,
                sessions=Sessions(self.calls, self.dialect, parts.clock, trust, holders),
                calls=self.calls,
                dialect=self.dialect,
                limits=self.limits,
                poller=self.poller,
                downloads=parts.downloads,
                clock=parts.clock,
                announcer=parts.announcer,
                exchanges=parts.exchanges,
                work=parts.work,
                store=self.settings.buckets.store,
                buckets=self.buckets,
                prices=self.settings.config.price_list(),
                waits=parts.waits,
            )
        )
        self._jobs.append(jobs)
        return jobs

    def runner_of(self, jobs: Jobs) -> RequestRunner:
        """Runs requests by these jobs."""
        settings, parts = self.settings, self._shared
        checks = InputChecks(
            settings.check, settings.defaults.complete, self.dialect.backend, parts.looks, self.buckets.bare_inputs
        )
        return RequestRunner(jobs, settings.defaults, checks.check, self._lookaheads, parts.clock.now)

    # --- closing ------------------------------------------------------------------------------------------------------

    def leave_ledgers(self) -> None:
        """Take over no task of other clients any more."""
        for jobs in self._jobs:
            jobs.resuming.leave()

    def stop_creating(self) -> None:
        """Send no create any more, nor poll tasks of members that are gone."""
        self.strays.close()
        self.calls.stop_creating()
        for jobs in self._jobs:
            jobs.stop_creating()

    def hand_over(self) -> None:
        """Leave the tasks that run on to other clients of the ledgers."""
        for jobs in self._jobs:
            jobs.resuming.hand_over()
