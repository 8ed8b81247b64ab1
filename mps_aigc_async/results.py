"""What comes back: frozen values."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from .errors import AigcError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What every finished task has."""

    task_id: str
    request_id: str
    """The RequestId of the answer that said DONE: what the service's support asks for."""
    urls: tuple[str, ...]
    expires_at: datetime | None
    """When the URLs stop working (UTC), never later than the truth. None for a task that was attached to when it had
    ended already: nobody here knows when."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of the results, where they are kept there (`VodOptions(storage_mode="Permanent")`)."""
    files: tuple[Path, ...] = ()
    """Where the results were saved, in the URLs' order; empty without `save_to`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult(TaskResult):
    """One image task's images. Can be handed to `VideoRequest(first_frame=…)` as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoResult(TaskResult):
    """One video task's video."""

    resolution: str | None = None
    """As the service writes it: `1920x1088` or `1080*720`, both occur in its documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageToVideoResult:
    """A chain's results: the image and the video that begins with it."""

    image: ImageResult
    video: VideoResult


Result = ImageResult | VideoResult | ImageToVideoResult

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[RequestT]):
    """How one request of a batch ended."""

    job_id: str
    """The request's id: its own, or the one derived from its content."""
    request: RequestT
    result: Result | None = None
    error: AigcError | None = None
    partial: ImageResult | None = None
    """What a failed chain did produce: its paid image."""

    @property
    def ok(self) -> bool:
        return self.error is None
