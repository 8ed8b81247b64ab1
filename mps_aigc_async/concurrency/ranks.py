"""The order of many pieces of work at one point: each waits there until all before it have passed, or have ended.

Work that is begun in order does not come to a point in order: one piece has more to read before it. A piece
that waits for something else lets the others pass, so that nobody waits at the point for long.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Rank:
    """The rank of one piece of work."""

    __slots__ = ("_ranks", "_turn", "has_passed")

    def __init__(self, ranks: "Ranks") -> None:
        self._ranks = ranks
        self._turn: asyncio.Future[None] | None = None
        self.has_passed = False

    async def wait(self) -> None:
        """Wait until all earlier ranks have passed. Returns at once for one that has passed itself."""
        if not self.has_passed and not self._ranks.is_first(self):
            self._turn = asyncio.get_running_loop().create_future()
            await self._turn

    def let_pass(self) -> None:
        """Let the later ranks pass. Further calls do nothing."""
        if not self.has_passed:
            self.has_passed = True
            self._ranks.advance()

    def and_let_pass(self, callback: Callable[[], None]) -> Callable[[], None]:
        """A callback that lets the later ranks pass, too."""

        def both() -> None:
            self.let_pass()
            callback()

        return both

    def call(self) -> None:
        """End the wait. For `Ranks`."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)


class Ranks:
    """Gives ranks, in the order of the calls of `enter`. In one loop."""

    def __init__(self) -> None:
        self._waiting: deque[Rank] = deque()

    def enter(self) -> Rank:
        rank = Rank(self)
        self._waiting.append(rank)
        return rank

    def is_first(self, rank: Rank) -> bool:
        return self._waiting[0] is rank

    def advance(self) -> None:
        """Call the first rank that has not passed."""
        while self._waiting and self._waiting[0].has_passed:
            self._waiting.popleft()
        if self._waiting:
            self._waiting[0].call()
