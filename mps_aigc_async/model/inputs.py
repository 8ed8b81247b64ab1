"""Inputs of a request: images, videos and subjects, by URL, by local file, or as an earlier result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AliasChoices, BeforeValidator, Field, JsonValue, SerializerFunctionWrapHandler, WrapSerializer

from .results import ImageResult, VideoResult
from .value import Value

ADDED_LATER: Final[Mapping[str, object]] = {
    "never_expires": False, "bare_file_ids": [], "usage": None, "begun_at": None, "finished_at": None,
}  # fmt: skip
"""Fields of results that ledgers of earlier schemas do not have, with their defaults in JSON.

A field at its default is left out of a request's content. Otherwise a request that starts from a result would have
another content after an upgrade, and be paid for again. Every field that is added to images' or videos' results belongs
here; no request starts from an audio's."""


def _result_content(result: object, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = write(result)
    return {name: value for name, value in fields.items() if name not in ADDED_LATER or value != ADDED_LATER[name]}


_AsContent: Final = WrapSerializer(_result_content, when_used="json")

ImageSource = str | Path | Annotated[ImageResult, _AsContent]
"""A public URL, a local file, or the result of an image request (its first image)."""


def _source(value: object) -> object:
    if isinstance(value, str | Path | ImageResult | Mapping):  # a Mapping: a result as the ledger stores it
        return value
    raise ValueError(f"expected a URL, a path or an ImageResult, got {type(value).__name__}")


Frame = Annotated[ImageSource, BeforeValidator(_source)]
"""An image, as any ImageSource. A value of another type gets a single error, not an error for each possible type."""

VideoSource = str | Annotated[VideoResult, _AsContent]
"""A public URL, or the result of a video request."""


class ReferenceImage(Value):
    """A reference image with its documented `reference_type` (its meaning depends on the model)."""

    image: Frame = Field(validation_alias=AliasChoices("image", "url", "Url", "image_url", "ImageUrl"))
    reference_type: str | None = Field(default=None, validation_alias=AliasChoices("reference_type", "ReferenceType"))


class ReferenceVideo(Value):
    """A reference video by its public URL."""

    url: str
    refer_type: str | None = None
    """`feature` (a style to take from) or `base` (the video to edit; excludes first and last frames)."""
    keep_original_sound: bool | None = None


class Subject(Value):
    """A subject (a person, a thing) that the video should show."""

    id: str | None = None
    name: str | None = None
    voice_id: str | None = None
    images: tuple[ImageSource, ...] = ()
    videos: tuple[str, ...] = ()
