"""A plan in a line: its size, its cost and its time."""

from datetime import timedelta

from ..engine.plan import Plan, PlannedWork
from ..model.plain_text import visible_line
from .screen import counted


def amounts_in_words(result: Plan) -> str:
    """The three numbers of a plan: images and seconds, cost, and time."""
    total = result.total
    sizes = [
        *([counted(round(total.images), "image")] if total.images else []),
        *([f"{total.video_seconds:g} s of video"] if total.video_seconds else []),
        *([f"{total.audio_seconds:g} s of audio"] if total.audio_seconds else []),
        *(
            f"{counted(work.tasks, work.kind)} of unknown length ({model_in_words(work)})"
            for work in result.creates
            if work.number is None
        ),
    ]
    return f"creates {' and '.join(sizes) or 'nothing'}; {_cost(result)}; {_time(result)}"


def _cost(result: Plan) -> str:
    if not result.creates:
        return "costs nothing"
    cost = f"costs {result.total.cost:.2f} {result.currency}"
    if not result.unpriced:
        return cost
    unpriced = f"no price for {', '.join(result.unpriced)}"
    return unpriced if len(result.unpriced) == len(result.creates) else f"{cost}, and {unpriced}"


def _time(result: Plan) -> str:
    return f"done in {timedelta(seconds=round(result.finish_s))} at the earliest" if result.finish_s else "done at once"


def model_in_words(work: PlannedWork) -> str:
    """The model of planned tasks."""
    return visible_line(work.model) or f"the service's default for {work.kind}s"
