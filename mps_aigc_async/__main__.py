"""`python -m mps_aigc_async` and the `mps-aigc` command."""

import signal
import sys
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
"""The documented exit code of a command that was interrupted."""


def main() -> None:
    """Run the command line, or say how to install it: its packages are an extra."""
    _end_as_by_ctrl_c()
    try:
        try:
            from .cli import app  # noqa: PLC0415 — an extra: imported only where it is used
            from .cli.output import open_standard_descriptors  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name not in ("typer", "rich"):
                raise
            sys.exit("the command line needs its extra: pip install '.[cli]' in a clone of mps-aigc-async")
        open_standard_descriptors()
        app()
    except KeyboardInterrupt:  # before a command, or after it
        sys.exit(INTERRUPTED)


def _end_as_by_ctrl_c() -> None:
    """Make SIGTERM and SIGHUP end the program as Ctrl-C does, while no command listens to them."""
    for name in ("SIGTERM", "SIGHUP"):
        number = signal.Signals.__members__.get(name)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
