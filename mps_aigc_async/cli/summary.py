"""What a batch came to: the table, why requests failed, and what to do next."""

from pathlib import Path

from rich import box
from rich.table import Table

from ..advice import advice_for
from ..ledger.reading import Census
from ..plain_text import visible_line
from ..states import JobState, Kind
from .screen import console, say
from .tally import Tally, Word


def tell_results(tally: Tally, seconds: float, folder: Path) -> None:
    """The table of one run."""
    table = _table("", "asked", *Word, "open")
    for kind, total in tally.totals.items():
        counts = [tally.counts[word][kind] for word in Word]
        table.add_row(f"{kind}s", *(str(number) for number in (total, *counts, tally.open(kind))))
    console().print(table)
    if any(tally.open(kind) for kind in tally.totals):
        say("open: not begun, or not ended at the service yet")
    say(f"{seconds:.1f} s, files in {visible_line(str(folder))}")


def tell_reasons(tally: Tally) -> None:
    """Why requests did not end well, alike ones together, and what can be done."""
    for text, reason in tally.reasons.items():
        ids = ", ".join(visible_line(name) for name in reason.ids) + (", …" if reason.count > len(reason.ids) else "")
        needs = "needs" if reason.count == 1 else "need"
        say(f"{reason.count} {needs} attention: {visible_line(text)}\n  {ids}\n  {advice_for(reason.error)}")
    if tally.other_reasons:
        say(f"{tally.other_reasons} more, for other reasons")


def tell_census(jobs: Census) -> None:
    """The table of a ledger."""
    table = _table("", *JobState)
    for kind in sorted({kind for kind, _ in jobs}):
        table.add_row(f"{kind}s", *(str(jobs.get((kind, state), 0)) for state in JobState))
    console().print(table)


def in_flight(jobs: Census) -> str:
    """What is at the service, in words."""
    numbers = {kind: jobs.get((kind, JobState.SUBMITTED), 0) for kind in Kind}
    tasks = " and ".join(f"{number} {kind}{'s' * (number != 1)}" for kind, number in numbers.items() if number)
    if not tasks:
        return "no task is at the service"
    return f"at the service {tasks} (submitted): they go on there, and are polled and saved when you go on"


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE)
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    return table
