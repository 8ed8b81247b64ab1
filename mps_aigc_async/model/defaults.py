"""The config's defaults for requests that name no model."""

from dataclasses import dataclass, field
from typing import TypeVar

from .audio_models import with_scene
from .errors import InvalidRequest
from .requests import Request, Step, check, steps_of
from .states import Kind

RequestT = TypeVar("RequestT", bound=Request)


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """Defaults of image requests that name no model."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class VideoDefaults:
    """Defaults of video requests that name no model."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None
    duration: int | None = None
    enable_audio: bool | None = None


@dataclass(frozen=True, slots=True)
class AudioDefaults:
    """Defaults of audio requests that name no model."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """The user's defaults for requests."""

    image: ImageDefaults = field(default_factory=ImageDefaults)
    video: VideoDefaults = field(default_factory=VideoDefaults)
    audio: AudioDefaults = field(default_factory=AudioDefaults)

    def of(self, kind: Kind) -> ImageDefaults | VideoDefaults | AudioDefaults:
        match kind:
            case Kind.IMAGE:
                return self.image
            case Kind.VIDEO:
                return self.video
            case Kind.AUDIO:
                return self.audio

    def apply(self, request: Step) -> Step:
        """Fill in the fields that the request leaves open: the config's defaults, unless the request names its own
        model, and an audio's scene.

        >>> from mps_aigc_async.model.requests import VideoRequest
        >>> Defaults(video=VideoDefaults(model_name="Kling", duration=5)).apply(VideoRequest(prompt="x")).duration
        5
        """
        return with_scene(self._filled(request), has_video=bool(getattr(request, "videos", ())))

    def _filled(self, request: Step) -> Step:
        if request.model_name is not None:
            return request
        defaults = self.of(request.kind)
        missing = {
            name: value
            for name in ("model_name", "model_version", "duration", "enable_audio")
            if (value := getattr(defaults, name, None)) is not None and getattr(request, name, None) is None
        }
        return request.model_copy(update=missing)

    def complete(self, request: Request) -> Request:
        """Apply the defaults to the request, or to each step of a chain, whose audio gets the chain's video."""
        steps = steps_of(request)
        if steps == (request,):
            return self.apply(steps[0])
        complete = {step.kind.value: with_scene(self._filled(step), has_video=True) for step in steps}
        return request.model_copy(update=complete)

    def check(self, request: Request) -> None:
        """Refuse a request that the config disables or that no model can serve. Raises InvalidRequest."""
        check(request)
        for step in steps_of(request):
            if not self.of(step.kind).enabled:
                raise InvalidRequest(
                    f"{step.kind} generation is disabled: set mps.{step.kind}Generation.enabled to true in the config"
                )
