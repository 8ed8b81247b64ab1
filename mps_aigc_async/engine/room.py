"""The room that a budget leaves for a plan's requests, as a run would find it: pure, from the rows of a ledger."""

from collections.abc import Iterator, Mapping
from math import isinf

from ..catalog.prices import Estimate, PriceList
from ..jobs.new_steps import is_of_begun_chain
from ..jobs.pricing import request_in_row, with_price
from ..jobs.purse import Purse, amount_of
from ..ledger import JobRecord
from ..ledger.record import request_of
from ..ledger.spending import total_of_jobs
from ..model.budget import NOTHING, TOLERANCE, Amount, Budget
from ..model.defaults import Defaults
from ..model.errors import AigcError
from ..model.states import JobState, Kind
from .comparison import Rows


class Room:
    """The room of one run, while its requests take it in their order."""

    def __init__(self, budget: Budget, rows: Rows, prices: PriceList, defaults: Defaults, now: float) -> None:
        self._bounds = budget.bounds()
        self._purse = Purse(budget)
        self._promises = dict(_promises(rows, prices, defaults, now))
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


def _promises(rows: Rows, prices: PriceList, defaults: Defaults, now: float) -> Iterator[tuple[str, Amount]]:
    """The steps that begun chains still need, with their amounts."""
    for job_id, kind, state in rows.states():
        if state is not JobState.PLANNED or kind is Kind.IMAGE:  # an image is no chain's later step
            continue
        own = rows.of_request(request_of(job_id))
        if kind in own and is_of_begun_chain(own[kind], own, now):
            try:
                yield job_id, amount_of(prices.estimate(defaults.apply(request_in_row(own[kind]))))
            except AigcError:  # a damaged row
                yield job_id, NOTHING
