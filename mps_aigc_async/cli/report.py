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
    """Write DIR/index.html: the results side by side, and the failures. Needs no keys and no network.

    `run` and `demo` write the page at their end. While they run, `report` shows their progress.
    """
    say(visible_line(str(write(folder))))


def print_page(folder: Path) -> None:
    """Write the page at the end of a batch and print its path. A failure is a note and changes nothing else."""
    try:
        say(f"report page: {visible_line(str(write(folder)))}")
    except AigcError as error:
        complain(f"note: there is no report page: {visible_line(error.reason)}")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 — the batch is over: its exit code is its own
        complain(f"note: there is no report page ({type(error).__name__}); {program()} report {folder} retries")
