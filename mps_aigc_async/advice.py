"""What a user can do about an error: one sentence for each sort, the same on the screen and in the report."""

from collections.abc import Sequence
from typing import Final

from .errors import (
    AigcError,
    ContentViolation,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    JobDropped,
    LedgerError,
    ResultExpired,
    ServiceError,
    TaskFailed,
    UnexpectedError,
)
from .policy import may_repeat

_ADVICE: Final[Sequence[tuple[type[AigcError], str]]] = (
    # The first that fits. A job that failed stays failed until the user says otherwise: no id is paid for twice by
    # accident.
    (
        CreateOutcomeUnknown,
        "the service may have made (and billed) these: they are sent again by themselves only if their message says "
        "so; look for the others in the console's task list, and decide with `mps-aigc settle DIR`",
    ),
    (ContentViolation, "change the prompt or the input, and give the request another id"),
    (InvalidRequest, "fix the request and run the batch again"),
    (DamagedRow, "correct or restore these rows as the message says, then run the same command again"),
    (LedgerError, "fix the ledger as the message says before you run the same command again"),
    (
        DownloadError,
        "the same command again fetches them while their URLs live; if the URLs are refused for good, give the request "
        "another id to make it again (billed again)",
    ),
    (ResultExpired, "to make it anew, give the request another id"),
    (JobDropped, "to make it anew, give the request another id"),
    (
        UnexpectedError,
        "a fault of this package or of a library it uses: please report it with the traceback in the log",
    ),
    (TaskFailed, "to try again (billed if it succeeds), add --retry-failed to the same command"),
)


def advice_for(error: AigcError) -> str:
    """What to do about a request that ended so."""
    for known, advice in _ADVICE:
        if isinstance(error, known):
            return advice
    if isinstance(error, ServiceError) and not may_repeat(error, reads=False):
        return (
            "fix what the message names: in the config, then add --retry-failed to the same command; in the request, "
            "then give it another id"
        )
    return "the same command again goes on with them"
