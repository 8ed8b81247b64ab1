"""Unexpected exceptions, of this package or of a library it uses, as errors of this package.

The log gets the traceback: class names and frames, but no messages, because messages quote headers and signed URLs.
"""

import logging
import traceback
from collections.abc import Iterator
from typing import Final

from .errors import AigcError, UnexpectedError
from .log_lines import Lines

_log: Final = logging.getLogger("mps_aigc_async")


def unexpected_error(fault: BaseException, doing: str) -> UnexpectedError:
    """Report the fault, and return the error that stands for it.

    >>> unexpected_error(KeyError("a secret"), "reading an answer").message
    'KeyError while reading an answer: a fault of this package or of a library it uses; the traceback is in the log'
    """
    report(fault, doing)
    return UnexpectedError(
        f"{type(fault).__name__} while {doing}: a fault of this package or of a library it uses; the traceback is in "
        "the log"
    )


def report(fault: BaseException, doing: str) -> None:
    """Write the fault's traceback to the log."""
    _log.error("%s while %s\n%s", type(fault).__name__, doing, frames_of(fault))


def as_aigc_error(error: Exception, doing: str) -> AigcError:
    """Return an AigcError itself; report any other error, and return the UnexpectedError that stands for it."""
    return error if isinstance(error, AigcError) else unexpected_error(error, doing)


def frames_of(fault: BaseException) -> Lines:
    """Format the traceback as Python prints it, causes first, but with only the class of each exception."""
    return Lines("".join(_frames(fault)))


def _frames(fault: BaseException) -> Iterator[str]:
    before = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    if before is not None:
        yield from _frames(before)
        yield "\n"
    yield from traceback.format_tb(fault.__traceback__)
    yield f"{type(fault).__module__}.{type(fault).__qualname__}\n"
