"""A simulation of two processes at the same limit: our stream, saturated, and a stranger that ignores it.

Pure arithmetic with a seed: the server's window is the strictest possible, calls arrive late by a random jitter, and
the answer to a refused call takes a while.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random

from mps_aigc_async.emulator.tasks.window import Window
from mps_aigc_async.limits import DEFAULT_JITTER_S, LEAD_S
from mps_aigc_async.limits.stream import Send, Stream

COMES_S, LEAVES_S, ENDS_S = 20.0, 140.0, 240.0
SETTLED_S = 10.0
"""Seconds after the stranger's coming at which the count begins."""
LATENCY_S = (0.02, 0.1)


@dataclass(frozen=True)
class Stranger:
    share: float = 0.5
    at_once: int = 1
    """Calls in each of its bursts; 1 is a steady stream."""


@dataclass(frozen=True)
class Outcome:
    used_share: float
    """Our accepted calls, as a share of the calls that the stranger leaves us, from SETTLED_S on while it is there."""
    refused_share: float
    """Our refused calls, as a share of our calls in the same time."""
    back_after_s: float
    """Seconds from the stranger's leaving until 95% of our full pace is accepted."""


class Simulation:
    """The events in order of time. An event is a moment, a tie-breaker and an action."""

    def __init__(self, rate: int, stranger: Stranger, jitter_s: float, seed: int) -> None:
        self._rate, self._stranger, self._jitter_s = rate, stranger, jitter_s
        self._random = Random(seed)
        self._stream = Stream(rate)
        self._window = Window(rate)
        self._events: list[tuple[float, int, Callable[[float], object]]] = []
        self._ties = count()
        self._answers: list[tuple[float, bool]] = []

    def run(self) -> Outcome:
        self._at(0.0, self._take)
        self._at(COMES_S + self._random.random() / self._rate, self._burst)
        while self._events[0][0] < ENDS_S:
            time, _, happen = heapq.heappop(self._events)
            happen(time)
        return self._outcome()

    def _at(self, time: float, happen: Callable[[float], object]) -> None:
        heapq.heappush(self._events, (time, next(self._ties), happen))

    def _take(self, now: float) -> None:
        send = self._stream.take(now)
        self._at(send.due, lambda time: self._send(send, time))
        self._at(max(now, send.due - LEAD_S), self._take)

    def _send(self, send: Send, now: float) -> None:
        send.sent_at = now
        self._at(now + self._random.uniform(0, self._jitter_s), lambda time: self._arrive(send, time))

    def _arrive(self, send: Send, now: float) -> None:
        is_accepted = self._window.admit(now)
        self._answers.append((now, is_accepted))
        if not is_accepted:
            self._at(now + self._random.uniform(*LATENCY_S), lambda time: self._stream.note_refusal(send, time))

    def _burst(self, now: float) -> None:
        for _ in range(self._stranger.at_once):
            self._at(now + self._random.uniform(0, self._jitter_s), self._window.admit)
        if now < LEAVES_S:
            self._at(now + self._stranger.at_once / (self._rate * self._stranger.share), self._burst)

    def _outcome(self) -> Outcome:
        since = COMES_S + SETTLED_S
        answers = [is_accepted for time, is_accepted in self._answers if since <= time < LEAVES_S]
        left = self._rate * (1 - self._stranger.share) * (LEAVES_S - since)
        return Outcome(sum(answers) / left, 1 - sum(answers) / len(answers), self._back_after_s())

    def _back_after_s(self) -> float:
        """By stretches of 5 s."""
        full = 0.95 * self._rate / (1 + DEFAULT_JITTER_S)
        begins = (LEAVES_S + second for second in range(int(ENDS_S - LEAVES_S) - 5))
        return next(
            (begin - LEAVES_S for begin in begins if self._accepted(begin, begin + 5) >= 5 * full), float("inf")
        )

    def _accepted(self, begin: float, end: float) -> int:
        return sum(is_accepted for time, is_accepted in self._answers if begin <= time < end)
