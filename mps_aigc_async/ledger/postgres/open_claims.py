"""The claims of one member whose creates have not ended."""

from ...model.states import JobState
from ..claims import ClaimInDoubt, JobTaken
from ..record import JobRecord
from .moves import Claim, Move, Plan


class OpenClaims:
    """The tokens of the intents that this member has written and not yet answered."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._lost: set[str] = set()
        """The jobs whose claims others have ended, because they took this member for gone."""

    def note(self, move: Move) -> None:
        """Note a write that took."""
        if isinstance(move, Plan):
            return
        if isinstance(move, Claim) or move.job.state is JobState.INTENT:
            self._tokens[move.job.job_id] = move.job.token
            self._lost.discard(move.job.job_id)
        else:
            self.drop(move.job)

    def drop(self, job: JobRecord) -> None:
        """End a claim: its create has ended, or its row is another's."""
        if self.is_open(job):
            del self._tokens[job.job_id]
            self._lost.discard(job.job_id)

    def is_open(self, job: JobRecord) -> bool:
        return self._tokens.get(job.job_id) == job.token

    def lose_all(self) -> None:
        """Lose every claim: others took this member for gone, and its intents have become unknown."""
        self._lost |= self._tokens.keys()

    def require(self, intent: JobRecord | None) -> None:
        """Raise JobTaken if this intent's claim is lost. Without an intent: raise ClaimInDoubt if any claim is lost,
        until the last of these creates has ended."""
        if intent is None and self._lost:
            raise ClaimInDoubt("other clients of the ledger took this one for gone, and took its jobs over")
        if intent is not None and (not self.is_open(intent) or intent.job_id in self._lost):
            raise JobTaken(
                "other clients of the ledger took this one for gone, and took the job over; read the job again",
                job_id=intent.job_id,
            )
