"""The judgement of a refused create: it was over the rate, or over a cap on the tasks that run at once."""

from ..model.errors import ServiceError, Throttled
from .caps import Cap
from .protocol import SendTime
from .refusals import Evidence, as_concurrency, is_of_concurrency, streak_with


def judge(cap: Cap, send_time: SendTime, refusal: Throttled) -> ServiceError:
    """Decide the cause of a create's refusal, beside the cap of its model.

    If too many calls are the cause, the refusal is returned unchanged, and the pace slows down. If too many tasks are
    the cause, TooManyTasks is returned, and the pace is restored.
    """
    streak = streak_with(cap.streak, send_time.out_at, send_time.undo_point())
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
    send_time.note_refusal()
    return refusal
