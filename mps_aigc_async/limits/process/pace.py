"""The pace of one action in one loop: hands out the send times of a stream, first come, first served.

All loops and threads of the process share the stream, so each step holds the stream's lock. The loops take turns, and
each takes a send time shortly before it comes. A loop that lets its turn pass (it is busy, or stands still) delays no
other one's sends.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from ...concurrency.callbacks import ignore
from ...model.states import Ending
from ..protocol import LEAD_S, HeldBack, PaceFigures
from ..send_facts import SendFacts
from ..stream import Send, Stream

LATE_S: Final = LEAD_S
"""A send that is later than this many seconds is given a new time. The bound must stay below a window less the lead:
when a send time is taken, the guard looks at the N-th send before it. By then that one must have gone out, or have been
given a new time."""

TURN_S: Final = 0.025
"""Seconds of the LEAD_S for which a send time is left to the loop whose turn it is. Without turns, a loop that wakes
5 ms late each time finds the send time taken: it got 16% of the sends beside a quiet one, and now it gets half. With
100 ms, loops that are blocked for longer took part, too, and their late sends cost all loops 3% of the rate (measured
2026-11)."""


class ProcessSendTime(SendFacts[Send, Stream]):
    """Permission for one send (`protocol.SendTime`), in a process whose guard sees all sends."""

    __slots__ = ()

    async def reach(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            late, held_s = loop.time() - self._send.due, self._stream.held_until - loop.time()
            if held_s > 0 and self._send.due < self._stream.held_until:
                if held_s > LEAD_S:
                    raise HeldBack("not sent: the service has asked to wait", ending=Ending.NEVER_DELIVERED)
                self._take_again(loop.time())
            elif late > LATE_S:  # ahead of all waiters: the prepared intent and signature must not grow old
                self._take_again(loop.time())
            elif late >= 0:
                self._confirm()
                self._send.sent_at = loop.time()
                return
            else:
                await asyncio.sleep(-late)

    def _take_again(self, now: float) -> None:
        with self._stream.lock:
            self._send = self._stream.take(now)

    def note_refusal(self) -> None:
        with self._stream.lock:
            self._stream.note_refusal(self._send, asyncio.get_running_loop().time())

    def undo_point(self) -> Callable[[], None]:
        with self._stream.lock:
            return self._stream.undo_point()


class ProcessPace:
    """The send times of one action (`protocol.Pace`), for the clients in one loop.

    The first waiter sleeps until shortly before the next send time, and only then takes it. Each further waiter costs
    one future. A waiter that is cancelled in its turn has taken nothing.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._turn = asyncio.Lock()
        self._place = object()
        """Among the stream's turns. The pace itself there would keep a closed loop alive."""
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<ProcessPace {self._stream.rate:g}/s, {self._waiting} waiting>"

    async def reserve(self, require: Callable[[], None] = ignore) -> ProcessSendTime:
        self._waiting += 1
        try:
            await self._turn.acquire()  # `async with` would keep two coroutines more for each waiter
            try:
                return await self._in_turn(require)
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1

    async def _in_turn(self, require: Callable[[], None]) -> ProcessSendTime:
        loop = asyncio.get_running_loop()
        turns = self._stream.turns
        try:
            require()
            while True:
                with self._stream.lock:
                    turns.setdefault(self._place)
                    is_others_turn = tuple(turns).index(self._place) > 0  # a copy: waiters leave without the lock
                    at = self._stream.due(loop.time()) - LEAD_S + TURN_S * is_others_turn
                    ahead = at - loop.time()
                    if ahead <= 0:
                        return ProcessSendTime(self._stream, self._stream.take(loop.time()))
                # Late sends and other loops' sends meanwhile put off the next one, so `due` is asked for again.
                await asyncio.sleep(ahead)
                require()
        finally:  # the next waiter of this loop is behind the other loops'
            turns.pop(self._place, None)

    def hold(self, seconds: float) -> None:
        with self._stream.lock:
            self._stream.hold_until(asyncio.get_running_loop().time() + seconds)

    def rate(self, now: float) -> float:
        return self._stream.rate * self._stream.share(now)

    def figures(self, now: float) -> PaceFigures:
        return PaceFigures(self.rate(now), self._waiting, max(0.0, self._stream.held_until - now))

    @property
    def jitter_s(self) -> float:
        """The delivery jitter in seconds that the pace survives."""
        return self._stream.jitter_s
