"""The room that a budget leaves for a plan's requests, as a run would find it: pure, from the rows of a ledger."""

from collections.abc import Iterator, Mapping
from math import isinf

from ..catalog.prices import Estimate, PriceList
from ..jobs.pricing import request_in_row, with_price
from ..jobs.purse import Purse, amount_of
from ..ledger import JobRecord
from ..ledger.record import request_of
from ..ledger.spending import total_of_jobs
from ..ledger.versions import steps_in
from ..model.budget import NOTHING, TOLERANCE, Amount, Budget
from ..model.defaults import Defaults
from ..model.errors import AigcError
from ..model.states import JobState, Kind
from .comparison import Rows

_BEGUN = frozenset({JobState.INTENT, JobState.SUBMITTED, JobState.DONE, JobState.SAVED})


class Room:
    """The room of one run, while its requests take it in their order."""

    def __init__(self, budget: Budget, rows: Rows, prices: PriceList, defaults: Defaults) -> None:
        self._bounds = budget.bounds()
        self._purse = Purse(budget)
        self._promises = dict(_promises(rows, prices, defaults))
        self._used = sum(self._promises.values(), total_spent(rows, prices))
        self._is_open = True

    def require_known(self, estimate: Estimate) -> None:
        """Raise InvalidRequest for a task whose length or price is needed and unknown."""
        self._purse.require_known(estimate)

    def takes(self, steps: Mapping[str, Estimate]) -> bool:
        """Take the room for all steps of a request, by their job ids; False if the run creates nothing more by then.
        The steps of a begun chain have their room."""
        amounts = [amount_of(estimate) for job_id, estimate in steps.items() if job_id not in self._promises]
        if not amounts:
            return True
        used = sum(amounts, self._used)
        self._is_open = self._is_open and all(
            getattr(used, name) <= most + TOLERANCE for name, most in self._bounds.items()
        )
        if self._is_open:
            self._used = used
        return self._is_open


def total_spent(rows: Rows, prices: PriceList) -> Amount:
    """The total of all creates that may be paid for. A row without its price, or its size, gets them from `prices`."""
    total = rows.total()
    if isinf(total.cost) or isinf(total.video_seconds) or isinf(total.audio_seconds):
        total = total_of_jobs(with_price(job, prices) for job in _jobs(rows))
    return total


def _jobs(rows: Rows) -> Iterator[JobRecord]:
    for job_id, kind, _ in rows.states():
        job = rows.of_request(request_of(job_id)).get(kind)
        if job is not None:
            yield job


def _promises(rows: Rows, prices: PriceList, defaults: Defaults) -> Iterator[tuple[str, Amount]]:
    """The steps that begun chains still need, with their amounts."""
    begun = {request_of(job_id) for job_id, _, state in rows.states() if state in _BEGUN}
    for job_id, kind, state in rows.states():
        name = request_of(job_id)
        if state is not JobState.PLANNED or name not in begun:
            continue
        own = steps_in(rows.of_request(name))
        if kind in own and _is_after_begun(own, kind):
            try:
                yield job_id, amount_of(prices.estimate(defaults.apply(request_in_row(own[kind]))))
            except AigcError:  # a damaged row
                yield job_id, NOTHING


def _is_after_begun(own: Mapping[Kind, JobRecord], kind: Kind) -> bool:
    return any(job.state in _BEGUN for one, job in own.items() if list(Kind).index(one) < list(Kind).index(kind))
