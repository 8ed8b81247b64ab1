"""The terms on which a request is made, beside its content."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ..catalog.prices import Estimate
from ..concurrency.callbacks import ignore
from ..concurrency.ranks import Rank
from ..ledger import JobRecord
from ..model.requests import Request, steps_of
from ..model.states import JobState, Kind
from ..network.folders import Folder
from .purse import Purse


async def agree() -> None:
    """Confirm every request."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How, and for which place in a batch, a request is made."""

    save_to: Folder | None = None
    position: int | None = None
    """The request's place in its batch, from 0; None outside of a batch."""
    steps: tuple[Kind, ...] = ()
    """The kinds of the request's steps, in the order of making."""
    purse: Purse | None = None
    """The budget of the request's run; None for none."""
    kept_kinds: frozenset[Kind] | None = None
    """The steps that were complete before the run, where several accounts try; None: as the account finds them."""
    rank: Rank | None = None
    """The request's rank in its batch: its first create queues for a slot in this order. None for none."""
    estimates: Mapping[Kind, Estimate] = field(default_factory=dict)
    """The sizes and prices of a chain's later steps, for a run with a budget."""
    confirm: Callable[[], Awaitable[None]] = agree
    """Called when the request's jobs are planned, and before they are created: raises an error if the request is not
    wanted as it is any more."""
    on_begin: Callable[[], None] = ignore
    """Called when the first step no longer waits to be created, or holds up no other job by waiting: its create is
    sent, or not needed, or waits for room for its model alone."""
    on_no_room: Callable[[Kind], None] = ignore
    """Called when the service has no room for a step of this kind, or may have none for its model."""

    async def in_turn(self) -> None:
        """Wait until the requests before this one queue for their slots, or wait for something else."""
        if self.rank is not None:
            await self.rank.wait()

    def let_pass(self) -> None:
        """Let the requests after this one pass."""
        if self.rank is not None:
            self.rank.let_pass()

    def of(self, request: Request) -> "Terms":
        """The terms with the request's steps."""
        return replace(self, steps=tuple(step.kind for step in steps_of(request)))

    def written_to(self, job: JobRecord) -> JobRecord:
        """The job's row with these terms. A request of no batch keeps the place of an earlier batch, and one that is
        not saved keeps the folder. The planned step of a chain gets its amount, which the ledger keeps free for it."""
        if job.state is JobState.PLANNED and (estimate := self.estimates.get(job.kind)) is not None:
            job = replace(job, amount=estimate.number, cost=estimate.cost)
        return replace(
            job,
            position=job.position if self.position is None else self.position,
            save_to=job.save_to if self.save_to is None else str(self.save_to.path),
            steps=self.steps,
        )


NO_TERMS: Final = Terms()
