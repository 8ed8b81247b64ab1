"""What becomes of a request's findings: refused, warned about, or not looked for."""

import warnings
from typing import Final, Literal

from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from .rules import findings

Strictness = Literal["strict", "warn", "off"]
"""`strict` refuses, `warn` warns once for each finding, `off` does not look."""

MOST_TOLD: Final = 1000
"""Different findings that a process warns about: what nobody reads any more must not fill the memory of a server."""


class CatalogWarning(UserWarning):
    """The documents say that a model cannot serve a request; it is sent all the same."""


_told: Final[set[str]] = set()


def judge(request: object, strictness: Strictness) -> None:
    """Refuse or warn, once in a process for each text. Raises InvalidRequest.

    Where the warning is made an error by a filter of the user's, the request is refused as well: in the middle of a
    batch it concerns this request alone.
    """
    found = [] if strictness == "off" else [visible_line(str(finding)) for finding in findings(request)]
    if found and strictness == "strict":
        raise InvalidRequest(f'{"; ".join(found)}; `"catalog": "warn"` in the config sends it all the same')
    for text in found:
        if text in _told or len(_told) >= MOST_TOLD:
            continue
        try:
            # No line of the user's is to be pointed at: most requests are judged in tasks of our own.
            warnings.warn(text, CatalogWarning, stacklevel=2)
        except CatalogWarning:
            raise InvalidRequest(text) from None
        _told.add(text)
