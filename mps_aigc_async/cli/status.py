"""`status`: one task at the service, all jobs of a ledger, or the shared limits."""

import asyncio
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Final

import typer

from ..ledger.snapshot import Snapshot, of_state, paid_and_unsaved
from ..model.budget import NOTHING
from ..model.errors import InvalidRequest, TaskNotFound
from ..model.plain_text import visible_line
from ..model.states import JobState, Kind, TaskState, Word
from ..wire.dialect import TaskStatus
from .interrupts import Interrupted, Interrupts
from .ledgers import URL, NamedLedger, named_ledger, owner_line
from .limits import forget as forget_member
from .limits import show_limits
from .options import client_for, config_from
from .plan_words import amount_as_json, has_cost, spent_in_words
from .screen import Exit, complain, counted, local_time, program, say, say_json
from .shots import ATTENTION, ListedShot, census_in_words, lines_of, listed_shots
from .summary import COLUMNS, print_census, print_unsaved


def status(
    *,
    target: str | None,
    task_id: str | None,
    limits: bool,
    forget: str | None,
    lists: Sequence[str],
    as_json: bool,
    config: Path | None,
) -> None:
    """Show the jobs of a batch's folder or a ledger (needs no keys), or poll one task by its kind and TaskId."""
    if limits or forget is not None:
        raise typer.Exit(_of_limits(config, forget, has_target=target is not None, as_json=as_json))
    if target is None:
        raise InvalidRequest("name a folder that `run` wrote into, a ledger, or a kind and a TaskId; or add --limits")
    code = _of_ledger(target, lists, as_json) if task_id is None else _of_task(target, task_id, config, as_json)
    raise typer.Exit(code)


def _of_limits(config: Path | None, forget: str | None, *, has_target: bool, as_json: bool) -> Exit:
    if has_target:
        raise InvalidRequest("--limits takes no folder, ledger or task: the config names the limit store")
    return show_limits(config, as_json=as_json) if forget is None else forget_member(config, forget)


def _of_ledger(target: str, lists: Sequence[str], as_json: bool) -> Exit:
    if target in list(Kind) and not Path(target).exists():
        raise InvalidRequest(f"the {target}'s TaskId is missing: mps-aigc status {target} 4-Aigc…")
    ledger = named_ledger(target)
    if ledger.database is not None:
        ledger.require_present()
    with ledger.snapshot() as snapshot:
        owners = snapshot.by_owner()
        if as_json:
            say_json(_as_json(ledger, [rows for _, rows in owners], lists))
        elif lists:
            _print_owners(owners, lambda rows: _print_shots(_shots(rows, lists, ledger)))
        else:
            _print_state(ledger, snapshot, owners)
        need_attention = sum(_needing_attention(rows) for _, rows in owners)
    return Exit.FAILED if need_attention else Exit.WELL


Owners = Sequence[tuple[Mapping[str, str], Snapshot]]


def _print_state(ledger: NamedLedger, snapshot: Snapshot, owners: Owners) -> None:
    if ledger.database is not None and (members := snapshot.writer()):
        say(f"open in {visible_line(members)}")
    _print_owners(owners, lambda rows: _print_jobs(ledger, rows))
    if not owners:
        say("no jobs" if ledger.database is None else f"no jobs in the ledger {ledger.database.ledger}")


def _print_owners(owners: Owners, print_rows: Callable[[Snapshot], None]) -> None:
    for owner, rows in owners:
        if len(owners) > 1:
            say(owner_line(owner))
        print_rows(rows)


def _needing_attention(snapshot: Snapshot) -> int:
    """The number of jobs, damaged rows and tasks of no job that need attention."""
    jobs = snapshot.census()
    return of_state(jobs, JobState.FAILED) + paid_and_unsaved(jobs) + snapshot.unreadable() + len(snapshot.orphans())


def _print_jobs(ledger: NamedLedger, snapshot: Snapshot) -> None:
    jobs, (_, urls_end) = snapshot.census(), snapshot.unsaved_results()
    print_census(census_in_words(snapshot, time.time()))
    if has_cost(total := snapshot.total()):
        say(f"spent in all: {spent_in_words(total)}")
    if at_service := of_state(jobs, JobState.SUBMITTED):
        folder, other = "the `run` command that made this folder", "the program or command with this ledger"
        say(f"{at_service} at the service: {folder if ledger.is_of_folder else other} polls and saves them")
    print_unsaved(jobs, _saver(ledger), urls_end)
    if orphans := len(snapshot.orphans()):
        say(f"{counted(orphans, 'task')} that no job could take may be paid for: `{program()} settle {URL}` lists them")
    if any(of_state(jobs, state) for state in (JobState.FAILED, JobState.UNKNOWN, JobState.DONE, JobState.INTENT)):
        shots = _shots(snapshot, (), ledger)
        _print_shots(islice(shots, MOST_SHOTS))
        if next(shots, None) is not None:
            say(f"and more: `{program()} status {_shown(ledger)} --failed --unknown --unsaved` lists them all")


MOST_SHOTS: Final = 10
"""Shots below the table: more would scroll the table away."""

_LISTS: Final[Mapping[str, frozenset[Word]]] = {
    "failed": frozenset({Word.FAILED}),
    "unknown": frozenset({Word.UNKNOWN}),
    "unsaved": frozenset({Word.DONE}),
}
"""The states that an option lists."""


def _shots(snapshot: Snapshot, lists: Sequence[str], ledger: NamedLedger) -> Iterator[ListedShot]:
    """The shots that the options choose; without options those that need attention."""
    words = frozenset[Word]().union(*(_LISTS[name] for name in lists if name in _LISTS)) or ATTENTION
    next_steps = {Word.UNKNOWN: f"`{program()} settle {_shown(ledger)}` decides"}
    if not ledger.is_of_folder:
        next_steps[Word.DONE] = f"{_saver(ledger)} saves it"
    return listed_shots(
        snapshot, None if "all" in lists else words, next_steps, time.time(), earlier_versions="all" in lists
    )


def _saver(ledger: NamedLedger) -> str:
    """The command or method that saves results. `run` knows only the ledger of a folder: with another one it would
    create, and pay for, everything again."""
    if not (ledger.is_of_folder and isinstance(ledger.place, Path)):
        return "a client's `save_unsaved` with this ledger"
    return f"`{program()} run BATCH.jsonl --out {shlex.quote(str(ledger.place.parent))}`"


def _shown(ledger: NamedLedger) -> str:
    return ledger.shown if ledger.database is not None else shlex.quote(ledger.shown)


def _print_shots(shots: Iterable[ListedShot]) -> None:
    for shot in shots:
        for line in lines_of(shot):
            say(line)


def _as_json(ledger: NamedLedger, snapshots: Sequence[Snapshot], lists: Sequence[str]) -> dict[str, object]:
    counts: Counter[tuple[Kind, Word]] = Counter()
    for rows in snapshots:
        counts += census_in_words(rows, time.time())
    kinds = sorted({kind for kind, _ in counts}, key=list(Kind).index)
    return {
        "jobs": {kind: {word: counts[kind, word] for word in COLUMNS} for kind in kinds},
        "spent": amount_as_json(sum((rows.total() for rows in snapshots), NOTHING)),
        "unreadable_jobs": sum(rows.unreadable() for rows in snapshots),
        "orphans": [orphan.task_id for rows in snapshots for orphan in rows.orphans()],
        "shots": [asdict(shot) for rows in snapshots for shot in _shots(rows, lists, ledger)],
    }


def _of_task(kind: str, task_id: str, config: Path | None, as_json: bool) -> Exit:
    client = client_for(config_from(config))
    task = client.attach(kind, task_id)

    async def poll() -> TaskStatus:
        with Interrupts() as interrupts:
            async with client:
                return await interrupts.stoppable(task.status())

    try:
        answer = asyncio.run(poll())
    except Interrupted:
        return Exit.INTERRUPTED
    except TaskNotFound:
        complain(
            f"the service does not know {visible_line(task_id)}: check that it is a task of kind {kind}, and that "
            "account, region and vod.subAppId are the ones that it was created with"
        )
        raise
    if as_json:
        say_json({"kind": kind, "task_id": task_id, **_facts(answer)})
    else:
        _print_task(task_id, answer)
    return Exit.FAILED if answer.state is TaskState.FAILED else Exit.WELL


def _facts(answer: TaskStatus) -> dict[str, object]:
    names = ("word", "progress", "message", "resolution", "urls", "videos", "file_ids", "request_id")
    return {"state": answer.state.value, **{name: getattr(answer, name) for name in names}}


def _print_task(task_id: str, answer: TaskStatus) -> None:
    progress = "" if answer.progress is None else f", {answer.progress}%"
    say(f"{visible_line(task_id)}: {visible_line(answer.word)} ({answer.state}{progress})")
    files = [f"VOD file {file_id}" for file_id in answer.file_ids]
    for text in (answer.message, answer.resolution, *answer.urls, *answer.videos, *files, *_facts_of(answer)):
        if text:
            say(f"  {visible_line(text)}")
    say(f"  request {visible_line(answer.request_id)}")


def _facts_of(answer: TaskStatus) -> Iterator[str]:
    """The service's facts beside a task's results."""
    times = {"began": answer.begun_at, "ended": answer.finished_at, "kept until": answer.lifetime.ends_at}
    for label, at in times.items():
        if at is not None:
            yield f"{label} {local_time(at, '%Y-%m-%d %H:%M:%S %z')}"
    if answer.usage is not None:
        amounts = [
            f"{amount:g} {name.replace('_', ' ')}"
            for name, amount in asdict(answer.usage).items()
            if amount is not None
        ]
        yield f"used {', '.join(amounts)}"
