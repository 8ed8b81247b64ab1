"""`queue`, `worker`, `drain`, `migrate` and `prune` for ledgers that several processes share, and the `emulator`."""

from pathlib import Path
from typing import Annotated

import typer

from ..loudness import loudness
from .options import ConfigOption, DatabaseOption, JsonOption
from .run_options import (
    KeepOption,
    MaxCostOption,
    MaxImagesOption,
    MaxVideoSecondsOption,
    RedoChangedOption,
    RedoOption,
)


def queue(
    ledger: DatabaseOption,
    batch: Annotated[
        Path | None,
        typer.Argument(metavar="BATCH.jsonl", help="A request per line; `-` reads stdin.", show_default=False),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Queue failed requests again: those of the BATCH, or of the whole ledger."),
    ] = False,
    redo_changed: RedoChangedOption = False,
    keep: KeepOption = False,
    redo: RedoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue the requests of a batch file for workers. The same command again queues what is missing.

    The whole file is checked before anything is queued. A request that was queued before stays as it is. Content that
    was edited takes the place of content that has cost nothing. If the former content is or may be paid for, nothing is
    queued: --redo-changed makes new versions (shot-001@2) and keeps the former files, --keep keeps the former versions.
    Only the failed step of a request is retried.
    """
    from ..orders import edits_of
    from ..workers import queue as work

    with loudness(quiet=False, verbose=False, as_json=as_json):
        edits = edits_of(redo_changed=redo_changed, keep=keep, redo=redo)
        work(ledger=ledger, batch=batch, retry_failed=retry_failed, edits=edits, config=config)


def worker(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the files.")],
    ledger: DatabaseOption,
    config: ConfigOption = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", min=1, metavar="N", help="Requests at once.", show_default="twice the caps on tasks"
        ),
    ] = None,
    max_images: MaxImagesOption = None,
    max_video_seconds: MaxVideoSecondsOption = None,
    max_cost: MaxCostOption = None,
) -> None:
    """Run queued requests until the batch is drained, or Ctrl-C. Start as many workers as you like, on any host.

    A worker that is stopped or dies gives its requests back: tasks that had begun are polled on by other workers.

    --max-images, --max-video-seconds and --max-cost bound all that the ledger has created or may have, by all workers.
    A worker that reaches its bound ends with exit code 1, once the requests that it had begun have ended.
    """
    from ..orders import budget_of
    from ..workers import worker as work

    budget = budget_of(max_images, max_video_seconds, max_cost)
    work(out=out, ledger=ledger, config=config, concurrency=concurrency, budget=budget)


def drain(
    ledger: DatabaseOption,
    as_json: JsonOption = False,
) -> None:
    """End the workers of a batch in order: they take no request any more, and end when those they began have ended.

    Requests that have not begun stay queued, for workers that are started later.
    """
    from ..workers import drain as work

    with loudness(quiet=False, verbose=False, as_json=as_json):
        work(ledger=ledger)


def migrate(
    ledger: DatabaseOption,
    as_json: JsonOption = False,
) -> None:
    """Make the tables of ledgers and queues in a database, or bring them to this version."""
    from ..workers import migrate as work

    with loudness(quiet=False, verbose=False, as_json=as_json):
        work(ledger=ledger)


def prune(
    ledger: Annotated[
        str, typer.Option("--ledger", metavar="URL", help="The ledger's postgresql:// URL, with ?ledger=NAME.")
    ],
    before: Annotated[
        str,
        typer.Option("--before", metavar="DATE | DAYS", help="As 2026-10-01 (local time), or 90d for 90 days ago."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove requests from a ledger in PostgreSQL that ended before a time, with their jobs.

    Requests with a job that is not saved or failed are kept, and so are orphans. The ledger forgets the ids of the
    requests that it removes: a batch file with these ids would be created, and paid for, again.
    """
    from ..pruning import prune_ledger as work

    work(ledger=ledger, before=before, yes=yes, as_json=as_json)


def emulator(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free port.")] = 8765,
    cos_port: Annotated[
        int, typer.Option("--cos-port", min=0, max=65535, help="The port of COS; 0 takes a free port.")
    ] = 0,
    speed: Annotated[
        float, typer.Option("--speed", min=0.01, help="Divides the tasks' durations and the URLs' life.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random durations and ids.")] = 7,
    image_tasks: Annotated[
        int | None, typer.Option("--image-tasks", min=1, help="Most images running at once.", show_default="no cap")
    ] = None,
    video_tasks: Annotated[
        int | None, typer.Option("--video-tasks", min=1, help="Most videos running at once.", show_default="no cap")
    ] = None,
) -> None:
    """Run the service on loopback, with real images, videos and sounds as results, until Ctrl-C.

    The emulator speaks MPS, Tencent VOD and the relay (under /tencent-vod/v1/, with the key RELAYEXAMPLE), and COS on a
    port of its own.
    Its key pair is in $TENCENTCLOUD_SECRET_ID and $TENCENTCLOUD_SECRET_KEY; by default AKIDEXAMPLE and KEYEXAMPLE.
    The first line of output is the URL.
    """
    from ..emulator import emulator as work

    work(port=port, cos_port=cos_port, speed=speed, seed=seed, image_tasks=image_tasks, video_tasks=video_tasks)
