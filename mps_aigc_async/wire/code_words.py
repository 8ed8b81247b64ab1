"""Judge an error code that no table knows by its words.

Words are whole ones: `quota` is none of `unquotable`, and `HTTPServerError` is http, server, error.
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
"""Words of codes that say that something broke, not that nothing was accepted: `do_request_failed`, `upstream_error`,
`read_response_body_failed` and others of the relay's family (new-api, 2026-11)."""

PAYMENT: Final = frozenset({"quota", "balance", "arrears"})
"""Words of codes about money. They count only beside a 4xx status: `update_quota_failed` behind 500 is the relay's
own book-keeping, after the task was made."""

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
"""Words that, all together in a code, say that the request was refused; the first row that fits."""


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
    """The refusal that a code's words tell of; None for a code that says nothing so certain.

    >>> refusal_of("invalid_model")[1].name, refusal_of("invalid_response"), refusal_of("get_channel_failed")
    ('REFUSED', None, None)
    """
    found = words(code)
    if found & TROUBLE:
        return None
    return next((meaning for rows, meaning in _MEANINGS if any(row <= found for row in rows)), None)
