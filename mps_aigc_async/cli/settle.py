"""`settle`: the jobs whose create got no reply, and the user's decision for each."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..client import AigcClient
from ..ledger import JobRecord
from ..ledger.snapshot import ledger_at, open_snapshot
from ..model.errors import AigcError, CreateOutcomeUnknown, InvalidRequest
from ..model.plain_text import visible_line
from ..model.settlement import Attach, CreateAgain, Drop, Settlement
from ..model.states import JobState
from .interrupts import Interrupted, Interrupts
from .options import ConfigOption, client_for, config_from
from .screen import Exit, complain, exit_code, local_time, program, say


def settle(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `run` wrote into, or a ledger file.")],
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="JOB …", help="Job ids from the list.", show_default="list them all")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs of the list.")] = False,
    create_again: Annotated[
        bool,
        typer.Option("--create-again", help="Not accepted: `run` creates it again. Paid twice if it was accepted."),
    ] = False,
    attach: Annotated[
        str | None, typer.Option("--attach", metavar="TASK_ID", help="Accepted as this task.", show_default=False)
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Give up: the job fails.")] = False,
    config: ConfigOption = None,
) -> None:
    """List the jobs whose create got no reply (needs no keys), or decide how they go on.

    The service may have accepted and billed each of them: look in the console's task list, by prompt and time.
    """
    unknown = _unknown(folder)
    decision = _decision(create_again=create_again, attach=attach, drop=drop)
    job_ids = [job.job_id for job in unknown] if everything else list(jobs or ())
    if decision is None:
        if job_ids and not everything:
            raise InvalidRequest("choose one: --create-again, --attach TASK_ID or --drop")
        raise typer.Exit(_list(folder, unknown))
    if not job_ids:
        raise InvalidRequest("name the jobs, or all of them with --all")
    if isinstance(decision, Attach) and len(job_ids) > 1:
        raise InvalidRequest("a TaskId belongs to one job: name one job")
    client = client_for(config_from(config), ledger_at(folder))
    raise typer.Exit(asyncio.run(_settle(client, job_ids, decision)))


def _unknown(folder: Path) -> list[JobRecord]:
    with open_snapshot(ledger_at(folder)) as ledger:
        return [job for _, jobs in ledger.requests() for job in jobs if job.state is JobState.UNKNOWN]


def _decision(*, create_again: bool, attach: str | None, drop: bool) -> Settlement | None:
    chosen: list[Settlement] = []
    if create_again:
        chosen.append(CreateAgain())
    if attach is not None:
        chosen.append(Attach(attach))
    if drop:
        chosen.append(Drop())
    if len(chosen) > 1:
        raise InvalidRequest("choose one of --create-again, --attach and --drop")
    return chosen[0] if chosen else None


def _list(folder: Path, unknown: Sequence[JobRecord]) -> Exit:
    if not unknown:
        say("no job's outcome is unknown")
        return Exit.WELL
    for job in unknown:
        sent_at = local_time(job.sent_at or job.intent_at or job.planned_at, "%Y-%m-%d %H:%M:%S %z")
        say(f"{visible_line(job.job_id)}  sent {sent_at}{_acceptance_of(job)}  {visible_line(job.prompt)}")
    say(f"\nto decide: {program()} settle {visible_line(str(folder))} JOB --create-again | --attach TASK_ID | --drop")
    return Exit.FAILED


def _acceptance_of(job: JobRecord) -> str:
    error = job.recorded_error()
    return ", accepted" if isinstance(error, CreateOutcomeUnknown) and error.accepted else ""


async def _settle(client: AigcClient, job_ids: Sequence[str], decision: Settlement) -> Exit:
    async def settle_all() -> Exit:
        code = Exit.WELL
        for job_id in job_ids:
            try:
                job = await client.settle(job_id, decision)
            except AigcError as error:  # the other jobs are still settled
                complain(f"error: {visible_line(str(error))}")
                code = exit_code(error)
            else:
                say(f"{visible_line(job_id)}: {_BECOMES[job.state]}")
        return code

    with Interrupts() as interrupts:
        async with client:
            try:
                return await interrupts.stoppable(settle_all())
            except Interrupted:
                return Exit.INTERRUPTED


_BECOMES = {
    JobState.PLANNED: "planned: the next run creates it",
    JobState.SUBMITTED: "submitted: the next run polls and saves it",
    JobState.FAILED: "failed: given up",
}
