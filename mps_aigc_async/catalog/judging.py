"""The consequence of a request's findings: refuse it, warn, or do not check."""

import warnings
from typing import Final, Literal

from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from .rules import findings

Strictness = Literal["strict", "warn", "off"]
"""`strict` refuses a request that breaks a document, `warn` warns once for each finding, `off` does not check."""

MOST_WARNINGS: Final = 1000
"""Different findings that a process warns about. A bound, because each text stays in the memory of a long-lived
server."""


class CatalogWarning(UserWarning):
    """By documents or reports a request cannot be served, or an input could not be looked at; the request is sent."""


_warnings_given: Final[set[str]] = set()


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
