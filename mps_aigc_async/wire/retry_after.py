"""Retry-After: how long the service, or a gateway before it, asks to wait (RFC 9110, 10.2.3)."""

import re
from typing import Final

from .dialect import HttpAnswer
from .envelope import server_time, unix_time

MOST_RETRY_AFTER_S: Final = 600.0
"""A header must not stop a batch for a day."""

_SECONDS: Final = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
"""The RFC has whole seconds only; some gateways send fractions."""


def retry_after_s(answer: HttpAnswer, now: float | None = None) -> float | None:
    """Seconds, from 0 to `MOST_RETRY_AFTER_S`; None where the answer names no time.

    A date is counted from the answer's own `Date`; without one from `now`, our Unix time, or not at all.

    >>> retry_after_s(HttpAnswer(429, {"retry-after": "1.5"}, b""))
    1.5
    """
    header = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(header):
        return min(float(header), MOST_RETRY_AFTER_S)
    date, sent = unix_time(header), server_time(answer)
    since = now if sent is None else sent
    if date is None or since is None:
        return None
    return min(max(0.0, date - since), MOST_RETRY_AFTER_S)
