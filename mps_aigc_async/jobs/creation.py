"""One create as its attempts see it: the order, the state that they share, and the job's row after an attempt."""

from collections.abc import Callable
from dataclasses import dataclass

from ..catalog.prices import Estimate
from ..ledger import JobRecord, JobTaken, Ledger, new_token
from ..limits import Slot
from ..model.error_records import to_record
from ..model.errors import AigcError
from ..model.requests import Step
from ..model.states import JobState, Kind
from ..network.clock import Mark
from ..policy.create_endings import Decision, Earlier
from ..wire.dialect import Call, Created
from .own_sessions import next_session
from .terms import NO_TERMS, Terms


@dataclass(frozen=True, slots=True)
class Order:
    """The request of a job's create, and how to make it."""

    resolve: Callable[[], Step]
    """Makes the request to send. Called when the job has its slot, and again for a create in another session, because
    the answer may change (a URL's age)."""
    terms: Terms = NO_TERMS
    model: str = ""
    """The request's model, by name and version: some models have a cap of their own on tasks running at once."""
    ahead_of: tuple[Kind, ...] = ()
    """For a chain's first step: the kinds of later steps that the ledger must count the chain ahead of."""

    def require_open(self, job: JobRecord) -> None:
        """Raise BudgetReached if the run's budget has ended its creates."""
        if self.terms.purse is not None:
            self.terms.purse.require_open(job)

    def hold_room(self, job: JobRecord) -> None:
        """Keep the room of a job that is planned again in the run's budget."""
        if self.terms.purse is not None and job.state is JobState.PLANNED:
            self.terms.purse.hold(job.job_id)

    async def claim(self, ledger: Ledger, job: JobRecord, intent: JobRecord) -> None:
        """Write the intent (`Ledger.claim`), within the run's budget."""
        if self.terms.purse is None:
            await ledger.claim(job, intent, self.ahead_of)
        else:
            await self.terms.purse.claim(ledger, job, intent, self.ahead_of)


@dataclass(slots=True)
class Creation:
    """The state that the attempts of one create share."""

    job: JobRecord
    """The row after the latest attempt, with the fields of its request beyond its content: *unknown* if one of the
    attempts may have been accepted."""
    order: Order
    slot: Slot
    request: Step
    """The request of the call, with the bare URLs of inputs in the user's own buckets."""
    call: Call[Created]
    session_mark: Mark | None = None
    """When its session was begun; None for a session that an earlier create has begun."""
    replaced_session: str = ""
    """The session of an earlier create that the user has made again."""
    has_caller: bool = True
    """Whether its caller waits: a caller that is cancelled leaves it."""
    is_told: bool = False
    """Whether listeners know that the job is unknown."""

    @property
    def earlier(self) -> Earlier:
        if self.job.state is JobState.UNKNOWN:
            return Earlier.UNKNOWN
        return Earlier.REPLACED if self.replaced_session else Earlier.NONE


def still_to_create(row: JobRecord, job: JobRecord) -> JobRecord:
    """The job's row after an attempt that found no room. Raises JobTaken if the job need not be created as it was: its
    row was free meanwhile, and another member of the ledger may have claimed it, or replaced its content."""
    if row.state not in (JobState.PLANNED, JobState.UNKNOWN) or row.content != job.content:
        raise JobTaken(f"another client has changed the job, which is {row.state} now", job_id=row.job_id)
    return row


def intent_of(creation: Creation, estimate: Estimate, now: float) -> JobRecord:
    """The row of the next attempt, before it is sent."""
    is_repeat = creation.earlier is not Earlier.NONE
    return creation.job.moved(
        JobState.INTENT,
        token=new_token(),
        # A session's life is counted from its first create.
        intent_at=creation.job.intent_at if is_repeat else now,
        sent_at=None,
        # If this process is killed now, the next one has to know how young the latest create is.
        ended_at=now if is_repeat else None,
        amount=estimate.number,
        cost=estimate.cost,
    )


def row_after(intent: JobRecord, decision: Decision, error: AigcError, replaced_session: str, now: float) -> JobRecord:
    """The job's row after an attempt that was not accepted."""
    if decision.state is JobState.PLANNED:
        # No document says whether the service remembers the session of a create that it refused, so the next create has
        # another session, unless the user chose it (`own_sessions`). A create that the user makes again keeps the
        # session, which shows the outcome of the first one.
        session_id = replaced_session or next_session(intent)
        return intent.moved(JobState.PLANNED, session_id=session_id, ended_at=None)
    if decision.state is JobState.UNKNOWN and decision.cause is None:
        return intent.moved(JobState.UNKNOWN)
    return intent.moved(decision.state, ended_at=now, error=to_record(error))
