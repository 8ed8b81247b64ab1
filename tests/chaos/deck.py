"""The plan: which trouble comes when, decided by a seed alone.

Sorts are dealt from shuffled decks and not drawn on their own, so that a short time has some of each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, TypeVar

T = TypeVar("T")


class Ending(StrEnum):
    """How a troubled run of a batch is to end."""

    KILL = "kill -9"
    KILL_OPENING = "kill -9 while the ledger is opened"
    KILL_CLOSING = "kill -9 while it closes after a SIGTERM"
    TERMINATE = "SIGTERM"
    INTERRUPT = "SIGINT"
    LEAVE = "SIGINT twice"
    FILES_GONE = "ledger removed"
    WAL_GONE = "ledger's -wal removed"
    REPLACED = "ledger replaced by a copy"
    FOLDER_GONE = "ledger's folder renamed"


LOSSES: Final = frozenset({Ending.FILES_GONE, Ending.WAL_GONE, Ending.REPLACED, Ending.FOLDER_GONE})
"""The endings that take the ledger from a batch that runs on."""


class Trouble(StrEnum):
    """Something that a run has to live through."""

    STOP = "SIGSTOP, then SIGCONT"
    SECOND = "second process on the ledger"
    SECOND_BY_SYMLINK = "… by a symbolic link"
    SECOND_BY_HARD_LINK = "… by a hard link"
    SECOND_WHILE_STOPPED = "… while the first one is stopped"
    CLOCK = "clock step"
    DISK_FULL = "disk full"
    REFUSED = "connections refused"


SECONDS: Final = (
    Trouble.SECOND,
    Trouble.SECOND_BY_SYMLINK,
    Trouble.SECOND_BY_HARD_LINK,
    Trouble.SECOND_WHILE_STOPPED,
)

STOP_S: Final = (0.5, 4.0)
CLOCK_STEPS_S: Final = (-90.0, 90.0, -600.0, 600.0, -2000.0, 2000.0, -7200.0, 7200.0, -86_400.0, 86_400.0)
DISK_FULL_S: Final = (0.3, 1.5)
REFUSED_S: Final = 0.3
OPENING_S: Final = (0.0, 0.03)
CLOSING_S: Final = (0.0, 0.3)

_ENDINGS: Final = (
    *(Ending.KILL,) * 4,
    Ending.KILL_OPENING,
    Ending.KILL_CLOSING,
    Ending.TERMINATE,
    Ending.INTERRUPT,
    Ending.LEAVE,
    Ending.FILES_GONE,
    Ending.WAL_GONE,
    Ending.REPLACED,
    Ending.FOLDER_GONE,
)
_TROUBLES: Final = (
    *(Trouble.STOP,) * 3,
    *SECONDS,
    *(Trouble.CLOCK,) * 4,
    *(Trouble.DISK_FULL,) * 2,
    Trouble.REFUSED,
)


@dataclass(frozen=True, slots=True)
class Event:
    """A trouble, so many seconds after the one before it."""

    after_s: float
    trouble: Trouble
    amount: float = 0.0
    """Seconds that it lasts; of a clock step, how far it goes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run's."""

    events: Sequence[Event]
    ending: Ending
    after_s: float
    """Seconds from the last event to the ending; of a kill while the ledger is opened, from the run's beginning."""
    closing_s: float
    """Seconds for which it may close before a kill."""


class Deck:
    """Deals plans for ever; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._endings = self._dealt(_ENDINGS)
        self._troubles = self._dealt(_TROUBLES)

    def first_plan(self) -> Plan:
        """A new batch's: killed while its ledger is made."""
        return Plan((), Ending.KILL_OPENING, self._random.uniform(*OPENING_S), 0.0)

    def plan(self) -> Plan:
        ending = next(self._endings)
        if ending is Ending.KILL_OPENING:
            return self.first_plan()
        events = [self._event() for _ in range(self._random.choice((1, 1, 2, 2, 3)))]
        return Plan(events, ending, self._random.uniform(0.2, 1.0), self._random.uniform(*CLOSING_S))

    def _event(self) -> Event:
        trouble, after_s = next(self._troubles), self._random.uniform(0.3, 0.9)
        match trouble:
            case Trouble.STOP:
                # Most are short, so that there is time for others; a few outlast the timeouts.
                return Event(after_s, trouble, self._random.triangular(*STOP_S, STOP_S[0]))
            case Trouble.CLOCK:
                return Event(after_s, trouble, self._random.choice(CLOCK_STEPS_S))
            case Trouble.DISK_FULL:
                return Event(after_s, trouble, self._random.uniform(*DISK_FULL_S))
            case _:
                return Event(after_s, trouble)

    def _dealt(self, cards: Sequence[T]) -> Iterator[T]:
        while True:
            yield from self._random.sample(cards, len(cards))
