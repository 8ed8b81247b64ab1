"""The home of a client's limits: chosen by the config, opened, and left."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from yarl import URL

from ..concurrency.callbacks import ignore
from ..concurrency.loops import own_clock
from ..config import Config
from ..limits import Limits, LimitsKey, Rates
from ..limits.process.account import AccountLimits, loop_accounts, process_accounts
from ..limits.shared.forgetting import Freed, forget
from ..limits.shared.opening import Place, open_shared
from ..limits.shared.view import KindView, LimitsView
from ..limits.shared.viewing import view_of
from ..model.errors import ConfigError
from ..model.states import Kind
from ..network.folders import absolute
from ..network.proxies import is_loopback
from ..network.transport import AiohttpTransport, ResultSource, Transport
from ..policy.tempo import Adaptive
from ..sharing.database_url import database_url, is_database_url
from ..wire.dialect import Dialect
from .backends import dialect_of, endpoint_of

PROCESS: Final = "process"
HOST: Final = "host"


class HomeLimits(Limits, Protocol):
    """The limits of an account, and the tempo that its polls have taught."""

    @property
    def tempo(self) -> Adaptive: ...


@dataclass(frozen=True, slots=True)
class LimitsPart:
    """A client's part in the limits of its account."""

    limits: HomeLimits
    hurry: Callable[[], object]
    """Wait only a few seconds more for a silent store: the client closes."""
    leave: Callable[[], Awaitable[object]]
    """Close the part: its rates no longer count, but its sends do."""
    abandon: Callable[[], object]
    """Close the part though its loop is closed."""


def capacities_of(config: Config) -> dict[Kind, int]:
    """The tasks of each kind that may run at once."""
    return {
        Kind.IMAGE: config.concurrency.max_image_tasks,
        Kind.VIDEO: config.concurrency.max_video_tasks,
        Kind.AUDIO: config.concurrency.max_audio_tasks,
    }


def rates_of(config: Config, dialect: Dialect) -> Rates:
    """The documented limits, with the config's in place of them."""
    return Rates(
        default=dialect.default_limit,
        by_action={**dialect.limits, **config.limits},
        jitter_s=config.pacing.jitter_ms / 1000,
    )


async def open_limits(
    config: Config, dialect: Dialect, endpoint: URL, account: str, transport: Transport, wall: Callable[[], float]
) -> LimitsPart:
    """Open a client's part in the limits of its account, where the config counts them. `wall` is the service's time.

    Raises ConfigError for a store that the config names and that cannot be used.
    """
    key = LimitsKey(dialect.backend, str(endpoint), account, dialect.limits_region)
    rates, capacities = rates_of(config, dialect), capacities_of(config)
    is_shared = shares(config.limit_store, endpoint, transport)
    shared = await open_shared(place_of(config.limit_store), key, rates) if is_shared else None
    if shared is not None:
        shared.limits.share_slots(capacities, wall)
        abandon = ignore  # the others find out that its heart stands still
        return LimitsPart(shared.limits, shared.hurry, shared.leave, abandon)
    return _in_process(rates, capacities, key, transport)


def _in_process(rates: Rates, capacities: Mapping[Kind, int], key: LimitsKey, transport: Transport) -> LimitsPart:
    """A part in the limits of this process. A transport that stands in for HTTP leads to a service of the test's own,
    which no other loop uses."""
    accounts = loop_accounts() if isinstance(transport, ResultSource) else process_accounts()
    limits = AccountLimits(rates, capacities, key=key, accounts=accounts)

    async def leave() -> None:
        limits.leave()

    return LimitsPart(limits, ignore, leave, limits.leave)


def shares(limit_store: str | None, endpoint: URL, transport: Transport) -> bool:
    """Whether the limits are counted outside of this process.

    By default tests touch nothing outside: a loop with a clock of its own, a transport of the user's own and an
    endpoint on loopback have the process's home.
    """
    if own_clock(asyncio.get_running_loop()) is not None or isinstance(transport, ResultSource):
        return False
    if limit_store is None and not isinstance(transport, AiohttpTransport):
        return False
    return _names_a_store(limit_store, endpoint)


def _names_a_store(limit_store: str | None, endpoint: URL) -> bool:
    return limit_store != PROCESS if limit_store is not None else not is_loopback(endpoint.host or "")


def view_limits(config: Config) -> LimitsView | None:
    """Read the store that a config names; None if its limits are counted in each process. Raises ConfigError."""
    return view_of(place_of(config.limit_store)) if _has_store(config) else None


def slots_of_service(config: Config) -> list[KindView]:
    """The slots of the config's service, by account and kind, in the store that the config names; none if its limits
    are counted in each process. Raises ConfigError."""
    view = view_limits(config)
    of_service = f"{config.backend}|{endpoint_of(config, None)}|"
    return [kind for kind in view.kinds if kind.account.startswith(of_service)] if view is not None else []


def create_limit_of(config: Config, kind: Kind) -> tuple[str, float]:
    """The action that creates tasks of a kind, and its calls per second for each account. Raises ConfigError, and
    InvalidRequest for a kind that the backend does not make."""
    dialect = dialect_of(config, endpoint_of(config, None))
    action = dialect.create_action(kind)
    return action, rates_of(config, dialect).of(action)


async def forget_member(config: Config, name: str) -> Freed | None:
    """Take a member that is gone out of the store that a config names; None if there is no store.

    Raises InvalidRequest for a member that lives, and ConfigError.
    """
    return await forget(place_of(config.limit_store), name) if _has_store(config) else None


def _has_store(config: Config) -> bool:
    return _names_a_store(config.limit_store, endpoint_of(config, None))


def place_of(limit_store: str | None) -> Place:
    """The place of the config's store: the user's folder on this host, another folder, or a database. Raises
    ConfigError."""
    if limit_store in (None, HOST):
        return None
    assert limit_store is not None  # noqa: S101 — as above, for mypy
    return database_url(limit_store) if is_database_url(limit_store) else _folder(limit_store)


def _folder(text: str) -> Path:
    try:
        return absolute(Path(text).expanduser())
    except RuntimeError as error:  # no such user
        raise ConfigError(f"limitStore: {text!r} is not a usable folder: {error}") from error
