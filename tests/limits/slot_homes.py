"""The three homes of the slots, for tests that hold in each: clients of one account that can be killed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.limits import Slots
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.limits.shared.host import HostDatabase
from mps_aigc_async.limits.shared.members import MEMBERS, Members
from mps_aigc_async.limits.shared.postgres import PostgresDatabase
from mps_aigc_async.limits.shared.slot_statements import SLOTS
from mps_aigc_async.limits.shared.slots import SharedSlots
from mps_aigc_async.limits.shared.store import LimitsLost, Row, Step, StoreDatabase
from mps_aigc_async.model.states import Kind
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.member import Member
from mps_aigc_async.testing import run


class AnySlots(Slots, Protocol):
    """The slots of any home."""

    def resize(self, capacity: int) -> None: ...


SCHEMAS = (MEMBERS, SLOTS)


class FragileDatabase:
    """A store that can be lost: before a transaction, or after it was committed."""

    def __init__(self, database: StoreDatabase) -> None:
        self._database = database
        self.is_lost = False
        self.loses_answers = False
        self.transactions = 0

    @property
    def generation(self) -> int:
        return self._database.generation

    @property
    def uncertainty_s(self) -> float:
        return self._database.uncertainty_s

    async def run(self, *steps: Step) -> list[list[Row]]:
        if self.is_lost:
            raise LimitsLost("the store is away")
        self.transactions += 1
        rows = await self._database.run(*steps)
        if self.loses_answers:
            self.is_lost = True
            raise LimitsLost("the answer is away")
        return rows

    @property
    def is_in_place(self) -> bool:
        return self._database.is_in_place

    def loop_time(self, store_time: float) -> float:
        return self._database.loop_time(store_time)

    async def wait_for_change(self) -> None:
        await self._database.wait_for_change()

    def hurry(self, seconds: float) -> None:
        self._database.hurry(seconds)

    async def close(self) -> None:
        await self._database.close()


@dataclass
class Client:
    """A client of a shared home, as the tests see it: its slots, and its end."""

    slots: SharedSlots
    database: FragileDatabase
    members: Members
    work: TaskOwner

    async def kill(self) -> None:
        """End the client as SIGKILL does, once the others have noticed."""
        await self.work.close()
        gone = "UPDATE mps_aigc_members SET gone_at = {now} WHERE id = %(id)s"
        await self.database.run((gone, {"id": self.members.member.id}))

    async def close(self) -> None:
        await self.slots.leave()
        await self.work.close()
        await self.members.leave()


@dataclass
class Home:
    """A home of the slots of one account, with any number of clients."""

    name: str
    place: Path | str = ""
    wall_offset: float = 0.0
    """Seconds by which the wall clock is ahead of the loop's."""
    _process: ProcessSlots | None = None
    clients: list[Client] = field(default_factory=list)
    _observer: StoreDatabase | None = None
    _databases: list[StoreDatabase] = field(default_factory=list)

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run a test: in virtual time, except on PostgreSQL."""

        if self.name == "postgres":
            self.run_for_real(main)
        else:
            run(self._whole(main))

    def run_for_real(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run a test in real time."""
        asyncio.run(self._whole(main))

    async def _whole(self, main: Callable[[], Awaitable[None]]) -> None:
        try:
            await main()
        finally:
            for client in self.clients:
                await client.work.close()
            for database in self._databases:
                await database.close()

    async def slots(self, capacity: int) -> AnySlots:
        """The slots as one more client sees them."""
        if self.name != "process":
            return (await self.client(capacity)).slots
        if self._process is None:
            self._process = ProcessSlots(capacity)
        return self._process

    async def client(self, capacity: int, member: Member | None = None) -> Client:
        """One more client of a shared home."""
        loop = asyncio.get_running_loop()
        database = FragileDatabase(await self._opened())
        self._databases.append(database)
        members = Members(database, "account", member or _member(), loop.time)
        await members.beat()
        work = TaskOwner()
        slots = SharedSlots(
            database, "account", Kind.IMAGE, capacity, members.member,
            wall=lambda: 1_700_000_000.0 + self.wall_offset + loop.time(), work=work,
        )  # fmt: skip
        self.clients.append(Client(slots, database, members, work))
        return self.clients[-1]

    async def _opened(self) -> StoreDatabase:
        if isinstance(self.place, Path):
            return await HostDatabase.open(
                self.place / "slots.sqlite", SCHEMAS, clock=asyncio.get_running_loop().time, boot="boot"
            )
        return await PostgresDatabase.open(database_url(self.place), SCHEMAS)

    async def count(self) -> int:
        """The slots that are out, as the store has them."""
        if self._observer is None:
            self._observer = await self._opened()
            self._databases.append(self._observer)
        [[(count,)]] = await self._observer.run(("SELECT count(*) FROM mps_aigc_slots", {}))
        return int(count)


def _member() -> Member:
    return Member(token_hex(8), "host", "", "", 1, "", "test")


async def settle(*all_slots: AnySlots) -> None:
    """Wait until the store has the changes of these slots, and each has seen the others'."""
    shared_slots = [slots for slots in all_slots if isinstance(slots, SharedSlots)]
    for slots in shared_slots:
        await flush(slots)
    for slots in shared_slots:
        await slots.refresh()
        await flush(slots)
    for slots in shared_slots:
        await slots.refresh()
    await turns()


async def flush(slots: SharedSlots) -> None:
    """Wait until the store has all changes."""
    while len(slots._outbox) or slots.caps.has_changes or slots._look.swept:  # noqa: ASYNC110 — the store tells nobody
        await asyncio.sleep(0)


async def turns(number: int = 20) -> None:
    """Let everything run that can run at once."""
    for _ in range(number):
        await asyncio.sleep(0)
