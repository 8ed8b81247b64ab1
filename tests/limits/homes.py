"""The homes of the limits for tests: what several processes or hosts would open, opened several times in one loop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mps_aigc_async.limits import Limits, LimitsKey, Pace, Rates
from mps_aigc_async.limits.process.account import AccountLimits
from mps_aigc_async.limits.shared.host import HostDatabase
from mps_aigc_async.limits.shared.limits import SharedLimits, Store
from mps_aigc_async.limits.shared.members import MEMBERS
from mps_aigc_async.limits.shared.pace_statements import PACES
from mps_aigc_async.limits.shared.postgres import PostgresDatabase
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.member import Member
from mps_aigc_async.testing import run

T = TypeVar("T")
KEY = LimitsKey("mps", "https://mps.example", "account")
ACTION = "CreateAigcImageTask"


class Home(Protocol):
    """A home that members can open."""

    is_virtual: bool
    """Whether its time is virtual."""

    async def member(self, rate: float, jitter_s: float = 0.025) -> Limits:
        """One more member, which stays open until the end of `run`."""
        ...

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T: ...


@dataclass
class Process:
    is_virtual: bool = True

    async def member(self, rate: float, jitter_s: float = 0.025) -> Limits:
        return AccountLimits(Rates(rate, jitter_s=jitter_s), {}, key=KEY)

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return run(main())


@dataclass
class Shared:
    """Members that share a store."""

    is_virtual: bool
    _open_members: list[SharedLimits] = field(default_factory=list)

    async def store(self) -> Store:
        raise NotImplementedError

    async def member(self, rate: float, jitter_s: float = 0.025) -> SharedLimits:
        limits = SharedLimits(await self.store(), KEY, Member.here())
        limits.join(Rates(rate, jitter_s=jitter_s))
        await limits.open()
        self._open_members.append(limits)
        return limits

    async def close(self) -> None:
        while self._open_members:
            await self._open_members.pop().close()

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def whole() -> T:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self.close)
                return await main()

        return run(whole()) if self.is_virtual else asyncio.run(whole())


class Host(Shared):
    """SQLite files, in virtual time: one clock for all members."""

    def __init__(self, folder: Path) -> None:
        super().__init__(is_virtual=True)
        self.folder = folder

    async def store(self) -> Store:
        clock = asyncio.get_running_loop().time
        return Store(
            await HostDatabase.open(self.folder / "paces.sqlite", [PACES], clock=clock, boot="boot"),
            await HostDatabase.open(self.folder / "slots.sqlite", [MEMBERS], clock=clock, boot="boot"),
        )


class Postgres(Shared):
    """A real server, in real time."""

    def __init__(self, url: str) -> None:
        super().__init__(is_virtual=False)
        self.url = url

    async def store(self) -> Store:
        database = await PostgresDatabase.open(database_url(self.url), [PACES, MEMBERS])
        return Store(database, database)


async def sends(pace: Pace, count: int, prepare: Callable[[], Awaitable[None]] | None = None) -> list[float]:
    """The times of so many sends, one after the other."""
    times = list[float]()
    for _ in range(count):
        send_time = await pace.reserve()
        if prepare is not None:
            await prepare()
        await send_time.reach()
        times.append(asyncio.get_running_loop().time())
    return times


async def saturated(paces: list[Pace], count: int, senders: int = 8) -> list[list[float]]:
    """The times of the sends of each pace: some senders on each, until there are `count` sends in all."""
    times: list[list[float]] = [[] for _ in paces]
    enough = asyncio.Event()

    async def send(number: int) -> None:
        while True:
            times[number] += await sends(paces[number], 1)
            if sum(map(len, times)) >= count:
                enough.set()

    tasks = [asyncio.create_task(send(number)) for number in range(len(paces)) for _ in range(senders)]
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return times
