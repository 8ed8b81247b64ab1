"""The consequence of one attempt to create a job's task: its row's next state, its slot, its error. Pure decisions.

    the attempt                     an earlier unknown create    next state    slot    error
    accepted                        yes or no                    submitted     named
    accepted before (its session)   yes or no                    unknown       held    ACCEPTED
    the same, of a user's session   yes or no                    unknown       held    SESSION_TAKEN
    not accepted for certain        no                           planned       free    the attempt's own
                                    yes                          unknown       held    the earlier one's
    refused for good, this job      no                           failed        free    the attempt's own
                                    yes                          unknown       held    REPEAT_REFUSED
    unknown                         yes or no                    unknown       held    UNANSWERED or ANSWERED

"Not accepted for certain" is every ending after which `CONSEQUENCES` sends again or stops all creates. An unknown job
stays unknown until its task is found: a later attempt shows nothing about the first one.
"""

from dataclasses import dataclass
from enum import Enum

from ..model.errors import AigcError, CreateOutcomeUnknown, NoTaskId
from ..model.states import Ending, JobState
from .retries import CONSEQUENCES, clock_is_off


class UnknownCause(Enum):
    """Why the outcome of a create is unknown."""

    UNANSWERED = "unanswered"
    ANSWERED = "answered without a TaskId"
    ACCEPTED = "accepted before"
    REPEAT_REFUSED = "refused when it was sent again"
    SESSION_TAKEN = "refused for the session that the user chose"

    def error(self, reason: str, if_unanswered: str) -> CreateOutcomeUnknown:
        """The error of a create that is unknown for this reason. `if_unanswered` is the next step for a create that got
        no answer."""
        match self:
            case UnknownCause.UNANSWERED:
                return CreateOutcomeUnknown(f"{_UNANSWERED} ({reason}); {if_unanswered}")
            case UnknownCause.REPEAT_REFUSED:
                return CreateOutcomeUnknown(f"{_UNANSWERED} (sent again and refused: {reason}); {if_unanswered}")
            case UnknownCause.ANSWERED:
                return CreateOutcomeUnknown(
                    f"the create was answered, but its TaskId is not known ({reason}); it is not sent again: look for "
                    "its task in the console"
                ).as_not_repeatable()
            case UnknownCause.SESSION_TAKEN:
                return CreateOutcomeUnknown(
                    "the service refuses the session of this create: it has accepted a create with the same "
                    f"`session_id` before, of this job or of another request ({reason}). The create is not sent again: "
                    "look for the session's task in the console, then attach the task, create again or drop the job "
                    "(`settle`)"
                ).as_not_repeatable()
            case UnknownCause.ACCEPTED:
                return CreateOutcomeUnknown(
                    f"the service has accepted the create, but its TaskId is not known ({reason}): look for its task "
                    "in the console"
                ).as_accepted()


_UNANSWERED = "the create was sent, and no reply told whether it was accepted"


class Earlier(Enum):
    """The creates that were sent in the attempt's session before."""

    NONE = "none"
    REPLACED = "one that the user has made again"
    UNKNOWN = "an unknown one"


class SlotUse(Enum):
    """The use of the attempt's slot afterwards."""

    FREE = "given back"
    HELD = "held while the task may run"
    NAMED = "the task's"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The facts about an attempt that has ended."""

    ending: Ending | None = None
    """How it ended; None if it was accepted."""
    was_answered: bool = False
    """Whether an answer came that names no task."""
    earlier: Earlier = Earlier.NONE
    honours_session: bool = False
    """Whether the service is known to refuse a second create of the attempt's session."""
    is_users_session: bool = False
    """Whether the user chose the attempt's session: other creates may have it too."""
    lists_tasks: bool = False
    """Whether the task may be found in a list of the service, by its session."""
    has_caller: bool = True
    """Whether a caller still waits for the job."""

    @property
    def is_refused_for_certain(self) -> bool:
        """Whether no task can have come of it, and the job may be created later."""
        if self.ending is None or self.ending in (Ending.UNKNOWN, Ending.ACCEPTED_BEFORE):
            return False
        consequence = CONSEQUENCES[self.ending]
        return consequence.create_again or consequence.stops_creating


@dataclass(frozen=True, slots=True)
class Decision:
    """The consequence of an attempt. Its event is that of the state: Submitted, Failed or Unknown, and none for
    *planned*, whose retry is announced with its delay."""

    state: JobState
    slot: SlotUse
    cause: UnknownCause | None = None
    """Why the job is unknown, if this attempt is the reason; None keeps the present error."""
    may_repeat: bool = False
    """Whether the same create may be sent again without the user's word."""
    is_news: bool = True
    """Whether to announce the state now: nothing is under way that could change it."""
    proves_session: bool = False
    """Whether the service has shown that it refuses a second create of one session."""


def ending_of(error: AigcError) -> Ending:
    """How an attempt ended that raised this error. A refused timestamp shows nothing about the job."""
    return Ending.ACCOUNT_REFUSED if clock_is_off(error) else error.ending or Ending.REFUSED


def was_answered(error: AigcError) -> bool:
    """Whether the service processed a create, and its answer names no task."""
    return isinstance(error, NoTaskId)


def decide(attempt: Attempt) -> Decision:
    """The consequence of an attempt, by the table above."""
    is_unknown = attempt.earlier is Earlier.UNKNOWN
    if attempt.ending is None:
        return Decision(JobState.SUBMITTED, SlotUse.NAMED)
    if attempt.ending is Ending.ACCEPTED_BEFORE and attempt.is_users_session:
        return _unknown(attempt, UnknownCause.SESSION_TAKEN)  # and no proof: it may be the session of a stranger
    if attempt.ending is Ending.ACCEPTED_BEFORE:
        # The refusal of a session that nobody has sent before proves nothing.
        return _unknown(attempt, UnknownCause.ACCEPTED, proves_session=attempt.earlier is not Earlier.NONE)
    if attempt.is_refused_for_certain:
        may_repeat = CONSEQUENCES[attempt.ending].create_again
        if is_unknown:
            return Decision(JobState.UNKNOWN, SlotUse.HELD, may_repeat=may_repeat, is_news=False)
        return Decision(JobState.PLANNED, SlotUse.FREE, may_repeat=may_repeat, is_news=False)
    if attempt.ending is Ending.UNKNOWN:
        return _unknown(attempt, UnknownCause.ANSWERED if attempt.was_answered else UnknownCause.UNANSWERED)
    if is_unknown:  # a third create would be refused too, and shows nothing about the first one
        return _unknown(attempt, UnknownCause.REPEAT_REFUSED)
    return Decision(JobState.FAILED, SlotUse.FREE)


def _unknown(attempt: Attempt, cause: UnknownCause, *, proves_session: bool = False) -> Decision:
    can_repeat = attempt.honours_session and cause in (UnknownCause.UNANSWERED, UnknownCause.REPEAT_REFUSED)
    goes_on = can_repeat or attempt.lists_tasks
    return Decision(
        JobState.UNKNOWN,
        SlotUse.HELD,
        cause,
        may_repeat=can_repeat and cause is UnknownCause.UNANSWERED,
        is_news=not (attempt.has_caller and goes_on),
        proves_session=proves_session,
    )
