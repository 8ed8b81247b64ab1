"""`image`, `video` and `audio`: one request from the command line."""

import asyncio
import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..client import AigcClient
from ..model import events
from ..model.errors import TaskFailed
from ..model.plain_text import visible_line
from ..model.requests import AudioRequest, ImageRequest, Step, VideoRequest
from ..model.results import StepResult
from ..model.states import Kind
from .interrupts import Interrupted, Interrupts
from .options import ConfigOption, client_for, config_from
from .progress import places_of
from .screen import Exit, complain, say, warnings_as_notes

_USUAL: Final = {Kind.IMAGE: "1 to 3 minutes", Kind.VIDEO: "3 to 5 minutes", Kind.AUDIO: "a few minutes"}
"""As the guide of 2026-05-29 says; of audio no document tells."""

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be seen.")]
Model = Annotated[
    str | None, typer.Option("--model-name", help="Hunyuan, Kling, Vidu … Default: the config's.", show_default=False)
]
Version = Annotated[str | None, typer.Option("--model-version", help="The model's version.", show_default=False)]
Ratio = Annotated[str | None, typer.Option("--aspect-ratio", help="Such as 16:9.", show_default=False)]
Resolution = Annotated[str | None, typer.Option("--resolution", help="Such as 1080P.", show_default=False)]
Negative = Annotated[str | None, typer.Option("--negative-prompt", help="What is not to be seen.", show_default=False)]
References = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="URL", help="A reference image; may be repeated.", show_default=False),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Save into this folder.", show_default="print the URLs")
]
Ledger = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="FILE",
        help="Keep the job in this ledger: the same request again is then not created again.",
        show_default="none",
    ),
]


def image(
    prompt: Prompt,
    model_name: Model = None,
    model_version: Version = None,
    aspect_ratio: Ratio = None,
    resolution: Resolution = None,
    negative_prompt: Negative = None,
    images: References = None,
    out: Out = None,
    config: ConfigOption = None,
    ledger: Ledger = None,
) -> None:
    """Make one image; print its files (or URLs) and its TaskId."""
    request = ImageRequest(
        **_given(
            id=_id(Kind.IMAGE, ledger),
            prompt=prompt,
            model_name=model_name,
            model_version=model_version,
            aspect_ratio=aspect_ratio,
            resolution=resolution,
            negative_prompt=negative_prompt,
            images=tuple(images or ()),
        )
    )
    _make(client_for(config_from(config), ledger), request, out)


def video(
    prompt: Prompt,
    first_frame: Annotated[
        str | None, typer.Option("--first-frame", metavar="URL", help="The image to begin with.", show_default=False)
    ] = None,
    duration: Annotated[
        int | None, typer.Option("--duration", metavar="SECONDS", help="Billed by the second.", show_default=False)
    ] = None,
    audio: Annotated[bool | None, typer.Option("--audio/--no-audio", help="With sound.", show_default=False)] = None,
    model_name: Model = None,
    model_version: Version = None,
    aspect_ratio: Ratio = None,
    resolution: Resolution = None,
    negative_prompt: Negative = None,
    images: References = None,
    out: Out = None,
    config: ConfigOption = None,
    ledger: Ledger = None,
) -> None:
    """Make one video; print its file (or URL) and its TaskId."""
    request = VideoRequest(
        **_given(
            id=_id(Kind.VIDEO, ledger),
            prompt=prompt,
            first_frame=first_frame,
            duration=duration,
            enable_audio=audio,
            model_name=model_name,
            model_version=model_version,
            aspect_ratio=aspect_ratio,
            resolution=resolution,
            negative_prompt=negative_prompt,
            images=tuple(images or ()),
        )
    )
    _make(client_for(config_from(config), ledger), request, out)


def audio(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be heard.")],
    videos: Annotated[
        list[str] | None,
        typer.Option("--video", metavar="URL", help="The video that it is to sound with.", show_default=False),
    ] = None,
    audios: Annotated[
        list[str] | None,
        typer.Option("--reference", metavar="URL", help="Reference audio; may be repeated.", show_default=False),
    ] = None,
    scene_type: Annotated[str | None, typer.Option("--scene-type", help="Such as music.", show_default=False)] = None,
    output_format: Annotated[str | None, typer.Option("--format", help="Such as mp3.", show_default=False)] = None,
    model_name: Annotated[
        str | None,
        typer.Option("--model-name", help="MiniMaxMusic, Kling … Default: the config's.", show_default=False),
    ] = None,
    model_version: Version = None,
    out: Out = None,
    config: ConfigOption = None,
    ledger: Ledger = None,
) -> None:
    """Make music or a sound, or the sound of a video; print its file (or URL) and its TaskId."""
    request = AudioRequest(
        **_given(
            id=_id(Kind.AUDIO, ledger),
            prompt=prompt,
            videos=tuple(videos or ()),
            audios=tuple(audios or ()),
            scene_type=scene_type,
            output_format=output_format,
            model_name=model_name,
            model_version=model_version,
        )
    )
    _make(client_for(config_from(config), ledger), request, out)


def _given(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 — each is typed by the command
    """Only what the user gave: a request's id is derived from what was written, and defaults come from the config."""
    return {name: value for name, value in fields.items() if value not in (None, ())}


def _id(kind: Kind, ledger: Path | None) -> str | None:
    """A ledger knows a request again by its content. Without one, each command makes another file."""
    return None if ledger else f"{kind}-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _make(client: AigcClient, request: Step, out: Path | None) -> None:
    follower = _Follower(request.kind)
    client.on_event(follower.on_event)
    try:
        with warnings_as_notes():
            result = asyncio.run(_generate(client, request, out))
    except Interrupted:
        complain(f"interrupted; {follower.how_to_go_on()}")
        raise typer.Exit(Exit.INTERRUPTED) from None
    for place in places_of(result):
        say(visible_line(place))
    say(f"task {visible_line(result.task_id)}")


async def _generate(client: AigcClient, request: Step, out: Path | None) -> StepResult:
    with Interrupts(on_first=lambda: complain("stopping; Ctrl-C again leaves at once")) as interrupts:
        async with client:
            return await interrupts.stoppable(client.generate(request, save_to=out))


class _Follower:
    """Tells how a single request gets on, and knows its task when the user leaves early."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._task_id: str | None = None
        self._unknown = False

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.Submitted(task_id=task_id):
                self._task_id = task_id
                complain(f"accepted as task {visible_line(task_id)}; {_USUAL[self._kind]} are usual")
            case events.Retried(error=error, delay_s=delay_s):
                complain(f"trying again in {delay_s:.0f} s: {visible_line(error.reason)}")
                if isinstance(error, TaskFailed):  # the task is over, and made nothing
                    self._task_id = None
            case events.Unknown():
                self._unknown = True

    def how_to_go_on(self) -> str:
        if self._task_id:
            command = visible_line(f"mps-aigc status {self._kind} {self._task_id}")
            return (
                f"the task goes on at the service: ask for it with  {command}\n"
                "(its URLs live for hours or days, and not for ever)"
            )
        if self._unknown:
            return "the create was sent and not answered: the service may be making it; look in the console's task list"
        return "nothing was created"
