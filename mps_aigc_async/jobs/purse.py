"""A run's budget while its chains are under way: seconds and money that a begun chain still needs are promised to it.

The ledger checks each create against the total of all that may be paid (`Ledger.claim`). A chain that begins must have
room for all of its steps: an image without its video would be paid for in vain. So its later steps are promised to it
from its first create on, and the other requests of the run have the rest. Where several runs share a ledger, the rows
of these steps have their amounts (`Terms.estimates`), and the ledger keeps the room free from the other runs.

The first refusal ends the creating of the run: a smaller request further down would otherwise overtake.
"""

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import replace

from ..catalog.prices import Estimate
from ..ledger import JobRecord, Ledger
from ..ledger.spending import total_of_jobs
from ..model.budget import NOTHING, Amount, Bound, Budget
from ..model.errors import BudgetReached, InvalidRequest
from ..model.states import JobState, Kind


class Purse:
    """The budget of one run."""

    def __init__(self, budget: Budget) -> None:
        """Raises InvalidRequest for any other object."""
        if not isinstance(budget, Budget):
            raise InvalidRequest(f"`budget` takes a Budget, such as Budget(images=100), not {type(budget).__name__}")
        self._budget = budget
        self._later: dict[str, Mapping[str, Amount]] = {}
        """The later steps of each chain by their job ids, by the id of the job that it makes first."""
        self._promises: dict[str, Amount] = {}
        """The room of jobs that are planned: of the later steps of begun chains, and of creates that were refused for
        now."""
        self._claims: dict[str, Amount] = {}
        """The amounts of the jobs that have been claimed, which the ledger counts."""
        self._refusal: BudgetReached | None = None

    def require_known(self, estimate: Estimate) -> None:
        """Raise InvalidRequest for a task whose length or price is needed and unknown: it may not count as free."""
        bounds = self._budget.bounds()
        if "video_seconds" in bounds and estimate.kind is Kind.VIDEO and estimate.number is None:
            raise InvalidRequest("the budget bounds seconds of video: give the request a `duration`")
        if "cost" in bounds and estimate.cost is None:
            model = estimate.model or "the service's default model"
            raise InvalidRequest(
                f"the budget bounds the cost, and {model} has no price: add it to prices.{estimate.kind} in the config"
            )

    def expect(self, first: str, later: Mapping[str, Estimate]) -> None:
        """Note the later steps of a chain that makes this job first: they are promised to it from its create on."""
        self._later[first] = {job_id: amount_of(estimate) for job_id, estimate in later.items()}

    def promise(self, steps: Mapping[str, Estimate]) -> None:
        """Promise room to the steps that a begun chain still needs."""
        self._promises |= {job_id: amount_of(estimate) for job_id, estimate in steps.items()}

    def hold(self, job_id: str) -> None:
        """Keep the room of a job that is planned again: its create was refused for now, or not sent."""
        if (amount := self._claims.pop(job_id, None)) is not None:
            self._promises[job_id] = amount

    def end(self, jobs: Collection[str]) -> None:
        """Take back the promises to a request's jobs: the request has ended."""
        for job_id in jobs:
            for amounts in (self._later, self._promises, self._claims):
                amounts.pop(job_id, None)

    def require_open(self, job: JobRecord) -> None:
        """Raise BudgetReached if the run creates nothing more. A job that has room is created, and an unknown create,
        which the ledger counts already, is sent again."""
        has_room = job.job_id in self._promises or job.job_id in self._claims
        if self._refusal is not None and job.state is JobState.PLANNED and not has_room:
            refusal = copy(self._refusal)
            refusal.job_id = job.job_id
            raise refusal

    async def claim(self, ledger: Ledger, job: JobRecord, intent: JobRecord, ahead_of: Collection[Kind]) -> None:
        """Write the intent (`Ledger.claim`) within the budget."""
        if job.state is not JobState.PLANNED:
            await ledger.claim(job, intent, ahead_of)
            return
        self.require_open(job)
        self.hold(job.job_id)  # its task made nothing, and it is created again
        # Before the claim, which enters the commit at once: a later claim finds the amount in the ledger.
        room = self._promises.pop(job.job_id, None)
        later = self._later.pop(job.job_id, {})
        self._promises |= later
        self._claims[job.job_id] = amount = total_of_jobs([intent])
        bound = Bound(self._budget, needs=sum(later.values(), amount))
        if room is None:
            promises = sum(self._promises.values(), NOTHING)
            bound = replace(bound, promises=promises, promised=tuple(self._promises))
        try:
            await ledger.claim(job, intent, ahead_of, bound)
        except BudgetReached as refusal:
            del self._claims[job.job_id]
            self._refusal = self._refusal or refusal
            raise


def amount_of(estimate: Estimate) -> Amount:
    return Amount.of(estimate.kind, estimate.number or 0, estimate.cost or 0)
