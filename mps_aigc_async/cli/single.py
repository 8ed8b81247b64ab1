"""`image`, `video` and `audio`: one request from the command line."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, ParamSpec

import typer

from ..client import AigcClient
from ..model import events
from ..model.errors import TaskFailed
from ..model.plain_text import visible_line
from ..model.requests import AudioRequest, ImageRequest, Step, VideoRequest
from ..model.results import StepResult
from ..model.states import Kind
from .interrupts import Interrupted, Interrupts
from .ledgers import named_file_or_database
from .options import client_for, config_for_creates, require_folder
from .progress import places_of
from .screen import Exit, complain, is_quiet, note, say, warnings_as_notes

P = ParamSpec("P")

_USUAL: Final = {Kind.IMAGE: "1 to 3 minutes", Kind.VIDEO: "3 to 5 minutes", Kind.AUDIO: "a few minutes"}
"""The usual times by the guide of 2026-05-29. No document gives a time for audio."""

_PRIVATE: Final = (
    "the result is in your own bucket, and a private bucket refuses its bare URL: save results with --out DIR, or sign "
    "the URL (`client.signed_url`)"
)


_REQUESTS: Final[Mapping[Kind, type[Step]]] = {
    request.kind: request for request in (ImageRequest, VideoRequest, AudioRequest)
}


def create(kind: Kind, options: dict[str, Any]) -> None:  # each signature types its own options
    """Create the request of a command's options, and print its result.

    An option that the user leaves out is left out of the request too: the request's id is derived from its fields, and
    the config's defaults fill the gaps when it is sent.
    """
    out, config, ledger = (options.pop(name) for name in ("out", "config", "ledger"))
    if out is not None:
        require_folder(out)
    fields = {name: value for name, value in options.items() if value not in (None, [])}
    request = _REQUESTS[kind](id=_id(kind, ledger), **fields)
    loaded = config_for_creates(config)
    result = _make(
        client_for(loaded, None if ledger is None else named_file_or_database(ledger).for_client), request, out
    )
    if result.never_expires and result.urls and not result.files and loaded.cos_output.access == "private":
        note(_PRIVATE)


def _id(kind: Kind, ledger: str | None) -> str | None:
    """Without a ledger an id of this moment, so that each command makes another file. With a ledger None: the id is
    derived from the content then, and the ledger recognises the request."""
    return None if ledger else f"{kind}-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _make(client: AigcClient, request: Step, out: Path | None) -> StepResult:
    follower = _Follower(request.kind, tell=_ignore if is_quiet() else complain)
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
    return result


async def _generate(client: AigcClient, request: Step, out: Path | None) -> StepResult:
    with Interrupts(on_first=lambda: complain("stopping; Ctrl-C again leaves at once")) as interrupts:
        async with client:
            return await interrupts.stoppable(client.generate(request, save_to=out))


def _ignore(_text: str) -> None:
    pass


class _Follower:
    """Prints the progress of a single request, and remembers its task for a user who leaves early."""

    def __init__(self, kind: Kind, tell: Callable[[str], None] = complain) -> None:
        self._kind = kind
        self._tell = tell
        self._task_id: str | None = None
        self._is_unknown = False

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.Submitted(task_id=task_id):
                self._task_id = task_id
                self._tell(f"accepted as task {visible_line(task_id)}; {_USUAL[self._kind]} are usual")
            case events.Retried(error=error, delay_s=delay_s):
                self._tell(f"retrying in {delay_s:.0f} s: {visible_line(error.reason)}")
                if isinstance(error, TaskFailed):  # the task has ended without a result
                    self._task_id = None
            case events.Unknown():
                self._is_unknown = True

    def how_to_go_on(self) -> str:
        if self._task_id:
            command = visible_line(f"mps-aigc status {self._kind} {self._task_id}")
            return f"the task runs on at the service; poll it with  {command}\n(its URLs expire after hours or days)"
        if self._is_unknown:
            return (
                "no reply to the create: it may or may not have been accepted; look for the task in the console's "
                "task list"
            )
        return "nothing was created"
