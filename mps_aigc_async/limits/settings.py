"""The values with which a client opens its account's limits: whose limits, and how many calls per second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DEFAULT_JITTER_S: Final = 0.025
"""Delivery jitter in seconds that a pace survives by default: with it, a pace uses 97.6% of its rate (measured
2026-11)."""


@dataclass(frozen=True, slots=True)
class LimitsKey:
    """The owner of the limits. Clients with equal keys share them."""

    backend: str
    """A proxy or the emulator serves several backends at one endpoint, each with limits of its own."""
    endpoint: str
    account: str
    region: str = ""
    """The access region, if the service counts calls by region (`Dialect.limits_region`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """The limits that one client knows, in calls per second."""

    default: float
    by_action: Mapping[str, float] = field(default_factory=dict)
    jitter_s: float = DEFAULT_JITTER_S

    def of(self, action: str) -> float:
        return self.by_action.get(action, self.default)
