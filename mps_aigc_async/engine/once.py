"""Things that are opened once, for all callers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from ..concurrency.owner import TaskOwner
from ..model.errors import LedgerError
from .ledgers import LedgerPlace

T = TypeVar("T")


class OncePerPlace(Generic[T]):
    """Opens one thing for each place: the first caller starts the opening, and a cancelled caller does not end it."""

    def __init__(self, owner: TaskOwner, open_it: Callable[[LedgerPlace | None], Coroutine[Any, Any, T]]) -> None:
        self._owner = owner
        self._open_it = open_it
        self._openings: dict[LedgerPlace | None, asyncio.Task[T]] = {}

    async def get(self, place: LedgerPlace | None) -> T:
        """The thing of a place. After a LedgerError the next caller retries: the fault may be fixed by then."""
        if place not in self._openings:
            self._openings[place] = self._owner.start(self._open_it(place), f"open {place}")
        opening = self._openings[place]
        try:
            return await asyncio.shield(opening)
        except LedgerError:
            if self._openings.get(place) is opening:  # another caller may have begun the next opening already
                del self._openings[place]
            raise

    def ready_at(self, place: LedgerPlace | None) -> T | None:
        """The thing of a place, if it is open by now."""
        opening = self._openings.get(place)
        is_open = opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None
        return opening.result() if opening is not None and is_open else None

    def ready(self) -> list[T]:
        """The things that are open by now. A loop that has been closed may have left an opening unfinished."""
        complete = [opening for opening in self._openings.values() if opening.done()]
        return [opening.result() for opening in complete if not opening.cancelled() and opening.exception() is None]
