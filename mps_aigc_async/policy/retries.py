"""The consequence of an ending, and the wait before the next send: decisions without effects.

Time and randomness come in as arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..model.errors import AccountError, AigcError, ContentViolation, ServiceError, Throttled, TooManyTasks, Unreachable
from ..model.states import Ending


@dataclass(frozen=True, slots=True)
class Consequence:
    """The consequence of an ending."""

    read_again: bool
    """May a read (a poll, a list) be sent again?"""
    create_again: bool
    """May a create, or any call that is not a read, be sent again?"""
    stops_creating: bool = False
    """Would every other create of this account fail too?"""


CONSEQUENCES: Final[dict[Ending, Consequence]] = {
    # A row for each ending (docs/design.md, "The create"). Nothing else in the package decides this.
    Ending.NEVER_DELIVERED: Consequence(read_again=True, create_again=True),
    # An address, a certificate or a proxy that has to be corrected: until then every other call fails too.
    Ending.UNREACHABLE: Consequence(read_again=False, create_again=False, stops_creating=True),
    Ending.REFUSED_FOR_NOW: Consequence(read_again=True, create_again=True),
    Ending.REFUSED: Consequence(read_again=False, create_again=False),
    Ending.ACCOUNT_REFUSED: Consequence(read_again=False, create_again=False, stops_creating=True),
    # Only for a create with a session id: proof that its task exists, but without its TaskId.
    Ending.ACCEPTED_BEFORE: Consequence(read_again=False, create_again=False),
    Ending.UNKNOWN: Consequence(read_again=True, create_again=False),
}


def may_repeat(error: AigcError, *, reads: bool) -> bool:
    """Whether the call that ended so may be sent again, by the table alone."""
    consequence = CONSEQUENCES[error.ending or Ending.REFUSED]
    return consequence.read_again if reads else consequence.create_again


def stops_a_batch(error: AigcError) -> bool:
    """Whether every other request of the batch would fail too: the error is reported once, and nothing new is
    created."""
    return isinstance(error, AccountError | Unreachable)


def clock_is_off(error: AigcError) -> bool:
    """AuthFailure.SignatureExpire: refused because of the timestamp alone, so worth one try with a corrected clock."""
    return isinstance(error, ServiceError) and error.code == "AuthFailure.SignatureExpire"


KEYS_REFUSED: Final = frozenset(
    f"AuthFailure.{reason}" for reason in ("InvalidSecretId", "SecretIdNotFound", "SignatureFailure", "TokenFailure")
)
"""Refusals that other keys of the same account may escape (common error codes of the API 3.0, 2026-10)."""


def keys_are_refused(error: AigcError) -> bool:
    """Whether the keys were refused, and not the request: worth one try with fresh keys, if they change."""
    return isinstance(error, ServiceError) and error.code in KEYS_REFUSED


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds and spacing of repeated sends.

    Full jitter (the delay is uniform between 0 and an exponentially growing bound): many clients that failed together
    do not come back together. Source: AWS Architecture Blog, "Exponential Backoff And Jitter", 2015.
    """

    attempts: int = 6
    """Sends in all, the first one included."""
    seconds: float = 120.0
    """From the first send's pace to the last one's."""
    base_s: float = 0.5
    cap_s: float = 20.0
    busy_seconds: float = 1800.0
    """For TooManyTasks instead of `attempts` and `seconds`: a running task has to end first, which takes minutes. As
    long as the guide of 2026-05-29 waits for one task."""

    def delay(self, error: AigcError, attempt: int, elapsed_s: float, uniform: Callable[[], float]) -> float | None:
        """Seconds to wait before send number `attempt` + 1, or None to give up.

        `uniform` returns a number in [0, 1). A refusal for the rate waits little, since its pace has slowed down
        already; by default long enough that three sends take more than a window of the limit, which shows whether calls
        per second are the reason (`limits.refusals`).
        """
        busy = isinstance(error, TooManyTasks)
        if elapsed_s >= (self.busy_seconds if busy else self.seconds) or (attempt >= self.attempts and not busy):
            return None
        if isinstance(error, Throttled):
            return self.base_s * (1.0 + uniform())
        return min(self.cap_s, self.base_s * 2.0 ** min(attempt, 30)) * uniform()


DEAD_INPUTS: Final = frozenset({"ResourceNotFound.DownloadError", "InvalidParameter.InvalidUrl"})
"""Refusals of an input that the service cannot fetch (reported of the live service, 2026-08)."""


def needs_other_request(error: AigcError) -> bool:
    """Whether the same request would fail again: content review has blocked it, or its input cannot be fetched."""
    return isinstance(error, ContentViolation) or (isinstance(error, ServiceError) and error.code in DEAD_INPUTS)
