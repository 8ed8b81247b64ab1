"""How much a command prints: `-q` errors and a summary, `-v` each event and the client's log too."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from typing import TYPE_CHECKING

from ..model.errors import InvalidRequest
from ..model.log_lines import LOGGER
from ..model.plain_text import visible_line
from .screen import IN_JSON, LOUDNESS, Loudness, complain

if TYPE_CHECKING:
    from ..model.events import Event


@contextmanager
def loudness(*, quiet: bool, verbose: bool, as_json: bool = False) -> Iterator[None]:
    """Print less or more during the block, or JSON. Raises InvalidRequest for less and more at once."""
    if quiet and verbose:
        raise InvalidRequest("choose one of --quiet and --verbose")
    in_json = IN_JSON.set(as_json)
    token = LOUDNESS.set(Loudness.QUIET if quiet else Loudness.VERBOSE if verbose else Loudness.USUAL)
    try:
        with _printed_log() if verbose else nullcontext():
            yield
    finally:
        LOUDNESS.reset(token)
        IN_JSON.reset(in_json)


def print_event(event: "Event") -> None:
    """Print an event of the client on stderr, as one line."""
    facts = {field.name: getattr(event, field.name) for field in fields(event)}
    values = [f"{name}={value}" for name, value in facts.items() if name not in ("at", "job_id", "kind")]
    complain(visible_line(" ".join([f"{event.job_id}:", type(event).__name__.lower(), *values])))


class _Printer(logging.Handler):
    """Prints the records of the client's log on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(f"{record.levelname.lower()}: {record.getMessage()}")


@contextmanager
def _printed_log() -> Iterator[None]:
    log, printer = logging.getLogger(LOGGER), _Printer()
    level = log.level
    log.addHandler(printer)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(printer)
        log.setLevel(level)
