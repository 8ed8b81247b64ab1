"""The size and the price of a job's create, in the job's row."""

from contextlib import suppress
from dataclasses import replace

from ..catalog.prices import PriceList
from ..ledger import JobRecord
from ..model.errors import DamagedRow, InvalidRequest
from ..model.requests import AudioRequest, ImageRequest, Step, VideoRequest
from ..model.states import Kind

_REQUESTS: dict[Kind, type[Step]] = {
    Kind.IMAGE: ImageRequest, Kind.VIDEO: VideoRequest, Kind.AUDIO: AudioRequest,
}  # fmt: skip


def with_price(job: JobRecord, prices: PriceList) -> JobRecord:
    """The row with its size and price, if it may be paid for and lacks one of them: an older version has written it, or
    the config had no price for its model then."""
    if not job.may_be_paid or (job.amount is not None and job.cost is not None):
        return job
    with suppress(DamagedRow, InvalidRequest):
        estimate = prices.estimate(request_in_row(job))
        amount = estimate.number if job.amount is None else job.amount
        return replace(job, amount=amount, cost=estimate.cost if job.cost is None else job.cost)
    return job


def request_in_row(job: JobRecord) -> Step:
    """The request of a job as it was sent, or as the user wrote it. Raises DamagedRow and InvalidRequest."""
    return _REQUESTS[job.kind].model_validate(job.sent_fields())
