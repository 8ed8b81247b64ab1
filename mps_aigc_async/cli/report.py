"""`report`: a batch's folder as a page."""

from pathlib import Path
from typing import Annotated

import typer

from ..model.errors import AigcError
from ..model.plain_text import visible_line
from ..report import write
from .screen import complain, program, say


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `run` wrote into.")],
) -> None:
    """Write DIR/index.html: what came out, side by side, and what did not. Needs no keys and no network.

    `run` and `demo` write it at their end; while they run, this shows how far they are.
    """
    say(visible_line(str(write(folder))))


def tell_page(folder: Path) -> None:
    """At the end of a batch: write the page and say where it is. That it can't be written changes nothing else."""
    try:
        say(f"to look at: {visible_line(str(write(folder)))}")
    except AigcError as error:
        complain(f"note: there is no report page: {visible_line(error.reason)}")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 — the batch is over: its exit code is its own
        complain(f"note: there is no report page ({type(error).__name__}); {program()} report {folder} tries again")
