"""`status`, `report`, `settle`, `usage`, `progress` and `models`: commands that read; `settle` also decides."""

from typing import Annotated

import typer

from .completion import unknown_jobs
from .options import ConfigOption, DatabaseOption, JsonOption, LedgerOption


def status(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR | URL | KIND",
            help="A folder that `run` wrote into, a ledger file or a ledger's postgresql:// URL; or image, video or "
            "audio, with an id.",
            show_default=False,
        ),
    ] = None,
    task_id: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK_ID", help="As printed by `run`, `image`, `video` and `audio`.", show_default=False
        ),
    ] = None,
    limits: Annotated[
        bool, typer.Option("--limits", help="Show the members, paces and slots of the config's limit store instead.")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="MEMBER",
            help="With --limits: free the slots of a member whose machine will not come back.",
            show_default=False,
        ),
    ] = None,
    list_failed: Annotated[bool, typer.Option("--failed", help="List the failed shots.")] = False,
    list_unknown: Annotated[bool, typer.Option("--unknown", help="List the shots whose create got no reply.")] = False,
    list_unsaved: Annotated[bool, typer.Option("--unsaved", help="List the shots that are not saved.")] = False,
    list_all: Annotated[bool, typer.Option("--all", help="List all shots, earlier versions too.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the jobs of a batch's folder or a ledger (needs no keys), or poll one task by its kind and TaskId.

    A ledger's jobs are counted by state. Below are the first shots that need attention, each with the reason and the
    next step; the options list more of them.

    Exit code 1 means: something in the ledger failed or is unknown, or is paid for and not saved yet.
    """
    from ..status import status as work

    choices = {"failed": list_failed, "unknown": list_unknown, "unsaved": list_unsaved, "all": list_all}
    work(
        target=target,
        task_id=task_id,
        limits=limits,
        forget=forget,
        lists=[name for name, is_chosen in choices.items() if is_chosen],
        as_json=as_json,
        config=config,
    )


def report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder that `run` wrote into.")],
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write DIR/index.html: the results side by side, and the failures. Needs no keys and no network.

    `run` and `demo` write the page at their end. While they run, `report` shows their progress.
    """
    from ..report import report as work

    work(folder=folder, ledger=ledger, as_json=as_json)


def settle(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIR | URL", help="A folder that `run` wrote into, a ledger file or a ledger's postgresql:// URL."
        ),
    ],
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JOB …",
            help="Job ids from the list, or TaskIds to drop.",
            show_default="list them all",
            autocompletion=unknown_jobs,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs of the list.")] = False,
    create_again: Annotated[
        bool,
        typer.Option("--create-again", help="Not accepted: `run` creates it again. Paid twice if it was accepted."),
    ] = False,
    attach: Annotated[
        str | None, typer.Option("--attach", metavar="TASK_ID", help="Accepted as this task.", show_default=False)
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Give up: the job fails.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the jobs whose create got no reply (needs no keys), or decide how they go on.

    The service may have accepted and billed each of them: look in the console's task list, by prompt and time. In a
    ledger that several processes share, tasks that no job could take are listed too: attach each of them to a job, or
    drop it by its TaskId.
    """
    from ..settle import settle as work

    work(
        target=target,
        jobs=jobs,
        everything=everything,
        create_again=create_again,
        attach=attach,
        drop=drop,
        config=config,
        as_json=as_json,
    )


def usage(
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="DATE", help="The first day, as 2026-11-01.", show_default="this month's first"
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="The last day.", show_default="today")
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="DIR | URL",
            help="A folder that `run` wrote into, a ledger file or a ledger's postgresql:// URL.",
            show_default=False,
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="NAME", help="One of the config's accounts.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the images and seconds that the service has counted for its bill, beside the ledger's (MPS, VOD).

    Days are those of UTC+8. The service counts the whole account, also tasks of other programs, and its data may come
    late. In a pipe each row is a line, with tabs between its columns.
    """
    from ..usage import usage as work

    work(since=since, until=until, ledger=ledger, account=account, config=config, as_json=as_json)


def progress(
    ledger: DatabaseOption,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on until all requests have ended: on a terminal a screen, elsewhere a line every 2 s."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object, and with --watch one a line.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show how far a queued batch is, over all workers. Exit code 1 if requests have failed.

    The config names the service's limits and the limit store, for the pace and the slots; it needs no keys.
    """
    from ..queue_progress import progress as work

    work(ledger=ledger, watch=watch, as_json=as_json, config=config)


def models(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="image, video or audio.", show_default="all of them")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="BACKEND", help="mps, vod or relay.", show_default="all of them")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the abilities of each model at each backend, with sources and dates (needs no keys and no network).

    The first rows of a kind hold for each of its models without a row for the same field. A field without a row is
    stated nowhere, and not checked: see `catalog` in the config. A fact that is only reported warns and never refuses.
    In a pipe each row is a line, with tabs between its columns.
    """
    from ..models import models as work

    work(kind=kind, backend=backend, as_json=as_json)
