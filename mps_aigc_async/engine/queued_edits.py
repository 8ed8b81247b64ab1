"""Edited requests that are queued again: the new content takes the place of content that has cost nothing.

The decision is one transaction, which holds the batch's row and the rows of the requests' jobs. So no worker can end
such a request meanwhile, or write the intent of one of its creates. A worker that runs the request with its former
line finds out: its *planned* jobs have other content by now, it looks at the line once it has planned its jobs
(`Terms.confirm`), and it cannot write the end of another line.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..jobs.own_sessions import replan_as
from ..ledger.postgres.moves import Place, Replace, fresh, step
from ..ledger.postgres.requests import QueuedRequest, RequestStatements
from ..ledger.postgres.rows import OWNER
from ..ledger.versions import Contents, Version, changed_request, changes_of, contents_of, version_of
from ..model.errors import InvalidRequest
from ..model.parsing import parse
from ..model.states import JobState
from ..sharing.connection import Row, Step
from .queued_versions import versions_in_rows

RowsOf = Callable[[Step], Awaitable[Sequence[Row]]]

MOST_NAMES: Final = 20
"""Requests that a message lists."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A request whose content differs from all of its versions, which are or may be paid for."""

    latest: Version
    contents: Contents


@dataclass(slots=True)
class Edits:
    """The requests of a batch whose content has changed since they were queued."""

    requests: list[QueuedRequest] = field(default_factory=list)
    """The requests that may have their new content."""
    conflicts: list[Conflict] = field(default_factory=list)
    plans: list[Step] = field(default_factory=list)
    """The statements that write the new content over *planned* jobs."""


async def find_edits(
    rows_of: RowsOf, ledger: str, requests: Sequence[QueuedRequest], *, is_locked: bool = False
) -> Edits:
    """Compare requests that were queued before with their lines and their jobs. `is_locked` keeps the jobs as they are
    until the transaction ends. Raises DamagedRow."""
    statements, owners, edits = RequestStatements(ledger), dict[str, str](), Edits()

    async def read(names: Sequence[str]) -> Sequence[Row]:
        rows = await rows_of(statements.jobs(names, is_locked=is_locked))
        owners.update({str(row[0]): str(row[OWNER]) for row in rows})
        return rows

    given_lines = {request.name: request for request in requests}
    # The rows before the jobs: a worker that looks at its line meanwhile has planned its jobs before (`Terms.confirm`).
    edited = [str(name) for (name,) in await rows_of(statements.edited(requests, is_locked=is_locked))]
    for name, versions in (await versions_in_rows(read, edited)).items():
        request = given_lines[name]
        contents = contents_of(parse(json.loads(request.line)))
        version = version_of(versions, contents)
        if version is None:
            edits.conflicts.append(Conflict(versions[-1], contents))
            continue
        edits.requests.append(request)
        for kind, job in version.jobs.items():
            if job.state is JobState.PLANNED and job.content != contents.get(kind, job.content):
                place = Place(ledger, {"": owners[job.job_id]}, me="")
                edits.plans.append(step(Replace(job, fresh(replan_as(job, contents[kind]))), place))
    return edits


def refusal_of(conflicts: Sequence[Conflict]) -> InvalidRequest:
    """The error for requests whose former content is or may be paid for."""
    first, *others = conflicts
    if not others:
        return changed_request(first.latest, first.contents)
    changes = [f"{one.latest.name} ({'; '.join(changes_of(one.latest, one.contents))})" for one in conflicts]
    more = f", and {len(changes) - MOST_NAMES} more" if changes[MOST_NAMES:] else ""
    return InvalidRequest(
        f"{len(conflicts)} ids are taken: the ledger has them with other content: {', '.join(changes[:MOST_NAMES])}"
        f"{more}; make new versions (--redo-changed, client.new_version), keep the former ones, or give the new "
        "requests other ids",
        job_id=first.latest.name,
    )
