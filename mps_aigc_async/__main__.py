"""`python -m mps_aigc_async` and the `mps-aigc` command."""

import sys


def main() -> None:
    """Run the command line, or say how to install it: its packages are an extra."""
    try:
        from .cli import app  # noqa: PLC0415 — an extra: imported only where it is used
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("the command line needs its extra: pip install 'mps-aigc-async[cli]'")
    app()


if __name__ == "__main__":
    main()
