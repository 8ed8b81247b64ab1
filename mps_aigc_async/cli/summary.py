"""The summary of a batch: the table, the reasons of failures, and the next steps."""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..ledger.snapshot import Census, of_state
from ..model.plain_text import visible_line
from ..model.states import JobState, Kind, Word
from ..policy.advice import advice_for
from .screen import IN_JSON, complain, counted, is_quiet, local_time, program, say, say_json
from .tables import print_table
from .tally import Counts, Tally

COLUMNS: Final = (Word.PLANNED, Word.BLOCKED, Word.RUNNING, Word.DONE, Word.SAVED, Word.FAILED, Word.UNKNOWN)
"""The states in the order of a job's life."""

EARLIER: Final = "other requests"
"""The label of the ledger's jobs that are not this batch's."""


def print_results(tally: Tally, seconds: float, folder: Path) -> None:
    """Print the table of one run; with `-q` a line, with `--json` an object."""
    if IN_JSON.get():
        jobs = {kind: {word: tally.batch.of(word, kind) for word in COLUMNS} for kind in tally.totals}
        say_json({"summary": {"jobs": jobs, "seconds": round(seconds, 1), "folder": str(folder)}})
        return
    if is_quiet():
        say(f"{_in_a_line(tally)}; {seconds:.1f} s, files in {visible_line(str(folder))}")
        return
    rows: list[tuple[str, Counts, tuple[Kind, ...]]] = [(f"{kind}s", tally.batch, (kind,)) for kind in tally.totals]
    if tally.earlier.total.total():
        rows.append((EARLIER, tally.earlier, tuple(Kind)))
    print_table(
        ("", "total", *COLUMNS),
        [
            (name, sum(counts.total[kind] for kind in kinds), *(counts.of(word, *kinds) for word in COLUMNS))
            for name, counts, kinds in rows
        ],
    )
    note = f"{counted(tally.kept_requests, 'request')} kept, " if tally.kept_requests else ""
    say(f"{note}{seconds:.1f} s, files in {visible_line(str(folder))}")


def _in_a_line(tally: Tally) -> str:
    words = ", ".join(f"{tally.batch.of(word)} {word}" for word in (Word.SAVED, Word.FAILED, Word.UNKNOWN))
    return f"{counted(sum(tally.totals.values()), 'job')}: {words}"


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
    number = tally.earlier.of(Word.UNKNOWN)
    if number:
        say(
            f"{number} of other requests unknown, may be paid for: decide with "
            f"`{program()} settle {shlex.quote(str(folder))}`"
        )


def _minute(at: float) -> str:
    return local_time(at, "%Y-%m-%d %H:%M %z")


def print_reasons(tally: Tally) -> None:
    """Print the reasons of failed requests, the same reasons together, with advice."""
    if tally.moved_files:
        complain(f"note: {counted(tally.moved_files, 'saved file')} moved or deleted since: the results stay saved")
    if tally.changed_defaults:
        print_changed_defaults(tally)
    if tally.budget_refusal is not None:
        complain(f"{counted(tally.over_budget, 'request')} not finished: {visible_line(tally.budget_refusal.reason)}")
    for text, reason in tally.reasons.items():
        names = reason.names
        needs = "needs" if names.count == 1 else "need"
        say(f"{names.count} {needs} attention: {visible_line(text)}\n  {names}\n  {advice_for(reason.error)}")
    if tally.other_reasons:
        say(f"{tally.other_reasons} more, for other reasons")


def print_changed_defaults(tally: Tally) -> None:
    """Print a note on kept results that the config's defaults would make differently by now."""
    complain("note: the config's defaults have changed since kept results were made; `--redo ID` makes a new version")
    for change, names in tally.changed_defaults.items():
        complain(f"  {visible_line(change)} ({names})")


def print_census(jobs: Mapping[tuple[Kind, Word], int]) -> None:
    """Print the table of a ledger."""
    kinds = sorted({kind for kind, _ in jobs})
    print_table(("", *COLUMNS), [(f"{kind}s", *(jobs.get((kind, word), 0) for word in COLUMNS)) for kind in kinds])


def in_flight(jobs: Census) -> str:
    """The tasks at the service, in words."""
    numbers = {kind: jobs.get((kind, JobState.SUBMITTED), 0) for kind in Kind}
    tasks = " and ".join(f"{number} {kind}{'s' * (number != 1)}" for kind, number in numbers.items() if number)
    if not tasks:
        return "no task is at the service"
    return f"at the service {tasks}: they run on there; the next run polls and saves them"
