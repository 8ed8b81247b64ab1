"""A run's budget while its chains are under way: seconds and money that a begun chain still needs are promised to it.

The ledger checks each create against the total of all that may be paid (`Ledger.claim`). A chain that begins must have
room for all of its steps: an image without its video would be paid for in vain. So its later steps are promised to it
from its first create on, and the other requests of the run have the rest.

The first refusal ends the creating of the run: a smaller request further down would otherwise overtake.
"""

from collections.abc import Collection, Mapping
from copy import copy

from ..catalog.prices import Estimate
from ..ledger import JobRecord, Ledger
from ..model.budget import NOTHING, Amount, Bound, Budget
from ..model.errors import BudgetReached, InvalidRequest
from ..model.states import JobState, Kind


class Purse:
    """The budget of one run."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._later: dict[str, Mapping[str, Amount]] = {}
        """The later steps of each chain by their job ids, by the id of the job that it makes first."""
        self._promises: dict[str, Amount] = {}
        """The later steps of begun chains, by their job ids."""
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
        """Note the later steps of a chain that makes this job first."""
        self._later[first] = {job_id: amount_of(estimate) for job_id, estimate in later.items()}

    def end(self, jobs: Collection[str]) -> None:
        """Take back the promises to a chain's jobs: the chain has ended."""
        for job_id in jobs:
            self._later.pop(job_id, None)
            self._promises.pop(job_id, None)

    def require_open(self, job: JobRecord) -> None:
        """Raise BudgetReached if the run creates nothing more. A job that was promised to its chain is created, and an
        unknown create, which counts already, is sent again."""
        if self._refusal is not None and job.state is JobState.PLANNED and job.job_id not in self._promises:
            refusal = copy(self._refusal)
            refusal.job_id = job.job_id
            raise refusal

    async def claim(self, ledger: Ledger, job: JobRecord, intent: JobRecord, ahead_of: Collection[Kind]) -> None:
        """Write the intent (`Ledger.claim`) within the budget."""
        if job.state is not JobState.PLANNED:
            await ledger.claim(job, intent, ahead_of)
            return
        self.require_open(job)
        is_promised = self._promises.pop(job.job_id, None) is not None
        self._promises |= self._later.pop(job.job_id, {})
        promises = NOTHING if is_promised else sum(self._promises.values(), NOTHING)
        try:
            await ledger.claim(job, intent, ahead_of, Bound(self._budget, promises))
        except BudgetReached as refusal:
            self._refusal = self._refusal or refusal
            raise


def amount_of(estimate: Estimate) -> Amount:
    return Amount.of(estimate.kind, estimate.number or 0, estimate.cost or 0)
