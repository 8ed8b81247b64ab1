"""Facts about audio models that no official document has: reported as tested on MPS.

A broken report warns, also under `strict`: nothing is refused by a report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..model.audio_models import LYRICS
from ..model.requests import AudioRequest, steps_of
from ..model.value import Value
from .facts import Source, fold_case

TESTED: Final = Source("reported as tested on MPS", "2026-08")


@dataclass(frozen=True, slots=True)
class Report:
    """A condition that the service has been seen to require of a model's requests."""

    model: str
    version: str
    """Empty for all versions."""
    field: str
    breaks: Callable[[AudioRequest], bool]
    why: str
    source: Source = TESTED

    def concerns(self, audio: AudioRequest) -> bool:
        """Whether the report is about the request's model and version."""
        is_model = fold_case(audio.model_name) == fold_case(self.model)
        return is_model and (not self.version or fold_case(audio.model_version) == fold_case(self.version))


def _no_version(audio: AudioRequest) -> bool:
    return not audio.model_version


def _has_version(audio: AudioRequest) -> bool:
    return bool(audio.model_version)


def _no_lyrics(audio: AudioRequest) -> bool:
    return not (audio.lyrics or (audio.additional_parameters or {}).get(LYRICS))


REPORTS: Final = (
    Report("MiniMaxMusic", "", "model_version", _no_version, "MiniMaxMusic needs one"),
    Report("GL", "", "model_version", _no_version, "GL needs one"),
    Report("Kling", "", "model_version", _has_version, "Kling refuses one for an audio: leave it out"),
    Report("Tme", "", "model_version", _has_version, "Tme refuses one: leave it out"),
    Report("GL", "3.0-pro", "lyrics", _no_lyrics, "GL 3.0-pro fails without them"),
    Report("Tme", "", "resource_id", lambda audio: not audio.resource_id, "Tme needs the song to cover"),
    Report("Tme", "", "audios", lambda audio: not audio.audios, "Tme needs the voice to cover the song with"),
)


def broken_reports(request: object) -> Iterator[str]:
    """The reports that a request breaks, each as a text."""
    steps = steps_of(request) if isinstance(request, Value) else ()
    for audio in (step for step in steps if isinstance(step, AudioRequest)):
        prefix = "" if audio is request else "audio."
        for report in REPORTS:
            if report.concerns(audio) and report.breaks(audio):
                yield f"{prefix}{report.field}: {report.why} ({report.source})"
