"""Opening a shared home of the limits: clients of a loop that open the same store for the same account are one member.

A store on this host that cannot be used is no reason to send nothing: the process's own home takes its place, after one
warning. A database that a user names by its URL is refused instead, because other hosts count on it.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from ...sharing.database_url import DatabaseUrl
from ...sharing.member import Member
from ..settings import LimitsKey, Rates
from .host import HostDatabase, default_folder
from .limits import SharedLimits, Store
from .members import MEMBERS
from .pace_statements import PACES
from .postgres import PostgresDatabase
from .slot_statements import SLOTS
from .store import LimitsLost, StoreUnusable

_log: Final = logging.getLogger("mps_aigc_async")

Place = Path | DatabaseUrl | None
"""A folder, a database, or the user's folder on this host."""


@dataclass(slots=True)
class _Member:
    limits: SharedLimits
    clients: int = 0
    staying: int = 0
    """The clients that do not close yet."""


@dataclass(frozen=True, slots=True)
class SharedPart:
    """A client's part in shared limits."""

    limits: SharedLimits
    hurry: Callable[[], None]
    """Let the store have a few seconds from now on, unless other clients of the loop stay with it."""
    leave: Callable[[], "asyncio.Task[None]"]
    """Close the part. The task ends once the store has been told; await it before the loop ends."""


class _Loop:
    """The members of one loop, by store and account."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        """Held while a member is opened or closed, so that there is one at a time of each."""
        self.members: dict[tuple[Place, LimitsKey], _Member] = {}

    def remove(self, member: _Member) -> None:
        """Let no further client join a member."""
        self.members = {name: one for name, one in self.members.items() if one is not member}


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()

_left_to_parent: Final[list[object]] = []
"""The members that a fork has copied. Their tasks belong to the parent's loop."""

_told: Final[set[str]] = set()
"""The warnings so far: a web app may open a client for each request."""


async def open_shared(place: Place, key: LimitsKey, rates: Rates) -> SharedPart | None:
    """Open a client's part in the limits of `key`. None stands for the process's own home: the host's store cannot be
    used, and a warning has said why.

    Raises StoreUnusable for a database that cannot be used, and NewerStore for a store of a later version.
    """
    part = _part()
    async with part.turn:
        member = part.members.get((place, key))
        if member is None:
            try:
                member = _Member(await _new_member(place, key))
            except StoreUnusable as error:
                if isinstance(place, DatabaseUrl):
                    raise
                _tell(str(error))
                return None
            part.members[place, key] = member
        member.clients += 1
        member.staying += 1
    leaving = _Leaving(part, member, member.limits.join(rates))
    return SharedPart(member.limits, leaving.hurry, leaving.leave)


def _part() -> _Loop:
    for loop in [loop for loop in _loops if loop.is_closed()]:  # a member refers to its loop, and would keep it
        _loops.pop(loop, None)
    return _loops.setdefault(asyncio.get_running_loop(), _Loop())


async def _new_member(place: Place, key: LimitsKey) -> SharedLimits:
    try:
        store = await open_store(place)
        limits = SharedLimits(store, key, Member.here())
        try:
            await limits.open()
        except BaseException:
            await limits.close()
            raise
    except LimitsLost as error:
        raise StoreUnusable(str(error)) from None
    return limits


async def open_store(place: Place) -> Store:
    """Open the databases of a store. Raises StoreUnusable, NewerStore or LimitsLost."""
    if isinstance(place, DatabaseUrl):
        database = await PostgresDatabase.open(place, (PACES, MEMBERS, SLOTS))
        return Store(database, database)
    folder = place or default_folder()
    clock = asyncio.get_running_loop().time
    paces = await HostDatabase.open(folder / "paces.sqlite", (PACES,), clock=clock)
    try:
        return Store(paces, await HostDatabase.open(folder / "slots.sqlite", (MEMBERS, SLOTS), clock=clock))
    except BaseException:
        await paces.close()
        raise


class _Leaving:
    """Closes a client's part once, and the member with the last one."""

    def __init__(self, part: _Loop, member: _Member, end_rates: Callable[[], None]) -> None:
        self._part = part
        self._member = member
        self._end_rates = end_rates
        self._is_staying = True
        self._task: asyncio.Task[None] | None = None

    def hurry(self) -> None:
        if not self._is_staying:
            return
        self._is_staying = False
        self._member.staying -= 1
        if not self._member.staying:  # a client that opens from now on is another member, with patience
            self._part.remove(self._member)
            self._member.limits.hurry()

    def leave(self) -> "asyncio.Task[None]":
        if self._task is None:
            self.hurry()
            self._end_rates()
            self._task = asyncio.create_task(self._leave(), name="leaving shared limits")
        return self._task

    async def _leave(self) -> None:
        async with self._part.turn:
            self._member.clients -= 1
            if not self._member.clients:
                await self._member.limits.close()


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        _log.warning("%s; until then this process alone keeps to the limits, without the others", text)


def _begin_anew() -> None:
    _left_to_parent.append(dict(_loops))
    _loops.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
