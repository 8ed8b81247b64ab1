"""What reaches the screen, and what is left behind as exit code.

Results go to stdout, notes and errors to stderr. Bars and colours only where somebody looks; otherwise stable text.
"""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Final, TextIO

import typer
from rich.console import Console

from ..model.errors import AccountError, AigcError, ConfigError, InvalidRequest, LedgerError
from ..model.plain_text import visible, visible_line


class Exit(IntEnum):
    """The documented exit codes."""

    WELL = 0
    FAILED = 1
    BAD_INPUT = 2
    ACCOUNT_REFUSED = 3
    INTERRUPTED = 130


def exit_code(error: AigcError) -> Exit:
    """The exit code of an error that ended a command."""
    if isinstance(error, AccountError):
        return Exit.ACCOUNT_REFUSED
    if isinstance(error, ConfigError | InvalidRequest | LedgerError):
        return Exit.BAD_INPUT
    return Exit.FAILED


def say(text: str) -> None:
    """Print a result. Whatever text from outside is in it, it steers no terminal."""
    typer.echo(visible(text))


def complain(text: str) -> None:
    """The same for the person at the screen, not for the next program in the pipe."""
    typer.echo(visible(text), err=True)


def local_time(at: float, form: str) -> str:
    """A moment (Unix seconds) by the clocks here. Answers and rows may hold one that no calendar has.

    >>> local_time(2e20, "%Y-%m-%d")
    'no date (2e+20)'
    """
    try:
        return f"{datetime.fromtimestamp(at).astimezone():{form}}"
    except (ValueError, OverflowError, OSError):
        return f"no date ({at:g})"


def program() -> str:
    """This command as it can be typed here: by its name where the PATH knows it, else as it was called.

    After `make demo` it lies in `.venv/bin`, where no PATH looks. A program of another name, such as a test runner,
    calls the commands as functions: it cannot be typed.
    """
    called = Path(sys.argv[0])
    found = shutil.which("mps-aigc")
    if called.name == "__main__.py" and called.parent.name == "mps_aigc_async":
        return "python -m mps_aigc_async"
    is_elsewhere = called.stem == "mps-aigc" and called.is_file() and (found is None or not called.samefile(found))
    return str(called) if is_elsewhere else "mps-aigc"


def looked_at() -> bool:
    """Whether anybody looks: asked of stdout alone, for FORCE_COLOR, which many a CI sets, would put bars into its
    log."""
    return sys.stdout.isatty()


TABLE_WIDTH: Final = 120
"""Columns that a table may take on any screen: rich would leave out words and numbers to fit it into fewer."""


def console() -> Console:
    """For tables."""
    made = Console(force_terminal=looked_at(), highlight=False, markup=False, emoji=False)
    made.width = max(made.width, TABLE_WIDTH)
    return made


def progress_console() -> Console:
    """For bars: on stderr, since they are no result. A terminal only where both streams are one: the lines of results
    on stdout would run through them."""
    both = looked_at() and sys.stderr.isatty()
    return Console(stderr=True, force_terminal=both, highlight=False, markup=False, emoji=False)


MOST_NOTES: Final = 20
"""Notes that are told one by one; more would scroll these away."""


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Tell the core's warnings as notes, as they come: a user has no use for the line of source that gave them."""
    shown, told = warnings.showwarning, 0

    def tell(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        nonlocal told
        if not issubclass(category, UserWarning):
            shown(message, category, filename, lineno, file, line)
            return
        told += 1
        if told <= MOST_NOTES:
            complain(f"note: {visible_line(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = tell
        try:
            yield
        finally:
            if told > MOST_NOTES:
                complain(f"note: {told - MOST_NOTES} more such notes")


def from_here(path: Path) -> Path:
    """A path relative to the working directory, if it is inside."""
    try:
        here = Path.cwd()
    except OSError:  # somebody has removed it
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path
