"""The send times of one action: never more than the limit in any second. Arithmetic only, the time is an argument.

The documented limit counts arrivals at the server. The shape of its window is not published, so the send times keep to
the strictest one: any half-open window of one second. Two rules apply to send times:

- spacing: an interval of (1 s + J)/N between sends, a stream and never a burst;
- the guard: a send comes at least 1 s + J after the N-th send before it, counted from when that one REALLY went out.

J is the delivery jitter that the network may add (25 ms by default, which leaves 97.6% of the rate; the measurements
behind it are of 2026-11). Because of the guard, a send that comes late (a blocked loop, a slow disk, a slow handshake)
needs no new reservation: it can only crowd later sends, and the guard sees its real time. A late send costs only its
own lateness. The sends after it keep their places in the stream, up to `CATCH_UP_S` closer to it than the interval. A
GCRA with that tolerance allows the same (ITU-T I.371).
"""

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Final

from .settings import DEFAULT_JITTER_S
from .share import RateShare

WINDOW_S: Final = 1.0

_SLACK: Final = 0.2
"""The share of J that a send may be late before the guard counts it. An asyncio timer fires up to a millisecond late,
and counting that would cost its share of the rate in every window."""

CATCH_UP_S: Final = 0.25
"""Most seconds that the places of the stream may lag behind the send times that the guard allows. With this tolerance,
a loop that is blocked for 100 ms every second or two uses 97.3% of the rate, without it 95% and less (each lateness
moves all sends). With more, the bunches that such a loop leaves could grow for ever."""

HAS_ROOM: Final = 0.5
"""Our own sends are few if they are at most this share of the calls that the pace allows in a window: so few cannot
have filled the limit. The share is a half, because a process that shares the limit with ours leaves us as much."""


@dataclass(slots=True)
class Send:
    """A send as the guard remembers it, on the loop's clock."""

    due: float
    sent_at: float | None = None
    had_room: bool = False
    """Whether few of our own sends were in the window that ends with this one (`HAS_ROOM`)."""

    @property
    def out_at(self) -> float:
        """The time at which it went out; before that, the time for which it is planned."""
        return self.due if self.sent_at is None else self.sent_at


class Stream:
    """The send times of one action.

    >>> stream = Stream(rate=20, jitter_s=0.025)
    >>> [round(stream.take(100.0).due - 100.0, 5) for _ in range(3)]
    [0.0, 0.05125, 0.1025]
    """

    def __init__(self, rate: float, jitter_s: float = DEFAULT_JITTER_S) -> None:
        self.lock = Lock()
        """Held by a pace in each of its steps: the loops and threads of the process share the stream."""
        self.turns: dict[object, None] = {}
        """The loops that wait for a send time, the one whose turn it is first."""
        self._recent: deque[Send] = deque()
        self._next = float("-inf")
        self.held_until = float("-inf")
        """Nothing goes out before this time: the service has asked for a pause (Retry-After)."""
        self.limit_to(rate, jitter_s)
        self._share = RateShare(self.window)

    def limit_to(self, rate: float, jitter_s: float) -> None:
        """Keep to this limit from now on, counting the sends so far and those that have a send time."""
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
        """The time of the next send, as far as is known now: at `now` or later."""
        due = max(now, self._next, self.held_until)
        if len(self._recent) < self._window_holds:
            return due
        before = self._recent[0]
        real = before.due if before.sent_at is None else max(before.due, before.sent_at - _SLACK * self.jitter_s)
        return max(due, real + self.window + self.jitter_s)

    def take(self, now: float) -> Send:
        """Take the next send time, at `now` or later."""
        due = self.due(now)
        send = Send(due, had_room=self._has_room(due, now))
        self._next = max(now, self._next, due - CATCH_UP_S) + self._interval / self.share(now)
        self._recent.append(send)
        return send

    def _has_room(self, due: float, now: float) -> bool:
        """Whether few sends are in the window that ends with one at `due`. Looking at one of them is enough, and a
        window may hold any number."""
        few = int(HAS_ROOM * self._window_holds * self.share(now))
        return few > 0 and (len(self._recent) < few or self._recent[-few].out_at <= due - self.window)

    def hold_until(self, time: float) -> None:
        """Let nothing go out before `time`, where the stream begins again. If its places lagged behind, all the
        waiters would go out in a bunch."""
        self.held_until = max(self.held_until, time)
        self._next = max(self._next, time)

    def share(self, now: float) -> float:
        """The share of the full rate in force: 1 unless the service has refused calls for their rate."""
        return self._share.at(now)

    def note_refusal(self, send: Send, now: float) -> None:
        """Slow down after the service refused a call for its rate: another process shares the limit."""
        if self._share.note_refusal(send.out_at, now):
            self._next = max(self._next, now + self._interval / self.share(now))

    def undo_point(self) -> Callable[[], None]:
        """Return a function that restores the share of now: the refusals since then were not about the rate."""
        before = copy(self._share)

        def undo() -> None:
            self._share = before

        return undo
