"""The user's word on edited requests: new versions are planned before the batch runs, or the former ones are kept."""

import asyncio
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..client import AigcClient
from ..engine.comparison import versions_in
from ..jobs.new_steps import IN_DOUBT, steps_to_make
from ..ledger.snapshot import NoLedger
from ..ledger.versions import contents_of, parted
from ..model.errors import InvalidRequest, LedgerError
from ..model.plain_text import visible_line
from ..model.requests import Request
from .batch import MOST_FAULTS, Batch
from .batch_versions import ChangedLine, Comparison, compare, keep_former, names_to_redo
from .interrupts import Interrupted, Interrupts
from .ledgers import NamedLedger
from .refusals import BadBatch
from .screen import program


@dataclass(frozen=True, slots=True)
class Edits:
    """The options of a command. Raises InvalidRequest for options that contradict each other."""

    redo_changed: bool = False
    keep: bool = False
    redo: Sequence[str] = ()
    """The ids of requests to make again."""

    def __post_init__(self) -> None:
        if self.keep and (self.redo_changed or self.redo):
            raise InvalidRequest("--keep keeps what is made, and --redo makes it again: choose one")


NO_EDITS: Final = Edits()


def follow_edits(batch: Batch, ledger: NamedLedger, client: AigcClient, edits: Edits, verb: str = "sent") -> Batch:
    """Compare a batch with its ledger, and plan the new versions that the user wants. Return the batch with the jobs
    that it will have. Sends nothing. `verb` says in messages what has happened to nothing.

    Raises BadBatch for changed requests without the user's word, InvalidRequest for ids that the batch lacks, and
    LedgerError.
    """
    redone = _requests_named(batch, edits.redo)
    if isinstance(ledger.place, Path) and not ledger.place.exists():
        return batch
    try:
        comparison, names = _compare(batch, ledger, edits.redo)
    except LedgerError:
        if edits.redo:
            raise
        return batch  # there is no ledger yet, or its opening reports its fault better
    if edits.keep:
        return replace(keep_former(batch, comparison.changes), jobs=comparison.jobs)
    bases = {parted(name)[0] for name in names}
    changes = [line for line in comparison.changes if line.request.id not in bases]
    if not edits.redo_changed:
        Comparison(changes=changes).refuse_changes(verb)
    new = _changed_requests(changes) | {name: redone[name] for name in names}
    if not new:
        return replace(batch, jobs=comparison.jobs)
    _require_settled(ledger, new, verb)
    asyncio.run(_plan(client, new))
    comparison, _ = _compare(batch, ledger, ())
    return replace(batch, jobs=comparison.jobs)


def plan_edits(batch: Batch, ledger: NamedLedger, edits: Edits) -> tuple[Batch, list[str]]:
    """The batch with the versions that are kept, and the names that need a new version. Writes nothing. The errors are
    those of `follow_edits`, without BadBatch."""
    _requests_named(batch, edits.redo)
    try:
        comparison, names = _compare(batch, ledger, edits.redo)
    except NoLedger:
        return batch, []
    return (keep_former(batch, comparison.changes), []) if edits.keep else (batch, names)


def _compare(batch: Batch, ledger: NamedLedger, redo: Sequence[str]) -> tuple[Comparison, list[str]]:
    """The batch beside its ledger, and the names that need a new version."""
    with ledger.snapshot() as snapshot:
        return compare(batch, snapshot), names_to_redo(snapshot, redo)


def _require_settled(ledger: NamedLedger, requests: Mapping[str, Request], verb: str) -> None:
    """Raise BadBatch that names all jobs which new versions would make again while their creates are in doubt."""
    in_doubt: list[str] = []
    with ledger.snapshot() as snapshot:
        for name, request in requests.items():
            base, number = parted(name)
            latest = versions_in(snapshot, base)[-1]
            if latest.jobs and (name == base or number == latest.number):
                kinds = steps_to_make(latest, contents_of(request), time.time())
                jobs = [latest.jobs[kind] for kind in kinds if kind in latest.jobs]
                in_doubt += [job.job_id for job in jobs if job.state in IN_DOUBT]
    if in_doubt:
        lines = [f"  {visible_line(job_id)}" for job_id in in_doubt[:MOST_FAULTS]]
        lines += [f"  and {len(in_doubt) - MOST_FAULTS} more"] if len(in_doubt) > MOST_FAULTS else []
        place = shlex.quote(str(ledger.place.parent)) if ledger.is_of_folder and isinstance(ledger.place, Path) else ""
        raise BadBatch(
            f"no reply came to the creates of these, so they may be paid for; nothing was {verb}:\n"
            + "\n".join(lines)
            + f"\nsettle them first: {program()} settle {place or shlex.quote(ledger.shown)}"
        )


def _changed_requests(changes: Sequence[ChangedLine]) -> dict[str, Request]:
    return {line.request.id: line.request for line in changes if line.request.id is not None}


def _requests_named(batch: Batch, names: Sequence[str]) -> dict[str, Request]:
    """The batch's requests of these ids. Raises InvalidRequest for ids that it lacks."""
    if not names:
        return {}
    bases = {name: parted(name)[0] for name in names}
    if len(set(bases.values())) < len(names):
        raise InvalidRequest("--redo names a request twice: name each one once")
    found = {request.id: request for request in batch if request.id in set(bases.values())}
    if lacking := [base for base in bases.values() if base not in found]:
        raise InvalidRequest(f"the batch has no request with the id {', '.join(lacking)}: nothing was sent")
    return {name: found[base] for name, base in bases.items()}


async def _plan(client: AigcClient, requests: dict[str, Request]) -> None:
    async def plan() -> None:
        await asyncio.gather(*(client.new_version(name, request) for name, request in requests.items()))

    async with client:
        with Interrupts() as interrupts:
            try:
                await interrupts.stoppable(plan())
            except Interrupted:
                raise KeyboardInterrupt from None
