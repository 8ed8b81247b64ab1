"""The outcome of a batch's request: a success, or a failure."""

from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from .error_records import to_record
from .errors import AigcError
from .results import Partial, Result, result_as_dict, steps_made
from .short_repr import ShortRepr
from .states import Kind

RequestT_co = TypeVar("RequestT_co", covariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True, bound=Result)


@dataclass(frozen=True, slots=True)
class Origin:
    """The making of a step of a request."""

    kind: Kind
    model: str
    """Name and version; empty for the service's own default."""
    is_kept: bool
    """Whether the step was complete before this run, so that nothing was created for it."""
    changed_defaults: tuple[str, ...] = ()
    """The config's defaults with which a kept step would be made differently by now, such as `duration was 5, and is 10
    now`."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Ended(ShortRepr, Generic[RequestT_co]):
    """The fields of every outcome."""

    job_id: str
    """The request's id: the user's, or else derived from the content. In `save_unsaved`'s outcomes: the job's id."""
    request: RequestT_co
    index: int | None = None
    """The request's place in the input of `run`, from 0. None for an outcome of `save_unsaved` and of queued
    requests."""
    origins: tuple[Origin, ...] = ()
    """The making of each step that has a result. Empty for an outcome of `save_unsaved` and of queued requests."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Success(_Ended[RequestT_co], Generic[RequestT_co, ResultT_co]):
    """The outcome of a request that was made."""

    ok: ClassVar[Literal[True]] = True
    error: ClassVar[None] = None
    partial: ClassVar[None] = None
    result: ResultT_co

    @property
    def is_kept(self) -> bool:
        """Whether all of it was complete before this run, so that nothing was created."""
        return bool(self.origins) and all(origin.is_kept for origin in self.origins)

    def as_dict(self) -> dict[str, object]:
        """The outcome as JSON can hold it, without the request: for a table, a log or an answer of a web service."""
        return {**_as_dict(self, self.result), "kept": self.is_kept}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Failure(_Ended[RequestT_co]):
    """The outcome of a request that was not made, or not whole."""

    ok: ClassVar[Literal[False]] = False
    is_kept: ClassVar[Literal[False]] = False
    result: ClassVar[None] = None
    error: AigcError
    partial: Partial | None = None
    """The results that a failed chain did produce before its last step: its paid image, its paid video, or both (as an
    ImageToVideoResult without audio)."""

    def as_dict(self) -> dict[str, object]:
        """The outcome as JSON can hold it, without the request: for a table, a log or an answer of a web service."""
        return {**_as_dict(self, self.partial, self.error), "kept": False}


Outcome = Success[RequestT_co, ResultT_co] | Failure[RequestT_co]
"""The way in which a single request of a batch ended. `outcome.error is None` tells type checkers, too, that it is a
success; mypy also understands `outcome.ok`."""


def _as_dict(outcome: _Ended[object], result: Result | None, error: AigcError | None = None) -> dict[str, object]:
    models = {origin.kind: origin.model for origin in outcome.origins if origin.model}
    return {
        "job_id": outcome.job_id,
        "index": outcome.index,
        "ok": error is None,
        "results": [
            result_as_dict(step) | ({"model": models[step.kind]} if step.kind in models else {})
            for step in steps_made(result)
        ],
        "error": None if error is None else to_record(error),
    }
