"""`demo`, `run`, `redo`, `image`, `video` and `audio`: commands that create."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Final, ParamSpec

import typer

from ...model.states import Kind
from ..loudness import loudness
from .completion import request_ids
from .options import ConfigOption, LedgerOption, QuietOption, VerboseOption
from .run_options import (
    BatchArgument,
    KeepOption,
    LimitOption,
    MaxCostOption,
    MaxImagesOption,
    MaxVideoSecondsOption,
    OnlyOption,
    OutOption,
    RedoChangedOption,
    RedoOption,
    RetryFailedOption,
    RetryOption,
)

P = ParamSpec("P")

SPEED: Final = 80.0
"""A storyboard of 12 takes an hour at the documented durations, and less than half a minute at this speed."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the demo's files.")] = Path(
        "demo-output"
    ),
    speed: Annotated[float, typer.Option("--speed", min=1, max=1000, help="1 is the real service's speed.")] = SPEED,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Create a storyboard of 12 shots, each an image and the video that begins with it. Needs no keys.

    The service is an emulator on this machine; everything else is done as by `run`.
    """
    from ..demo import demo as work

    with loudness(quiet=quiet, verbose=verbose):
        work(out=out, speed=speed)


def run(
    batch: BatchArgument,
    out: OutOption,
    config: ConfigOption = None,
    retry_failed: RetryFailedOption = False,
    retry: RetryOption = None,
    redo_changed: RedoChangedOption = False,
    keep: KeepOption = False,
    redo: RedoOption = None,
    only: OnlyOption = None,
    limit: LimitOption = None,
    max_images: MaxImagesOption = None,
    max_video_seconds: MaxVideoSecondsOption = None,
    max_cost: MaxCostOption = None,
    ledger: LedgerOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: tell what `plan` tells.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object per request as it ends, and a last one, the summary.")
    ] = False,
) -> None:
    """Run all requests of a batch file. The same command again continues where the last run stopped.

    A line: {"id": "a", "image": {"prompt": "a lake"}, "video": {"prompt": "wind"}}; `id` and either step may be left
    out. docs/batch.md explains the format.

    The whole file is checked before anything is sent. DIR holds the results and ledger.db, the record of every job:
    nothing that was paid for is created twice. Failed requests are retried only with --retry-failed, and those that
    must fail again only by name, with --retry ID. With a ledger that several processes share, a run saves the jobs of
    its own file alone; otherwise results in DIR that are paid for and not saved are saved too, even if their requests
    are no longer in the file.

    A request whose content was edited is refused before anything is sent, if it is or may be paid for: --redo-changed
    makes a new version of it (shot-001@2) and keeps the former files, --keep keeps the former version.

    --max-images, --max-video-seconds and --max-cost bound all that the ledger has created or may have, in earlier runs
    too: the requests beyond stay planned, and go on with a larger bound.

    Exit code 0 means: nothing failed, and nothing that is or may be paid for is unsaved.
    """
    from ..orders import orders_of

    with loudness(quiet=quiet, verbose=verbose, as_json=as_json):
        orders = orders_of(
            only=only,
            limit=limit,
            retry_failed=retry_failed,
            retry=retry,
            redo_changed=redo_changed,
            keep=keep,
            redo=redo,
            max_images=max_images,
            max_video_seconds=max_video_seconds,
            max_cost=max_cost,
        )
        if dry_run:
            from ..plan import plan as work
        else:
            from ..run import run as work
        work(batch=batch, out=out, config=config, ledger=ledger, orders=orders)


def plan(
    batch: BatchArgument,
    out: OutOption,
    config: ConfigOption = None,
    retry_failed: RetryFailedOption = False,
    retry: RetryOption = None,
    redo_changed: RedoChangedOption = False,
    keep: KeepOption = False,
    redo: RedoOption = None,
    only: OnlyOption = None,
    limit: LimitOption = None,
    max_images: MaxImagesOption = None,
    max_video_seconds: MaxVideoSecondsOption = None,
    max_cost: MaxCostOption = None,
    ledger: LedgerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what `run` with the same options would create, what it would cost, and when it could be done. Sends nothing.

    The cost is by the config's `prices`; a model without a price is named, and never counted as free.

    Exit code 2 means: the content of requests was edited, and `run` would refuse them.
    """
    from ..orders import orders_of
    from ..plan import plan as work

    with loudness(quiet=False, verbose=False, as_json=as_json):
        orders = orders_of(
            only=only,
            limit=limit,
            retry_failed=retry_failed,
            retry=retry,
            redo_changed=redo_changed,
            keep=keep,
            redo=redo,
            max_images=max_images,
            max_video_seconds=max_video_seconds,
            max_cost=max_cost,
        )
        work(batch=batch, out=out, config=config, ledger=ledger, orders=orders)


def redo(
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="The ids of requests, such as shot-001.", autocompletion=request_ids),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder that `run` wrote into.")],
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object per request as it ends, and a last one, the summary.")
    ] = False,
) -> None:
    """Make requests again, from their latest content: shot-001@2.png beside shot-001.png. The former files stay.

    Each new version is paid for. A command that was interrupted goes on when it is given again. `shot-001@1` names the
    version to replace: repeated, the command makes nothing more.
    """
    from ..redo import redo as work

    with loudness(quiet=quiet, verbose=verbose, as_json=as_json):
        work(ids=ids, out=out, config=config, ledger=ledger)


# --- one request ---

Model = Annotated[
    str | None, typer.Option("--model-name", help="Hunyuan, Kling, Vidu … Default: the config's.", show_default=False)
]
Version = Annotated[str | None, typer.Option("--model-version", help="The model's version.", show_default=False)]
Ratio = Annotated[str | None, typer.Option("--aspect-ratio", help="Such as 16:9.", show_default=False)]
Resolution = Annotated[str | None, typer.Option("--resolution", help="Such as 1080P.", show_default=False)]
Negative = Annotated[str | None, typer.Option("--negative-prompt", help="Things to leave out.", show_default=False)]
References = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="URL", help="A reference image; may be repeated.", show_default=False),
]
Additional = Annotated[
    str | None,
    typer.Option(
        "--additional-parameters",
        metavar="JSON",
        help="""Parameters of single models, as a JSON object: '{"size": "1024x1024"}'.""",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Save into this folder.", show_default="print URLs"),
]
Ledger = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="FILE | URL",
        help="Record the job in this ledger: the same request is then not created a second time.",
        show_default="none",
    ),
]


def _creates(kind: Kind) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a command from a signature: `out`, `config`, `ledger`, `quiet` and `verbose`, and parameters named as the
    request's fields."""

    def decorate(signature: Callable[P, None]) -> Callable[P, None]:
        @wraps(signature)
        def command(*_: P.args, **options: P.kwargs) -> None:
            from ..single import create

            quiet, verbose = (bool(options.pop(name)) for name in ("quiet", "verbose"))
            with loudness(quiet=quiet, verbose=verbose):
                create(kind, dict(options))

        return command

    return decorate


@_creates(Kind.IMAGE)
def image(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="A description of the image, in quotes.")],
    model_name: Model = None,
    model_version: Version = None,
    aspect_ratio: Ratio = None,
    resolution: Resolution = None,
    negative_prompt: Negative = None,
    images: References = None,
    additional_parameters: Additional = None,
    out: Out = None,
    config: ConfigOption = None,
    ledger: Ledger = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Create one image; print its files (or URLs) and its TaskId."""


@_creates(Kind.VIDEO)
def video(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="A description of the video, in quotes.")],
    first_frame: Annotated[
        str | None, typer.Option("--first-frame", metavar="URL", help="The image to begin with.", show_default=False)
    ] = None,
    duration: Annotated[
        int | None, typer.Option("--duration", metavar="SECONDS", help="Billed by the second.", show_default=False)
    ] = None,
    enable_audio: Annotated[
        bool | None, typer.Option("--audio/--no-audio", help="With sound.", show_default=False)
    ] = None,
    model_name: Model = None,
    model_version: Version = None,
    aspect_ratio: Ratio = None,
    resolution: Resolution = None,
    negative_prompt: Negative = None,
    images: References = None,
    additional_parameters: Additional = None,
    out: Out = None,
    config: ConfigOption = None,
    ledger: Ledger = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Create one video; print its file (or URL) and its TaskId."""


@_creates(Kind.AUDIO)
def audio(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="A description of the sound, in quotes.")],
    videos: Annotated[
        list[str] | None,
        typer.Option("--video", metavar="URL", help="The video to add sound to.", show_default=False),
    ] = None,
    audios: Annotated[
        list[str] | None,
        typer.Option("--reference", metavar="URL", help="Reference audio; may be repeated.", show_default=False),
    ] = None,
    scene_type: Annotated[
        str | None,
        typer.Option("--scene-type", help="music, sfx or tts, if the model leaves it open.", show_default=False),
    ] = None,
    lyrics: Annotated[
        str | None, typer.Option("--lyrics", metavar="TEXT", help="The words of a song.", show_default=False)
    ] = None,
    output_format: Annotated[str | None, typer.Option("--format", help="Such as mp3.", show_default=False)] = None,
    model_name: Annotated[
        str | None,
        typer.Option("--model-name", help="MiniMaxMusic, Kling … Default: the config's.", show_default=False),
    ] = None,
    model_version: Version = None,
    additional_parameters: Additional = None,
    out: Out = None,
    config: ConfigOption = None,
    ledger: Ledger = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Create music, a sound, or the sound of a video; print its file (or URL) and its TaskId."""
