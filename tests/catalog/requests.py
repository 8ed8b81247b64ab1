"""Requests for the tests of the catalog."""

from typing import Any

from mps_aigc_async import ImageRequest, VideoRequest

URL = "https://example.com/1.png"
FILM = "https://example.com/1.mp4"
SONG = "https://example.com/1.mp3"


def image(model: str, version: str | None = None, **fields: Any) -> ImageRequest:  # noqa: ANN401 — a request's fields
    return ImageRequest(**{"prompt": "x", "model_name": model, "model_version": version, **fields})


def video(model: str, version: str | None = None, **fields: Any) -> VideoRequest:  # noqa: ANN401 — as above
    return VideoRequest(**{"prompt": "x", "model_name": model, "model_version": version, **fields})


class AudioRequest:
    """A request for audio, as far as the catalog looks at one."""

    def __init__(self, model_name: str, model_version: str | None = None, **fields: object) -> None:
        self.model_name, self.model_version = model_name, model_version
        for name, value in fields.items():
            setattr(self, name, value)
