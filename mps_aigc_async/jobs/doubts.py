"""A create in doubt: why it is, in words, and the request that is sent again for it."""

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Final

from ..ledger import JobRecord
from ..model.contents import beyond
from ..model.errors import CreateOutcomeUnknown, InvalidRequest, LedgerError
from ..model.parsing import step_of
from ..model.requests import Step

_log: Final = logging.getLogger("mps_aigc_async")


class Doubt(Enum):
    """Why a create is in doubt."""

    UNANSWERED = "the create was sent and nothing told whether it was accepted"
    ANSWERED = "the create was answered, and as which task is not known"
    ACCEPTED = "the service has accepted the create, and as which task is not known"

    def error(self, reason: str, if_unanswered: str) -> CreateOutcomeUnknown:
        """The error that says so. `if_unanswered` is what follows for a create that was not answered."""
        match self:
            case Doubt.UNANSWERED:
                return CreateOutcomeUnknown(f"{self.value} ({reason}); {if_unanswered}")
            case Doubt.ANSWERED:
                told = f"{self.value} ({reason}); it is not sent again: look for it in the console"
                return CreateOutcomeUnknown(told).as_not_repeatable()
            case Doubt.ACCEPTED:
                return CreateOutcomeUnknown(f"{self.value} ({reason}); look for it in the console").as_accepted()


def as_first_sent(job: JobRecord, now: Step) -> Step | None:
    """The request as it was sent first in the job's session; None if the row does not tell it.

    Its task, if it was accepted, is of that request, whatever the config says by now (`now`): with other content it
    would be another request. A difference is logged.
    """
    try:
        first = step_of(job.kind, job.sent())
    except (InvalidRequest, LedgerError) as error:
        _log.warning("%s cannot be sent again as it was sent first: %s", job.job_id, error)
        return None
    if changed := differences(job.filled_in, beyond(now, job.content)):
        _log.warning("%s is sent again as it was sent first, since it may have been accepted: %s", job.job_id, changed)
    return first


def differences(first: Mapping[str, object], now: Mapping[str, object]) -> str:
    """How a request that was sent differs from the one that would be sent now, for a message. Long values, and those
    of other types than text and numbers, are not shown: a URL may hold a signature.

    >>> differences({"model_name": "Kling", "duration": 5}, {"model_name": "Hailuo", "duration": 5})
    "model_name 'Kling', now 'Hailuo'"
    """
    changed = [name for name in {**first, **now} if first.get(name) != now.get(name)]
    return "; ".join(f"{name} {_shown(first.get(name))}, now {_shown(now.get(name))}" for name in changed)


MOST_SHOWN: Final = 40
"""Most characters of a value that a message about a difference shows: a model's name has about 20."""


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    is_short = isinstance(value, str | int | float) and len(str(value)) <= MOST_SHOWN and "://" not in str(value)
    return repr(value) if is_short else "other"
