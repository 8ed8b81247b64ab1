"""The bounds of a run, and the amounts that count against them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite, isinf, isnan
from typing import Final

from .errors import BudgetReached, InvalidRequest
from .states import Kind


@dataclass(frozen=True, slots=True)
class Amount:
    """Images and seconds, and their price."""

    images: float = 0
    video_seconds: float = 0
    audio_seconds: float = 0
    cost: float = 0
    """In the currency of the config's `prices`."""

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @classmethod
    def of(cls, kind: Kind, number: float, cost: float) -> "Amount":
        """The amount of one kind: a number of images, or of seconds.

        >>> Amount.of(Kind.VIDEO, 5, 1.6)
        Amount(images=0, video_seconds=5, audio_seconds=0, cost=1.6)
        """
        return cls(**{_FIELDS[kind]: number}, cost=cost)


NOTHING: Final = Amount()

_FIELDS: Final = {Kind.IMAGE: "images", Kind.VIDEO: "video_seconds", Kind.AUDIO: "audio_seconds"}


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds on all that a ledger has created, or may have: earlier runs, other clients and former versions included.
    None is no bound.

    >>> Budget(images=-1)
    Traceback (most recent call last):
        ...
    mps_aigc_async.model.errors.InvalidRequest: Budget: images is -1: give a number from 0 on, or None for no bound
    """

    images: float | None = None
    video_seconds: float | None = None
    cost: float | None = None
    """In the currency of the config's `prices`. Each model needs a price."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and not isnan(value) and value >= 0):
                raise InvalidRequest(
                    f"Budget: {field.name} is {value!r}: give a number from 0 on, or None for no bound"
                )

    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by the names of `Amount`'s fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None and isfinite(value)}


TOLERANCE: Final = 1e-6
"""A sum of prices such as 0.1 is not exact: a bound of 0.3 allows three of them."""

WORDS: Final = {"images": "images", "video_seconds": "seconds of video", "cost": "cost"}


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound on one create: a budget, beside the amount that is promised to the run's chains under way."""

    budget: Budget
    promises: Amount = NOTHING
    promised: Sequence[str] | None = None
    """The ids of the jobs that have these promises: where several runs share a ledger, it counts the steps of all other
    begun chains too. None for a create that has its room: no promise counts against it."""

    needs: Amount = NOTHING
    """The amount of the create's request: of the create, and of the later steps of its chain."""

    def room_beside(self, amount: Amount) -> dict[str, float]:
        """The most that a ledger's total may be before a create of this amount, by the bounds that are set."""
        used = self.promises + amount
        return {name: most - getattr(used, name) + TOLERANCE for name, most in self.budget.bounds().items()}

    def refusal(self, total: Amount, job_id: str) -> BudgetReached | None:
        """The error for a job with whose create the ledger has this total; None if all bounds hold."""
        used, bounds = total + self.promises, self.budget.bounds()
        values = {name: getattr(used, name) for name in bounds}
        if any(isinf(value) for value in values.values()):
            return BudgetReached(
                "the ledger has jobs of which it knows no length or no price, so that no bound can be checked: name "
                "the videos' durations, and every model in the config's `prices`",
                job_id=job_id,
            )
        beyond = [name for name, most in bounds.items() if values[name] > most + TOLERANCE]
        if not beyond:
            return None
        needs = {name: getattr(self.needs, name) for name in beyond}
        words = "; ".join(
            f"{WORDS[name]}: {values[name] - needs[name]:g} of {bounds[name]:g} spent or kept for begun chains, and "
            f"this request needs {needs[name]:g}"
            for name in beyond
        )
        return BudgetReached(
            f"the budget is reached ({words}): the job stays planned; run it again with a larger bound", job_id=job_id
        )
