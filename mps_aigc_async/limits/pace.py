"""Pacing: leave to send one call of an action at a given moment, never more than the limit in any second.

The documented limit counts arrivals at the server, and its window's shape is not published, so this holds under the
strictest: any half-open window of one second. Two rules, both on send times:

- spacing: an interval of (1 s + J)/N between sends, a stream and never a burst;
- the guard: a send comes at least 1 s + J after the N-th send before it, counted from when that one REALLY went out.

J is the delivery jitter that the network may add (25 ms by default, which leaves 97.6% of the rate; the measurements
behind it are of 2026-11). The guard is why a send that comes late (a blocked loop, a slow disk, a slow handshake)
needs no new reservation: it can only crowd the sends after it, and those look at the real time. What one late send
costs is its own lateness and no more: the sends after it keep their places in the stream, up to `CATCH_UP_S` closer to
it than the interval, as a GCRA with that tolerance would let them be (ITU-T I.371).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Final

from ..concurrency.callbacks import ignore
from ..model.errors import TransportError
from ..model.states import Ending
from .share import RateShare

WINDOW_S: Final = 1.0
DEFAULT_JITTER_S: Final = 0.025

LEAD_S: Final = 0.25
"""A send time is handed over this long ahead, so that the intent is on disk and a connection open before it comes.
Short, because each send time handed over is one create that a crash would leave in doubt."""

_SLACK: Final = 0.2
"""Share of J that a send may be late before the guard counts it: an asyncio timer fires up to a millisecond late, and
counting that would cost its share of the rate in every window."""

CATCH_UP_S: Final = 0.25
"""How far the places of the stream may lag behind the send times that the guard allows. A loop that is blocked for
100 ms every second or two uses 97.3% of the rate with it, 95% and less without (each lateness moves all sends); with
more, the bunches that such a loop leaves could grow for ever."""

HAS_ROOM: Final = 0.5
"""Share of what the pace allows in a window, by the limit or by the share of it that is ours, up to which our own sends
are few: they cannot have filled the limit. Half of it, since another process that keeps a share of its own leaves us
as much."""

LATE_S: Final = LEAD_S
"""A send later than this is given a new time. It must stay below a window less the lead: the guard looks at the N-th
send before when a send time is taken, and that one has to have gone out by then, or have been given a new time."""


@dataclass(slots=True)
class Send:
    """One send as the guard remembers it, on the loop's clock."""

    due: float
    sent: float | None = None
    had_room: bool = False
    """Whether the sends of the window that ends with it were few (`HAS_ROOM`)."""

    @property
    def went(self) -> float:
        """When it went out, or is to."""
        return self.due if self.sent is None else self.sent


class HeldBack(TransportError):
    """A call was not sent at its send time, because the service has asked for none of the action for a while."""


class Stream:
    """The send times of one action: arithmetic only, the time is an argument.

    >>> stream = Stream(rate=20, jitter_s=0.025)
    >>> [round(stream.take(100.0).due - 100.0, 5) for _ in range(3)]
    [0.0, 0.05125, 0.1025]
    """

    def __init__(self, rate: float, jitter_s: float = DEFAULT_JITTER_S) -> None:
        self._recent: deque[Send] = deque()
        self._next = float("-inf")
        self.held_until = float("-inf")
        """Nothing is to go out before this, by the service's word (Retry-After)."""
        self.limit_to(rate, jitter_s)
        self._share = RateShare(self.window)

    def limit_to(self, rate: float, jitter_s: float) -> None:
        """Keep this limit from now on; what has been sent or is about to be is remembered."""
        if not rate > 0:
            raise ValueError(f"rate must be above 0 calls per second, not {rate}")
        self.rate = rate
        self.jitter_s = jitter_s
        # A limit below one call per second is one call in its own, longer window.
        self.window = WINDOW_S * max(1.0, 1.0 / rate)
        self._interval = (self.window + jitter_s) / max(1.0, rate)
        self._window_holds = max(1, int(rate))
        self._recent = deque(self._recent, maxlen=self._window_holds)
        if self._recent:
            self._next = max(self._next, self._recent[-1].due + self._interval)

    def due(self, now: float) -> float:
        """When the next send may go out by what is known now: at `now` or later."""
        due = max(now, self._next, self.held_until)
        if len(self._recent) < self._window_holds:
            return due
        before = self._recent[0]
        real = before.due if before.sent is None else max(before.due, before.sent - _SLACK * self.jitter_s)
        return max(due, real + self.window + self.jitter_s)

    def take(self, now: float) -> Send:
        """The next send time, at `now` or later."""
        due = self.due(now)
        taken = Send(due, had_room=self._has_room(due, now))
        self._next = max(now, self._next, due - CATCH_UP_S) + self._interval / self.share(now)
        self._recent.append(taken)
        return taken

    def _has_room(self, due: float, now: float) -> bool:
        """Whether few sends are in the window that ends with one at `due`. It looks at one of them: a window may hold
        any number."""
        few = int(HAS_ROOM * self._window_holds * self.share(now))
        return few > 0 and (len(self._recent) < few or self._recent[-few].went <= due - self.window)

    def hold_until(self, time: float) -> None:
        """Let nothing go out before `time`. The stream begins again there: its places must not lag behind, since all
        that waited would go out in a bunch."""
        self.held_until = max(self.held_until, time)
        self._next = max(self._next, time)

    def share(self, now: float) -> float:
        """The share of the full rate in force: 1 unless the service has refused calls for their rate."""
        return self._share.at(now)

    def refused(self, send: Send, now: float) -> None:
        """The service refused a call for its rate: somebody shares the limit."""
        if self._share.refused(send.went, now):
            self._next = max(self._next, now + self._interval / self.share(now))

    def undo_point(self) -> Callable[[], None]:
        """A function that gives back what refusals have taken from the share since now: they were not of the rate."""
        before = copy(self._share)

        def undo() -> None:
            self._share = before

        return undo


class SendTime:
    """Leave for one send: prepare, wait with `reach`, then send."""

    __slots__ = ("_confirm", "_send", "_stream")

    def __init__(self, stream: Stream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._confirm: Callable[[], None] | None = None

    def confirm_with(self, confirm: Callable[[], None]) -> None:
        """Call `confirm` at the send time, immediately before the first byte. If it raises, `reach` raises the same,
        and nothing counts as sent."""
        self._confirm = confirm

    @property
    def due(self) -> float:
        """When it comes, on the loop's clock."""
        return self._send.due

    @property
    def has_come(self) -> bool:
        """Whether it was reached: from then on bytes may have gone out."""
        return self._send.sent is not None

    @property
    def age_s(self) -> float | None:
        """Seconds since the bytes went out; None if they have not."""
        return None if self._send.sent is None else asyncio.get_running_loop().time() - self._send.sent

    @property
    def went(self) -> float:
        """When the bytes went out, on the loop's clock; if they have not, when they are to."""
        return self._send.went

    @property
    def had_room(self) -> bool:
        """Whether the sends of the window that ends with it were few (`HAS_ROOM`)."""
        return self._send.had_room

    def windows_since(self, time: float) -> float:
        """From `time` to this send, in windows of the limit."""
        return (self._send.went - time) / self._stream.window

    async def reach(self) -> None:
        """Return when the time has come, and note when that really was. Call it right before the first byte goes.

        Raises HeldBack if the service has asked for no call of the action for a while: what was prepared must not wait
        so long. A create's intent is on disk, where a crash would leave the create in doubt; a signature ends after
        5 minutes.
        """
        loop = asyncio.get_running_loop()
        while True:
            late, held_s = loop.time() - self._send.due, self._stream.held_until - loop.time()
            if held_s > 0 and self._send.due < self._stream.held_until:
                if held_s > LEAD_S:
                    raise HeldBack("not sent: the service has asked to wait", ending=Ending.NEVER_DELIVERED)
                self._send = self._stream.take(loop.time())
            elif late > LATE_S:  # ahead of all waiters: what this send prepared must not grow old
                self._send = self._stream.take(loop.time())
            elif late >= 0:
                if self._confirm is not None:
                    self._confirm()
                self._send.sent = loop.time()
                return
            else:
                await asyncio.sleep(-late)

    def sent(self) -> None:
        """Note that the bytes went out just now, where that is known better than by `reach`."""
        self._send.sent = asyncio.get_running_loop().time()

    def refused(self) -> None:
        """Note that what was sent was refused for its rate: those to come go slower."""
        self._stream.refused(self._send, asyncio.get_running_loop().time())

    def undo_point(self) -> Callable[[], None]:
        """A function that gives back what refusals have taken from the share since now: they were not of the rate."""
        return self._stream.undo_point()


class Pace:
    """Send times of one action, handed out first come, first served.

    Whoever is first in the queue sleeps until shortly before the next send time, and only then takes it; the others
    cost a future each. A waiter cancelled in its turn has taken nothing.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._turn = asyncio.Lock()
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<Pace {self._stream.rate:g}/s, {self.waiting} waiting>"

    async def reserve(self, require: Callable[[], None] = ignore) -> SendTime:
        """Wait for a turn; return a send time that is at most LEAD_S ahead.

        `require` is called before it is taken: by raising it leaves the time to the next, and `reserve` raises the
        same.
        """
        self.waiting += 1
        try:
            await self._turn.acquire()  # `async with` would keep two coroutines more for each that waits
            try:
                return await self._in_turn(require)
            finally:
                self._turn.release()
        finally:
            self.waiting -= 1

    async def _in_turn(self, require: Callable[[], None]) -> SendTime:
        loop = asyncio.get_running_loop()
        require()
        while (ahead := self._stream.due(loop.time()) - LEAD_S - loop.time()) > 0:
            # Looked at again: what goes out late meanwhile puts it off.
            await asyncio.sleep(ahead)
            require()
        return SendTime(self._stream, self._stream.take(loop.time()))

    def hold(self, seconds: float) -> None:
        """Let nothing go out for this long, by the service's word."""
        self._stream.hold_until(asyncio.get_running_loop().time() + seconds)

    @property
    def held_s(self) -> float:
        """Seconds for which nothing is to go out, by the service's word."""
        return max(0.0, self._stream.held_until - asyncio.get_running_loop().time())

    @property
    def jitter_s(self) -> float:
        """The delivery jitter that it survives."""
        return self._stream.jitter_s

    def limit_to(self, rate: float, jitter_s: float) -> None:
        """Keep this limit from now on."""
        self._stream.limit_to(rate, jitter_s)

    @property
    def rate(self) -> float:
        """Calls per second now allowed, jitter's share not yet taken."""
        return self.rate_at(asyncio.get_running_loop().time())

    def rate_at(self, now: float) -> float:
        """The rate at a moment of the loop's clock: a thread without a loop can ask as well."""
        return self._stream.rate * self._stream.share(now)
