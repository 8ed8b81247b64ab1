"""The deadline of an answer.

A plain timer can give up an answer that has already arrived. After a stall (a blocked loop, a stopped process, a laptop
asleep) the loop handles the expired deadline and the readable socket in one turn, and a task that is cancelled in that
turn loses the answer: 8 of 120 creates lost theirs after 66 s (2026-11, aiohttp's `sock_read`). uvloop even runs timers
first.
"""

import asyncio
from math import inf
from types import TracebackType
from typing import Final, Self

LATE_S: Final = 0.1
"""A timer that fires this many seconds late proves a stall: a running loop is late by a few milliseconds."""
GRACE_S: Final = 1.0
"""Extra seconds for an answer, once, if its deadline passed in a stall: the loop reads its sockets, and a network that
slept with the machine delivers its packets."""


class AnswerDeadline:
    """Raises TimeoutError out of its `async with` block if an answer, or its next piece, does not arrive in time.

    `read_s` bounds the wait for each piece, `total_s` the whole answer; both count from `begin`.
    """

    def __init__(self, *, read_s: float, total_s: float) -> None:
        self._read_s = read_s
        self._total_s = total_s
        self._loop = asyncio.get_running_loop()
        self._piece_at = 0.0
        self._ends_at = inf
        self._had_grace = False
        self._timer: asyncio.TimerHandle | None = None
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def begin(self) -> None:
        """Start counting: the first byte of the request goes out now."""
        self._piece_at = self._loop.time()
        self._ends_at = self._piece_at + self._total_s
        self._look_at(self._due())

    def note_piece(self) -> None:
        """Note that a piece of the answer has arrived. Called for every piece, so it only stores the time."""
        self._piece_at = self._loop.time()

    def _due(self) -> float:
        return min(self._piece_at + self._read_s, self._ends_at)

    def _look_at(self, moment: float) -> None:
        self._timer = self._loop.call_at(moment, self._look, moment)

    def _look(self, moment: float) -> None:
        now = self._loop.time()
        if now < self._due():  # a piece has arrived since
            self._look_at(self._due())
        elif now - moment > LATE_S and not self._had_grace:
            self._had_grace = True
            self._look_at(now + GRACE_S)
        else:
            self._scope.reschedule(now)
