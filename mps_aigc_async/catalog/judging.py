"""The consequence of a request's findings: refuse it, warn, or do not check."""

import warnings
from threading import Lock
from typing import Final, Literal

from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from .rules import findings

Strictness = Literal["strict", "warn", "off"]
"""`strict` refuses a request that breaks a document, `warn` warns once for each finding, `off` does not check."""

MOST_WARNINGS: Final = 1000
"""Warnings that a process remembers, the latest ones. A bound, because a long-lived server may have findings without
end; a warning that is forgotten may come again."""


class CatalogWarning(UserWarning):
    """By documents or reports a request cannot be served, or an input could not be looked at; the request is sent."""


_warnings_given: Final[dict[str, None]] = {}
_memory: Final = Lock()


def judge(request: object, strictness: Strictness, backend: str = "mps") -> None:
    """Refuse a request that breaks the documents, or warn of each finding. Raises InvalidRequest.

    Only documents refuse. Reports and misspelt names warn, however strict the check is.
    """
    results = () if strictness == "off" else findings(request, backend)
    refusals = [visible_line(str(finding)) for finding in results if finding.refuses]
    if refusals and strictness == "strict":
        raise InvalidRequest(f'{"; ".join(refusals)}; `"catalog": "warn"` in the config sends it all the same')
    for finding in results:
        warn_once(visible_line(str(finding)))


def warn_once(text: str) -> None:
    """Warn of a request that is sent all the same, once for each of the latest texts.

    A user's filter may turn the warning into an error. The request is then refused: InvalidRequest is raised, so that
    the error concerns this request alone and not the batch around it.
    """
    if text in _warnings_given:
        return
    try:
        # The warning cannot point at a line of the user's: most requests are judged in the client's own tasks.
        warnings.warn(text, CatalogWarning, stacklevel=3)
    except CatalogWarning:
        raise InvalidRequest(text) from None
    with _memory:  # clients of several threads may warn at once
        _warnings_given[text] = None
        if len(_warnings_given) > MOST_WARNINGS:
            del _warnings_given[next(iter(_warnings_given))]
