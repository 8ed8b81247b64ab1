"""What comes back: frozen values."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from .states import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A task's use and output, as the service counts them for its bill (VOD's videos). None is not told."""

    output_seconds: float | None = None
    """Seconds of the video that was made: told for every model."""
    input_seconds: float | None = None
    total_seconds: float | None = None
    input_images: float | None = None
    input_tokens: float | None = None
    thought_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What every finished task has."""

    kind: ClassVar[Kind]
    task_id: str
    request_id: str
    """The RequestId of the answer that said DONE: what the service's support asks for."""
    urls: tuple[str, ...]
    """Empty where VOD keeps the results and tells their ids alone: see `file_ids`."""
    expires_at: datetime | None
    """When the results can no longer be fetched (UTC), never later than the truth. None if they never expire
    (`never_expires`), and for a task that was attached to when it had ended already: nobody here knows when."""
    never_expires: bool = False
    """Whether they are kept without an end: on VOD by `VodOptions(storage_mode="Permanent")`, on MPS in a bucket of
    your own."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of the results, where they are kept there (`VodOptions(storage_mode="Permanent")`)."""
    bare_file_ids: tuple[str, ...] = ()
    """The part of `file_ids` whose results have no URL. Saving asks VOD for one."""
    files: tuple[Path, ...] = ()
    """The saved results in the URLs' order, then those of `bare_file_ids`; empty without `save_to`. If some could not
    be saved, only the saved ones: see `is_saved`."""
    usage: Usage | None = None
    """The service's count for its bill, if it tells (VOD's videos)."""
    begun_at: datetime | None = None
    """When the service began to work on the task (UTC), where it tells (VOD)."""
    finished_at: datetime | None = None
    """When the task ended at the service (UTC), where it tells (VOD)."""

    @property
    def is_saved(self) -> bool:
        """Whether every result was saved."""
        return bool(self.files) and len(self.files) == len(self.urls) + len(self.bare_file_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult(TaskResult):
    """One image task's images. Can be handed to `VideoRequest(first_frame=…)` as it is."""

    kind = Kind.IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoResult(TaskResult):
    """One video task's video. Can be handed to `AudioRequest(videos=…)` as it is."""

    kind = Kind.VIDEO
    resolution: str | None = None
    """As the service writes it: `1920x1088` or `1080*720`, both occur in its documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioResult(TaskResult):
    """One audio task's audios: `urls` are theirs."""

    kind = Kind.AUDIO
    duration: float | None = None
    """Seconds, of the first; None if the service did not tell."""
    videos: tuple[str, ...] = ()
    """URLs of the given video with the sound on it, where the model makes one. Their files stand last in `files`."""

    @property
    def is_saved(self) -> bool:
        """Whether every result was saved."""
        return bool(self.files) and len(self.files) == len(self.urls) + len(self.bare_file_ids) + len(self.videos)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageToVideoResult:
    """A chain's results: the image, the video that begins with it, and its sound if one was asked for."""

    image: ImageResult
    video: VideoResult
    audio: AudioResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoToAudioResult:
    """A chain's results: the video and its sound."""

    video: VideoResult
    audio: AudioResult


StepResult = ImageResult | VideoResult | AudioResult
"""What one task made, by itself or as a step of a chain."""

Result = StepResult | ImageToVideoResult | VideoToAudioResult

Partial = ImageResult | VideoResult | ImageToVideoResult
"""What a failed chain did produce: its image, its video, or both."""


def steps_made(result: Result | None) -> tuple[StepResult, ...]:
    """A result's steps, in the order of making."""
    match result:
        case None:
            return ()
        case ImageToVideoResult(image=image, video=video, audio=audio):
            return (image, video) if audio is None else (image, video, audio)
        case VideoToAudioResult(video=video, audio=audio):
            return (video, audio)
        case _:
            return (result,)
