"""Typer's own refusals of a command line, which quote what was typed, without what steers a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

from ..model.plain_text import visible_line


class Commands(TyperGroup):
    """The commands as a group whose refusals quote nothing that steers a terminal: pasted text may hold anything."""

    def make_context(self, *args: Any, **extra: Any) -> typer.Context:  # noqa: ANN401 — as overridden
        with _plain_refusals():
            return cast("typer.Context", super().make_context(*args, **extra))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 — as overridden
        with _plain_refusals():
            return super().invoke(ctx)


@contextmanager
def _plain_refusals() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # By its form: the class of all refusals is public in no version of typer from 0.16 on.
        message = vars(error).get("message")
        if callable(getattr(error, "format_message", None)) and isinstance(message, str):
            vars(error)["message"] = visible_line(message)
        raise
