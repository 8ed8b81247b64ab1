"""Output to the screen, and exit codes.

Results go to stdout, notes and errors to stderr. Bars and colours appear only on a terminal; elsewhere the text is
stable.
"""

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from enum import Enum, IntEnum, auto
from pathlib import Path
from typing import Final, TextIO

import typer
from rich.console import Console

from ..model.errors import AccountError, AigcError, ConfigError, InvalidRequest, LedgerError
from ..model.plain_text import visible, visible_line
from ..sharing.database_url import without_passwords


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


class Loudness(Enum):
    """How much a command prints."""

    QUIET = auto()
    """Errors, and a summary line."""
    USUAL = auto()
    VERBOSE = auto()
    """Each event and the client's log too."""


LOUDNESS: Final = ContextVar("LOUDNESS", default=Loudness.USUAL)
"""Set by `loudness.loudness` for a command."""


IN_JSON: Final = ContextVar("IN_JSON", default=False)
"""Whether stdout has JSON alone. Set by `loudness.loudness` for a command."""


def is_quiet() -> bool:
    return LOUDNESS.get() is Loudness.QUIET


def is_verbose() -> bool:
    return LOUDNESS.get() is Loudness.VERBOSE


def say(text: str) -> None:
    """Print a result, without the control characters that text from outside may contain; on stderr if stdout has JSON
    alone."""
    typer.echo(visible(text), err=IN_JSON.get())


def say_json(value: object) -> None:
    """Print a result as JSON on one line. JSON escapes control characters itself."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def complain(text: str) -> None:
    """Print a note or an error on stderr: for the user, and not for the next program in a pipe. A database's URL in it,
    such as one in the place of a file's name, is shown without its password."""
    typer.echo(visible(without_passwords(text)), err=True)


def note(text: str) -> None:
    """Print a note on stderr, unless the user wants errors alone."""
    if not is_quiet():
        complain(f"note: {text}")


def local_time(at: float, form: str) -> str:
    """A moment (Unix seconds) in local time. Answers and rows may hold a moment that no calendar has.

    >>> local_time(2e20, "%Y-%m-%d")
    'no date (2e+20)'
    """
    try:
        return f"{datetime.fromtimestamp(at).astimezone():{form}}"
    except (ValueError, OverflowError, OSError):
        return f"no date ({at:g})"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "slot"), counted(2, "slot")
    ('1 slot', '2 slots')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def program() -> str:
    """The command line that starts this program here: its name if the PATH has it, otherwise the path that was called.

    After `make demo` the command is in `.venv/bin`, which is on no PATH. A program of another name, such as a test
    runner, calls the commands as functions, and a user cannot type that name.
    """
    command = Path(sys.argv[0])
    on_path = shutil.which("mps-aigc")
    if command.name == "__main__.py" and command.parent.name == "mps_aigc_async":
        return "python -m mps_aigc_async"
    is_elsewhere = (
        command.stem == "mps-aigc" and command.is_file() and (on_path is None or not command.samefile(on_path))
    )
    return str(command) if is_elsewhere else "mps-aigc"


def on_terminal() -> bool:
    """Whether stdout is a terminal. FORCE_COLOR is ignored: many CIs set it, and would get bars in their logs."""
    return sys.stdout.isatty()


TABLE_WIDTH: Final = 120
"""Least width of a table, in columns: in a narrower one rich would leave out words and numbers."""


def console() -> Console:
    """A console for tables."""
    tables = Console(force_terminal=on_terminal(), highlight=False, markup=False, emoji=False)
    tables.width = max(tables.width, TABLE_WIDTH)
    return tables


def progress_console() -> Console:
    """A console for bars, on stderr. Without a terminal on stdout too there are no bars: the lines of results would run
    through them."""
    both = on_terminal() and sys.stderr.isatty()
    return Console(stderr=True, force_terminal=both, highlight=False, markup=False, emoji=False)


MOST_NOTES: Final = 20
"""Notes that are printed one by one: more would scroll these away."""


@contextmanager
def warnings_as_notes(print_line: Callable[[str], None] = complain) -> Iterator[None]:
    """Print the package's warnings as notes at once, without the line of source that gave them."""
    show_other, count = warnings.showwarning, 0

    def print_note(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        nonlocal count
        if not issubclass(category, UserWarning):
            show_other(message, category, filename, lineno, file, line)
            return
        count += 1
        if count <= MOST_NOTES and not is_quiet():
            print_line(f"note: {visible_line(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = print_note
        try:
            yield
        finally:
            if count > MOST_NOTES and not is_quiet():
                print_line(f"note: {count - MOST_NOTES} more such notes")


def from_here(path: Path) -> Path:
    """A path relative to the working directory, if it is inside."""
    try:
        here = Path.cwd()
    except OSError:  # the folder has been removed
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path
