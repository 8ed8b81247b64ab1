"""Results of tasks and chains: frozen values."""

from dataclasses import dataclass, fields
from datetime import datetime
from html import escape
from importlib import import_module
from pathlib import Path
from typing import ClassVar, cast

from .short_repr import ShortRepr
from .states import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A task's use and output, as the service counts them for its bill (VOD's videos). A field is None if the service
    does not report it."""

    output_seconds: float | None = None
    """Seconds of the finished video; VOD reports them for every model."""
    input_seconds: float | None = None
    total_seconds: float | None = None
    input_images: float | None = None
    input_tokens: float | None = None
    thought_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskResult(ShortRepr):
    """The fields of every finished task's result."""

    kind: ClassVar[Kind]
    task_id: str
    request_id: str
    """The RequestId of the answer that said DONE; the service's support asks for it."""
    urls: tuple[str, ...]
    """Empty if VOD stores the results and gives only their ids: see `file_ids`."""
    expires_at: datetime | None
    """When the URLs expire (UTC), never later than the truth.

    None if the results never expire (`never_expires`), and for a task that had ended before it was attached: its end
    is not known."""
    never_expires: bool = False
    """Whether the results are stored for good: on VOD by `VodOptions(storage_mode="Permanent")`, on MPS in a bucket of
    your own."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of the results, if VOD stores them (`VodOptions(storage_mode="Permanent")`)."""
    bare_file_ids: tuple[str, ...] = ()
    """The part of `file_ids` whose results have no URL. Saving asks VOD for their URLs."""
    files: tuple[Path, ...] = ()
    """The saved files in the URLs' order, then those of `bare_file_ids`; empty without `save_to`.

    If some results could not be saved, their files are missing here: see `is_saved`."""
    usage: Usage | None = None
    """The service's count for its bill, if the service reports it (VOD's videos)."""
    begun_at: datetime | None = None
    """When the service began to work on the task (UTC), if the service reports it (VOD)."""
    finished_at: datetime | None = None
    """When the task ended at the service (UTC), if the service reports it (VOD)."""

    @property
    def url(self) -> str:
        """The first URL; empty if VOD gives only ids."""
        return self.urls[0] if self.urls else ""

    @property
    def is_saved(self) -> bool:
        """Whether every result was saved."""
        return bool(self.files) and len(self.files) == len(self.urls) + len(self.bare_file_ids)

    async def save(self, path: str | Path) -> tuple[Path, ...]:
        """Save the results as files at `path`, without a client, and return the files.

        A path without suffix gets that of the content; in a folder, files have the TaskId's name. Several results are
        `lake.png`, `lake+2.png` …. Raises ConfigError for a folder that cannot be written, and ResultExpired or
        DownloadError for a file that cannot be saved: another file of that name, too, is never replaced. The ledger
        knows nothing of these files; `client.save` also reads your own bucket.
        """
        return await _save(self, path)

    def _repr_html_(self) -> str:
        """The pictures or players of the results, for a notebook. They are loaded from the service while the URLs
        live."""
        tags = {
            Kind.IMAGE: '<img src="{}" style="max-width: 24em">',
            Kind.VIDEO: '<video src="{}" controls style="max-width: 24em"></video>',
            Kind.AUDIO: '<audio src="{}" controls></audio>',
        }
        return "".join(tags[self.kind].format(escape(url)) for url in self.urls)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageResult(TaskResult):
    """The images of an image task. `VideoRequest(first_frame=…)` takes this result."""

    kind = Kind.IMAGE


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VideoResult(TaskResult):
    """The video of a video task. `AudioRequest(videos=…)` takes this result."""

    kind = Kind.VIDEO
    resolution: str | None = None
    """In the service's own form: `1920x1088` or `1080*720`; both occur in its documents."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AudioResult(TaskResult):
    """The audios of an audio task, at `urls`."""

    kind = Kind.AUDIO
    duration: float | None = None
    """Seconds of the first audio; None if the service does not report them."""
    durations: tuple[float | None, ...] = ()
    """Seconds of each audio, in the order of `urls`: None for an audio whose seconds the service does not report, and
    empty if it reports none."""
    videos: tuple[str, ...] = ()
    """URLs of the input video with the new sound, if the model makes one. Their files stand last in `files`."""
    video_durations: tuple[float | None, ...] = ()
    """Seconds of each of `videos`, in the same way."""

    @property
    def is_saved(self) -> bool:
        """Whether every result was saved."""
        return bool(self.files) and len(self.files) == len(self.urls) + len(self.bare_file_ids) + len(self.videos)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageToVideoResult(ShortRepr):
    """A chain's results: the image, the video that begins with it, and the video's sound if the request has `audio`."""

    image: ImageResult
    video: VideoResult
    audio: AudioResult | None = None

    async def save(self, path: str | Path) -> tuple[Path, ...]:
        """Save the results of all steps as `TaskResult.save` does: the files share the name, but not the suffix."""
        return await _save(self, path)

    def _repr_html_(self) -> str:
        """The picture and the players, for a notebook."""
        return "".join(step._repr_html_() for step in steps_made(self))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VideoToAudioResult(ShortRepr):
    """A chain's results: the video and its sound."""

    video: VideoResult
    audio: AudioResult

    async def save(self, path: str | Path) -> tuple[Path, ...]:
        """Save the results of all steps as `TaskResult.save` does: the files share the name, but not the suffix."""
        return await _save(self, path)

    def _repr_html_(self) -> str:
        """The players, for a notebook."""
        return "".join(step._repr_html_() for step in steps_made(self))


StepResult = ImageResult | VideoResult | AudioResult
"""The result of a single task, by itself or as a step of a chain."""

Result = StepResult | ImageToVideoResult | VideoToAudioResult

Partial = ImageResult | VideoResult | ImageToVideoResult
"""The results that a failed chain did produce: its image, its video, or both."""


def steps_made(result: Result | None) -> tuple[StepResult, ...]:
    """Return the results of single tasks, in the order of making: the result itself, or a chain's."""
    match result:
        case None:
            return ()
        case ImageToVideoResult(image=image, video=video, audio=audio):
            return (image, video) if audio is None else (image, video, audio)
        case VideoToAudioResult(video=video, audio=audio):
            return (video, audio)
        case _:
            return (result,)


async def _save(result: TaskResult | ImageToVideoResult | VideoToAudioResult, path: str | Path) -> tuple[Path, ...]:
    # Found by its name at the moment of its use: the values of this floor import nothing that opens a socket.
    network = import_module("mps_aigc_async.network.result_files")
    return cast("tuple[Path, ...]", await network.save_result(result, path))


def result_as_dict(result: StepResult) -> dict[str, object]:
    """A task's result as JSON can hold it: the fields that are set, times in ISO 8601."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    values_set = {name: value for name, value in values.items() if value not in (None, (), False)}
    return {"kind": result.kind.value, **{name: _plain(value) for name, value in values_set.items()}}


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case Path():
            return str(value)
        case tuple():
            return [_plain(one) for one in value]
        case Usage():
            return {field.name: getattr(value, field.name) for field in fields(value)}
        case _:
            return value
