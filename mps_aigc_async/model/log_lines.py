"""Log records that take one line each and steer no terminal, since many handlers print to a terminal."""

import logging
from typing import Final

from .plain_text import visible, visible_line

LOGGER: Final = "mps_aigc_async"
"""The logger of every module here."""


class Lines(str):
    """A text for the log that has several lines on purpose, such as a traceback's frames."""

    __slots__ = ()


def make_plain(record: logging.LogRecord) -> bool:
    """Replace the characters that steer a terminal in a record's arguments: ids, paths and errors hold foreign text.

    A logging filter that passes every record. Numbers stay numbers, for the template's formats.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(_plain(arg) for arg in record.args)
    return True


def _plain(arg: object) -> object:
    if isinstance(arg, int | float):
        return arg
    return visible(arg) if isinstance(arg, Lines) else visible_line(str(arg))
