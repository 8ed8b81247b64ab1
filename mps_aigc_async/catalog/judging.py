"""The consequence of a request's findings: refuse it, warn, or do not check."""

import warnings
from collections.abc import Sequence
from typing import Final, Literal

from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from .audio_reports import broken_reports
from .rules import findings

Strictness = Literal["strict", "warn", "off"]
"""`strict` refuses the request, `warn` warns once for each finding, `off` does not check."""

MOST_WARNINGS: Final = 1000
"""Different findings that a process warns about. A bound, because each text stays in the memory of a long-lived
server."""


class CatalogWarning(UserWarning):
    """The documents say that a model cannot serve a request; the request is sent all the same."""


_warnings_given: Final[set[str]] = set()


def judge(request: object, strictness: Strictness) -> None:
    """Refuse a request that breaks the documents, or warn, once in a process for each text. Raises InvalidRequest.

    A user's filter may turn the warning into an error. The request is then refused too, so that the error concerns
    this request alone and not the batch around it.
    """
    texts = [] if strictness == "off" else [visible_line(str(finding)) for finding in findings(request)]
    if texts and strictness == "strict":
        raise InvalidRequest(f'{"; ".join(texts)}; `"catalog": "warn"` in the config sends it all the same')
    _warn(texts)


def tell_reports(request: object, strictness: Strictness) -> None:
    """Warn of reports about MPS that a request breaks. A report is no document: `strict` warns too.

    Raises InvalidRequest by a user's filter, as `judge` does.
    """
    _warn([] if strictness == "off" else [visible_line(text) for text in broken_reports(request)])


def _warn(texts: Sequence[str]) -> None:
    for text in texts:
        if text in _warnings_given or len(_warnings_given) >= MOST_WARNINGS:
            continue
        try:
            # The warning cannot point at a line of the user's: most requests are judged in the client's own tasks.
            warnings.warn(text, CatalogWarning, stacklevel=3)
        except CatalogWarning:
            raise InvalidRequest(text) from None
        _warnings_given.add(text)
