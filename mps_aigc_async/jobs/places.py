"""A chain's place ahead of one of its steps: in its client, and among the chains of all members of its ledger."""

from collections.abc import Callable, Sequence

from ..concurrency.semaphore import Permit
from ..ledger import UNBOUNDED, Ledger
from ..model.states import Kind
from .lookahead import Lookahead


class Place:
    """A place, from `acquire` until `end` or `leave`. A second end does nothing."""

    def __init__(self, ledger: Ledger, name: str, kind: Kind, lookahead: Lookahead) -> None:
        self._ledger = ledger
        self._name = name
        self.kind = kind
        self._lookahead = lookahead
        self._permit: Permit | None = None
        self._is_counted = False

    @property
    def is_bounded(self) -> bool:
        """Whether the ledger counts the place."""
        return self._lookahead.is_bounded

    async def acquire(
        self, models: Sequence[str], on_hold_up: Callable[[], None], on_wait: Callable[[], None], *, has_begun: bool
    ) -> None:
        """Wait for the place: in the client first, so that the ledger hears of few chains. A chain that has begun gets
        it at once. Any other one calls `on_wait` before it waits. Raises LedgerError."""
        if has_begun:
            self._permit = self._lookahead.take(models)
        else:
            self._permit = await self._lookahead.acquire(models, on_hold_up, on_wait)
            if self._ledger.member:  # the other members' chains may leave no room
                on_wait()
        await self.count((lambda: UNBOUNDED) if has_begun else self._lookahead.usable)

    async def count(self, most: Callable[[], int] | None = None) -> None:
        """Wait for the place among all members, if the URLs' life bounds it."""
        if self.is_bounded:
            await self._ledger.run_ahead(self._name, self.kind, most or self._lookahead.usable)
            self._is_counted = True

    def stop_counting(self) -> None:
        """Give the place back to the other members."""
        if self._is_counted:
            self._is_counted = False
            self._ledger.end_ahead(self._name, self.kind)

    def end(self) -> None:
        """Give the place back: the step is created, or the chain has failed."""
        self.stop_counting()
        self._release()

    def leave(self) -> None:
        """Give the place back, and leave the chain to other members: nobody waits for it here."""
        if self._is_counted:
            self._is_counted = False
            self._ledger.leave_ahead(self._name, self.kind)
        self._release()

    def _release(self) -> None:
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()


async def regain(places: Sequence[Place]) -> None:
    """Wait for places among all members again, in this order: other members took this one for gone, and no longer count
    them. Raises LedgerError."""
    for place in places:
        place.stop_counting()
    for place in places:
        await place.count()
