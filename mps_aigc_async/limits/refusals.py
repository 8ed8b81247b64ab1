"""The cause of RequestLimitExceeded: too many calls per second, or too many tasks at once?

MPS says it of both (of Hailuo H3's concurrency from about the eleventh create in a row, reported 2026-08), and so does
VOD. If the message names the cause, the dialect reads it and raises TooManyTasks. `is_of_concurrency`
judges the refusals whose message does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ..model.errors import ServiceError, Throttled, TooManyTasks
from ..model.states import Ending

PROOF: Final = 3
"""Refusals of one model in a row, over at least a window, after which concurrency is taken for the cause. Beside a
process that takes half the rate, three creates in a row are refused by chance in one case of eight."""

APART_S: Final = 60.0
"""Refusals further apart than this many seconds are not in a row: the limit was another one by then."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Refusals of one model's creates without an accepted create between them. Times are of the loop's clock."""

    began: float
    latest: float
    refusals: int
    undo: Callable[[], None]
    """Restores the pace to its rate before the first of the refusals."""

    def and_one(self, sent_at: float) -> "Streak":
        return replace(self, latest=max(self.latest, sent_at), refusals=self.refusals + 1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts known here when a create is refused."""

    had_room: bool
    """Whether the action's sends in the window that ends with the refused one were few for its rate, or for our share
    of it (`stream.HAS_ROOM`)."""
    running: int
    """Tasks of the model that run here, or may run."""
    has_cap: bool
    """Whether the model's refusals have shown its cap already, and no accepted create has refuted it."""
    refusals: int
    """Refusals of this model in a row, this one included."""
    windows: float
    """Windows of the limit from the first of these refusals to this one."""


def is_of_concurrency(refusal: Throttled, evidence: Evidence) -> bool:
    """Whether a create was refused because too many tasks of its model run, and not for the calls per second.

    Four signs, the first that fits:

    - the model has a learned cap: the refused create was a probe beyond it;
    - the service names the time of a retry (Retry-After), and has not refused the model's creates for long: the cause
      is the rate;
    - our own pace had room while tasks of the model ran: our calls cannot have filled the limit;
    - the model's creates are refused in a row for longer than a window, though the pace has slowed down meanwhile. A
      limit of the rate would have let some pass; a limit of concurrency lets none pass before a task ends.

    Each mistake costs time only. If another process fills the rate and the cause is taken for concurrency, the model's
    creates wait until one of its tasks ends or a probe is accepted (`caps.FIRST_PROBE_S`). Creates of other models go
    on, and accepted creates make the cap forgotten. If concurrency is taken for the rate, the pace loses a few percent
    until the row of refusals is long enough. The pace is restored then.
    """
    if evidence.has_cap:
        return True
    persists = evidence.refusals >= PROOF and evidence.windows >= 1
    had_room = evidence.had_room and evidence.running > 0 and refusal.retry_after_s is None
    return persists or had_room


def is_of_one_model(refusal: ServiceError) -> bool:
    """Whether a refusal for concurrency is about one model.

    LimitExceeded… is documented per account, for tasks of all models. Other codes name a limit of calls or resources,
    which each model has of its own. A mistake costs a few refusals: each model then learns its part of the account's
    cap.
    """
    return refusal.code.partition(".")[0] != "LimitExceeded"


def as_concurrency(refusal: Throttled) -> TooManyTasks:
    """The refusal as TooManyTasks."""
    busy = TooManyTasks(refusal.code, refusal.message, ending=Ending.REFUSED_FOR_NOW, request_id=refusal.request_id)
    busy.retry_after_s = refusal.retry_after_s
    return busy


def streak_with(streak: Streak | None, sent_at: float, undo: Callable[[], None]) -> Streak:
    """The refusals in a row, with one more."""
    if streak is None or sent_at - streak.latest > APART_S:
        return Streak(sent_at, sent_at, 1, undo)
    return streak.and_one(sent_at)
