"""The options of `run` and `plan` as values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..engine.plan import retry_if_it_may_help
from ..ledger import JobRecord
from ..ledger.record import request_of
from ..ledger.versions import parted
from ..model.budget import Budget
from ..model.errors import InvalidRequest
from .choice import EVERYTHING, Choice
from .edits import NO_EDITS, Edits


@dataclass(frozen=True, slots=True)
class Retries:
    """The failed requests to retry."""

    all_that_may_help: bool = False
    """All but those that would fail again: blocked by content review, or with an input that cannot be fetched."""
    names: Collection[str] = ()
    """The ids of requests to retry in any case."""

    def __bool__(self) -> bool:
        return self.all_that_may_help or bool(self.names)

    def accepts(self, job: JobRecord) -> bool:
        name = request_of(job.job_id)
        is_named = name in self.names or parted(name)[0] in self.names
        return is_named or (self.all_that_may_help and retry_if_it_may_help(job))


@dataclass(frozen=True, slots=True)
class Orders:
    """All that a command line says beside the batch, the folder, the config and the ledger."""

    choice: Choice = EVERYTHING
    retries: Retries = field(default_factory=Retries)
    edits: Edits = NO_EDITS
    budget: Budget | None = None
    has_places: bool = True
    """Whether the batch has the user's order (`Batch.has_places`)."""

    @property
    def words(self) -> list[str]:
        """The options that the same command needs to go on. Retries and single new versions are planned by then."""
        words = [word for pattern in self.choice.only for word in ("--only", pattern)]
        words += [] if self.choice.limit is None else ["--limit", str(self.choice.limit)]
        words += ["--redo-changed"] if self.edits.redo_changed else []
        words += ["--keep"] if self.edits.keep else []
        bounds = {} if self.budget is None else self.budget.bounds()
        return words + [
            word for name, most in bounds.items() for word in (f"--max-{name.replace('_', '-')}", f"{most:g}")
        ]


NO_ORDERS: Final = Orders()


def orders_of(
    *,
    only: Sequence[str] | None,
    limit: int | None,
    retry_failed: bool,
    retry: Sequence[str] | None,
    redo_changed: bool,
    keep: bool,
    redo: Sequence[str] | None,
    max_images: int | None,
    max_video_seconds: float | None,
    max_cost: float | None,
) -> Orders:
    """The orders of a command line. Raises InvalidRequest for options that contradict each other."""
    if "" in (retry or ()):
        raise InvalidRequest("--retry names a request: an empty id names none")
    return Orders(
        choice=Choice(tuple(only or ()), limit),
        retries=Retries(retry_failed, frozenset(retry or ())),
        edits=edits_of(redo_changed=redo_changed, keep=keep, redo=redo),
        budget=budget_of(max_images, max_video_seconds, max_cost),
    )


def edits_of(*, redo_changed: bool, keep: bool, redo: Sequence[str] | None) -> Edits:
    """The user's word on edited requests. Raises InvalidRequest for options that contradict each other."""
    if "" in (redo or ()):
        raise InvalidRequest("--redo names a request: an empty id names none")
    return Edits(redo_changed=redo_changed, keep=keep, redo=redo or ())


def budget_of(max_images: int | None, max_video_seconds: float | None, max_cost: float | None) -> Budget | None:
    """The bounds of a command line; None for none."""
    bounds = (max_images, max_video_seconds, max_cost)
    return None if bounds == (None, None, None) else Budget(*bounds)
