"""RequestLimitExceeded: of the calls per second, or of the tasks that run at once?

MPS says it of both (of Hailuo H3's concurrency from about the eleventh create in a row, reported 2026-08), and so does
VOD. A message that tells is read by the dialect, which raises TooManyTasks; this is about those that do not tell.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ..model.errors import ServiceError, Throttled, TooManyTasks
from ..model.states import Ending

PROOF: Final = 3
"""Refusals of one model in a row, over a window at the least, after which its concurrency is the reason: beside another
process that takes half the rate, three creates in a row are refused by chance in one case of eight."""

APART_S: Final = 60.0
"""Refusals further apart than this are not in a row: the limit was another one by then."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Refusals of one model's creates without an accepted create between them. Times are of the loop's clock."""

    began: float
    latest: float
    refusals: int
    undo: Callable[[], None]
    """Gives the pace back what the first of them, and those after it, have taken from it."""

    def and_one(self, sent: float) -> "Streak":
        return replace(self, latest=max(self.latest, sent), refusals=self.refusals + 1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts known here when a create is refused."""

    had_room: bool
    """Whether the action's sends in the window that ends with the refused one were few for its rate, or for the share
    of it that is ours (`pace.HAS_ROOM`)."""
    running: int
    """Tasks of the model that run here, or may run."""
    has_cap: bool
    """Whether the model's refusals have told its cap already, and no accepted create has refuted it."""
    refusals: int
    """Refusals of this model in a row, this one included."""
    windows: float
    """From the first of them to this one, in windows of the limit."""


def is_of_concurrency(refusal: Throttled, evidence: Evidence) -> bool:
    """Whether a create was refused because too many tasks of its model run, and not for the calls per second.

    Four signs, the first that fits:

    - the model has a learnt cap: a create that is one too many comes from the probing beyond it;
    - the service names the time to come again (Retry-After), and the creates of the model are not refused for long
      yet: it is the rate;
    - our own pace had room while tasks of the model ran: what we sent cannot have filled the limit;
    - the model's creates are refused in a row for longer than a window, though the pace has slowed down meanwhile. A
      limit of the rate would have let some pass; one of concurrency lets none pass before a task ends.

    Each mistake costs time only. Another process fills the rate, and it is taken for concurrency: the model's creates
    wait until one of its tasks ends or a probe is accepted (`caps.PROBE_S`), those of other models go on, and the cap
    is forgotten as creates are accepted. Concurrency is taken for the rate: the pace falls by a few percent until the
    row of refusals is long enough, and what it has lost is given back then.
    """
    if evidence.has_cap:
        return True
    persists = evidence.refusals >= PROOF and evidence.windows >= 1
    had_room = evidence.had_room and evidence.running > 0 and refusal.retry_after_s is None
    return persists or had_room


def is_of_one_model(refusal: ServiceError) -> bool:
    """Whether a refusal for concurrency is one model's. LimitExceeded… is documented per account, for tasks of all
    models; whatever else says it names a limit of calls or resources, which each model has of its own. A mistake costs
    a few refusals: each model then learns its part of the account's cap."""
    return refusal.code.partition(".")[0] != "LimitExceeded"


def as_concurrency(refusal: Throttled) -> TooManyTasks:
    """The refusal, by its meaning."""
    busy = TooManyTasks(refusal.code, refusal.message, ending=Ending.REFUSED_FOR_NOW, request_id=refusal.request_id)
    busy.retry_after_s = refusal.retry_after_s
    return busy


def streak_with(streak: Streak | None, sent: float, undo: Callable[[], None]) -> Streak:
    """The refusals in a row, with one more."""
    if streak is None or sent - streak.latest > APART_S:
        return Streak(sent, sent, 1, undo)
    return streak.and_one(sent)
