"""What a request is made of: one job for an image or a video, two linked ones for a chain."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from .catalog import Strictness, judge
from .downloads import stem_of
from .errors import AigcError, InvalidRequest, ResultExpired
from .jobs import Jobs
from .ledger import JobRecord
from .limits import Slot, Slots
from .requests import CosStore, ImageRequest, ImageToVideo, Request, VideoRequest, check, digest
from .results import ImageResult, ImageToVideoResult, Outcome, Result, VideoResult
from .settlement import Settlement
from .states import JobState, Kind
from .wire.dialect import Dialect, TaskRequest

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Request)

NEAR_END_S: Final = 600.0
"""A first frame's URL must live this much longer when its video is created: the task may wait at the service before
the frame is fetched."""

USUAL_VIDEO_S: Final = 300.0
"""The longest that the guide of 2026-05-29 calls usual for a video (3 to 5 minutes)."""


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """What an image request that names no model takes."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class VideoDefaults:
    """What a video request that names no model takes."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None
    duration: int | None = None
    enable_audio: bool | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """The user's defaults for requests."""

    image: ImageDefaults = field(default_factory=ImageDefaults)
    video: VideoDefaults = field(default_factory=VideoDefaults)

    def apply(self, request: TaskRequest) -> TaskRequest:
        """The request with what it leaves open filled in; one that names its own model takes nothing.

        >>> Defaults(video=VideoDefaults(model_name="Kling", duration=5)).apply(VideoRequest(prompt="x")).duration
        5
        """
        if request.model_name is not None:
            return request
        defaults = self.image if isinstance(request, ImageRequest) else self.video
        missing = {
            name: value
            for name in ("model_name", "model_version", "duration", "enable_audio")
            if (value := getattr(defaults, name, None)) is not None and getattr(request, name, None) is None
        }
        return request.model_copy(update=missing)

    def complete(self, request: Request) -> Request:
        """The request, or all steps of it, with what they leave open filled in."""
        if not isinstance(request, ImageToVideo):
            return self.apply(request)
        steps = {"image": self.apply(request.image), "video": self.apply(request.video)}
        return request.model_copy(update=steps)

    def check(self, request: Request) -> None:
        """Refuse what cannot be served as configured. Raises InvalidRequest."""
        check(request)
        kinds = {ImageRequest: "image", VideoRequest: "video", ImageToVideo: "image video"}[type(request)].split()
        for kind in kinds:
            if not (self.image if kind == "image" else self.video).enabled:
                raise InvalidRequest(
                    f"{kind} generation is disabled: set mps.{kind}Generation.enabled to true in the config"
                )


def ensure_sendable(
    request: Request, defaults: Defaults, dialect: Dialect, store: CosStore | None, strictness: Strictness
) -> None:
    """Refuse what could not be sent, all steps of it, before the first is paid for. Raises InvalidRequest."""
    defaults.check(request)
    asked = defaults.complete(request)
    for step in (asked.image, asked.video) if isinstance(asked, ImageToVideo) else (asked,):
        dialect.create(step, store)
    judge(asked, strictness)


class Names:
    """Gives each request of a batch its id: its own, or its content's digest and occurrence."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, request: Request) -> str:
        """
        >>> names = Names()
        >>> [names.name(ImageRequest(prompt="a cat")) for _ in range(2)]
        ['image-de4d7d1a2f60', 'image-de4d7d1a2f60-2']
        """
        if request.id is not None:
            return request.id
        short = digest(request)
        self._seen[short] += 1
        return short if self._seen[short] == 1 else f"{short}-{self._seen[short]}"


def images_ahead(images: int, videos: int, proven: int, url_life_s: float) -> int:
    """How many chains may have an image begun or done whose video is not created yet.

    Enough to keep both kinds' slots busy, and never more than half of what the videos can use while the first of the
    images lives: with one video slot, 144 five-minute videos outlive a 12-hour URL. What counts are not the config's
    slots, which the service may not grant, but as many as it is `proven` to run at once.

    >>> images_ahead(images=2, videos=1, proven=1, url_life_s=12 * 3600)
    3
    >>> images_ahead(images=1000, videos=100, proven=1, url_life_s=12 * 3600)
    71
    """
    usable = int(proven * (url_life_s - NEAR_END_S) / USUAL_VIDEO_S / 2)
    return max(1, min(images + videos, usable))


class Ahead:
    """How far images may run ahead of their videos, by what is known of both kinds' slots."""

    def __init__(self, slots: Mapping[Kind, Slots], url_life_s: float) -> None:
        self._slots = slots
        self._url_life_s = url_life_s
        self._places = Slots(1)

    async def acquire(self) -> Slot:
        """A place for one chain, from before its image is begun until its video is created."""
        self.look()
        return await self._places.acquire()

    def look(self) -> None:
        """Go by what is known now: a video that was accepted may prove a place more, a refusal that there are less."""
        images, videos = self._slots[Kind.IMAGE], self._slots[Kind.VIDEO]
        self._places.resize(images_ahead(images.in_force, videos.in_force, videos.proven, self._url_life_s))


class Pipelines:
    """Runs requests to their outcomes, in one ledger."""

    def __init__(
        self,
        jobs: Jobs,
        defaults: Defaults,
        check: Callable[[Request], None],
        ahead: Ahead,
        wall: Callable[[], float],
    ) -> None:
        self._jobs = jobs
        self._defaults = defaults
        self._check = check
        self._ahead = ahead
        self._wall = wall

    async def outcome(self, request: RequestT, name: str, save_to: Path | None) -> Outcome[RequestT]:
        """How the request ends. Raises nothing of ours: an error is part of the outcome."""
        made: list[ImageResult] = []
        try:
            result = await self._result(request, name, save_to, made)
        except AigcError as error:
            error.about(job_id=name)
            partial = made[0] if made else None
            return Outcome(job_id=name, request=request, error=error, partial=partial)
        return Outcome(job_id=name, request=request, result=result)

    async def submit(self, request: TaskRequest, name: str) -> JobRecord:
        """The job of a single request, accepted by the service (or further, if it was there already)."""
        await self._check_new(request, name)
        job = await self._plan(request, name)
        return await self._jobs.submit(job, lambda: self._defaults.apply(request))

    async def finish(self, job: JobRecord) -> JobRecord:
        """A submitted job, brought to its end."""
        return await self._jobs.finish(job, _never)

    async def attach(self, kind: Kind, task_id: str) -> JobRecord:
        """A task of another ledger or none, waited for to its end."""
        return await self._jobs.attach(kind, task_id)

    async def settle(self, job_id: str, how: Settlement) -> JobRecord:
        """The user's word on a job of unknown outcome."""
        return await self._jobs.settle(job_id, how)

    async def retry_failed(self) -> list[JobRecord]:
        """The user's word that failed jobs are to be tried again."""
        return await self._jobs.retry_failed()

    def stop_creating(self) -> None:
        """Send no create that is not sent yet."""
        self._jobs.stop_creating()

    async def _result(self, request: Request, name: str, save_to: Path | None, made: list[ImageResult]) -> Result:
        await self._check_new(request, name)
        if isinstance(request, ImageToVideo):
            return await self._chain(request, name, save_to, made)
        job = await self._jobs.finish(await self._plan(request, name), lambda: self._defaults.apply(request))
        return (await self._save(job, name, save_to)).result()

    async def _check_new(self, request: Request, name: str) -> None:
        """Judge what has not begun; what has is paid for, and gone on with whatever the config says by now."""
        kind = Kind.VIDEO if isinstance(request, VideoRequest) else Kind.IMAGE
        if await self._jobs.has_begun(f"{name}/{kind}"):
            return
        self._check(request)
        other = Kind.IMAGE if kind is Kind.VIDEO else Kind.VIDEO
        if not isinstance(request, ImageToVideo) and await self._jobs.exists(f"{name}/{other}"):
            raise InvalidRequest(f"the id is taken: the ledger has it with {other}; give the new request another id")

    async def _chain(self, chain: ImageToVideo, name: str, save_to: Path | None, made: list[ImageResult]) -> Result:
        planned_image, video = await self._plan(chain.image, name), await self._plan(chain.video, name)
        ahead = await self._ahead.acquire() if video.state is JobState.PLANNED else None
        try:
            image = await self._jobs.finish(planned_image, lambda: self._defaults.apply(chain.image))
            made.append(_image(image))
            async with _beside(self._save(image, name, save_to)) as saving:
                try:
                    video = await self._jobs.submit(video, lambda: self._continue(chain.video, image))
                    self._ahead.look()
                    if ahead is not None:
                        ahead.release()
                    video = await self._jobs.finish(video, _never)
                    video = await self._save(video, name, save_to)
                except AigcError:
                    # The image is paid for, whatever becomes of its video: it is saved before we say so. That may take
                    # hours, and must not hold up the other chains.
                    if ahead is not None:
                        ahead.release()
                    with suppress(AigcError):
                        made[:] = [_image(await saving)]
                    raise
                made[:] = [_image(await saving)]
        finally:
            if ahead is not None:
                ahead.release()
        return ImageToVideoResult(image=made[0], video=_video(video))

    def _continue(self, video: VideoRequest, image: JobRecord) -> TaskRequest:
        """The chain's video from its image, if the image's URL lives long enough to be fetched."""
        if image.expires_at is None or self._wall() > image.expires_at - NEAR_END_S:
            raise ResultExpired(
                f"the image's URL ends at {_clock(image.expires_at)}, too soon to make a video of it; the video was "
                "not created (nothing was paid for it)",
                task_id=image.task_id,
            )
        return self._defaults.apply(video.model_copy(update={"first_frame": image.urls[0]}))

    async def _plan(self, request: TaskRequest, name: str) -> JobRecord:
        kind = Kind.IMAGE if isinstance(request, ImageRequest) else Kind.VIDEO
        return await self._jobs.plan(f"{name}/{kind}", kind, request)

    async def _save(self, job: JobRecord, name: str, save_to: Path | None) -> JobRecord:
        return job if save_to is None else await self._jobs.save(job, save_to, stem_of(name))


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run `work` beside the block; leaving the block ends it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def _image(job: JobRecord) -> ImageResult:
    result = job.result()
    assert isinstance(result, ImageResult)  # noqa: S101 — narrowing: an image job's result
    return result


def _video(job: JobRecord) -> VideoResult:
    result = job.result()
    assert isinstance(result, VideoResult)  # noqa: S101 — narrowing: a video job's result
    return result


def _clock(at: float | None) -> str:
    return "an unknown time" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _never() -> TaskRequest:
    raise InvalidRequest("the job was planned again meanwhile (retry_failed, settle): ask for its request again")
