"""The outcome of a batch's request."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import AigcError
from .results import Partial, Result

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[RequestT]):
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
