"""`progress`: a queued batch over all of its workers, as lines, on a terminal that is drawn again, or as JSON."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..config import Config
from ..engine.batch_progress import Progress, later_progress_of, progress_of
from ..engine.limit_homes import create_limit_of, slots_of_service
from ..ledger.postgres.batch_view import MOST, SENDS_S, WorkerView
from ..limits.shared.view import KindView, in_words
from ..model.errors import ConfigError, InvalidRequest
from ..model.plain_text import visible, visible_line
from ..model.states import JobState, Kind, word_for
from ..sharing.database_url import DatabaseUrl
from .ledgers import URL
from .options import config_from
from .output import is_lost
from .screen import Exit, complain, counted, on_terminal, program, say
from .workers import database_named

WATCH_S: Final = 2.0
"""Seconds between two looks of `progress --watch`."""


def progress(*, ledger: str, watch: bool, as_json: bool, config: Path | None) -> None:
    """Show how far a queued batch is, over all workers. Exit code 1 if requests have failed."""
    batch = _WatchedBatch(database_named(ledger), config_from(config))
    moments = batch.moments(watch=watch)
    if as_json:
        _print_json(moments)
    elif watch and on_terminal():
        _draw(moments)
    else:
        _print_lines(moments)
    raise typer.Exit(Exit.FAILED if batch.has_failures else Exit.WELL)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A batch at a moment, beside the limits of its service."""

    progress: Progress
    limits: dict[Kind, tuple[str, float]]
    """The action that creates tasks, and its calls per second for each account."""
    slots: Sequence[KindView]


class _WatchedBatch:
    """A batch that is looked at, beside the limits of a config."""

    def __init__(self, url: DatabaseUrl, config: Config) -> None:
        self._url = url
        self._config = config
        self._is_told = False
        """Whether the user knows that the limit store cannot be read."""
        self.has_failures = False
        """Whether requests had failed at the latest look."""

    def moments(self, *, watch: bool) -> Iterator[_Moment]:
        """The batch now; with `watch` every WATCH_S seconds, until all of its requests have ended. Raises
        LedgerError."""
        look = progress_of
        while True:
            progress = asyncio.run(look(self._url))
            self.has_failures = progress.failures > 0
            yield _Moment(progress, self._limits(progress.creates_per_second), self._slots())
            if not watch or progress.ends >= progress.requests or is_lost(sys.stdout):
                return
            time.sleep(WATCH_S)
            look = later_progress_of

    def _limits(self, kinds: Iterable[Kind]) -> dict[Kind, tuple[str, float]]:
        limits = {}
        for kind in kinds:
            with suppress(InvalidRequest):  # the ledger has jobs of another backend
                limits[kind] = create_limit_of(self._config, kind)
        return limits

    def _slots(self) -> Sequence[KindView]:
        try:
            return slots_of_service(self._config)
        except ConfigError as error:
            if not self._is_told:
                complain(f"note: no slots are shown: {visible_line(str(error))}")
            self._is_told = True
        return ()


def _print_lines(moments: Iterable[_Moment]) -> None:
    details: Iterable[str] = ()
    is_told = False
    for now in moments:
        say(_summary(now.progress))
        details = _details(now)
        hint = _hint(now.progress)
        if hint and not is_told:
            complain(hint)
        is_told = bool(hint)
    for line in details:
        say(line)


def _print_json(moments: Iterable[_Moment]) -> None:
    for now in moments:
        say(json.dumps(_as_json(now)))


def _draw(moments: Iterable[_Moment]) -> None:
    with Live(console=Console(highlight=False, markup=False, emoji=False), auto_refresh=False) as live:
        for now in moments:
            live.update(_picture(now), refresh=True)


def _picture(now: _Moment) -> Text:
    lines = [_summary(now.progress), *_details(now), _hint(now.progress)]
    return Text(visible("\n".join(lines)), no_wrap=True, overflow="ellipsis")


def _summary(now: Progress) -> str:
    unknown = f", {_up_to_most(now.unknown)} of them unknown" if now.unknown else ""
    failed = f", {now.failures} failed{unknown}" if now.failures else ""
    parts = [f"{now.ends} of {now.requests} requests have ended{failed}"]
    if now.ends < now.requests:
        parts.append(f"{now.running} run, {now.waiting} wait")
    if now.per_second and (now.running or now.workers):
        left = now.remaining_s
        until = f", {_duration(left)} left at this rate" if left else ""
        parts.append(f"{60 * now.per_second:.1f} a minute{until}")
    return "; ".join(parts)


def _details(now: _Moment) -> Iterator[str]:
    progress = now.progress
    if progress.jobs:
        words: Counter[str] = Counter()
        for state, number in progress.jobs.items():  # a worker sends an intent, or finds out about it
            words[word_for(JobState(state), intent_s=0)] += number
        yield "jobs: " + ", ".join(f"{_up_to_most(number)} {word}" for word, number in words.items())
    for kind, rate in progress.creates_per_second.items():
        yield f"{kind}s: {rate:.1f} creates a second in the last {SENDS_S:g} s{_limit(now.limits.get(kind))}"
    for slots in now.slots:
        yield visible_line(f"{slots.kind}s: {len(slots.slots)} of {_cap(slots)} slots taken{_account(slots, now)}")
    for worker in progress.workers:
        yield visible_line(_worker(worker))
    for member in progress.members:
        yield visible_line(f"open in {member}")


def _hint(progress: Progress) -> str:
    if progress.workers or progress.ends >= progress.requests:
        return ""
    return f"no worker runs; to start one: {program()} worker --out DIR --ledger {URL}"


def _limit(limit: tuple[str, float] | None) -> str:
    return "" if limit is None else f", {limit[0]} allows {limit[1]:g}"


def _cap(slots: KindView) -> int:
    """The capacity, or the cap for all models that the service's refusals have shown."""
    return min(slots.capacity, slots.caps.get("*", slots.capacity))


def _account(slots: KindView, now: _Moment) -> str:
    """The account, if the store has several at this service."""
    return f" by {in_words(slots.account)}" if len({other.account for other in now.slots}) > 1 else ""


def _worker(worker: WorkerView) -> str:
    return (
        f"worker on {worker.host}, process {worker.pid}: runs {counted(worker.requests, 'request')}, "
        f"heartbeat {worker.heartbeat_s:.0f} s ago"
    )


def _up_to_most(number: int) -> str:
    """
    >>> _up_to_most(9999), _up_to_most(10000)
    ('9999', '10000 or more')
    """
    return str(number) if number < MOST else f"{MOST} or more"


def _as_json(now: _Moment) -> dict[str, object]:
    progress = now.progress
    return {
        **{name: value for name, value in asdict(progress).items() if name != "creates_per_second"},
        "waiting": progress.waiting,
        "remaining_s": progress.remaining_s,
        "creates": [
            {"kind": kind, "per_second": rate, **dict(zip(("action", "limit"), now.limits.get(kind, ()), strict=False))}
            for kind, rate in progress.creates_per_second.items()
        ],
        "slots": [
            {"kind": slots.kind, "account": slots.account, "taken": len(slots.slots), "cap": _cap(slots)}
            for slots in now.slots
        ],
    }


def _duration(seconds: float) -> str:
    """
    >>> _duration(59.6), _duration(7322)
    ('1 min', '2 h 2 min')
    """
    minutes = max(1, round(seconds / 60))
    hours, minutes = divmod(minutes, 60)
    return " ".join([*([f"{hours} h"] if hours else []), f"{minutes} min"])
