"""The outcome of a batch's request."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from .error_records import to_record
from .errors import AigcError
from .results import Partial, Result, result_as_dict, steps_made
from .short_repr import ShortRepr

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outcome(ShortRepr, Generic[RequestT]):
    """The way in which a single request of a batch ended."""

    job_id: str
    """The request's id: the user's, or else derived from the content. In `save_unsaved`'s outcomes: the job's id."""
    request: RequestT
    result: Result | None = None
    error: AigcError | None = None
    partial: Partial | None = None
    """The results that a failed chain did produce before its last step: its paid image, its paid video, or both (as an
    ImageToVideoResult without audio)."""
    index: int | None = None
    """The request's place in the input of `run`, from 0. None for an outcome of `save_unsaved` and of queued
    requests."""

    @property
    def ok(self) -> bool:
        return self.error is None

    def as_dict(self) -> dict[str, object]:
        """The outcome as JSON can hold it, without the request: for a table, a log or an answer of a web service."""
        steps = steps_made(self.result or self.partial)
        return {
            "job_id": self.job_id,
            "index": self.index,
            "ok": self.ok,
            "results": [result_as_dict(step) for step in steps],
            "error": None if self.error is None else to_record(self.error),
        }
