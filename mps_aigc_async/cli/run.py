"""`run`: a batch file, read through, then carried out; the same command again continues."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from ..advice import advice_for
from ..client import AigcClient
from ..config import Config
from ..errors import AccountError, AigcError
from ..folders import absolute, prepare_folder
from ..ledger.reading import IN_FOLDER, reading
from ..plain_text import visible_line
from ..policy import stops_a_batch
from .batch import Batch, as_file, check_batch
from .interrupts import Interrupted, Interrupts
from .options import ConfigOption, client_for, config_from
from .progress import TICK_S, Display, display_for
from .report import tell_page
from .screen import Exit, complain, from_here, program, warnings_as_notes
from .summary import in_flight, tell_reasons, tell_results
from .tally import Tally

_STOPPING: Final = (
    "stopping: nothing new is created; waiting (10 s at most) for the creates in flight, whose answers are paid tasks. "
    "Ctrl-C again leaves at once."
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
    by which nothing that was paid for is created twice. What failed stays failed without --retry-failed.
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
    ledger = out / IN_FOLDER
    client = client_for(config, ledger)
    with warnings_as_notes():
        checked = check_batch(batch, client.check)
    prepare_folder(out)
    tally, began = Tally(checked.totals), time.monotonic()
    error, interrupted = None, False
    try:
        error = asyncio.run(_run(client, _Work(checked, out, retry_failed), tally, before_leaving))
    except Interrupted:
        interrupted = True
    tell_results(tally, time.monotonic() - began, from_here(out))
    tell_reasons(tally)
    code = _ending(ledger, tally, error, interrupted=interrupted, on_again=on_again)
    tell_page(from_here(out))  # last, so that its failure hides nothing
    return code


def _ending(ledger: Path, tally: Tally, error: AigcError | None, *, interrupted: bool, on_again: str) -> Exit:
    """Say how to go on, if there is anything left; the exit code."""
    if interrupted:
        with reading(ledger) as kept:
            complain(f"interrupted; {in_flight(kept.census())}\n{visible_line(on_again)}")
        return Exit.INTERRUPTED
    if error is not None:
        # What ends the batch is told here alone.
        advice = f"{advice_for(error)}\n" if stops_a_batch(error) else ""
        complain(f"error: {visible_line(str(error))}\n{advice}when that is fixed, {visible_line(on_again)}")
        return Exit.ACCOUNT_REFUSED if isinstance(error, AccountError) else Exit.FAILED
    return Exit.FAILED if tally.not_well else Exit.WELL


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
    if work.retry_failed:
        await client.retry_failed()
    async with _ticking(client, display), client.run(work.batch, save_to=work.out) as outcomes:
        try:
            async for outcome in outcomes:
                tally.on_outcome(outcome)
                display.ended(outcome)
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
