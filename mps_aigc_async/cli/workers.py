"""`queue`, `worker`, `drain` and `migrate`: a batch in PostgreSQL that any number of workers run."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from ..client import AigcClient
from ..engine.batch_progress import progress_of
from ..engine.local_inputs import refuse_local_files
from ..ledger.postgres.schema import VERSION
from ..ledger.record import job_ids
from ..ledger.versions import parted
from ..model.budget import Budget
from ..model.errors import BudgetReached, InvalidRequest
from ..model.plain_text import visible_line
from ..model.requests import Request
from ..sharing.database_url import DatabaseUrl
from .batch import check_batch
from .batch_source import batch_source
from .edits import NO_EDITS, Edits, follow_edits
from .interrupts import Interrupted, Interrupts
from .ledgers import URL, URL_FORM, named_ledger
from .options import client_for, config_for_creates, require_folder
from .screen import IN_JSON, Exit, complain, counted, program, say, say_json, warnings_as_notes

if TYPE_CHECKING:
    from ..engine.request_queue import QueueCount
    from ..engine.worker import Worker

T = TypeVar("T")


def queue(*, ledger: str, batch: Path | None, retry_failed: bool, edits: Edits, config: Path | None) -> None:
    """Queue the requests of a batch file for workers. The same command again queues what is missing."""
    if batch is None and not retry_failed:
        raise InvalidRequest("name a batch file to queue (`-` reads stdin), or add --retry-failed")
    if batch is None and edits != NO_EDITS:
        raise InvalidRequest("--redo, --redo-changed and --keep are about the requests of a batch file: name one")
    url = database_named(ledger)
    numbers: dict[str, object] = {"ledger": url.ledger}
    is_named: Callable[[str], bool] = _everything
    if batch is not None:
        count, is_named = _queue_batch(batch, ledger, edits, config)
        numbers |= asdict(count)
        say(f"{counted(count.new, 'request')} queued in the ledger {url.ledger}{_former_in_words(count)}")
    if retry_failed:
        from ..engine.workers import retry_failed as retry  # noqa: PLC0415 — an extra

        number = asyncio.run(_interruptible(retry(ledger, only=is_named)))
        unknown = asyncio.run(progress_of(url)).unknown
        numbers |= {"retries": number, "unknown": unknown}
        say(f"{counted(number, 'failed request')} queued again in the ledger {url.ledger}")
        if unknown:
            complain(f"{counted(unknown, 'request')} left whose create is unknown: {program()} settle {URL}")
    if IN_JSON.get():
        say_json(numbers)
    complain(f"to run them, on any host: {program()} worker --out DIR --ledger {URL}")


def _everything(_name: str) -> bool:
    return True


def _former_in_words(count: "QueueCount") -> str:
    """The requests that were queued before."""
    parts = [f"{counted(count.earlier, 'request')} queued before"] if count.earlier else []
    parts += [f"{count.edits} with new content"] if count.edits else []
    parts += [f"{count.repeats} to be run again"] if count.repeats else []
    return f" ({', '.join(parts)})" if parts else ""


def _queue_batch(
    batch: Path, ledger: str, edits: Edits, config: Path | None
) -> tuple["QueueCount", Callable[[str], bool]]:
    """Queue the requests of a batch file. Return the numbers, and the test whether a request is one of the file's."""
    from ..engine.workers import queue as queue_requests  # noqa: PLC0415 — an extra

    settings = config_for_creates(config)
    client = client_for(settings, ledger)

    def check(request: Request) -> None:
        refuse_local_files(request, settings.backend)
        client.check(request)

    with batch_source(batch) as source:
        with warnings_as_notes():
            requests = check_batch(source, check)
        jobs = requests.jobs
        requests = follow_edits(requests, named_ledger(ledger), client, edits, "queued")
        again = {parted(name)[0] for name in edits.redo}
        count = asyncio.run(_interruptible(queue_requests(requests, ledger, again=again)))
    return count, lambda name: any(jobs.get(job_id) is not None for job_id in job_ids(name).values())


def worker(*, out: Path, ledger: str, config: Path | None, concurrency: int | None, budget: Budget | None) -> None:
    """Run queued requests until the batch is drained, a bound is reached, or Ctrl-C. Start as many workers as you like,
    on any host."""
    url = database_named(ledger)
    require_folder(out)
    client = client_for(config_for_creates(config), ledger)
    try:
        code = asyncio.run(_work(client, partial(client.worker, save_to=out, concurrency=concurrency, budget=budget)))
    except BudgetReached as refusal:
        now = asyncio.run(progress_of(url))
        complain(
            f"error: {visible_line(refusal.reason)}\n"
            f"{counted(now.waiting, 'request')} left waiting in the ledger {url.ledger}: other workers run them, or "
            "the same command with a larger bound"
        )
        code = Exit.FAILED
    raise typer.Exit(code)


async def _work(client: AigcClient, make_worker: Callable[[], "Worker"]) -> Exit:
    with Interrupts(lambda: complain(_STOPPING)) as interrupts:
        async with client:
            try:
                await interrupts.stoppable(make_worker().run())
            except Interrupted:
                return Exit.INTERRUPTED
    return Exit.WELL


_STOPPING: Final = (
    "stopping: no request is taken any more; waiting (10 s at most) for the creates in flight. Other workers go on "
    "with the rest. Ctrl-C again leaves at once."
)


def drain(*, ledger: str) -> None:
    """End the workers of a batch in order: they take no request any more, and end when those they began have ended."""
    url = database_named(ledger)
    from ..engine.workers import drain as drain_workers  # noqa: PLC0415 — an extra

    asyncio.run(progress_of(url))  # a ledger without a queue is refused before anything is said
    complain("waiting for the requests that have begun; Ctrl-C stops this command alone")
    asyncio.run(_interruptible(drain_workers(ledger)))
    now = asyncio.run(progress_of(url))
    left = now.requests - now.ends
    if IN_JSON.get():
        say_json({"ledger": url.ledger, "requests": now.requests, "left": left})
        return
    waiting = f"; {counted(left, 'request')} left for workers that are started later" if left else ""
    say(f"no worker runs a request any more{waiting}")


def migrate(*, ledger: str) -> None:
    """Make the tables of ledgers and queues in a database, or bring them to this version."""
    url = database_named(ledger)
    from ..engine.workers import make_tables  # noqa: PLC0415 — an extra

    asyncio.run(make_tables(url))
    if IN_JSON.get():
        say_json({"database": str(url), "schema": VERSION})
        return
    say(visible_line(f"the tables in {url} are those of this version"))


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    with Interrupts() as interrupts:
        try:
            return await interrupts.stoppable(work)
        except Interrupted:
            raise KeyboardInterrupt from None


def database_named(ledger: str) -> DatabaseUrl:
    """The database of `--ledger`. Raises InvalidRequest for any other ledger, and ConfigError."""
    database = named_ledger(ledger).database
    if database is None:
        raise InvalidRequest(f"--ledger takes a database here, for workers share a ledger in PostgreSQL: {URL_FORM}")
    return database
