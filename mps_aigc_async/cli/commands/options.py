"""Options of several commands."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The config file. Default: $MPS_AIGC_CONFIG, else ./config.json, else the environment alone.",
        show_default=False,
    ),
]

LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="FILE | URL",
        help="The ledger: a file, or the postgresql:// URL of one that several processes and hosts share.",
        show_default="DIR/ledger.db",
    ),
]

DatabaseOption = Annotated[
    str,
    typer.Option("--ledger", metavar="URL", help="The postgresql:// URL of the ledger: ?ledger=NAME names the batch."),
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and a summary line alone.")]

VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print each event, such as a poll, and the client's log on stderr.")
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
