"""Completion of ids in a shell, from the ledger file that the command line names. Shells complete paths by themselves.

A fault completes nothing: its message would stand in the middle of the user's command line. A ledger in a database is
not read: a key press must not wait for a network.
"""

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from ...model.errors import AigcError
from ...model.states import JobState
from ...sharing.database_url import is_database_url

if TYPE_CHECKING:
    from ...ledger import JobRecord

MOST: Final = 200
"""Ids that are suggested: more are no help on a screen."""


def request_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the requests in the ledger of `--ledger` or `--out`, the first MOST of them."""
    requests = _requests(ctx.params.get("ledger") or ctx.params.get("out"))
    return list(islice((name for name, _ in requests if name.startswith(incomplete)), MOST))


def unknown_jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the jobs that `settle` lists, the first MOST of them."""
    jobs = (job for _, jobs in _requests(ctx.params.get("target")) for job in jobs if job.state is JobState.UNKNOWN)
    return list(islice((job.job_id for job in jobs if job.job_id.startswith(incomplete)), MOST))


def _requests(place: str | Path | None) -> "list[tuple[str, list[JobRecord]]]":
    from ...ledger.snapshot import ledger_at, open_snapshot

    if place is None or is_database_url(str(place)):
        return []
    with suppress(AigcError), open_snapshot(ledger_at(Path(place))) as snapshot:
        return list(snapshot.requests())
    return []
