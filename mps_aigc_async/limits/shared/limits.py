"""The limits of an account that several processes or hosts share (`protocol.Limits`), on a store of any home.

All clients of a loop that open the same store for the same account are one member of it: one heartbeat, one turn at
each pace. The retries' budget and the tempo are the loop's own.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiolimiter import AsyncLimiter

from ...concurrency.owner import TaskOwner
from ...model.errors import ClientClosed
from ...model.states import Kind
from ...policy.tempo import Adaptive
from ...sharing.looks import APART_S
from ...sharing.member import Member
from ..process.account import RETRY_BUDGET
from ..protocol import Slots
from ..settings import LimitsKey, Rates
from .availability import Availability
from .members import Members
from .pace import SharedPace
from .pace_statements import AGREE, LEAVE, STREAMS
from .slots import SharedSlots
from .store import LimitsLost, StoreDatabase
from .stream import SharedStream

_log: Final = logging.getLogger("mps_aigc_async")

LEAVE_S: Final = 3.0
"""Most seconds in which a client that closes tells the store: the user waits for the end."""


@dataclass(frozen=True, slots=True)
class Store:
    """The databases of a store: one for both in PostgreSQL, and two files on a host, because a pace's write must not
    wake who waits for a slot."""

    paces: StoreDatabase
    slots: StoreDatabase

    def hurry(self, seconds: float) -> None:
        self.paces.hurry(seconds)
        self.slots.hurry(seconds)

    async def close(self) -> None:
        await self.paces.close()
        if self.slots is not self.paces:
            await self.slots.close()


class SharedLimits:
    """A loop's part in the limits of an account."""

    def __init__(self, store: Store, key: LimitsKey, member: Member) -> None:
        self._store = store
        self._key = key
        self.work: Final = TaskOwner()
        """The owner of the reservations, slots and heartbeats, until `close`."""
        self._changes = TaskOwner()
        """The owner of the changes that all members must know of, such as a refusal: they end before `close`."""
        self.availability: Final = Availability()
        self.members: Final = Members(store.slots, self.account, member, asyncio.get_running_loop().time)
        self._slots: dict[Kind, SharedSlots] = {}
        self.retries = AsyncLimiter(*RETRY_BUDGET)
        self.tempo = Adaptive()
        self._paces: dict[str, SharedPace] = {}
        self._rates: list[Rates] = []

    def __repr__(self) -> str:
        return f"<SharedLimits of {self.account}, {len(self.members.others)} other members>"

    @property
    def account(self) -> str:
        """The key of the members and slots, in all regions."""
        return "|".join((self._key.backend, self._key.endpoint, self._key.account))

    @property
    def slots(self) -> Mapping[Kind, Slots]:
        return self._slots

    def share_slots(self, capacities: Mapping[Kind, int], wall: Callable[[], float]) -> None:
        """Share the slots of these kinds. Capacities, which a user tunes, are those of the loop's newest client.
        `wall` is the service's time."""
        for kind, capacity in capacities.items():
            if kind not in self._slots:
                self._slots[kind] = SharedSlots(
                    self._store.slots, self.account, kind, capacity, self.members.member, wall=wall, work=self.work
                )
            self._slots[kind].resize(capacity)

    @property
    def paces(self) -> dict[str, SharedPace]:
        return self._paces.copy()

    def pace(self, action: str) -> SharedPace:
        if action not in self._paces:
            stream = "|".join((self.account, self._key.region, action))
            shared = SharedStream(self._store.paces, stream, self.members.member.id, self._changes)
            self._paces[action] = SharedPace(action, shared, self.availability, lambda: self.members_count, self.work)
            self._agree()
        return self._paces[action]

    @property
    def members_count(self) -> int:
        return 1 + len(self.members.others)

    async def take_retry(self) -> None:
        await self.retries.acquire()

    def join(self, rates: Rates) -> Callable[[], None]:
        """Count a client's rates from now on; return the function that ends this. The lowest counts."""
        self._rates.append(rates)
        self._agree()

        def leave() -> None:
            if rates in self._rates and len(self._rates) > 1:  # the last client's count for its late sends
                self._rates.remove(rates)
                self._agree()

        return leave

    def _agree(self) -> None:
        for action, pace in self._paces.items():
            rate = min(rates.of(action) for rates in self._rates)
            pace.stream.limit_to(rate, max(rates.jitter_s for rates in self._rates))

    async def open(self) -> None:
        """Show this member to the others, from now on with a heartbeat. Raises LimitsLost: the caller tells of it."""
        await self._beat()
        self.work.start(self._live(), "heartbeat of the limits")

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(APART_S)
            with suppress(LimitsLost):
                await self.beat()

    async def beat(self) -> None:
        """Write one heartbeat, and take those that are gone out of the count. Raises LimitsLost."""
        try:
            await self._beat()
        except LimitsLost as error:
            self.availability.note_lost(error)
            raise

    async def _beat(self) -> None:
        was_there, gone = await self.members.beat()
        for member in gone:
            await self._take_out(member)
        for slots in self._slots.values():
            await slots.refresh()
        if self.availability.is_lost and self._store.paces is not self._store.slots:
            await self._store.paces.run()
        if not was_there:  # the others have taken this member's rates out of the count
            for pace in self._paces.values():
                pace.stream.join_again()
        self.availability.note_back()

    async def _take_out(self, member: str) -> None:
        without = {"without": member}
        [rows] = await self._store.paces.run((STREAMS, {**without}))
        for (stream,) in rows:  # one at a time: two members that lock several rows could wait for each other
            await self._store.paces.run((AGREE, {"stream": stream, **without}), (LEAVE, {"stream": stream, **without}))

    def hurry(self) -> None:
        """Give the store LEAVE_S from now on: the client closes."""
        self._store.hurry(LEAVE_S)

    async def close(self) -> None:
        """End the heartbeat and take this member out of the count. Its sends stay in the rows."""
        self.hurry()
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._tell_others()
        except TimeoutError:
            _log.warning("the limit store was not told in %g s that a client has closed: others find out", LEAVE_S)
        finally:
            for owner in (self._changes, self.work):
                await owner.close()
            await self._store.close()

    async def _tell_others(self) -> None:
        for slots in self._slots.values():
            await slots.leave()
        await self._changes.close(LEAVE_S)
        await self.work.close()  # before the row goes: a heartbeat would write it again
        with suppress(LimitsLost, ClientClosed):
            for pace in self._paces.values():
                await pace.stream.leave()
            await self.members.leave()
