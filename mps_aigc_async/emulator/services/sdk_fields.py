"""Fields that the official SDK's models of MPS and of VOD have in common (3.1.194 of both)."""

from typing import Final

from ..tasks.fields import ListOf

SUBJECTS: Final = ListOf(
    {
        "Id": "string",
        "Name": "string",
        "VoiceId": "string",
        "ImageUrls": ListOf("string"),
        "VideoUrls": ListOf("string"),
    }
)
"""SubjectInfos of a video."""
