"""A client at one moment, in numbers: a frozen snapshot that any thread may take while the loop goes on.

Each table that the loop changes meanwhile is copied in one step (`copy` of a dict is one, also without a GIL).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..limits import AccountLimits, Slots
from ..model.states import Kind


@dataclass(frozen=True, slots=True)
class SlotStatistics:
    """Tasks of one kind at the service."""

    taken: int
    """Slots that are out: tasks that run or may run, and creates under way."""
    capacity: int
    """The config's cap."""
    waiting: int
    most_taken: int
    learned_cap: int | None
    """The service's own cap on tasks of all models, where it has refused creates for it (LimitExceeded.CreateTask);
    else None."""
    learned_model_caps: Mapping[str, int] = field(default_factory=dict)
    """The same of single models ("Hailuo H3"), for those of which it has refused creates for what runs already."""


@dataclass(frozen=True, slots=True)
class PaceStatistics:
    """Calls of one action."""

    rate: float
    """Calls per second in force: below the limit for a while after the service refused some."""
    waiting: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """A moment of the client, and of the account's limits, which it shares."""

    slots: Mapping[Kind, SlotStatistics]
    paces: Mapping[str, PaceStatistics]
    """By action, for those called so far."""
    polling: int
    """Tasks being polled."""
    creating: int
    """Creates sent and not yet answered."""


def snapshot(limits: AccountLimits, now: float, *, polling: int, creating: int) -> Statistics:
    """The numbers of an account's limits at `now` (on the loop's clock), and of a client's own work."""
    return Statistics(
        slots={kind: _slots_of(slots) for kind, slots in limits.slots.items()},
        paces={action: PaceStatistics(pace.rate_at(now), pace.waiting) for action, pace in limits.paces.copy().items()},
        polling=polling,
        creating=creating,
    )


def _slots_of(slots: Slots) -> SlotStatistics:
    return SlotStatistics(
        slots.taken, slots.capacity, slots.waiting, slots.most_taken, slots.learned_cap, slots.learned_model_caps
    )
