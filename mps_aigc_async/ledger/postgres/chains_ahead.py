"""The chains of one member that run ahead of a later step, or wait to, among those of all members of its ledger.

`ahead_statements` has the table and the rule. A single task works for all chains of the member: it looks for room once
a second while chains wait, writes the news at once, and sleeps while there are neither.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ...concurrency.callbacks import ignore
from ...concurrency.home import Home
from ...concurrency.owner import TaskOwner
from ...model.errors import LedgerError
from ...model.states import Kind
from ...sharing.connection import Step, Value
from ..commits import LAST_TRY_S
from ..protocol import UNBOUNDED
from .ahead_statements import ADVANCE, END, ENTER, IS_NEWS, LEAVE, LOCK, READ
from .members import Members
from .moves import Place
from .patience import PatientConnection
from .schema import DURABLE

LOOK_S: Final = 1.0
"""Seconds between two looks for room, while chains wait."""

Key: TypeAlias = tuple[str, Kind]
"""A chain by its request's name, and the kind of the step that it runs ahead of."""


@dataclass(slots=True, eq=False)
class _Waiting:
    key: Key
    most: Callable[[], int]
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ChainsAhead:
    """The chains of one member."""

    def __init__(self, database: PatientConnection, members: Members, place: Place) -> None:
        self._database = database
        self._members = members
        self._place = place
        self._home = Home.here()
        self._work = TaskOwner()
        self._news = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._standing: dict[Key, int] = {}
        """The chains whose rows waited after the latest writing, each with the most chains that its row tells."""
        self._running = Counter[Key]()
        """The chains that run ahead: two callers of one request count twice."""
        self._begun: set[Key] = set()
        """The part of them whose first step has begun."""
        self._to_enter: set[Key] = set()
        """Chains that have begun, and were left to others because this member was taken for gone."""
        self._to_end: set[Key] = set()
        self._to_leave: set[Key] = set()
        self._is_closed = False
        members.on_return = self._return

    async def run_ahead(self, name: str, kind: Kind, most: Callable[[], int]) -> None:
        """Wait until the chain may run ahead: `Ledger.run_ahead`."""
        if self._is_closed:
            raise LedgerError(f"cannot use the ledger {self._place.ledger}: it is closed")
        waiting = _Waiting((name, kind), most)
        self._waiting.append(waiting)
        self._tell()
        try:
            await waiting.turn
        except BaseException:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                self._forget(waiting.key, self._to_end)
            elif waiting.turn.done() and not waiting.turn.cancelled() and waiting.turn.exception() is None:
                self.leave_ahead(name, kind)  # cancelled in the same turn of the loop
            raise

    def begin(self, name: str, ahead_of: Collection[Kind]) -> None:
        """Note that the first step of a chain is claimed."""
        self._begun.update((name, kind) for kind in ahead_of if (name, kind) in self._running)

    def end_ahead(self, name: str, kind: Kind) -> None:
        """The chain runs ahead no more: `Ledger.end_ahead`."""
        self._stop((name, kind), self._to_end)

    def leave_ahead(self, name: str, kind: Kind) -> None:
        """Leave the chain to others: `Ledger.leave_ahead`."""
        self._stop((name, kind), self._to_leave)

    def _stop(self, key: Key, news: set[Key]) -> None:
        self._running[key] -= 1
        if self._running[key] <= 0:
            del self._running[key]
            self._begun.discard(key)
            self._forget(key, news)

    def _forget(self, key: Key, news: set[Key]) -> None:
        """Have a chain's row changed, unless another caller runs the same chain."""
        self._to_enter.discard(key)
        if key not in self._running and all(waiting.key != key for waiting in self._waiting):
            news.add(key)
            self._tell()

    def _return(self) -> None:
        """Enter the chains again that have begun: others have taken this member for gone. The claim of any other chain
        finds that it does not run ahead any more."""
        self._to_enter |= self._begun
        self._tell()

    def _tell(self) -> None:
        if self._is_closed or not self._home.is_here:  # chains of a loop that has ended are left to other members
            return
        self._news.set()
        if not len(self._work):
            self._work.start(self._run(), "chains ahead")

    # --- the looks ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._has_news or not self._is_closed:
                self._news.clear()
                if self._has_news or self._waiting:
                    await self._try_to_look()
                if not self._is_closed:
                    await self._pause()
        finally:  # its loop ends, perhaps before the ledger is closed
            self.stop()

    async def _pause(self) -> None:
        """Wait for news, or for the next look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S if self._waiting else None):
                await self._news.wait()

    @property
    def _has_news(self) -> bool:
        return bool(self._to_enter or self._to_end or self._to_leave)

    async def _try_to_look(self) -> None:
        try:
            await self._look()
        except Exception as error:  # noqa: BLE001 — the chains must get an error of any class, or they wait for ever
            self._fail(str(error))

    async def _look(self) -> None:
        """Write the news, and let the chains run ahead whose turn it is."""
        waiting = {one.key: one.most() for one in self._waiting}
        if not self._has_news and waiting == self._standing and not await self._is_news(waiting):
            return
        ends, self._to_end = self._to_end, set()
        leaves, self._to_leave = self._to_leave, set()
        entries = dict.fromkeys(self._to_enter, UNBOUNDED) | waiting
        self._to_enter = set()
        beat = self._members.beat()
        steps = [
            *self._steps(dict.fromkeys(ends - entries.keys(), 0), END),
            *self._steps(dict.fromkeys(leaves - entries.keys(), 0), LEAVE),
            *self._steps(entries, ENTER, ADVANCE, READ),
        ]
        _, era, _, *answers = await self._database.run(DURABLE, beat.step, (LOCK, self._place.keys), *steps)
        beat.note(era)
        ahead = {(str(name), Kind(kind)) for rows in answers for name, kind in rows}
        self._standing = {key: most for key, most in waiting.items() if key not in ahead}
        self._let_run(ahead)

    async def _is_news(self, waiting: Mapping[Key, int]) -> bool:
        """Whether the rows of these chains ask for something else than waiting."""
        answers = await self._database.run(*self._steps(waiting, IS_NEWS))
        return any(is_news for [(is_news,)] in answers)

    def _steps(self, chains: Mapping[Key, int], *statements: str) -> Iterator[Step]:
        """The statements on these chains, each with the most chains that may run ahead with it."""
        for kind in Kind:
            mosts = {name: str(most) for (name, of_kind), most in chains.items() if of_kind is kind}
            lists: Mapping[str, Value] = {"kind": kind.value, "names": list(mosts), "mosts": list(mosts.values())}
            if mosts:
                yield from ((statement, {**self._place.keys, **lists}) for statement in statements)

    def _let_run(self, ahead: set[Key]) -> None:
        still = [one for one in self._waiting if one.key not in ahead]
        going, self._waiting = [one for one in self._waiting if one.key in ahead], still
        for one in going:
            self._running[one.key] += 1
            if one.most() >= UNBOUNDED:
                self._begun.add(one.key)
            if one.turn.cancelled():
                self.leave_ahead(*one.key)
            else:
                one.turn.set_result(None)

    def _fail(self, why: str) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.turn.done():
                one.turn.set_exception(LedgerError(f"cannot use the ledger {self._place.ledger}: {why}"))

    # --- the end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take no news any more: the member leaves its chains to others."""
        self._is_closed = True
        self._members.on_return = ignore

    async def close(self) -> None:
        """Write the news, if the database answers soon, and end the looks."""
        self.stop()
        self._fail("it is closed")
        self._news.set()
        await self._work.close(LAST_TRY_S)
