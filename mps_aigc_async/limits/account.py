"""The limits of one account in one process and loop: calls per second by action, tasks running by kind.

All clients of an account in one loop share them: a web app that makes a client per request must not double its rate,
and a client made right after another was closed must not forget what that one sent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter

from ..model.states import Kind
from ..policy.tempo import Adaptive
from .pace import Pace
from .paces import Paces, Rates
from .slots import Slots

RETRY_BUDGET: Final = (20, 10.0)
"""Retries of one account: 20 at once, then 2 a second. An outage must not be amplified by its own retries."""


@dataclass(frozen=True, slots=True)
class LimitsKey:
    """Whose limits they are."""

    backend: str
    """A proxy or the emulator serves several on one endpoint, each with limits of its own."""
    endpoint: str
    account: str
    region: str = ""
    """The access region, where the service counts calls by it (`Dialect.limits_region`)."""


class _Account:
    """The limits of an account in all regions: slots by kind, the retry budget, and the tempo, which learns when tasks
    end."""

    def __init__(self, kinds: Mapping[Kind, int]) -> None:
        self.slots = {kind: Slots(capacity) for kind, capacity in kinds.items()}
        self.retries = AsyncLimiter(*RETRY_BUDGET)
        self.tempo = Adaptive()
        self.regions: dict[str, Paces] = {}


class AccountLimits:
    """One client's part in the limits of its account: the paces of its region, and what the account shares."""

    def __init__(self, rates: Rates, capacities: Mapping[Kind, int], *, key: LimitsKey | None = None) -> None:
        """Limits of its own, or those of `key` in this loop.

        Clients that disagree about a rate or its jitter keep the more careful one while they are open; capacities,
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
    def paces(self) -> dict[str, Pace]:
        """By action, for those called so far."""
        return self._paces.by_action

    def pace(self, action: str) -> Pace:
        return self._paces.pace(action)

    def leave(self) -> None:
        """The client is closed: its rates no longer count, but its sends do."""
        self._leave()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[LimitsKey, _Account]] = WeakKeyDictionary()


def forget() -> None:
    """Forget the sends, slots and learnt caps of all accounts in this process, in every loop.

    Clients opened later begin anew. Clients that are open keep the limits that they share. For tests alone: the
    service does not forget.
    """
    _shared.clear()


def _account(key: LimitsKey, capacities: Mapping[Kind, int]) -> _Account:
    """This loop's account that `key` names, for as long as the loop lives. Tasks that run at once are counted without
    the region: no document says that they are by it."""
    known = _shared.setdefault(asyncio.get_running_loop(), {})
    anywhere = LimitsKey(key.backend, key.endpoint, key.account)
    if anywhere not in known:
        known[anywhere] = _Account(capacities)
    return known[anywhere]
