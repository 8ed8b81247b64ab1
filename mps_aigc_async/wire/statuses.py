"""Judge a request by the HTTP status of its answer, before the body is read."""

import re
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from ..model.errors import NoTaskId, Redirected, TransportError
from ..model.states import Ending
from .answers import quotation
from .dialect import HttpAnswer, is_read

UNCERTAIN_4XX: Final = frozenset({408, 409, 425, 460, 499})
"""4xx statuses after which the request may still have been processed. The server or a gateway stopped waiting (408, 499
of nginx, 460 of AWS's load balancer), avoided the risk of a replay (425), or found a conflict with a request that may
be our own (409). RFC 9110, RFC 8470 and the two products' documents, 2026-11."""

SEE_OTHER: Final = 303
"""The one redirect that follows a processed request (RFC 9110, 15.4.4)."""

UNREADABLE: Final = "an address that cannot be read"
"""The description of a redirect's target whose host is not safe to show."""
_AUTHORITY: Final = re.compile(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]")
"""A host that is safe to show: no user info, no blanks, no control characters."""


class Verdict(Enum):
    """The judgement by the status alone."""

    GOOD = "the request was processed: the body says how it ended"
    REDIRECTED = "the request was sent to a wrong address"
    REFUSED = "the request was refused: the body may say why"
    UNCERTAIN = "the request may or may not have been processed, and the body does not decide"


def verdict_of(status: int) -> Verdict:
    """
    >>> verdict_of(202).name, verdict_of(307).name, verdict_of(404).name, verdict_of(409).name, verdict_of(504).name
    ('GOOD', 'REDIRECTED', 'REFUSED', 'UNCERTAIN', 'UNCERTAIN')
    """
    if 200 <= status < 300:
        return Verdict.GOOD
    if 300 <= status < 400 and status != 304:  # 304 leads nowhere
        return Verdict.REDIRECTED
    if 400 <= status < 500 and status not in UNCERTAIN_4XX:
        return Verdict.REFUSED
    return Verdict.UNCERTAIN


def uncertain(answer: HttpAnswer, action: str, message: str = "") -> TransportError:
    """The error of an answer whose request may or may not have been processed. A ServiceError would be wrong: a code
    beside such a status is not the service's word."""
    beside = f" ({quotation(message)})" if message else ""
    return TransportError(
        f"HTTP {answer.status} does not tell whether the request was processed{beside}",
        ending=Ending.UNKNOWN,
        action=action,
    )


def unreadable(message: str, answer: HttpAnswer, action: str) -> TransportError:
    """The error of an answer without a readable body. After a 2xx, a create was processed."""
    is_created = action.startswith("Create") and verdict_of(answer.status) is Verdict.GOOD
    return (NoTaskId if is_created else TransportError)(message, ending=Ending.UNKNOWN, action=action)


def redirect(answer: HttpAnswer, action: str, config_key: str) -> Redirected:
    """The error of a redirect. Its message has the target and the config's key for the right address.

    No redirect is followed: the keys and the prompt would go to another host. A read may be sent again, since a gateway
    can redirect for a while. A create was not processed, except before "303 See Other": then its outcome is unknown.
    """
    unknown = is_read(action) or answer.status == SEE_OTHER
    return Redirected(
        f"HTTP {answer.status}",
        f"the service's address redirects to {_target(answer.headers.get('location', ''))}, and requests are not sent "
        f"on to it: set {config_key} to the right address",
        ending=Ending.UNKNOWN if unknown else Ending.ACCOUNT_REFUSED,
    ).with_context(action=action)


def _target(location: str) -> str:
    """Scheme, host and port of a redirect. Its path and query may hold a session or a signature."""
    try:
        parts = urlsplit(location.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return UNREADABLE
    if not host:
        return "another path of its own" if parts.path else "no address"
    authority = f"[{host}]" if ":" in host else host
    if not _AUTHORITY.fullmatch(authority):
        return UNREADABLE
    scheme = f"{parts.scheme}://" if parts.scheme in ("http", "https") else ""
    return f"{scheme}{authority}{f':{port}' if port else ''}"
