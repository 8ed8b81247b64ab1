"""`prune`: old requests are removed from a ledger in PostgreSQL, after the user has seen how many."""

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

from ..engine.pruning import PruneCount, preview, prune
from ..model.errors import InvalidRequest
from ..model.states import JobState, Word
from .interrupts import Interrupted, Interrupts
from .ledgers import URL, URL_FORM, named_ledger
from .screen import Exit, complain, counted, program, say, say_json

_AGE: Final = re.compile(r"(\d{1,5})d")


def prune_ledger(*, ledger: str, before: str, yes: bool, as_json: bool) -> None:
    """Remove requests from a ledger in PostgreSQL that ended before a time, with their jobs."""
    named = named_ledger(ledger)
    if named.database is None:
        raise InvalidRequest(
            f"--ledger takes a database here ({URL_FORM}): a ledger in a file is removed as a whole, once all is saved"
        )
    time = _time(before)
    named.require_present()
    old = preview(ledger, time)
    if not as_json:
        say(f"before {time:%Y-%m-%d %H:%M %z}: {_rows(old)}")
    for line in _kept(old):
        complain(line)
    if old.requests and not yes and not _is_agreed():
        say_json({**_as_json(time, old), "is_removed": False}) if as_json else say("nothing is removed")
        return
    try:
        removed = asyncio.run(_prune(ledger, time))
    except Interrupted:
        complain("interrupted: the portions so far are removed; the same command goes on")
        raise typer.Exit(Exit.INTERRUPTED) from None
    if as_json:
        say_json({**_as_json(time, replace(removed, kept=old.kept, orphans=old.orphans)), "is_removed": True})
    else:
        say(f"removed: {_rows(removed)}" if removed.requests else "there is nothing to remove")


def _as_json(time: datetime, count: PruneCount) -> dict[str, object]:
    return {"before": time.isoformat(), **asdict(count)}


def _time(text: str) -> datetime:
    try:
        if age := _AGE.fullmatch(text):
            return datetime.now(UTC) - timedelta(days=int(age[1]))
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.astimezone()
    except (ValueError, OverflowError):
        raise InvalidRequest(f"--before {text!r} is no date: write it as 2026-10-01, or 90d for 90 days ago") from None


def _rows(count: PruneCount) -> str:
    return f"{counted(count.requests, 'request')} with {counted(count.jobs, 'job')}"


def _kept(old: PruneCount) -> Iterator[str]:
    """A line for each reason to keep a request."""
    workers = f"`{program()} run` or `{program()} worker`"
    fixes = {
        JobState.UNKNOWN: f"`{program()} settle {URL}` lists them",
        JobState.INTENT: f"{workers} finds out about the create",
        JobState.SUBMITTED: f"{workers} polls and saves it",
        JobState.DONE: f"paid for and not saved; {workers} saves it",
        JobState.PLANNED: f"{workers} creates it, or `--retry-failed` if a step before it failed",
    }
    for state, fix in fixes.items():
        if number := old.kept.get(state):
            yield f"kept: requests with {counted(number, 'job')} {_WORDS.get(state, state)}: {fix}"
    if old.orphans:
        yield f"kept: {counted(old.orphans, 'task')} that no job could take: `{program()} settle {URL}` lists them"


_WORDS: Final = {JobState.INTENT: "being sent", JobState.SUBMITTED: Word.RUNNING}
"""The words for states that people do not read as they are."""


def _is_agreed() -> bool:
    """Ask the user. Raises InvalidRequest where nobody can answer."""
    complain("the ledger forgets their ids: a batch file with these ids would be created, and paid for, again")
    if not _can_answer():
        raise InvalidRequest("nobody can be asked here (stdin is no terminal): add --yes to remove them")
    return typer.confirm("remove them?", err=True)


def _can_answer() -> bool:
    return sys.stdin.isatty()


async def _prune(ledger: str, before: datetime) -> PruneCount:
    with Interrupts() as interrupts:
        return await interrupts.stoppable(prune(ledger, before))
