"""Records of the log on one line each, steering no terminal: many a handler prints them on one."""

import logging
from typing import Final

from .plain_text import visible, visible_line

LOGGER: Final = "mps_aigc_async"
"""The logger of every module here."""


class Lines(str):
    """A text for the log that has several lines on purpose, such as a traceback's frames."""

    __slots__ = ()


def make_plain(record: logging.LogRecord) -> bool:
    """Replace what steers a terminal in a record's arguments: ids, paths and errors hold text from outside.

    A filter that passes every record. Numbers stay as they are, for the template's formats.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(_plain(arg) for arg in record.args)
    return True


def _plain(arg: object) -> object:
    if isinstance(arg, int | float):
        return arg
    return visible(arg) if isinstance(arg, Lines) else visible_line(str(arg))
