"""The limits of one account in one process and loop: calls per second by action, tasks running by kind.

All clients of an account in one loop share one `AccountLimits`: a web app that makes a client per request must not
double its rate, and a client made right after another was closed must not forget what that one sent.
"""

import asyncio
from collections.abc import Hashable, Mapping
from typing import Final
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter

from ..states import Kind
from ..tempo import Adaptive
from .pace import DEFAULT_JITTER_S, LEAD_S, Pace, SendTime, Stream
from .slots import PROBE_S, Slot, Slots

__all__ = [
    "DEFAULT_JITTER_S", "LEAD_S", "PROBE_S",
    "AccountLimits", "Pace", "SendTime", "Slot", "Slots", "Stream", "shared",
]  # fmt: skip

RETRY_BUDGET: Final = (20, 10.0)
"""Retries of one account: 20 at once, then 2 a second. An outage must not be amplified by its own retries."""


class AccountLimits:
    """Paces by action, slots by kind, the retry budget, and what its tasks have taught of when they end."""

    def __init__(
        self,
        rates: Mapping[str, float],
        default_rate: float,
        capacities: Mapping[Kind, int],
        jitter_s: float = DEFAULT_JITTER_S,
    ) -> None:
        self._rates = dict(rates)
        self._default_rate = default_rate
        self._jitter_s = jitter_s
        self.paces: dict[str, Pace] = {}
        self.slots = {kind: Slots(capacity) for kind, capacity in capacities.items()}
        self.retries = AsyncLimiter(*RETRY_BUDGET)
        self.tempo = Adaptive()

    def pace(self, action: str) -> Pace:
        if action not in self.paces:
            self.paces[action] = Pace(Stream(self._rates.get(action, self._default_rate), self._jitter_s))
        return self.paces[action]


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, AccountLimits]] = WeakKeyDictionary()


def shared(
    key: Hashable,
    rates: Mapping[str, float],
    default_rate: float,
    capacities: Mapping[Kind, int],
    jitter_s: float = DEFAULT_JITTER_S,
) -> AccountLimits:
    """This loop's limits of the account that `key` names, for as long as the loop lives.

    The rates are those of its first client; the capacities, which a user tunes, those of its newest.
    """
    known = _shared.setdefault(asyncio.get_running_loop(), {})
    if key not in known:
        known[key] = AccountLimits(rates, default_rate, capacities, jitter_s)
    for kind, capacity in capacities.items():
        known[key].slots[kind].resize(capacity)
    return known[key]
