"""The options that `run` and `plan` share."""

from pathlib import Path
from typing import Annotated

import typer

from .completion import request_ids

BatchArgument = Annotated[Path, typer.Argument(metavar="BATCH.jsonl", help="A request per line; `-` reads stdin.")]

OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the files and the ledger.")]

RetryFailedOption = Annotated[
    bool, typer.Option("--retry-failed", help="Retry failed requests that may succeed: of a chain the failed step.")
]

RetryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--retry",
        metavar="ID",
        help="Retry this failed request in any case. May be repeated.",
        autocompletion=request_ids,
    ),
]

RedoChangedOption = Annotated[
    bool, typer.Option("--redo-changed", help="Make new versions of requests whose content has changed.")
]

KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the versions of requests whose content has changed.")]

RedoOption = Annotated[
    list[str] | None,
    typer.Option(
        "--redo",
        metavar="ID",
        help="Make a new version of this request. May be repeated.",
        autocompletion=request_ids,
    ),
]

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="PATTERN", help="Only requests with such ids: 'shot-0*'. May be repeated."),
]

LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N requests.", show_default=False)
]

MaxImagesOption = Annotated[
    int | None, typer.Option("--max-images", min=0, metavar="N", help="Create no more images.", show_default=False)
]

MaxVideoSecondsOption = Annotated[
    float | None,
    typer.Option("--max-video-seconds", min=0, metavar="S", help="Create no more video.", show_default=False),
]

MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", min=0, metavar="X", help="Spend no more, by the config's prices.", show_default=False),
]
