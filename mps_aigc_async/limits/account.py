"""The limits of one account, counted in this process and loop: calls per second by action, running tasks by kind.

All clients of an account in one loop share them. A web app that makes a client for each request must not double its
rate, and a client that is opened right after another was closed must not forget the sends of the closed one.
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter

from ..model.states import Kind
from ..policy.tempo import Adaptive
from .pace import ProcessPace
from .paces import Paces
from .settings import LimitsKey, Rates
from .slots import ProcessSlots

RETRY_BUDGET: Final = (20, 10.0)
"""Retries of one account: 20 at once, then 2 per second. Retries must not make an outage worse."""


class _Account:
    """The limits of an account in all regions: slots by kind, the retry budget, and the tempo, which learns when tasks
    end."""

    def __init__(self, kinds: Mapping[Kind, int]) -> None:
        self.slots = {kind: ProcessSlots(capacity) for kind, capacity in kinds.items()}
        self.retries = AsyncLimiter(*RETRY_BUDGET)
        self.tempo = Adaptive()
        self.regions: dict[str, Paces] = {}


class AccountLimits:
    """A client's part in the limits of its account (`protocol.Limits`): the paces of its region, and the slots,
    retries and tempo that all regions share."""

    def __init__(self, rates: Rates, capacities: Mapping[Kind, int], *, key: LimitsKey | None = None) -> None:
        """Open limits of its own, or those of `key` in this loop.

        Clients that disagree about a rate or its jitter keep to the more careful one while they are open. Capacities,
        which a user tunes, are those of the newest client.
        """
        account = _Account(capacities) if key is None else _account(key, capacities)
        self.slots = account.slots
        self.retries = account.retries
        self.tempo = account.tempo
        self._paces = account.regions.setdefault("" if key is None else key.region, Paces())
        self._leave = self._paces.join(rates)
        for kind, capacity in capacities.items():
            self.slots[kind].resize(capacity)

    @property
    def paces(self) -> dict[str, ProcessPace]:
        return self._paces.by_action.copy()

    def pace(self, action: str) -> ProcessPace:
        return self._paces.pace(action)

    async def take_retry(self) -> None:
        await self.retries.acquire()

    def leave(self) -> None:
        """Close the client's part: its rates no longer count, but its sends do."""
        self._leave()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[LimitsKey, _Account]] = WeakKeyDictionary()


def forget() -> None:
    """Forget the sends, slots and learned caps of all accounts in this process, in every loop.

    Clients that are opened later begin anew; open clients keep the limits that they share. For tests alone: the service
    does not forget.
    """
    _shared.clear()


def _account(key: LimitsKey, capacities: Mapping[Kind, int]) -> _Account:
    """The account of `key` in this loop, for as long as the loop lives. Running tasks are counted without the region,
    because no document says that the service counts them by region."""
    accounts = _shared.setdefault(asyncio.get_running_loop(), {})
    anywhere = LimitsKey(key.backend, key.endpoint, key.account)
    if anywhere not in accounts:
        accounts[anywhere] = _Account(capacities)
    return accounts[anywhere]
