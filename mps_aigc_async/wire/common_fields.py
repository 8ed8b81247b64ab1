"""The fields that MPS and VOD have in common: rows for the tables of both, in the order of the documents."""

from typing import Final

from ..model.audio_models import LYRICS
from ..model.inputs import Subject
from .fields import FieldRow, as_is, as_json, each, only_set, url_of


def _subject(subject: Subject) -> dict[str, object]:
    return only_set(
        Id=subject.id,
        Name=subject.name,
        VoiceId=subject.voice_id,
        ImageUrls=[url_of(image) for image in subject.images],
        VideoUrls=[url_of(video) for video in subject.videos],
    )


MODEL_AND_PROMPT: Final[tuple[FieldRow, ...]] = (
    ("model_name", "ModelName", as_is),
    ("model_version", "ModelVersion", as_is),
    ("scene_type", "SceneType", as_is),
    ("prompt", "Prompt", as_is),
)
"""The first fields of every create."""

SUBJECTS: Final[FieldRow] = ("subjects", "SubjectInfos", each(_subject))

LYRICS_AND_MORE: Final[tuple[FieldRow, ...]] = (
    # Both are merged, and written as JSON at the end.
    ("additional_parameters", "AdditionalParameters", dict),
    ("lyrics", "AdditionalParameters", lambda words: {LYRICS: words}),
)
"""An audio's parameters of single models."""


def with_parameters_as_json(params: dict[str, object]) -> dict[str, object]:
    """The parameters with AdditionalParameters as a string, which holds a JSON document."""
    name = "AdditionalParameters"
    return params | {name: as_json(params[name])} if name in params else params
