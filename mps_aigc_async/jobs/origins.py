"""The making of a request's steps, as its outcome tells it: pure."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from ..ledger import JobRecord
from ..model.defaults import Defaults
from ..model.errors import DamagedRow
from ..model.outcomes import Origin
from ..model.requests import Request, Step, model_label, steps_of
from ..model.states import JobState, Kind
from .new_steps import WITH_RESULT

_FROM_CONFIG: Final = ("model_name", "model_version", "duration", "enable_audio")
"""The fields that the config's defaults may fill in."""


def origins_of(request: Request, jobs: Mapping[Kind, JobRecord], defaults: Defaults) -> tuple[Origin, ...]:
    """The origins of a request's steps, told before the run goes on with the jobs that the ledger has of it."""
    return tuple(_origin(defaults.apply(step), jobs.get(step.kind)) for step in steps_of(request))


def _origin(step: Step, job: JobRecord | None) -> Origin:
    """The origin of a step, which would now be sent like this."""
    fields: Mapping[str, object] = {}
    if job is not None and job.state is not JobState.PLANNED:
        with suppress(DamagedRow):  # told by the request's outcome
            fields = job.sent_fields()
    if not fields:
        return Origin(step.kind, model_label(step.model_name, step.model_version), is_kept=False)
    is_kept = job is not None and job.state in WITH_RESULT
    label = model_label(fields.get("model_name"), fields.get("model_version"))
    return Origin(step.kind, label, is_kept, tuple(_changes(step, fields)) if is_kept else ())


def _changes(step: Step, fields: Mapping[str, object]) -> Iterator[str]:
    for name in _FROM_CONFIG:
        before, now = fields.get(name), getattr(step, name, None)
        if before != now:
            yield f"{name} was {_in_words(before)}, and is {_in_words(now)} now"


def _in_words(value: object) -> str:
    return "left to the service" if value is None else str(value)
