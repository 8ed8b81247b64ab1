"""`run`: a batch file, read through, then carried out; the same command again continues."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from ..client import AigcClient
from ..concurrency.alongside import running_alongside
from ..config import Config
from ..ledger import JobRecord
from ..ledger.snapshot import LEDGER_FILE, open_snapshot, paid_and_unsaved
from ..model.errors import AccountError, AigcError, InvalidRequest, LedgerError
from ..model.plain_text import visible_line
from ..model.states import JobState, Kind
from ..network.folders import absolute, prepare_folder
from ..policy.advice import advice_for
from ..policy.retries import stops_a_batch
from .batch import Batch, as_file, check_batch
from .interrupts import Interrupted, Interrupts
from .options import ConfigOption, client_for, config_from
from .progress import TICK_S, Display, display_for
from .report import tell_page
from .screen import Exit, complain, from_here, program, warnings_as_notes
from .summary import in_flight, tell_earlier_unknown, tell_reasons, tell_results, tell_unsaved
from .tally import Tally

_STOPPING: Final = (
    "stopping: nothing new is created; waiting (10 s at most) for the creates in flight, whose answers are paid tasks. "
    "Ctrl-C again leaves at once."
)

_ACCOUNT_REFUSED: Final = (
    "the service refuses the account: nothing new is created; tasks that are paid for are polled and saved first. "
    "Ctrl-C stops that."
)


def run(
    batch: Annotated[
        Path, typer.Argument(metavar="BATCH.jsonl", help="A request per line; `-` reads them from stdin.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the files and the ledger.")],
    config: ConfigOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before: of a chain only the failed step.")
    ] = False,
) -> None:
    """Make everything that a batch file asks for. The same command again continues where it was left.

    The whole file is checked before anything is sent. DIR keeps the results and ledger.db, the record of every job,
    by which nothing that was paid for is created twice. Failed shots are retried only with --retry-failed. Results in
    DIR that are paid for and not saved are saved too, whether or not the file still asks for them.

    Exit code 0 says that nothing failed, and that nothing which is or may be paid for is unsaved.
    """
    words = [
        *program().split(" "),
        "run",
        str(batch),
        *(["--config", str(config)] if config else []),
        "--out",
        str(out),
    ]
    same_input = " (with the same input)" if str(batch) == "-" else ""
    with as_file(batch) as file:
        code = carry_out(
            file,
            config_from(config),
            out,
            # Without --retry-failed: what it planned again is planned, and what failed again need not be tried again.
            on_again=f"go on with the same command{same_input}: {shlex.join(words)}",
            retry_failed=retry_failed,
        )
    raise typer.Exit(code)


def carry_out(
    batch: Path,
    config: Config,
    out: Path,
    *,
    on_again: str,
    retry_failed: bool = False,
    before_leaving: Callable[[], None] = lambda: None,
) -> Exit:
    """Check everything, run the batch into a folder, and tell what came of it.

    `on_again` says how to go on after an interruption. Raises AigcError for what is wrong before anything is sent.
    """
    out = absolute(out)  # once: a symlink that is re-pointed in mid-run must not separate the ledger from the files
    ledger = out / LEDGER_FILE
    client = client_for(config, ledger)
    with warnings_as_notes():
        checked = check_batch(batch, client.check)
    prepare_folder(out)
    tally, began = Tally(checked.jobs), time.monotonic()
    with suppress(LedgerError):  # opening the ledger tells more of its fault
        tally.on_ledger(_jobs_in(ledger))
    error, interrupted = None, False
    try:
        error = asyncio.run(_run(client, _Work(checked, out, retry_failed), tally, before_leaving))
    except Interrupted:
        interrupted = True
    tell_results(tally, time.monotonic() - began, from_here(out))
    tell_reasons(tally)
    tell_earlier_unknown(tally, from_here(out))
    code = _ending(ledger, tally, error, interrupted=interrupted, on_again=on_again)
    tell_page(from_here(out))  # last, so that its failure hides nothing
    return code


def _ending(ledger: Path, tally: Tally, error: AigcError | None, *, interrupted: bool, on_again: str) -> Exit:
    """Say how to go on, if there is anything left; the exit code."""
    if error is not None:
        with suppress(LedgerError):  # it may be the fault of the ledger itself that is told here
            _tell_unsaved(ledger)
        # The error that ends the batch is told here alone.
        advice = f"{advice_for(error)}\n" if stops_a_batch(error) else ""
        complain(f"error: {visible_line(str(error))}\n{advice}when that is fixed, {visible_line(on_again)}")
        return Exit.ACCOUNT_REFUSED if isinstance(error, AccountError) else Exit.FAILED
    if interrupted:
        with open_snapshot(ledger) as snapshot:
            complain(f"interrupted; {in_flight(snapshot.census())}\n{visible_line(on_again)}")
        return Exit.INTERRUPTED
    return Exit.FAILED if _tell_unsaved(ledger) or tally.needing_attention else Exit.WELL


def _tell_unsaved(ledger: Path) -> int:
    """Tell of the results that are not saved; the number of jobs that are or may be paid for and are not saved."""
    with open_snapshot(ledger) as snapshot:
        jobs, (_, urls_end), unreadable = snapshot.census(), snapshot.unsaved(), snapshot.unreadable()
    tell_unsaved(jobs, "the same command again", urls_end)
    return paid_and_unsaved(jobs) + unreadable


def _jobs_in(ledger: Path) -> Iterator[tuple[str, Kind, JobState]]:
    """The jobs that earlier runs left in a ledger; none if there is no ledger yet."""
    if ledger.exists():
        with open_snapshot(ledger) as snapshot:
            yield from snapshot.states()


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done, checked."""

    batch: Batch
    out: Path
    retry_failed: bool


async def _run(client: AigcClient, work: _Work, tally: Tally, before_leaving: Callable[[], None]) -> AigcError | None:
    """The error that ended the batch early, if one did. Raises Interrupted."""
    display = display_for(tally)
    client.on_event(tally.on_event)
    with Interrupts(lambda: display.note(_STOPPING), before_leaving=(display.restore, before_leaving)) as interrupts:
        async with client:
            with display:
                return await interrupts.stoppable(_outcomes(client, work, tally, display))


async def _outcomes(client: AigcClient, work: _Work, tally: Tally, display: Display) -> AigcError | None:
    """Run the batch, and beside it save what earlier batches left unsaved: its URLs expire meanwhile."""
    if work.retry_failed:
        tally.on_retry(await client.retry_failed())
    saving = _Saving(client, work.out, tally, display)
    async with (
        _ticking(client, display),
        running_alongside(saving.save(lambda job: not tally.is_named(job.job_id))) as others,
    ):
        error = await _requests(client, work, tally, display)
        if error is not None and not isinstance(error, AccountError | InvalidRequest):
            return error
        if isinstance(error, AccountError) and client.statistics().polling:
            display.note(_ACCOUNT_REFUSED)
        ended = await others
        # The batch has left those that it did not come to, and those whose ids its edited lines share.
        rest = await saving.save(lambda job: tally.is_named(job.job_id) and not tally.was_given_up(job.job_id))
        return error or ended or rest


async def _requests(client: AigcClient, work: _Work, tally: Tally, display: Display) -> AigcError | None:
    """Run the batch; the error that ended it early, if one did."""
    async with client.run(work.batch, save_to=work.out) as outcomes:
        try:
            async for outcome in outcomes:
                tally.on_outcome(outcome)
                display.ended(outcome)
        except AigcError as error:
            return error
    return None


@dataclass(frozen=True, slots=True)
class _Saving:
    """Saves what is paid for, whether or not the batch asks for it."""

    client: AigcClient
    out: Path
    tally: Tally
    display: Display

    async def save(self, only: Callable[[JobRecord], bool]) -> AigcError | None:
        """The error that ended it early, if one did."""
        async with self.client.save_unsaved(save_to=self.out, only=only) as outcomes:
            try:
                async for outcome in outcomes:
                    self.tally.on_saving(outcome)
                    self.display.ended(outcome)
            except AigcError as error:
                return error
        return None


@asynccontextmanager
async def _ticking(client: AigcClient, display: Display) -> AsyncIterator[None]:
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
