"""Retry-After: the wait that the service, or a gateway before it, asks for (RFC 9110, 10.2.3)."""

import re
from typing import Final

from .dialect import HttpAnswer
from .envelope import server_time, unix_time

MOST_RETRY_AFTER_S: Final = 600.0
"""Longest wait in seconds: no header may stop a batch for a day."""

_SECONDS: Final = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
"""Seconds in the header. The RFC allows whole seconds only; some gateways send fractions."""


def retry_after_s(answer: HttpAnswer, now: float | None = None) -> float | None:
    """Seconds to wait, from 0 to `MOST_RETRY_AFTER_S`; None if the answer names no time.

    A date counts from the answer's own `Date`, else from `now` (our Unix time). Without both the date is ignored.

    >>> retry_after_s(HttpAnswer(429, {"retry-after": "1.5"}, b""))
    1.5
    """
    header = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(header):
        return min(float(header), MOST_RETRY_AFTER_S)
    date, answered_at = unix_time(header), server_time(answer)
    since = now if answered_at is None else answered_at
    if date is None or since is None:
        return None
    return min(max(0.0, date - since), MOST_RETRY_AFTER_S)
