"""What reaches the screen, and what is left behind as exit code.

Results go to stdout, notes and errors to stderr. Bars and colours only where somebody looks; otherwise stable text.
"""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from io import TextIOWrapper
from pathlib import Path

import typer
from rich.console import Console

from ..errors import AccountError, AigcError, ConfigError, InvalidRequest, LedgerError


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
    """A line of result."""
    typer.echo(text)


def complain(text: str) -> None:
    """A line for the person at the screen, not for the next program in the pipe."""
    typer.echo(text, err=True)


def program() -> str:
    """This command as it can be typed here: by its name where the PATH knows it, else as it was called.

    After `make demo` it lies in `.venv/bin`, where no PATH looks.
    """
    called = Path(sys.argv[0])
    found = shutil.which("mps-aigc")
    if called.name == "__main__.py":
        return "python -m mps_aigc_async"
    return str(called) if called.is_file() and (found is None or not called.samefile(found)) else "mps-aigc"


def console() -> Console:
    """For tables and bars. Whether anybody looks is asked of stdout alone: FORCE_COLOR, which many a CI sets, would
    put bars into its log."""
    return Console(force_terminal=sys.stdout.isatty(), highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """Foreign text without what would steer a terminal.

    >>> printable("red: \\x1b[31m")
    'red: �[31m'
    """
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def never_fail_on_a_character() -> None:
    """A prompt or an id may hold what the terminal's encoding lacks: shown as an escape, it costs no batch."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Tell the core's warnings as notes: a user has no use for the line of source that gave them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        complain(f"note: {warning.message}")
