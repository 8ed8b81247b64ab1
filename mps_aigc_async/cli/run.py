"""`run`: a batch file is checked as a whole, then run. The same command again continues."""

import asyncio
import shlex
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import typer

from ..client import AigcClient
from ..concurrency.alongside import running_alongside
from ..config import Config
from ..engine.digest_table import DigestTable, Width, digest_of
from ..engine.local_inputs import refuse_local_files
from ..engine.plan import Standing
from ..ledger import JobRecord
from ..ledger.record import job_ids
from ..ledger.snapshot import LEDGER_FILE, Census, Snapshot, paid_and_unsaved
from ..ledger.versions import parted
from ..model.budget import WORDS, Budget
from ..model.errors import AccountError, AigcError, InvalidRequest, LedgerError
from ..model.plain_text import visible_line
from ..model.requests import Request
from ..model.states import JobState, Kind, Word
from ..network.folders import absolute, prepare_folder
from ..policy.advice import advice_for
from ..policy.retries import stops_a_batch
from .batch import Batch, check_batch
from .batch_source import Source, batch_source
from .edits import follow_edits
from .interrupts import Interrupted, Interrupts
from .ledgers import NamedLedger, ledger_file, named_file_or_database
from .options import client_for, config_for_creates, require_folder
from .orders import NO_ORDERS, Orders
from .outages import Pauses, is_outage
from .plan_words import amounts_in_words, has_cost, spent_in_words
from .progress import TICK_S, Display, display_for
from .report import print_page
from .screen import Exit, complain, counted, from_here, is_quiet, program, warnings_as_notes
from .summary import in_flight, print_earlier_unknown, print_reasons, print_results, print_unsaved
from .tally import Tally

_STOPPING: Final = (
    "stopping: nothing new is created; waiting (10 s at most) for the creates in flight, whose tasks are paid for. "
    "Ctrl-C again leaves at once."
)

_ACCOUNT_REFUSED: Final = (
    "the service refuses the account: nothing new is created; paid tasks are polled and saved first. Ctrl-C stops that."
)


def run(*, batch: Path, out: Path, config: Path | None, ledger: str | None, orders: Orders) -> None:
    """Run all requests of a batch file. The same command again continues where the last run stopped."""
    require_folder(out)
    named = None if ledger is None else named_file_or_database(ledger)
    words = [
        *program().split(" "),
        "run",
        str(batch),
        *(["--config", str(config)] if config else []),
        "--out",
        str(out),
        *(["--ledger", named.shown] if named else []),
        *orders.words,
    ]
    same_input = " (with the same input)" if str(batch) == "-" else ""
    with batch_source(batch) as source:
        code = run_batch(
            source,
            config_for_creates(config),
            out,
            how_to_go_on=f"go on with the same command{same_input}: {shlex.join(words)}",
            orders=orders,
            ledger=named,
        )
    raise typer.Exit(code)


def run_batch(
    source: Source,
    config: Config,
    out: Path,
    *,
    how_to_go_on: str,
    orders: Orders = NO_ORDERS,
    ledger: NamedLedger | None = None,
    before_leaving: Callable[[], None] = lambda: None,
) -> Exit:
    """Check everything, run the batch into a folder, and print the results.

    `how_to_go_on` is printed after an interruption. Raises AigcError for a fault that is found before anything is sent.
    """
    out = absolute(out)  # once: a symlink that changes during the run must not separate the ledger from the files
    ledger = ledger or ledger_file(out / LEDGER_FILE)
    client = client_for(config, ledger.for_client)
    with warnings_as_notes():
        requests = checked_batch(source, config, client, orders)
    require_requests(requests, orders.retries.names)
    prepare_folder(out)
    requests = follow_edits(requests, ledger, client, orders.edits)
    tally, began = Tally(requests.jobs), time.monotonic()
    with suppress(LedgerError):  # opening the ledger reports its fault better
        tally.on_ledger(_jobs_in(ledger, tally))
        _print_plan(client, requests, orders)
    error, is_interrupted = None, False
    try:
        error = asyncio.run(
            _run(client, _Work(requests, out, orders, ledger.database is not None), tally, before_leaving)
        )
    except Interrupted:
        is_interrupted = True
    print_results(tally, time.monotonic() - began, from_here(out))
    _print_spent(ledger, config.price_list().currency, orders.budget)
    print_reasons(tally)
    print_earlier_unknown(tally, from_here(out) if ledger.is_of_folder else Path(ledger.shown))
    code = _ending(ledger, tally, error, is_interrupted=is_interrupted, how_to_go_on=how_to_go_on)
    print_page(from_here(out), ledger)  # last, so that its failure hides nothing
    return code


def checked_batch(source: Source, config: Config, client: AigcClient, orders: Orders) -> Batch:
    """A batch without a fault. Raises BadBatch."""

    def check(request: Request) -> None:
        refuse_local_files(request, config.backend)
        client.check(request)

    return replace(check_batch(source, check, orders.choice), has_places=orders.has_places)


def require_requests(batch: Batch, names: Collection[str]) -> None:
    """Raise InvalidRequest for ids of `--retry` that the batch lacks."""
    if lacking := [name for name in names if not _has_request(batch, parted(name)[0])]:
        raise InvalidRequest(f"--retry: the batch has no request with the id {', '.join(lacking)}: nothing was sent")


def _has_request(batch: Batch, name: str) -> bool:
    return any(batch.jobs.get(job_id) is not None for job_id in job_ids(name).values())


def _print_plan(client: AigcClient, batch: Batch, orders: Orders) -> None:
    """Print the three numbers of the plan, if anything is to be created."""
    retries = orders.retries.accepts if orders.retries else False
    plan = client.plan(batch, retry_failed=retries, budget=orders.budget)
    if plan.creates and not is_quiet():
        beyond = plan.requests.get(Standing.BEYOND, 0)
        rest = f"; {counted(beyond, 'request')} beyond the bounds" if beyond else ""
        complain(f"{amounts_in_words(plan)}{rest}")


def _print_spent(ledger: NamedLedger, currency: str, budget: Budget | None) -> None:
    """Print all that the ledger has created, or may have, beside the bounds."""
    with suppress(LedgerError), ledger.snapshot() as snapshot:
        total = snapshot.total()
        bounds = {} if budget is None else budget.bounds()
        words = ", ".join(f"{WORDS[name]} {most:g}" for name, most in bounds.items())
        if (has_cost(total) or bounds) and not is_quiet():
            complain(f"spent in all: {spent_in_words(total, currency)}{f' (bounds: {words})' if words else ''}")


def _ending(
    ledger: NamedLedger, tally: Tally, error: AigcError | None, *, is_interrupted: bool, how_to_go_on: str
) -> Exit:
    """Print how to go on, if anything is left. Return the exit code."""
    if error is not None:
        with suppress(LedgerError):  # the error may be a fault of this very ledger
            _print_unsaved(ledger, tally)
        # The advice on an error that ends the batch is printed only here: `print_reasons` leaves such errors out.
        advice = f"{advice_for(error)}\n" if stops_a_batch(error) else ""
        complain(f"error: {visible_line(str(error))}\n{advice}after that is fixed: {visible_line(how_to_go_on)}")
        return Exit.ACCOUNT_REFUSED if isinstance(error, AccountError) else Exit.FAILED
    try:
        if is_interrupted:
            with ledger.snapshot() as snapshot:
                jobs = _census(ledger, snapshot, tally)
            complain(f"interrupted; {in_flight(jobs)}\n{visible_line(how_to_go_on)}")
            return Exit.INTERRUPTED
        return Exit.FAILED if _print_unsaved(ledger, tally) or tally.needing_attention else Exit.WELL
    except LedgerError as unreadable:  # a database that was lost meanwhile: much may have been sent
        state = "interrupted" if is_interrupted else "the run has ended"
        complain(
            f"error: {state}, and its ledger cannot be read now: {visible_line(str(unreadable))}\n"
            f"after that is fixed: {visible_line(how_to_go_on)}"
        )
        return Exit.INTERRUPTED if is_interrupted else Exit.FAILED


def _print_unsaved(ledger: NamedLedger, tally: Tally) -> int:
    """Print the number of unsaved results. Return the number of unsaved jobs that are or may be paid for."""
    with ledger.snapshot() as snapshot:
        jobs, (_, urls_end) = _census(ledger, snapshot, tally), snapshot.unsaved_results()
        unreadable = 0 if ledger.database else snapshot.unreadable()
    print_unsaved(jobs, "the same command again", None if ledger.database else urls_end)
    return paid_and_unsaved(jobs) + unreadable


def _census(ledger: NamedLedger, snapshot: Snapshot, tally: Tally) -> Census:
    """The jobs by kind and state; in a ledger that others use meanwhile, only those of the batch."""
    if ledger.database is None:
        return snapshot.census()
    return Counter((kind, state) for job_id, kind, state in snapshot.states() if tally.is_named(job_id))


def _jobs_in(ledger: NamedLedger, tally: Tally) -> Iterator[tuple[str, Kind, JobState]]:
    """The jobs of earlier runs in a ledger; none if there is no ledger yet. In a ledger that others use meanwhile, only
    those of the batch."""
    if isinstance(ledger.place, Path) and not ledger.place.exists():
        return
    with ledger.snapshot() as snapshot:
        yield from (job for job in snapshot.states() if ledger.database is None or tally.is_named(job[0]))


@dataclass(frozen=True, slots=True)
class _Work:
    """The checked work of a run."""

    batch: Batch
    out: Path
    orders: Orders
    is_shared: bool
    """Whether other processes use the ledger meanwhile: their jobs are theirs to save."""


async def _run(client: AigcClient, work: _Work, tally: Tally, before_leaving: Callable[[], None]) -> AigcError | None:
    """Run the batch. Return the error that ended it early, if any. Raises Interrupted."""
    display = display_for(tally)
    client.on_event(tally.on_event)
    with Interrupts(lambda: display.note(_STOPPING), before_leaving=(display.restore, before_leaving)) as interrupts:
        async with client:
            with display, warnings_as_notes(display.note):  # of inputs that could not be looked at
                return await interrupts.stoppable(_outcomes(client, work, tally, display))


async def _outcomes(client: AigcClient, work: _Work, tally: Tally, display: Display) -> AigcError | None:
    """Run the batch, and alongside it save unsaved results of earlier batches: their URLs expire meanwhile."""
    if retries := work.orders.retries:
        is_ours = tally.is_named if work.is_shared or not work.orders.choice.is_everything else lambda _: True
        tally.on_retry(await client.retry_failed(only=lambda job: is_ours(job.job_id) and retries.accepts(job)))
    saving = _Saving(client, work.out, tally, display)
    async with (
        _ticking(client, display),
        running_alongside(saving.save(lambda job: not work.is_shared and not tally.is_named(job.job_id))) as others,
    ):
        error = await _requests(client, work, tally, display)
        if error is not None and not isinstance(error, AccountError | InvalidRequest):
            return error
        if isinstance(error, AccountError) and client.statistics().polling:
            display.note(_ACCOUNT_REFUSED)
        others_error = await others
        # The batch leaves the jobs that it did not reach, and the jobs whose ids its edited lines share.
        rest = await saving.save(lambda job: tally.is_named(job.job_id) and not tally.was_given_up(job.job_id))
        return error or others_error or rest


async def _requests(client: AigcClient, work: _Work, tally: Tally, display: Display) -> AigcError | None:
    """Run the requests, with pauses while the service cannot be reached. Return the error that ended the batch early,
    if any."""
    pauses, ends = Pauses(display.note), DigestTable(Width.BYTE)
    while True:
        try:
            outage = await _until_outage(client, work, tally, display, pauses, ends)
        except AigcError as error:
            return error
        if outage is None:
            return None
        await pauses.wait(outage, tally.batch.of(Word.PLANNED))


async def _until_outage(
    client: AigcClient, work: _Work, tally: Tally, display: Display, pauses: Pauses, ends: DigestTable
) -> AigcError | None:
    """Run the requests whose ids are not in `ends` yet. Return the error of an outage. Raises AigcError."""
    async with client.run(work.batch.items(), save_to=work.out, budget=work.orders.budget) as outcomes:
        async for outcome in outcomes:
            if outcome.error is not None and is_outage(outcome.error):
                return outcome.error
            if ends.add(digest_of(outcome.job_id), 1):
                pauses.end()
                tally.on_outcome(outcome)
                display.show_end(outcome)
    return None


@dataclass(frozen=True, slots=True)
class _Saving:
    """Saves paid results, whether or not the batch asks for them."""

    client: AigcClient
    out: Path
    tally: Tally
    display: Display

    async def save(self, only: Callable[[JobRecord], bool]) -> AigcError | None:
        """Save the chosen jobs. Return the error that ended the saving early, if any."""
        async with self.client.save_unsaved(save_to=self.out, only=only) as outcomes:
            try:
                async for outcome in outcomes:
                    self.tally.on_saving(outcome)
                    self.display.show_end(outcome)
            except AigcError as error:
                return error
        return None


@asynccontextmanager
async def _ticking(client: AigcClient, display: Display) -> AsyncIterator[None]:
    """Update the display during the block."""

    async def tick() -> None:
        while True:
            display.tick(client.statistics())
            await asyncio.sleep(TICK_S)

    ticker = asyncio.create_task(tick(), name="progress")
    try:
        yield
    finally:
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker
