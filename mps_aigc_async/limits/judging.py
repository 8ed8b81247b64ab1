"""A refused create, judged: it slows the pace, or it tells of a cap on the tasks running at once."""

from ..model.errors import ServiceError, Throttled, TooManyTasks
from .pace import SendTime
from .refusals import Evidence, as_concurrency, is_of_concurrency, is_of_one_model, streak_with
from .slots import Slot


def judged(slot: Slot, send_time: SendTime, refusal: Throttled) -> ServiceError:
    """Judge the refusal of a create: it is returned as it is, and its pace slows down; or as TooManyTasks, and the pace
    gets back the share that it lost to such refusals."""
    cap = slot.cap
    streak = streak_with(cap.streak, send_time.went, send_time.undo_point())
    evidence = Evidence(
        had_room=send_time.had_room,
        running=cap.running,
        has_cap=cap.learned_cap is not None,
        refusals=streak.refusals,
        windows=send_time.windows_since(streak.began),
    )
    if is_of_concurrency(refusal, evidence):
        streak.undo()
        return as_concurrency(refusal)
    cap.streak = streak
    send_time.refused()
    return refusal


def learn_cap(slot: Slot, refusal: TooManyTasks) -> None:
    """Have the slots learn from a create that was refused for what runs already."""
    slot.refused(of_one_model=is_of_one_model(refusal), wait_s=refusal.retry_after_s or 0.0)
