"""The command line: arguments → config → client; progress bars draw events."""

from collections.abc import Callable
from functools import wraps
from inspect import getdoc
from typing import Annotated, ParamSpec

import typer

from ..model.errors import AccountError, AigcError
from ..model.plain_text import visible_line
from ..model.unexpected import frames_of
from .commands import making, reading, serving
from .output import lasting_output
from .refusals import BadBatch, Commands
from .screen import Exit, complain, exit_code

P = ParamSpec("P")

app = typer.Typer(
    name="mps-aigc",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # The frames of a traceback hold keys; and a user's mistake never gets a traceback.
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success, 1 something failed or is unknown, 2 bad input, 3 the account was refused, "
    "130 interrupted.",
)


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version  # noqa: PLC0415 — slow to import, and needed by this alone

        typer.echo(f"mps-aigc {version('mps-aigc-async')}")
        raise typer.Exit


@app.callback()
def main(
    _version_flag: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Images, videos and audio through Tencent Cloud MPS's AIGC API: paced, capped, durable, never paid for twice."""


def _reporting_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn the errors of a command into messages and exit codes. Nothing else in the command line does."""

    @wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> None:
        with lasting_output():
            try:
                command(*args, **kwargs)
            except AigcError as error:
                complain(f"error: {error if isinstance(error, BadBatch) else visible_line(str(error))}")
                if isinstance(error, AccountError) and error.advice:
                    complain(f"advice: {error.advice}")
                raise typer.Exit(exit_code(error)) from None
            except (typer.Exit, typer.Abort):
                raise
            except Exception as error:  # noqa: BLE001 — Python would print its text, which may quote a header or a file
                complain(f"{frames_of(error)}error: {type(error).__name__}: a fault of this program; please report it")
                raise typer.Exit(Exit.FAILED) from None
            except KeyboardInterrupt:  # outside of `Interrupts`: before the first call and after the last
                complain("interrupted: nothing that was sent is lost; the same command goes on")
                raise typer.Exit(Exit.INTERRUPTED) from None

    # The terminal wraps the help; the line ends of the source would break it a second time.
    reporting.__doc__ = "\n\n".join(" ".join(text.split()) for text in (getdoc(command) or "").split("\n\n"))
    return reporting


# No loop: each command keeps its own signature, for typer and for the type checkers. `--help` has the same order.
app.command()(_reporting_errors(making.demo))
app.command()(_reporting_errors(making.plan))
app.command()(_reporting_errors(making.run))
app.command()(_reporting_errors(making.redo))
app.command()(_reporting_errors(making.image))
app.command()(_reporting_errors(making.video))
app.command()(_reporting_errors(making.audio))
app.command()(_reporting_errors(reading.status))
app.command()(_reporting_errors(reading.report))
app.command()(_reporting_errors(reading.settle))
app.command()(_reporting_errors(reading.usage))
app.command()(_reporting_errors(serving.queue))
app.command()(_reporting_errors(serving.worker))
app.command()(_reporting_errors(reading.progress))
app.command()(_reporting_errors(serving.drain))
app.command()(_reporting_errors(serving.migrate))
app.command()(_reporting_errors(serving.prune))
app.command()(_reporting_errors(reading.models))
app.command()(_reporting_errors(serving.emulator))
