"""The making of a request's steps, as its outcome tells it: pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from ..ledger import JobRecord
from ..model.defaults import Defaults
from ..model.errors import DamagedRow
from ..model.outcomes import Origin
from ..model.requests import Request, Step, model_label, steps_of
from ..model.states import Kind
from .new_steps import WITH_RESULT

_FROM_CONFIG: Final = ("model_name", "model_version", "duration", "enable_audio")
"""The fields that the config's defaults may fill in."""


def origins_of(
    request: Request, jobs: Sequence[JobRecord], kept_kinds: Collection[Kind], defaults: Defaults
) -> tuple[Origin, ...]:
    """The origins of a request's results, from the jobs that have them. The steps of `kept_kinds` were complete before
    the run."""
    steps = {step.kind: defaults.apply(step) for step in steps_of(request)}
    return tuple(_origin(steps[job.kind], job, is_kept=job.kind in kept_kinds) for job in jobs)


def complete_kinds(jobs: Mapping[Kind, JobRecord]) -> frozenset[Kind]:
    """The steps that are complete."""
    return frozenset(kind for kind, job in jobs.items() if job.state in WITH_RESULT)


def _origin(step: Step, job: JobRecord, *, is_kept: bool) -> Origin:
    """The origin of a job's result, for a step that would now be sent like this."""
    fields: Mapping[str, object] = {}
    with suppress(DamagedRow):  # told by the request's outcome
        fields = job.sent_fields()
    label = model_label(fields.get("model_name"), fields.get("model_version"))
    return Origin(job.kind, label, is_kept, tuple(_changes(step, fields)) if is_kept else ())


def _changes(step: Step, fields: Mapping[str, object]) -> Iterator[str]:
    for name in _FROM_CONFIG:
        before, now = fields.get(name), getattr(step, name, None)
        if before != now:
            yield f"{name} was {_in_words(before)}, and is {_in_words(now)} now"


def _in_words(value: object) -> str:
    return "left to the service" if value is None else str(value)
