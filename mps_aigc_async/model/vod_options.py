"""Options that only VOD knows, and the relay in part.

Source: CreateAigcImageTask and CreateAigcVideoTask of VOD (2018-07-17), as of the official SDK 3.1.194 of 2026-10.
"""

import re
from binascii import a2b_base64
from contextlib import suppress
from typing import Final, Self

from pydantic import Field, field_validator, model_validator

from .json_text import JsonObject
from .value import Value, Whole

SESSION_PREFIX: Final = "mps-aigc-"
"""The prefix of the session ids that the client makes. A user's own id must not have it."""

_DATA_URL: Final = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)


class VodFile(Value):
    """An input file for VOD: by its id there, by URL, or by its content."""

    file_id: str | None = None
    url: str | None = None
    base64: str | None = Field(default=None, repr=False)
    """The file's bytes in Base64; all files of a request together at most 7 MiB before Base64.

    A `data:` prefix and line ends are left out, since the service takes neither."""
    text: str | None = None
    """A description of the image (GEM), or a name for it in the prompt (PixVerse)."""
    category: str | None = None
    """For a video's input: `Image`, `Video` or `Audio`."""
    usage: str | None = None
    """For a video's input: `FirstFrame` (the service's default), `LastFrame` or `Reference`."""
    reference_type: str | None = None
    object_id: str | None = None
    voice_id: str | None = None
    keep_original_sound: bool | None = None

    @field_validator("base64")
    @classmethod
    def _plain_base64(cls, value: str | None) -> str | None:
        if not value:
            return value
        text = "".join(_DATA_URL.sub("", value, count=1).split())
        content: bytes | None = None
        with suppress(ValueError):
            content = a2b_base64(text, strict_mode=True)
        if content is None or len(text) % 4:  # Python lets one = too many pass
            raise ValueError("is not Base64: A-Z, a-z, 0-9, + and /, padded with =")
        if not content:
            raise ValueError("is the Base64 of no bytes")
        return text

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        sources = [name for name in ("file_id", "url", "base64") if getattr(self, name)]
        if len(sources) != 1:
            raise ValueError(f"give one of file_id, url and base64, not {' and '.join(sources) or 'none'}")
        return self


class VodOptions(Value):
    """A request's options for VOD, and in part for the relay."""

    files: tuple[VodFile, ...] = ()
    last_frame_file_id: str | None = None
    storage_mode: str | None = None
    """`Temporary` (the default: the URL lives 7 days) or `Permanent`."""
    media_name: str | None = None
    class_id: Whole | None = None
    expire_time: str | None = None
    """When VOD deletes a file that it stores, as ISO 8601."""
    person_generation: str | None = None
    """`AllowAdult` or `Disallowed`."""
    input_compliance_check: bool | None = None
    output_compliance_check: bool | None = None
    enhance_switch: bool | None = None
    frame_interpolate: bool | None = None
    input_region: str | None = None
    """Where the inputs lie: `Mainland`, `Oversea` or `OverseaUSWest`."""
    procedure: str | None = None
    seed: Whole | None = None
    session_id: str | None = Field(default=None, min_length=1, max_length=50)
    """A session id of your own for the request's create; by default the client makes one for each create. The service
    refuses a second create of one session for 3 days, so two requests need two."""
    session_context: str | None = Field(default=None, max_length=1000)
    """Handed through to the service's notifications."""
    tasks_priority: Whole | None = Field(default=None, ge=-10, le=10)
    ext_info: JsonObject | None = None
    """The service's reserved field: an object, or its JSON text. `additional_parameters` go into the same field."""

    @field_validator("session_id")
    @classmethod
    def _of_the_user(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if value != value.strip() or not value.isprintable():  # a service may trim it, and then take it for another
            raise ValueError("is no session id: printable characters, without spaces around them")
        if value.startswith(SESSION_PREFIX):
            raise ValueError(f"begins with {SESSION_PREFIX}, as the session ids that the client makes: choose another")
        return value
