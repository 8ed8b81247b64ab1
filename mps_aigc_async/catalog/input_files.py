"""The files that a request starts from, and the formats and sizes that the documents name for each field.

Pure. No document agrees with all others, so a rule has the strength of its words: `firm` for a plain bound ("no larger
than 10M"), else a recommendation ("推荐"). A size in M is read as MiB, the larger reading.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..model.input_urls import inputs_of
from ..model.requests import AudioRequest, ImageRequest, Request, Step, VideoRequest, steps_of
from ..model.vod_options import VodFile
from .facts import Source
from .mps import GUIDE, LIVE, SDK

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileRules:
    """The documented formats and size of a field's files."""

    formats: tuple[str, ...]
    """Suffixes, by the field's own document."""
    source: Source
    most_bytes: int | None = None
    firm: bool = False
    """Whether `most_bytes` is a bound; else it is a recommendation."""
    elsewhere: tuple[str, ...] = ()
    """Suffixes that another document lists for the same field."""


_JPEG_PNG: Final = (".jpg", ".png")
_PICTURES: Final = (*_JPEG_PNG, ".webp")
_FILMS: Final = (".mp4", ".mov", ".avi")
_WEBP: Final = (".webp",)
"""The guide of 2026-05-29 ("图片输入要求") lists webp for every image. The SDK leaves it out for a video's images."""

_IMAGES: Final = FileRules(_PICTURES, SDK, 7 * MIB)
"""CreateAigcImageTask.ImageInfos on MPS ("推荐图片小于7M"), AigcImageTaskInputFileInfo.Url on VOD, the relay's page."""
_WAND_VEGA: Final = replace(_IMAGES, most_bytes=20 * MIB, firm=True)
"""CreateAigcImageTask.ImageInfos on MPS: "wand-vega-image … 每张大小不超过20M"."""
_FRAMES: Final = FileRules(_JPEG_PNG, SDK, 10 * MIB, elsewhere=_WEBP)
"""CreateAigcVideoTask.ImageUrl and LastImageUrl on MPS ("推荐图片大小不超过10M"). On VOD FileInfos says 不超过10M, and
the file's own Url says 推荐: the weaker word counts."""
_VIDEO_REFERENCES: Final = replace(_FRAMES, firm=True)
"""CreateAigcVideoTask.ImageInfos on MPS: "图片大小不超过10M"."""
_H3: Final = FileRules((*_PICTURES, ".heic"), LIVE, 30 * MIB)
"""Hailuo H3 is in no document of MPS, so their bounds are not its own. Reported: jpeg, png, webp and heic, 30 MB."""
_SUBJECTS: Final = {
    "mps": FileRules(_PICTURES, GUIDE, 10 * MIB),
    "vod": FileRules(_PICTURES, SDK),
}
"""The guide's rule for any image of a video. VOD: AigcVideoTaskInputSubjectInfo.ImageUrls, without a size."""

_BASE64: Final = {
    "image": FileRules(_PICTURES, SDK),
    "video": FileRules(_FILMS, SDK),
    "": FileRules((*_PICTURES, *_FILMS), SDK),
}
"""Formats by the file's `category` (AigcImageTaskInputFileInfo.Base64, AigcVideoTaskInputFileInfo.Base64). No document
lists formats of audio."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a request starts from, as its user names it: a URL, or the path of a local file."""

    field: str
    """The request's name for the field: `images.0`; in a chain with the step before it: `video.last_frame`."""
    source: str
    rules: FileRules | None
    """None for a video or an audio: no document names their formats and sizes."""

    @property
    def is_url(self) -> bool:
        return self.source.lower().startswith(("https://", "http://"))


def input_files(request: Request, backend: str) -> Iterator[InputFile]:
    """The inputs of a request that are URLs or paths. Results, VOD's file ids and Base64 are left out.

    >>> request = VideoRequest(prompt="x", first_frame="https://a.example/1.png", audios=("https://a.example/1.mp3",))
    >>> [file.field for file in input_files(request, "mps")]
    ['first_frame', 'audios.0']
    """
    for prefix, step in _named_steps(request):
        for place, source in inputs_of(step):
            if isinstance(source, str | Path):
                yield InputFile(f"{prefix}{place}", str(source), _rules_at(place, step, backend))
        for place, file in _vod_files(step):
            if file.url:
                rules = _rules_at("images" if _is_image(file) else "videos", step, backend)
                yield InputFile(f"{prefix}{place}.url", file.url, rules)


def base64_files(request: Request) -> Iterator[tuple[str, str, FileRules]]:
    """The field, the Base64 and the rules of each file that a request holds. A file without documented formats, such as
    an audio, is left out."""
    for prefix, step in _named_steps(request):
        for place, file in _vod_files(step):
            rules = _BASE64.get("image" if isinstance(step, ImageRequest) else (file.category or "").lower())
            if file.base64 and rules is not None:
                yield f"{prefix}{place}.base64", file.base64, rules


def _named_steps(request: Request) -> Iterator[tuple[str, Step]]:
    """The steps, each with the prefix of its fields' names; a request for one task has none."""
    steps = steps_of(request)
    for step in steps:
        yield "" if steps == (request,) else f"{step.kind}.", step


def _vod_files(step: Step) -> Iterator[tuple[str, VodFile]]:
    """VOD's files, each with its place. No audio takes any."""
    files = () if isinstance(step, AudioRequest) or step.vod is None else step.vod.files
    for number, file in enumerate(files):
        yield f"vod.files.{number}", file


def _rules_at(place: str, step: Step, backend: str) -> FileRules | None:
    """The rules of an input by its place in a request."""
    match place.split("."):
        case ["first_frame" | "last_frame"]:
            return _H3 if _is_h3(step, backend) else _FRAMES
        case ["images", *_]:
            return _rules_of_images(step, backend)
        case ["subjects", _, "images", _]:
            return _SUBJECTS["mps" if backend == "mps" else "vod"]
    return None


def _rules_of_images(step: Step, backend: str) -> FileRules:
    if isinstance(step, VideoRequest):
        documented = _VIDEO_REFERENCES if backend == "mps" else _FRAMES
        return _H3 if _is_h3(step, backend) else documented
    is_wand_vega = backend == "mps" and (step.model_name or "").lower() == "wand-vega-image"
    return _WAND_VEGA if is_wand_vega else _IMAGES


def _is_h3(step: Step, backend: str) -> bool:
    return backend == "mps" and (step.model_version or "").lower() == "h3"


def _is_image(file: VodFile) -> bool:
    return (file.category or "image").lower() == "image"
