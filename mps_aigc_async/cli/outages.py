"""A service that cannot be reached: a batch pauses, with one line, and goes on when the service is back.

Without the pause, each request of the batch would use up its own retries and fail, one after the other.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from ..model.errors import AigcError, TransportError, Unreachable
from ..model.plain_text import visible_line
from ..model.states import Ending

FIRST_S: Final = 5.0
"""Seconds of the first pause. The client has retried for some 15 s before it."""

MOST_S: Final = 60.0
"""Seconds of the longest pause: each one is twice as long as the one before it."""


def is_outage(error: AigcError | None) -> bool:
    """Whether the service could not be reached, so that nothing was sent. A fault that the user has to fix, such as a
    wrong address, is `Unreachable` and ends the batch."""
    return (
        isinstance(error, TransportError)
        and not isinstance(error, Unreachable)
        and error.ending is Ending.NEVER_DELIVERED
    )


class Pauses:
    """The pauses of one batch."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._next_s: float | None = None
        """Seconds of the next pause; None while the service can be reached."""

    async def wait(self, error: AigcError, waiting: int) -> None:
        """Wait before the next try; the first pause of an outage is announced. `waiting` jobs are not begun."""
        if self._next_s is None:
            self._next_s = FIRST_S
            reason = visible_line(error.reason.removeprefix("cannot reach "))
            self._note(f"the service cannot be reached ({reason}): waiting, {waiting} not begun; Ctrl-C stops")
        await asyncio.sleep(self._next_s)
        self._next_s = min(2 * self._next_s, MOST_S)

    def end(self) -> None:
        """The service has answered."""
        if self._next_s is not None:
            self._next_s = None
            self._note("the service can be reached again")
