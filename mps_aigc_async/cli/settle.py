"""`settle`: the jobs whose create got no reply, and the user's decision for each."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from ..client import AigcClient
from ..ledger import JobRecord
from ..ledger.orphans import Orphan
from ..ledger.postgres import drop_orphans
from ..ledger.snapshot import Snapshot
from ..model.errors import AigcError, CreateOutcomeUnknown, InvalidRequest
from ..model.plain_text import visible_line
from ..model.settlement import Attach, CreateAgain, Drop, Settlement
from ..model.states import JobState
from .interrupts import Interrupted, Interrupts
from .ledgers import URL, NamedLedger, named_ledger, owner_line
from .options import client_for, config_from
from .screen import Exit, complain, exit_code, local_time, program, say, say_json


def settle(
    *,
    target: str,
    jobs: list[str] | None,
    everything: bool,
    create_again: bool,
    attach: str | None,
    drop: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """List the jobs whose create got no reply (needs no keys), or decide how they go on."""
    ledger = named_ledger(target)
    if ledger.database is not None:
        ledger.require_present()
    open_points = _read(ledger)
    decision = _decision(create_again=create_again, attach=attach, drop=drop)
    names = open_points.all_jobs() if everything else list(jobs or ())
    if decision is None:
        if names and not everything:
            raise InvalidRequest("choose one: --create-again, --attach TASK_ID or --drop")
        raise typer.Exit(_list_json(open_points) if as_json else _list(ledger, open_points))
    if as_json:
        raise InvalidRequest("--json prints the list, and decides nothing")
    if not names:
        raise InvalidRequest("name the jobs, or all of them with --all")
    if isinstance(decision, Attach) and len(names) > 1:
        raise InvalidRequest("a TaskId belongs to one job: name one job")
    job_ids, task_ids = open_points.parted(names, decision)
    if task_ids:
        _drop(ledger, task_ids)
    if job_ids:
        client = client_for(config_from(config), ledger.for_client)
        raise typer.Exit(asyncio.run(_settle(client, job_ids, decision)))


@dataclass(frozen=True, slots=True)
class _OpenPoints:
    """All that a user can decide in a ledger."""

    unknown: Sequence[tuple[str, Sequence[JobRecord]]]
    """The jobs whose create got no reply, by the heading of their owner."""
    orphans: Sequence[Orphan]

    def all_jobs(self) -> list[str]:
        """The ids of all jobs. Raises InvalidRequest for those of several owners: a client has one."""
        owners = [jobs for _, jobs in self.unknown if jobs]
        if len(owners) > 1:
            raise InvalidRequest("the ledger has jobs of several accounts: name the jobs of the config's account")
        return [job.job_id for jobs in owners for job in jobs]

    def parted(self, names: Sequence[str], decision: Settlement) -> tuple[list[str], list[str]]:
        """The names of jobs, and the TaskIds of orphans, which can only be dropped. Raises InvalidRequest."""
        orphans = {orphan.task_id for orphan in self.orphans}
        task_ids = [name for name in names if name in orphans]
        if task_ids and not isinstance(decision, Drop):
            raise InvalidRequest(
                f"{task_ids[0]} is a task and no job: drop it, or attach it to an unknown job with "
                f"`{program()} settle {URL} JOB --attach {task_ids[0]}`"
            )
        return [name for name in names if name not in orphans], task_ids


def _read(ledger: NamedLedger) -> _OpenPoints:
    with ledger.snapshot() as snapshot:
        unknown = [(owner_line(owner), _unknown(rows)) for owner, rows in snapshot.by_owner()]
        return _OpenPoints(unknown, snapshot.orphans())


def _unknown(snapshot: Snapshot) -> list[JobRecord]:
    return [job for _, jobs in snapshot.requests() for job in jobs if job.state is JobState.UNKNOWN]


def _drop(ledger: NamedLedger, task_ids: list[str]) -> None:
    if ledger.database is not None:
        for task_id in asyncio.run(drop_orphans(ledger.database, task_ids)):
            say(f"task {visible_line(task_id)}: given up; the service may still make and bill it")


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


def _list_json(points: _OpenPoints) -> Exit:
    jobs = [job for _, jobs in points.unknown for job in jobs]
    say_json({"unknown": [_as_json(job) for job in jobs], "orphans": [asdict(orphan) for orphan in points.orphans]})
    return Exit.FAILED if jobs or points.orphans else Exit.WELL


def _as_json(job: JobRecord) -> dict[str, object]:
    sent_at = job.sent_at or job.intent_at or job.planned_at
    is_accepted = bool(_acceptance_of(job))
    return {"id": job.job_id, "kind": job.kind, "sent_at": sent_at, "is_accepted": is_accepted, "prompt": job.prompt}


def _list(ledger: NamedLedger, points: _OpenPoints) -> Exit:
    owners = [(heading, jobs) for heading, jobs in points.unknown if jobs]
    if not owners and not points.orphans:
        say("no job's outcome is unknown")
        return Exit.WELL
    name = ledger.shown
    for heading, jobs in owners:
        if len(owners) > 1:
            say(heading)
        _list_jobs(jobs)
    if owners:
        say(f"\nto decide: {program()} settle {visible_line(name)} JOB --create-again | --attach TASK_ID | --drop")
    if points.orphans:
        _list_orphans(points.orphans, name)
    return Exit.FAILED


def _list_orphans(orphans: Sequence[Orphan], name: str) -> None:
    say("\ntasks that no job could take, because other processes had taken the job: each may be billed")
    for orphan in orphans:
        of_model = f", {orphan.model}" if orphan.model else ""
        at = local_time(orphan.at, "%Y-%m-%d %H:%M:%S %z")
        say(visible_line(f"{orphan.task_id}  {orphan.kind}{of_model}, accepted {at} for {orphan.job_id}"))
    say(
        f"\nto decide: `{program()} status KIND TASK_ID` shows the result, "
        f"`{program()} settle {visible_line(name)} JOB --attach TASK_ID` gives the task to an unknown job, "
        f"`{program()} settle {visible_line(name)} TASK_ID --drop` takes it off this list"
    )


def _list_jobs(jobs: Sequence[JobRecord]) -> None:
    for job in jobs:
        sent_at = local_time(job.sent_at or job.intent_at or job.planned_at, "%Y-%m-%d %H:%M:%S %z")
        say(f"{visible_line(job.job_id)}  sent {sent_at}{_acceptance_of(job)}  {visible_line(job.prompt)}")


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
    JobState.PLANNED: "planned: the next run, or a worker, creates it",
    JobState.SUBMITTED: "running: the next run polls and saves it",
    JobState.FAILED: "failed: given up",
}
