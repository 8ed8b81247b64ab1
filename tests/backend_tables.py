"""The tables of docs/backends.md, drawn from the code: `python -m tests.backend_tables` writes them into the page.

Each table stands between two markers, as those of docs/design.md do. `tests/test_backend_tables.py` compares.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final, get_args

from mps_aigc_async import InvalidRequest
from mps_aigc_async.catalog import Backend
from mps_aigc_async.engine.backends import LIMITS, require_quotas, usage_questions
from mps_aigc_async.model.states import Kind
from mps_aigc_async.model.usage import Days
from mps_aigc_async.wire import mps, relay, vod
from mps_aigc_async.wire.dialect import Dialect, SessionRule

from .design_tables import redrawn

PAGE: Final = Path(__file__).parents[1] / "docs" / "backends.md"
BACKENDS: Final = get_args(Backend)

SERVICES: Final[Mapping[str, tuple[str, str]]] = {
    "mps": (f"Tencent Cloud MPS (`{mps.HOST}`, {mps.VERSION})", "SecretId and SecretKey"),
    "vod": (f"Tencent VOD (`{vod.HOST}`, {vod.VERSION})", "the same keys, `vod.subAppId`, and a model"),
    "relay": ("QuickRouter's relay to VOD", "`relay.apiKey` or `MPS_AIGC_RELAY_KEY`, and a model"),
}
"""The service of each backend, and its needs, in the words of the page."""

DIALECTS: Final[Mapping[str, Dialect]] = {
    "MPS": mps.Mps(),
    "VOD": vod.Vod(),
    **{
        f'relay, `"{rule}"`': relay.Relay(host="relay.example", sessions=rule)
        for rule in (SessionRule.UNPROVEN, SessionRule.TRUSTED)
    },
}
WITHOUT_ANSWER: Final[Mapping[SessionRule, tuple[str, str]]] = {
    SessionRule.NONE: ("*unknown*, you decide", "never by itself"),
    SessionRule.UNPROVEN: ("*unknown*, you decide", "never by itself"),
    SessionRule.TRUSTED: ("sent again with its session", "only if your relay ignores sessions"),
    SessionRule.DOCUMENTED: ("sent again with its session", "refused by VOD"),
}
"""The way of a create without an answer, and the second tasks that it may make."""
LONGER: Final[Mapping[str, str]] = {
    "mps": ", in your own bucket without end",
    "vod": ", or as `storage_mode` says",
    "relay": "",
}
PLURALS: Final[Mapping[Kind, str]] = {Kind.IMAGE: "images", Kind.VIDEO: "videos", Kind.AUDIO: "audios"}

_ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    backend: tuple(row[0] for table in tables for row in table)
    for backend, tables in {
        "mps": (mps.IMAGE_FIELDS, mps.VIDEO_FIELDS, mps.AUDIO_FIELDS),
        "vod": (vod.IMAGE_FIELDS, vod.VIDEO_FIELDS, vod.AUDIO_FIELDS),
        "relay": (relay.IMAGE_FIELDS, relay.VIDEO_FIELDS),
    }.items()
}
"""The attributes of requests that each backend's wire has."""


def backends() -> str:
    """Draw a row for each backend."""
    lines = ["| `backend` | service | needs |", "|---|---|---|"]
    lines += (f'| `"{name}"`{_default(name)} | {" | ".join(SERVICES[name])} |' for name in BACKENDS)
    return "\n".join(lines)


def abilities() -> str:
    """Draw a row for each ability that not all backends have."""
    lines = [f"| | {' | '.join(f'`{name}`' for name in BACKENDS)} |", f"|---{'|---' * len(BACKENDS)}|"]
    lines += (
        f"| {words} | {' | '.join('yes' if has(backend) else 'no' for backend in BACKENDS)} |"
        for words, has in ABILITIES.items()
    )
    return "\n".join(lines)


def limits() -> str:
    """Draw a row for each action with a documented limit."""
    lines = [f"| action | {' | '.join(f'`{name}`' for name in BACKENDS)} |", f"|---{'|---' * len(BACKENDS)}|"]
    actions = dict.fromkeys(action for backend in BACKENDS for action in LIMITS[backend])
    lines += (f"| `{action}` | {' | '.join(_limit(backend, action) for backend in BACKENDS)} |" for action in actions)
    return "\n".join(lines)


def guarantees() -> str:
    """Draw a row for each backend, and one for each of its kinds with a session rule of its own."""
    lines = ["| | a create without an answer | results live | second tasks |", "|---|---|---|---|"]
    for name, dialect in DIALECTS.items():
        by_rule: dict[SessionRule, list[str]] = {}
        for kind in _kinds(dialect):
            by_rule.setdefault(dialect.sessions(kind), []).append(PLURALS[kind])
        for rule, kinds in by_rule.items():
            label = name if len(by_rule) == 1 else f"{name}, {' and '.join(kinds)}"
            outcome, second = WITHOUT_ANSWER[rule]
            life = f"{_life(dialect.url_life_s)}{LONGER[dialect.backend]}"
            lines.append(f"| {label} | {outcome} | {life} | {second} |")
    return "\n".join(lines)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "backends": backends,
    "abilities": abilities,
    "limits": limits,
    "guarantees": guarantees,
}


def _default(backend: str) -> str:
    return " (default)" if backend == BACKENDS[0] else ""


def _limit(backend: str, action: str) -> str:
    limit = LIMITS[backend].get(action)
    return "—" if limit is None else f"{limit:g}"


def _life(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:g} hours" if hours < 48 else f"{hours / 24:g} days"


def _kinds(dialect: Dialect) -> Iterator[Kind]:
    for kind in Kind:
        with suppress(InvalidRequest):
            dialect.create_action(kind)
            yield kind


def _has_audio(backend: str) -> bool:
    return any(Kind.AUDIO in _kinds(dialect) for dialect in DIALECTS.values() if dialect.backend == backend)


def _has(attribute: str) -> Callable[[str], bool]:
    return lambda backend: attribute in _ROWS[backend]


def _reports_use(backend: str) -> bool:
    try:
        usage_questions(backend, Days(date(2026, 1, 1), date(2026, 1, 2)), 0.0)
    except InvalidRequest:
        return False
    return True


def _has_quotas(backend: str) -> bool:
    try:
        require_quotas(backend)
    except InvalidRequest:
        return False
    return True


ABILITIES: Final[Mapping[str, Callable[[str], bool]]] = {
    "audio": _has_audio,
    "results in your own COS bucket (`store`, `cosOutput`)": _has("store"),
    "results that the service keeps (`vod.storage_mode`)": _has("vod.storage_mode"),
    "inputs by file id (`vod.files`)": _has("vod.files"),
    "a session id of your own (`vod.session_id`)": _has("vod.session_id"),
    "`client.usage`": _reports_use,
    "`client.quotas`": _has_quotas,
}


def main() -> None:
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8"), TABLES), encoding="utf-8")


if __name__ == "__main__":
    main()
