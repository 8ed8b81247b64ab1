"""The summary of a batch: the table, the reasons of failures, and the next steps."""

import shlex
import time
from pathlib import Path
from typing import Final

from rich import box
from rich.table import Table

from ..ledger.snapshot import Census, of_state
from ..model.plain_text import visible_line
from ..model.states import JobState, Kind
from ..policy.advice import advice_for
from .screen import console, counted, is_quiet, local_time, program, say
from .tally import Column, Tally

EARLIER: Final = "from earlier batches"
"""The label of the ledger's jobs that are not this batch's."""


def print_results(tally: Tally, seconds: float, folder: Path) -> None:
    """Print the table of one run; with `-q` a line."""
    if is_quiet():
        say(f"{_in_a_line(tally)}; {seconds:.1f} s, files in {visible_line(str(folder))}")
        return
    table = _table("", "total", *Column, "open")
    for kind, total in tally.totals.items():
        counts = [tally.batch.columns[column][kind] for column in Column]
        table.add_row(f"{kind}s", *(str(number) for number in (total, *counts, tally.open(kind))))
    earlier = tally.earlier
    if earlier.total.total():
        columns = [earlier.columns[column].total() for column in Column]
        still_open = sum(earlier.open(kind) for kind in Kind)
        table.add_row(EARLIER, *(str(number) for number in (earlier.total.total(), *columns, still_open)))
    console().print(table)
    if any(tally.open(kind) for kind in tally.totals):
        say("open: not begun, or still running at the service")
    say(f"{seconds:.1f} s, files in {visible_line(str(folder))}")


def _in_a_line(tally: Tally) -> str:
    counts = {column: tally.batch.columns[column].total() for column in (Column.SAVED, Column.FAILED, Column.UNKNOWN)}
    return f"{counted(sum(tally.totals.values()), 'job')}: " + ", ".join(
        f"{number} {w}" for w, number in counts.items()
    )


def print_unsaved(jobs: Census, command: str, urls_end: float | None) -> None:
    """Print the number of results that are paid for and not saved, and the `command` that saves them; nothing for none.

    `urls_end` is the time at which the first of their URLs expires (Unix seconds), if known.
    """
    number = of_state(jobs, JobState.DONE)
    if not number:
        return
    ends = "expires" if urls_end is None or urls_end > time.time() else "was to expire"
    when = "" if urls_end is None else f"; the first of their URLs {ends} at {_minute(urls_end)}"
    are, them = ("result is", "it") if number == 1 else ("results are", "them")
    say(f"{number} {are} paid for and not saved: {command} saves {them}{when}")


def print_earlier_unknown(tally: Tally, folder: Path) -> None:
    """Print the number of unknown jobs of earlier batches: they may be paid for, and only the user can decide."""
    number = tally.earlier.columns[Column.UNKNOWN].total()
    if number:
        say(
            f"{number} from earlier batches unknown, may be paid for: decide with "
            f"`{program()} settle {shlex.quote(str(folder))}`"
        )


def _minute(at: float) -> str:
    return local_time(at, "%Y-%m-%d %H:%M %z")


def print_reasons(tally: Tally) -> None:
    """Print the reasons of failed requests, the same reasons together, with advice."""
    for text, reason in tally.reasons.items():
        ids = ", ".join(visible_line(name) for name in reason.ids) + (", …" if reason.count > len(reason.ids) else "")
        needs = "needs" if reason.count == 1 else "need"
        say(f"{reason.count} {needs} attention: {visible_line(text)}\n  {ids}\n  {advice_for(reason.error)}")
    if tally.other_reasons:
        say(f"{tally.other_reasons} more, for other reasons")


def print_census(jobs: Census) -> None:
    """Print the table of a ledger."""
    table = _table("", *JobState)
    for kind in sorted({kind for kind, _ in jobs}):
        table.add_row(f"{kind}s", *(str(jobs.get((kind, state), 0)) for state in JobState))
    console().print(table)


def in_flight(jobs: Census) -> str:
    """The tasks at the service, in words."""
    numbers = {kind: jobs.get((kind, JobState.SUBMITTED), 0) for kind in Kind}
    tasks = " and ".join(f"{number} {kind}{'s' * (number != 1)}" for kind, number in numbers.items() if number)
    if not tasks:
        return "no task is at the service"
    return f"at the service {tasks} (submitted): they run on there; the next run polls and saves them"


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE)
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    return table
