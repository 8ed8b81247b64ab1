"""The service of a config: its endpoint, its dialect, its documented limits.

The config's `backend` switches a whole batch. Requests, results, ledger, pacing and errors stay the same.
"""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from yarl import URL

from ..config import Config
from ..credentials.credentials import Credentials, CredentialSource
from ..model.errors import ConfigError, InvalidRequest
from ..model.states import Kind
from ..model.usage import Days
from ..network.buckets import BucketAccess, BucketSettings
from ..network.transport import parse_endpoint
from ..wire import mps, mps_usage, relay, vod, vod_usage
from ..wire.dialect import Dialect, SessionRule
from ..wire.usage import Question, UsageAnswer

LIMITS: Final[Mapping[str, Mapping[str, float]]] = {"mps": mps.LIMITS, "vod": vod.LIMITS, "relay": relay.LIMITS}
"""Documented calls per second, by backend and action. The relay publishes none: it forwards to VOD, whose limits
hold."""

_HOSTS: Final = {"mps": f"https://{mps.HOST}", "vod": f"https://{vod.HOST}"}


def creates_per_s(backend: str) -> Mapping[Kind, float]:
    """Documented creates per second, by kind; MPS's for an unknown backend."""
    limits = LIMITS.get(backend, mps.LIMITS)
    return {kind: limits[name] for kind in Kind if (name := f"CreateAigc{kind.title()}Task") in limits}


def endpoint_of(config: Config, override: str | None) -> URL:
    """The service's URL: the override, else the config's, else the backend's own. Raises ConfigError."""
    in_config = config.relay.base_url if config.backend == "relay" else config.tencent_cloud.endpoint
    return parse_endpoint(override or in_config or _HOSTS[config.backend])


def dialect_of(config: Config, endpoint: URL) -> Dialect:
    """The dialect of the config's backend."""
    region = config.tencent_cloud.region
    match config.backend:
        case "mps":
            return mps.Mps(host=_host(endpoint), region=region)
        case "vod":
            return vod.Vod(host=_host(endpoint), region=region, sub_app_id=config.vod.sub_app_id)
        case "relay":
            rule = SessionRule(config.relay.sessions)
            return relay.Relay(host=_host(endpoint), query_path=config.relay.query_path, sessions=rule)


def buckets_of(config: Config) -> BucketSettings:
    """The user's buckets: only MPS stores results there."""
    store, cos = config.store(), config.cos_output
    access = BucketAccess(cos.access) if config.backend == "mps" else BucketAccess.BARE
    return BucketSettings(store, access, (cos.endpoint or "").rstrip("/"))


def usage_questions(backend: str, days: Days, now: float) -> tuple[Collection[Kind], Iterator[Question[UsageAnswer]]]:
    """The kinds whose use a backend reports, and its calls for these days. Raises InvalidRequest for the relay."""
    match backend:
        case "mps":
            return mps_usage.KINDS.values(), mps_usage.questions(days, now)
        case "vod":
            return vod_usage.KINDS.values(), vod_usage.questions(days, now)
        case _:
            raise InvalidRequest(
                "usage: the relay reports no use; see its own bill, or ask for the use of another backend"
            )


def require_quotas(backend: str) -> None:
    """Raise InvalidRequest for a backend without quotas."""
    if backend != "vod":
        raise InvalidRequest(f"quotas: only the vod backend has quotas, and the config's is {backend}")


def check_limits(config: Config) -> None:
    """Raise ConfigError for a misspelt action: it would silently keep the documented limit."""
    actions = LIMITS[config.backend]
    for action in config.limits:
        matches = get_close_matches(action, actions, n=1, cutoff=0.9)
        if matches and action not in actions:
            raise ConfigError(f"limits.{action} names no action: is {matches[0]} meant?")


def account_of(keys: Credentials | CredentialSource) -> str:
    """The account of keys, if the config names none. Raises ConfigError for keys that change."""
    if isinstance(keys, Credentials):
        return keys.account
    raise ConfigError(
        "account is missing from the config: credentials that change have no lasting SecretId as its name, and its "
        "limits, slots and ledger must stay the same after each refresh; choose any name and keep it"
    )


def kind_of(kind: str | Kind) -> Kind:
    """The kind of this name. Raises InvalidRequest for anything else."""
    try:
        return Kind(kind)
    except ValueError:
        raise InvalidRequest(f"{kind!r} is no kind of task: image, video or audio") from None


def _host(endpoint: URL) -> str:
    """The Host header: with the port, unless it is the scheme's default."""
    return (endpoint.host_subcomponent if endpoint.is_default_port() else endpoint.host_port_subcomponent) or ""
