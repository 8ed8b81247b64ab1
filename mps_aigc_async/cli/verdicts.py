"""The standing of a job, from the outcome of its request: pure."""

from collections.abc import Iterator

from ..engine.batch import BatchItem
from ..ledger import JobRecord
from ..model.errors import (
    AigcError,
    BudgetReached,
    ClientClosed,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    LedgerError,
    ResultExpired,
    TaskTimeout,
)
from ..model.outcomes import Outcome
from ..model.requests import Request
from ..model.results import Result, StepResult, steps_made
from ..model.states import Ending, Kind
from ..policy.retries import CONSEQUENCES
from .batch_jobs import Standing, job_ids

AnyOutcome = Outcome[BatchItem, Result] | Outcome[JobRecord, Result]
"""The outcome of a request of the batch, or of a job that is saved whether or not the batch asks for it."""


def standing_of_result(result: StepResult) -> Standing:
    return Standing.SAVED if result.is_saved else Standing.DONE


def standing_of_error(outcome: AnyOutcome) -> Standing | None:
    """The standing of the job whose error ended a request; None if the same command again would go on with the job."""
    error = outcome.error
    match error:
        case None:
            return None
        case CreateOutcomeUnknown():
            return Standing.UNKNOWN
        case DownloadError():
            return Standing.UNSAVED
        case ResultExpired():
            return Standing.FAILED if _is_of_input(error, outcome) else Standing.UNSAVED
        case DamagedRow():
            return Standing.FAILED
        case InvalidRequest():  # with a task id, a poll was refused: the task is still at the service
            return Standing.LATE if error.task_id else Standing.REFUSED
        case TaskTimeout():
            return Standing.LATE
        case ClientClosed() | LedgerError() | BudgetReached():
            return None
        case _:
            consequence = CONSEQUENCES[error.ending or Ending.REFUSED]
            return None if consequence.create_again or consequence.stops_creating else Standing.FAILED


def _is_of_input(error: AigcError, outcome: AnyOutcome) -> bool:
    """Whether the expired URL is the input of a chain's step, which was then not created."""
    kind = (error.job_id or "").rpartition("/")[2]
    return any(step.task_id == error.task_id and step.kind != kind for step in steps_made(outcome.partial))


def _blocked(outcome: Outcome[BatchItem, Result], last: str, standing: Standing) -> Iterator[tuple[str, Standing]]:
    """The steps of a chain after the one that failed, or is unknown."""
    if standing in (Standing.FAILED, Standing.REFUSED, Standing.UNKNOWN) and isinstance(outcome.request, Request):
        ids = [job_id for job_id, _ in job_ids(outcome.job_id, outcome.request)]
        if last in ids:  # an edited line may be another request than the ledger's
            yield from ((job_id, Standing.BLOCKED) for job_id in ids[ids.index(last) + 1 :])


def standings_of(outcome: Outcome[BatchItem, Result]) -> Iterator[tuple[str, Standing]]:
    """The jobs of a batch's request with their standings by the request's outcome."""
    for one in steps_made(outcome.result or outcome.partial):
        yield f"{outcome.job_id}/{one.kind}", standing_of_result(one)
    if outcome.error is not None and (standing := standing_of_error(outcome)) is not None:
        if outcome.error.job_id in {f"{outcome.job_id}/{kind}" for kind in Kind}:
            yield outcome.error.job_id, standing
            yield from _blocked(outcome, outcome.error.job_id, standing)
        elif isinstance(outcome.request, Request):
            # Refused as a whole: the request fails at its first step without a result.
            complete = {f"{outcome.job_id}/{one.kind}" for one in steps_made(outcome.partial)}
            left = [job_id for job_id, _ in job_ids(outcome.job_id, outcome.request) if job_id not in complete]
            yield from ((job_id, standing) for job_id in left[:1])
