"""Refusals of a command line and of a batch file. Typer's own are shown without the control characters and passwords of
the text that they quote."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from ..sharing.database_url import without_passwords


class BadBatch(InvalidRequest):
    """The batch file cannot be run as written. The message has a line for each faulty line."""


class Commands(TyperGroup):
    """A group of commands that answers `--help` at once. Its refusals quote no control characters of pasted text."""

    def make_context(self, *args: Any, **extra: Any) -> typer.Context:  # noqa: ANN401 — as overridden
        with _plain_refusals():
            return cast("typer.Context", super().make_context(*args, **extra))

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 — as overridden
        params = super().get_params(ctx)
        for param in params:
            if param.default is None and getattr(param, "is_flag", False):
                param.default = False  # typer (0.29) would convert None, and import pydantic for that
        return params

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
