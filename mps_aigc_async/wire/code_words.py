"""Judge an error code that is in no table by its words.

Words count as a whole: `unquotable` does not contain the word `quota`; `HTTPServerError` has the words http, server and
error.
"""

import re
from collections.abc import Iterable
from typing import Final

from ..model.errors import AccountError, ContentViolation, ServiceError
from ..model.states import Ending

Meaning = tuple[type[ServiceError], Ending]

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

TROUBLE: Final = frozenset(
    {"internal", "server", "system", "upstream", "gateway", "network", "response", "timeout", "timed", "unknown",
     "unexpected", "unavailable", "exception", "panic", "fail", "failed", "failure"}
)  # fmt: skip
"""Words of codes that report a fault on the service's side: `do_request_failed`, `upstream_error`,
`read_response_body_failed` and others of the relay's family (new-api, 2026-11). The request may have been accepted."""

PAYMENT: Final = frozenset({"quota", "balance", "arrears"})
"""Words of codes about money, for answers with a 4xx status only: `update_quota_failed` behind 500 comes from the
relay's own book-keeping, after the task was created."""

_CONTENT: Final[Iterable[frozenset[str]]] = (
    frozenset({"sensitive"}),
    frozenset({"moderation"}),
    frozenset({"content", "violation"}),
    frozenset({"content", "policy"}),
    frozenset({"content", "filter"}),
    frozenset({"prompt", "blocked"}),
)
_KEY: Final[Iterable[frozenset[str]]] = (
    frozenset({"api", "key"}),
    frozenset({"unauthorized"}),
    frozenset({"authentication"}),
)
_REQUEST: Final[Iterable[frozenset[str]]] = (
    frozenset({"invalid"}),
    frozenset({"illegal"}),
    frozenset({"unsupported"}),
    frozenset({"missing"}),
    frozenset({"required"}),
    frozenset({"bad", "request"}),
    frozenset({"not", "found"}),
    frozenset({"not", "supported"}),
    frozenset({"not", "allowed"}),
    frozenset({"access", "denied"}),
)
_MEANINGS: Final[tuple[tuple[Iterable[frozenset[str]], Meaning], ...]] = (
    (_CONTENT, (ContentViolation, Ending.REFUSED)),
    (_KEY, (AccountError, Ending.ACCOUNT_REFUSED)),
    (_REQUEST, (ServiceError, Ending.REFUSED)),
)
"""Sets of words, and the refusal that a code with all words of a set reports. The first row that fits counts."""


def words(code: str) -> frozenset[str]:
    """
    >>> sorted(words("HTTPServerError.update_quota-failed"))
    ['error', 'failed', 'http', 'quota', 'server', 'update']
    """
    return frozenset(word.lower() for word in _WORD.findall(code))


def says_that_something_broke(code: str) -> bool:
    return bool(words(code) & TROUBLE)


def is_about_payment(code: str) -> bool:
    return bool(words(code) & PAYMENT)


def refusal_of(code: str) -> Meaning | None:
    """The refusal that a code's words report; None for a code that is no certain refusal.

    >>> refusal_of("invalid_model")[1].name, refusal_of("invalid_response"), refusal_of("get_channel_failed")
    ('REFUSED', None, None)
    """
    code_words = words(code)
    if code_words & TROUBLE:
        return None
    return next((meaning for rows, meaning in _MEANINGS if any(row <= code_words for row in rows)), None)
