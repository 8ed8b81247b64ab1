"""A plan in a line: its size, its cost and its time."""

from dataclasses import asdict
from datetime import timedelta
from math import isfinite

from ..engine.plan import Plan, PlannedWork
from ..model.budget import Amount
from ..model.plain_text import visible_line
from .screen import counted


def amounts_in_words(result: Plan) -> str:
    """The three numbers of a plan: images and seconds, cost, and time."""
    sizes = [
        *_sizes(result.total),
        *(
            f"{counted(work.tasks, work.kind)} of unknown length ({model_in_words(work)})"
            for work in result.creates
            if work.number is None
        ),
    ]
    return f"creates {' and '.join(sizes) or 'nothing'}; {_cost(result)}; {_time(result)}"


def _sizes(amount: Amount) -> list[str]:
    return [
        *([counted(round(amount.images), "image")] if amount.images else []),
        *(
            f"{seconds:g} s of {medium}" if isfinite(seconds) else f"{medium} of unknown length"
            for medium, seconds in (("video", amount.video_seconds), ("audio", amount.audio_seconds))
            if seconds
        ),
    ]


def has_cost(amount: Amount) -> bool:
    """Whether each model of an amount had a price, and one was not free."""
    return isfinite(amount.cost) and amount.cost > 0


def spent_in_words(amount: Amount, currency: str = "") -> str:
    """All that a ledger has created, or may have; the cost only where each of its models had a price."""
    cost = [f"{amount.cost:.2f} {currency}".rstrip()] if has_cost(amount) else []
    return ", ".join([*_sizes(amount), *cost]) or "nothing"


def amount_as_json(amount: Amount) -> dict[str, float | None]:
    """An amount as JSON can hold it: null for a number that the ledger does not know."""
    return {name: value if isfinite(value) else None for name, value in asdict(amount).items()}


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
