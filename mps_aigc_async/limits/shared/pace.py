"""The pace of one action among several processes or hosts (`protocol.Pace`).

In each loop the first waiter reserves a send time at once, so that the members get theirs in the order in which they
ask. The waiter sleeps until shortly before the time, and hands it over. A waiter that is cancelled leaves the
reservation to the next one.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from ...concurrency.callbacks import ignore
from ...concurrency.owner import TaskOwner
from ...model.errors import ClientClosed
from ...model.states import Ending
from ...wire.dialect import is_read
from ..process.pace import ProcessPace
from ..protocol import LEAD_S, HeldBack, PaceFigures, SendTime
from ..send_facts import SendFacts
from ..stream import Stream
from .availability import Availability
from .store import LimitsLost
from .stream import SharedSend, SharedStream


class SharedSendTime(SendFacts[SharedSend, SharedStream]):
    """Permission for one send (`protocol.SendTime`), where others send too."""

    __slots__ = ("_availability", "_is_late_again")

    def __init__(self, stream: SharedStream, send: SharedSend, availability: Availability) -> None:
        super().__init__(stream, send)
        self._availability = availability
        self._is_late_again = False

    async def reach(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            late, held_s = loop.time() - self._send.due, self._stream.held_until - loop.time()
            if held_s > LEAD_S and self._send.due < self._stream.held_until:
                raise HeldBack("not sent: the service has asked to wait", ending=Ending.NEVER_DELIVERED)
            if is_unusable(self._stream, self._send, loop.time()):
                await self._reserve_again(late)
            elif (ahead := max(self._send.due, self._stream.guard(self._send.before)) - loop.time()) > 0:
                await asyncio.sleep(ahead)
            else:
                self._confirm()
                self._stream.note_sent(self._send)
                return

    def note_sent(self) -> None:
        self._stream.note_sent(self._send)

    async def _reserve_again(self, late: float) -> None:
        """Take another send time ahead of all waiters: the prepared intent and signature must not grow old."""
        if late > self._send.late_s:
            if self._is_late_again:
                self._stream.allow_for(late)
            self._is_late_again = True
        self._stream.drop(self._send)
        try:
            self._send = await self._stream.reserve()
        except LimitsLost as error:
            self._availability.note_lost(error)
            raise HeldBack(f"not sent: {error}", ending=Ending.NEVER_DELIVERED) from None

    def note_refusal(self) -> None:
        self._stream.note_refusal(self._send)

    def undo_point(self) -> Callable[[], None]:
        return self._stream.undo_point()


def is_unusable(stream: SharedStream, send: SharedSend, now: float) -> bool:
    """Whether a send at `now`, or at its later time, would be against the limit or a pause."""
    return now - send.due > send.late_s or send.due < stream.held_until or stream.is_void(send)


class SharedPace:
    """The send times of one action for the clients of a loop, first come, first served."""

    def __init__(
        self,
        action: str,
        stream: SharedStream,
        availability: Availability,
        members: Callable[[], int],
        work: TaskOwner,
    ) -> None:
        """`members` tells how many members the account has: so many share the rate while the store is lost."""
        self._reads = is_read(action)
        self.stream: Final = stream
        self._availability = availability
        self._members = members
        self._work = work
        self._turn = asyncio.Lock()
        self._reservation: asyncio.Task[SharedSend] | None = None
        """Taken by a waiter, and not handed over yet."""
        self._alone: ProcessPace | None = None
        """The pace while the store is lost."""
        self._losses = availability.losses
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<SharedPace {self.stream.limit:g}/s, {self._waiting} waiting>"

    async def reserve(self, require: Callable[[], None] = ignore) -> SendTime:
        self._waiting += 1
        try:
            await self._turn.acquire()
            try:
                return await self._in_turn(require)
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1

    async def _in_turn(self, require: Callable[[], None]) -> SendTime:
        require()
        while True:
            try:
                if self._availability.is_lost:
                    if self._reads:
                        return await self._pace_alone().reserve(require)
                    await self._availability.until_back()
                    require()
                send = await self._reserved()
            except LimitsLost as error:
                self._availability.note_lost(error)
                continue
            ahead = send.due - LEAD_S - asyncio.get_running_loop().time()
            if ahead > 0:
                await asyncio.sleep(ahead)
                require()
            self._reservation = None
            if not is_unusable(self.stream, send, asyncio.get_running_loop().time()):
                return SharedSendTime(self.stream, send, self._availability)
            self.stream.drop(send)

    async def _reserved(self) -> SharedSend:
        """The reservation that an earlier waiter has left, or a new one. Raises LimitsLost."""
        if self._losses != self._availability.losses:
            self._losses, self._alone, self._reservation = self._availability.losses, None, None
            self.stream.begin_anew()  # the sends meanwhile are in no row
        if self._reservation is None:
            self._reservation = self._work.start(self.stream.reserve(), "reservation of a send time")
        reservation = self._reservation
        try:
            await asyncio.wait({reservation})
        finally:
            if reservation.done() and (reservation.cancelled() or reservation.exception()):
                self._reservation = None
        if reservation.cancelled():
            raise ClientClosed("the client was closed before this was sent")
        return reservation.result()

    def _pace_alone(self) -> ProcessPace:
        """A pace of this member's part, while nobody can tell the members' sends."""
        if self._alone is None:
            self._alone = ProcessPace(Stream(self.stream.limit / max(1, self._members())))
        return self._alone

    def hold(self, seconds: float) -> None:
        self.stream.hold(seconds)
        if self._alone is not None:
            self._alone.hold(seconds)

    def rate(self, now: float) -> float:
        return self.stream.limit * self.stream.share(now)

    def figures(self, now: float) -> PaceFigures:
        return PaceFigures(self.rate(now), self._waiting, max(0.0, self.stream.held_until - now))
