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
    """A model cannot serve a request, by its documents or by reports; the request is sent all the same."""


_warnings_given: Final[set[str]] = set()


def judge(request: object, strictness: Strictness, backend: str = "mps") -> None:
    """Refuse a request that breaks the documents, or warn, once in a process for each text. Raises InvalidRequest.

    Only documents refuse. Reports and misspelt names warn, however strict the check is.

    A user's filter may turn the warning into an error. The request is then refused too, so that the error concerns
    this request alone and not the batch around it.
    """
    results = () if strictness == "off" else findings(request, backend)
    refusals = [visible_line(str(finding)) for finding in results if finding.refuses]
    if refusals and strictness == "strict":
        raise InvalidRequest(f'{"; ".join(refusals)}; `"catalog": "warn"` in the config sends it all the same')
    for text in (visible_line(str(finding)) for finding in results):
        if text in _warnings_given or len(_warnings_given) >= MOST_WARNINGS:
            continue
        try:
            # The warning cannot point at a line of the user's: most requests are judged in the client's own tasks.
            warnings.warn(text, CatalogWarning, stacklevel=2)
        except CatalogWarning:
            raise InvalidRequest(text) from None
        _warnings_given.add(text)
