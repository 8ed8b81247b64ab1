"""An unknown create: the slot that it keeps, and the request that is sent again for it."""

import logging
from collections.abc import Mapping
from typing import Final

from ..ledger import JobRecord
from ..model.contents import beyond
from ..model.errors import InvalidRequest, LedgerError
from ..model.parsing import step_of
from ..model.requests import Step
from ..model.states import Kind

_log: Final = logging.getLogger("mps_aigc_async")

UNKNOWN_SLOT_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 180.0, Kind.VIDEO: 300.0, Kind.AUDIO: 300.0}
"""Seconds for which a create of unknown outcome keeps its slot: the task may be running, and nobody can poll it. The
guide of 2026-05-29 calls runs up to these usual: images 1 to 3 minutes, videos 3 to 5. The guide is silent on audio,
which gets a video's time."""


def slot_name(job: JobRecord) -> str:
    """The name of the slot that an unknown create keeps: one for each, in any ledger."""
    return f"{job.job_id} {job.intent_at}"


def as_first_sent(job: JobRecord, now: Step) -> Step | None:
    """The request as it was first sent in the job's session; None if the row does not have all of it.

    If the first create was accepted, its task is of that request. The config may say otherwise by now (`now`), but
    other content would make it another request. A difference is logged.
    """
    try:
        first = step_of(job.kind, job.sent_fields())
    except (InvalidRequest, LedgerError) as error:
        _log.warning("%s cannot be sent again as it was sent first: %s", job.job_id, error)
        return None
    if changes := differences(job.filled_in, beyond(now, job.content)):
        _log.warning("%s is sent again as it was sent first, since it may have been accepted: %s", job.job_id, changes)
    return first


def differences(first: Mapping[str, object], now: Mapping[str, object]) -> str:
    """The differences of a request that was sent to the one that would be sent now, for a message. Long values, and
    values that are neither text nor numbers, are not shown: a URL may hold a signature.

    >>> differences({"model_name": "Kling", "duration": 5}, {"model_name": "Hailuo", "duration": 5})
    "model_name 'Kling', now 'Hailuo'"
    """
    names = [name for name in {**first, **now} if first.get(name) != now.get(name)]
    return "; ".join(f"{name} {_short(first.get(name))}, now {_short(now.get(name))}" for name in names)


MOST_SHOWN: Final = 40
"""Most characters of a value that a message about a difference shows: a model's name has about 20."""


def _short(value: object) -> str:
    if value is None:
        return "unset"
    is_short = isinstance(value, str | int | float) and len(str(value)) <= MOST_SHOWN and "://" not in str(value)
    return repr(value) if is_short else "other"
