"""Typer's own refusals of a command line, without the control characters and passwords of the text that they quote."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

from ..model.plain_text import visible_line
from ..sharing.database_url import without_passwords


class Commands(TyperGroup):
    """A group of commands whose refusals quote no control characters: pasted text may contain some."""

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
        # Recognised by its form: from typer 0.16 on no class of all refusals is public.
        message = vars(error).get("message")
        if callable(getattr(error, "format_message", None)) and isinstance(message, str):
            vars(error)["message"] = visible_line(without_passwords(message))
        raise
