"""A client at one moment, in numbers: a frozen snapshot that any thread may take while the loop goes on.

Each table that the loop changes meanwhile is copied in one step (`copy` of a dict is one, also without a GIL).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..limits import Limits, Pace, SlotFigures
from ..model.states import Kind


@dataclass(frozen=True, slots=True)
class SlotStatistics:
    """Tasks of one kind at the service."""

    taken: int
    """Slots that are out: tasks that run or may run, and creates under way."""
    capacity: int
    """The config's cap."""
    waiting: int
    """Creates that wait for a slot."""
    most_taken: int
    """The most slots that were out at once."""
    learned_cap: int | None
    """The service's own cap on tasks of all models, if it has refused creates for it (LimitExceeded.CreateTask);
    else None."""
    learned_model_caps: Mapping[str, int] = field(default_factory=dict)
    """The service's caps on tasks of single models ("Hailuo H3"), for the models whose creates it has refused because
    too many tasks run."""
    running: int = 0
    """Tasks that run at the service or may run there: `taken` less the creates under way."""


@dataclass(frozen=True, slots=True)
class PaceStatistics:
    """Calls of one action."""

    rate: float
    """Calls per second in force: below the limit for a while after the service refused some."""
    waiting: int
    """Calls that wait for their turn."""


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
    members: int = 1
    """Open members that share these limits, this one included (docs/sharing.md): 1 where one process counts alone."""


def snapshot(limits: Limits, now: float, *, polling: int, creating: int) -> Statistics:
    """The numbers of an account's limits at `now` (on the loop's clock), and of a client's own work."""
    return Statistics(
        slots={kind: _slots_of(slots.figures()) for kind, slots in limits.slots.items()},
        paces={action: _pace_of(pace, now) for action, pace in limits.paces.items()},
        polling=polling,
        creating=creating,
        members=limits.members_count,
    )


def _slots_of(figures: SlotFigures) -> SlotStatistics:
    return SlotStatistics(
        taken=figures.taken,
        capacity=figures.capacity,
        waiting=figures.waiting,
        most_taken=figures.most_taken,
        learned_cap=figures.learned_cap,
        learned_model_caps=figures.learned_model_caps,
        running=figures.running,
    )


def _pace_of(pace: Pace, now: float) -> PaceStatistics:
    figures = pace.figures(now)
    return PaceStatistics(figures.rate, figures.waiting)
