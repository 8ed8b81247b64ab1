"""The consequence of a request's findings: refuse it, warn, or do not check."""

import warnings
from typing import Final, Literal

from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from .rules import findings

Strictness = Literal["strict", "warn", "off"]
"""`strict` refuses the request, `warn` warns once for each finding, `off` does not check."""

MOST_WARNINGS: Final = 1000
"""Different findings that a process warns about. A bound, because each text stays in the memory of a long-lived
server."""


class CatalogWarning(UserWarning):
    """By the documents a request cannot be served, or an input could not be looked at. The request is sent all the
    same."""


_warnings_given: Final[set[str]] = set()


def judge(request: object, strictness: Strictness) -> None:
    """Refuse a request that breaks the documents, or warn, once in a process for each text. Raises InvalidRequest."""
    texts = [] if strictness == "off" else [visible_line(str(finding)) for finding in findings(request)]
    if texts and strictness == "strict":
        raise InvalidRequest(f'{"; ".join(texts)}; `"catalog": "warn"` in the config sends it all the same')
    for text in texts:
        warn_once(text)


def warn_once(text: str) -> None:
    """Warn of a request that is sent all the same, once in a process for each text.

    A user's filter may turn the warning into an error. The request is then refused: InvalidRequest is raised, so that
    the error concerns this request alone and not the batch around it.
    """
    if text in _warnings_given or len(_warnings_given) >= MOST_WARNINGS:
        return
    try:
        # The warning cannot point at a line of the user's: most requests are judged in the client's own tasks.
        warnings.warn(text, CatalogWarning, stacklevel=3)
    except CatalogWarning:
        raise InvalidRequest(text) from None
    _warnings_given.add(text)
