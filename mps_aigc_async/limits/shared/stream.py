"""A member's part in a stream of send times that members share: each step is a transaction of the store."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ...concurrency.owner import TaskOwner
from ...model.errors import ClientClosed
from ..share import RateShare, ShareState
from ..stream import HAS_ROOM, WINDOW_S, Send
from .pace_statements import AGREE, BEGIN, CUT, DELAY, HOLD, JOIN, LATE_S, LEAVE, LOOK, RESERVE
from .store import LimitsLost, Row, Step, StoreDatabase, Value

TOLERANCE: Final = 0.2
"""The share of J that a send may be late before the others must wait for it, and that the store's time may be
uncertain. With both at both ends of a window, 2/5 of J are left for the network."""

PUT_OFF: Final = 0.6
"""The share of J that a send may be late, if the others wait for it (`pace_statements.DELAY`). Of four processes that
saturate two cores, 1 to 1.7% of the sends are over J/5 late, nearly all below 3/5 (measured 2026-11)."""

CATCH_UP_S: Final = LATE_S / 2
"""Most seconds that the row's times may lag behind those that the guard of a lone member allows
(`stream.CATCH_UP_S`)."""

LEAST_JITTER_S: Final = 0.01
"""The least J among members: timers of asyncio fire up to a millisecond late."""

MOST_JITTER_S: Final = 1.0
"""The most J that a member takes for itself."""

WIDER_S: Final = 60.0
"""Seconds for which a member keeps to a larger J after late sends. Without it, a loop that is always 10 ms late would
never send: each of its send times would be void."""

_SAMPLES: Final = 3
"""Answers with the store's time that are asked for before J is widened."""

_MOST_AHEAD_S: Final = 0.2
"""Most seconds that a send time is put off because answers of the store take so long."""


@dataclass(frozen=True, slots=True)
class View:
    """The row of a stream, as one transaction has seen it. Times are of the store's clock."""

    due: float
    now: float
    rate: float
    jitter_s: float
    held_until: float
    share: ShareState
    version: int
    is_lone: bool

    @classmethod
    def of(cls, row: Row) -> "View":
        due, now, rate, jitter_s, held_until, flat_at, cut, cut_at, version, is_lone = row
        return cls(due, now, rate, jitter_s, held_until, ShareState(flat_at, cut, cut_at), version, bool(is_lone))

    @property
    def window(self) -> float:
        return WINDOW_S * max(1.0, 1.0 / self.rate)

    @property
    def holds(self) -> int:
        """The calls that a window may hold."""
        return max(1, int(self.rate))

    @property
    def free_s(self) -> float:
        """Most seconds that a send may be late without a word to the others."""
        return LATE_S if self.is_lone else TOLERANCE * self.jitter_s

    @property
    def late_s(self) -> float:
        """Most seconds that a send may be late. The others can wait for it only if the N-th place after it is free
        still, when it goes out: if the places taken reach over less than half a window."""
        next_one = self.due + (self.window + self.jitter_s) / max(1.0, self.rate)
        can_be_put_off = next_one - self.now < self.window / 2
        return max(self.free_s, PUT_OFF * self.jitter_s if can_be_put_off else 0.0)

    def share_at(self, store_time: float) -> float:
        return RateShare(self.window, self.share).at(store_time)


@dataclass(slots=True, eq=False)
class SharedSend(Send):
    """A reserved send time, on the loop's clock."""

    generation: int = 0
    free_s: float = 0.0
    """The seconds that it may be late, or that the others wait for already."""
    late_s: float = 0.0
    before: "SharedSend | None" = None
    """The N-th send of this member before it; dropped with the send itself, because each would keep another alive."""


class SharedStream:
    """The stream of one action, for the clients in a loop."""

    def __init__(self, database: StoreDatabase, stream: str, member: str, work: TaskOwner) -> None:
        """`work` owns the changes for all members."""
        self._database = database
        self._stream = stream
        self._member = member
        self._work = work
        self._rate = 0.0
        self._jitter_s = 0.0
        self._wider_s = 0.0
        """A J above the config's, while the loop or the store is slow."""
        self._wider_until = float("-inf")
        self._joined: tuple[int, float, float] | None = None
        """The generation, rate and J with which the row of this member was written."""
        self._is_fresh = False
        """Whether earlier sends are unknown to the row: the next one waits a window."""
        self._answer_s = 0.0
        self._held_until = float("-inf")
        self._recent: deque[SharedSend] = deque()
        self._changes = asyncio.Lock()
        self._own_changes = 0
        self.view: View | None = None

    def limit_to(self, rate: float, jitter_s: float) -> None:
        """Keep to these from the next reservation on."""
        self._rate, self._jitter_s = rate, max(jitter_s, LEAST_JITTER_S)

    def join_again(self) -> None:
        """Write this member's rate again: others took it out of the count."""
        self._joined = None

    def begin_anew(self) -> None:
        """Wait a window before the next send: the row does not know of all sends."""
        self._is_fresh, self._joined = True, None

    # ---- figures: any thread may ask

    @property
    def limit(self) -> float:
        """Calls per second without the share."""
        return self._rate if self.view is None else self.view.rate

    @property
    def window(self) -> float:
        return WINDOW_S * max(1.0, 1.0 / self.limit)

    def share(self, now: float) -> float:
        """The share at a time of the loop's clock."""
        return 1.0 if self.view is None else self.view.share_at(self._store_time(now))

    @property
    def held_until(self) -> float:
        """The end of the latest pause, on the loop's clock."""
        return self._held_until

    def _store_time(self, loop_time: float) -> float:
        return loop_time - self._database.loop_time(0.0)

    # ---- reservations

    async def reserve(self) -> SharedSend:
        """Reserve the next send time. Raises LimitsLost."""
        while True:
            await self._join()
            row = await self._reserve_row()
            if row is None:
                await self._begin_row()
                continue
            view = self._see(row)
            if self._joined is None or self._joined[0] != self._database.generation:
                continue
            if await self._can_be_told(view):
                self._is_fresh = False
                return self._send(view)
            self._widen(1.2 * self._database.uncertainty_s / TOLERANCE)

    async def _can_be_told(self, view: View) -> bool:
        """Whether a time of the store can be told on the loop's clock as exactly as the row's J asks."""
        for _ in range(_SAMPLES):
            if self._database.uncertainty_s <= TOLERANCE * view.jitter_s:
                return True
            await self._database.run()  # an answer with the time alone is quicker
        return self._database.uncertainty_s <= TOLERANCE * view.jitter_s

    async def _reserve_row(self) -> Row | None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        ahead = self._answer_s + (self._fresh_s if self._is_fresh else 0.0)
        values: dict[str, Value] = {"floor": self._floor(), "ahead": ahead, "member": self._member}
        [rows] = await self._database.run(self._step(RESERVE, **values))
        self._answer_s = min(_MOST_AHEAD_S, max(loop.time() - before, 0.8 * self._answer_s))
        return rows[0] if rows else None

    def _floor(self) -> float:
        """The store's time before which the own sends and pauses forbid a send."""
        view = self.view
        before = self._recent[-view.holds] if view is not None and len(self._recent) >= view.holds else None
        guard = self.guard(before) - (CATCH_UP_S if view is not None and view.is_lone else 0.0)
        return max(-1e9, self._store_time(max(guard, self._held_until)))

    @property
    def _fresh_s(self) -> float:
        return self.window + self._jitter_s

    async def _join(self) -> None:
        """Tell the store this member's rate, if it does not know it."""
        database, now = self._database, asyncio.get_running_loop().time()
        if now > self._wider_until:
            self._wider_s = 0.0
        jitter_s = max(self._jitter_s, self._wider_s)
        if self._joined == (database.generation, self._rate, jitter_s):
            return
        if self._joined is not None and self._joined[0] != database.generation:
            self._is_fresh = True
        generation = database.generation
        mine: dict[str, Value] = {"member": self._member, "rate": self._rate, "jitter_s": jitter_s}
        window = WINDOW_S * max(1.0, 1.0 / self._rate)
        await database.run(
            self._step(JOIN, **mine),
            self._step(BEGIN, rate=self._rate, jitter_s=jitter_s, window=window),
            self._step(AGREE, without=""),
        )
        self._joined = (generation, self._rate, jitter_s)

    async def _begin_row(self) -> None:
        """Begin the stream anew: its row was lost. Raises LimitsLost if there is none after that either."""
        self.begin_anew()
        await self._join()
        [rows] = await self._database.run(self._step(LOOK))
        if not rows:
            raise LimitsLost(f"the limit store keeps no rows ({self._stream}): its tables were damaged")

    def _see(self, row: Row) -> View:
        self.view = view = View.of(row)
        self._held_until = max(self._held_until, self._database.loop_time(view.held_until))
        return view

    def _send(self, view: View) -> SharedSend:
        due = self._database.loop_time(view.due)
        send = SharedSend(
            due,
            generation=self._database.generation,
            free_s=view.free_s,
            late_s=view.late_s,
            before=self._recent[-view.holds] if len(self._recent) >= view.holds else None,
            had_room=self._has_room(view, due),
        )
        self._recent.append(send)
        while len(self._recent) > view.holds:
            self._recent.popleft()
        return send

    def guard(self, before: SharedSend | None) -> float:
        """The time from which on the N-th send before allows another one (`stream.Stream.due`)."""
        view = self.view
        if view is None or before is None:
            return float("-inf")
        late_s = TOLERANCE * view.jitter_s
        real = before.due if before.sent_at is None else max(before.due, before.sent_at - late_s)
        return real + view.window + view.jitter_s

    def _has_room(self, view: View, due: float) -> bool:
        few = int(HAS_ROOM * view.holds * view.share_at(view.now))
        return few > 0 and (len(self._recent) < few or self._recent[-few].out_at <= due - view.window)

    def is_void(self, send: SharedSend) -> bool:
        """Whether the store has forgotten the reservation."""
        return send.generation != self._database.generation or not self._database.is_in_place

    def drop(self, send: SharedSend) -> None:
        """Forget a send time that nobody will use."""
        send.before = None
        with suppress(ValueError):
            self._recent.remove(send)

    def allow_for(self, late_s: float) -> None:
        """Take a larger J, because a send was so late again. A J that grows by steps is not blown up by one stall."""
        self._widen(min(1.2 * late_s / TOLERANCE, 2 * max(self._jitter_s, self._wider_s)))

    def note_sent(self, send: SharedSend) -> None:
        """Note that a send goes out now. If it is late, the later ones of all members wait for it. A later moment may
        be noted again: they wait for the difference."""
        send.sent_at = asyncio.get_running_loop().time()
        send.before = None
        late_s = send.sent_at - send.due - send.free_s
        if late_s > 0:
            send.free_s += late_s
            self._start(partial(self._change, self._step(DELAY, late=late_s)))

    def _widen(self, jitter_s: float) -> None:
        self._wider_s = max(self._wider_s, min(MOST_JITTER_S, jitter_s))
        self._wider_until = asyncio.get_running_loop().time() + WIDER_S

    # ---- changes for all members, in their order

    def hold(self, seconds: float) -> None:
        """Let no member send for this many seconds."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)
        self._start(partial(self._change, self._step(HOLD, seconds=seconds)))

    async def _change(self, step: Step) -> bool:
        [rows] = await self._database.run(step)
        return bool(rows)

    def note_refusal(self, send: Send) -> None:
        """Slow all members down after the service refused a call for its rate."""
        self._start(partial(self._cut, send.out_at))

    async def _cut(self, sent_at: float) -> None:
        async with self._changes:
            while True:
                [rows] = await self._database.run(self._step(LOOK))
                if not rows:  # lost: the next reservation begins the row
                    return
                view = self._see(rows[0])
                share = RateShare(view.window, view.share)
                if not share.note_refusal(self._store_time(sent_at), view.now):
                    return
                if await self._store(share.state, view.version, 1.0 / share.at(view.now)):
                    return

    def undo_point(self) -> Callable[[], None]:
        """Return a function that restores the share of now, if nobody else has changed it since."""
        before, own_changes = self.view, self._own_changes

        def undo() -> None:
            if before is not None:
                self._start(partial(self._restore, before, own_changes))

        return undo

    async def _restore(self, before: View, own_changes: int) -> None:
        async with self._changes:
            if changes := self._own_changes - own_changes:
                await self._store(before.share, before.version + changes, 0.0)

    async def _store(self, share: ShareState, version: int, pause: float) -> bool:
        """Store a share; return False if another member has changed it since this version."""
        values: dict[str, Value] = {"flat_at": share.flat_at, "cut": share.cut, "cut_at": share.cut_at}
        if not await self._change(self._step(CUT, **values, version=version, pause=pause)):
            return False
        self._own_changes += 1
        if self.view is not None:
            self.view = replace(self.view, share=share, version=version + 1)
        return True

    def _start(self, change: Callable[[], Awaitable[object]]) -> None:
        """Make a change in a task. Not a coroutine, which would warn if the task is cancelled before it begins."""
        with suppress(ClientClosed):
            self._work.start(_unless_lost(change), "change of a shared pace")

    def _step(self, statement: str, **values: Value) -> Step:
        return statement, {"stream": self._stream, **values}

    async def leave(self) -> None:
        """Take this member's rate out of the count. Raises LimitsLost."""
        if self._joined is not None:
            without: dict[str, Value] = {"without": self._member}
            await self._database.run(self._step(AGREE, **without), self._step(LEAVE, **without))


async def _unless_lost(change: Callable[[], Awaitable[object]]) -> None:
    with suppress(LimitsLost):  # its end is noticed by the next reservation
        await change()
