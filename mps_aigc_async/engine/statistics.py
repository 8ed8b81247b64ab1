"""A client at one moment, in numbers: a frozen snapshot that any thread may take while the loop goes on.

Each table that the loop changes meanwhile is copied in one step (`copy` of a dict is one, also without a GIL).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    accounts: Mapping[str, "Statistics"] = field(default_factory=dict)
    """The numbers of each account, where the config has several: all other numbers are their sums."""


def snapshot(limits: Limits, now: float, *, polling: int, creating: int = 0) -> Statistics:
    """The numbers of an account's limits at `now` (on the loop's clock), and of a client's own work."""
    return Statistics(
        slots={kind: _slots_of(slots.figures()) for kind, slots in limits.slots.items()},
        paces={action: _pace_of(pace, now) for action, pace in limits.paces.items()},
        polling=polling,
        creating=creating,
        members=limits.members_count,
    )


def total(accounts: Mapping[str, Statistics], *, creating: int) -> Statistics:
    """The numbers of a client: those of its account, or the sums of its accounts'."""
    [first, *others] = accounts.values()
    if not others:
        return replace(first, creating=creating)
    actions = dict.fromkeys(action for one in accounts.values() for action in one.paces)
    return Statistics(
        slots={kind: _slots_together([one.slots[kind] for one in accounts.values()]) for kind in first.slots},
        paces={
            action: _paces_together([one.paces[action] for one in accounts.values() if action in one.paces])
            for action in actions
        },
        polling=sum(one.polling for one in accounts.values()),
        creating=creating,
        members=max(one.members for one in accounts.values()),
        accounts=accounts,
    )


def _slots_together(slots: Sequence[SlotStatistics]) -> SlotStatistics:
    return SlotStatistics(
        taken=sum(one.taken for one in slots),
        capacity=sum(one.capacity for one in slots),
        waiting=sum(one.waiting for one in slots),
        most_taken=sum(one.most_taken for one in slots),
        learned_cap=None,
        running=sum(one.running for one in slots),
    )


def _paces_together(paces: Sequence[PaceStatistics]) -> PaceStatistics:
    return PaceStatistics(sum(one.rate for one in paces), sum(one.waiting for one in paces))


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
