"""`status`: one task at the service, all jobs of a ledger, or the shared limits."""

import asyncio
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from ..ledger.snapshot import Snapshot, of_state, paid_and_unsaved
from ..model.errors import InvalidRequest, TaskNotFound
from ..model.plain_text import visible_line
from ..model.states import JobState, Kind, TaskState
from ..wire.dialect import TaskStatus
from .interrupts import Interrupted, Interrupts
from .ledgers import URL, NamedLedger, named_ledger, owner_line
from .limits import forget as forget_member
from .limits import show_limits
from .options import client_for, config_from
from .screen import Exit, complain, counted, local_time, program, say
from .summary import print_census, print_unsaved


def status(*, target: str | None, task_id: str | None, limits: bool, forget: str | None, config: Path | None) -> None:
    """Show the jobs of a batch's folder or a ledger (needs no keys), or poll one task by its kind and TaskId."""
    if limits or forget is not None:
        raise typer.Exit(_of_limits(config, forget, has_target=target is not None))
    if target is None:
        raise InvalidRequest("name a folder that `run` wrote into, a ledger, or a kind and a TaskId; or add --limits")
    code = _of_ledger(target) if task_id is None else _of_task(target, task_id, config)
    raise typer.Exit(code)


def _of_limits(config: Path | None, forget: str | None, *, has_target: bool) -> Exit:
    if has_target:
        raise InvalidRequest("--limits takes no folder, ledger or task: the config names the limit store")
    return show_limits(config) if forget is None else forget_member(config, forget)


def _of_ledger(target: str) -> Exit:
    if target in list(Kind) and not Path(target).exists():
        raise InvalidRequest(f"the {target}'s TaskId is missing: mps-aigc status {target} 4-Aigc…")
    ledger = named_ledger(target)
    if ledger.database is not None:
        ledger.require_present()
    with ledger.snapshot() as snapshot:
        owners = snapshot.by_owner()
        if ledger.database is not None and (members := snapshot.writer()):
            say(f"open in {visible_line(members)}")
        need_attention = 0
        for owner, rows in owners:
            if len(owners) > 1:
                say(owner_line(owner))
            need_attention += _print_jobs(ledger, rows)
        if not owners:
            say("no jobs" if ledger.database is None else f"no jobs in the ledger {ledger.database.ledger}")
    return Exit.FAILED if need_attention else Exit.WELL


def _print_jobs(ledger: NamedLedger, snapshot: Snapshot) -> int:
    """Print the jobs of a ledger; return the number of those that need attention."""
    jobs, (_, urls_end), unreadable = snapshot.census(), snapshot.unsaved_results(), snapshot.unreadable()
    print_census(jobs)
    # `run` knows only the ledger of a folder. With another one it would create, and pay for, everything again.
    of_folder = ledger.is_of_folder
    if at_service := of_state(jobs, JobState.SUBMITTED):
        maker = "the `run` command that made this folder" if of_folder else "the program or command with this ledger"
        say(f"{at_service} at the service: {maker} polls and saves them")
    folder = shlex.quote(str(ledger.place.parent)) if isinstance(ledger.place, Path) else ""
    saver = (
        f"`{program()} run BATCH.jsonl --out {folder}`" if of_folder else "a client's `save_unsaved` with this ledger"
    )
    print_unsaved(jobs, saver, urls_end)
    if orphans := len(snapshot.orphans()):
        say(f"{counted(orphans, 'task')} that no job could take may be paid for: `{program()} settle {URL}` lists them")
    return of_state(jobs, JobState.FAILED) + paid_and_unsaved(jobs) + unreadable + orphans


def _of_task(kind: str, task_id: str, config: Path | None) -> Exit:
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
    progress = "" if answer.progress is None else f", {answer.progress}%"
    say(f"{visible_line(task_id)}: {visible_line(answer.word)} ({answer.state}{progress})")
    files = [f"VOD file {file_id}" for file_id in answer.file_ids]
    for text in (answer.message, answer.resolution, *answer.urls, *answer.videos, *files, *_facts_of(answer)):
        if text:
            say(f"  {visible_line(text)}")
    say(f"  request {visible_line(answer.request_id)}")
    return Exit.FAILED if answer.state is TaskState.FAILED else Exit.WELL


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
