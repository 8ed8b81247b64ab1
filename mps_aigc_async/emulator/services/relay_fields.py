"""Which fields the relay's routes take, and what each means to VOD.

The image route is quickrouter.ai's page "腾讯混元图像创建接口" (read 2026-11): its table, and its example where the two
differ (`tasks_priority` is a number, `type` is "file"). The page nests nothing; the example says that what follows
`output_config` is inside it. The video route is on no page of quickrouter.ai: its table is the image's with what the
relays of the same family document for theirs.
"""

from collections.abc import Mapping
from typing import Final

from ..tasks.fields import Json, ListOf, OneOf, Table
from .vod_fields import PERSONS, STORAGE, SWITCH

_FILE: Table = {
    "type": OneOf(("file", "url", "File", "Url")),
    "file_id": "string",
    "url": "string",
    "text": "string",
}

_OUTPUT: Table = {
    "storage_mode": STORAGE,
    "resolution": "string",
    "aspect_ratio": "string",
    "person_generation": PERSONS,
    "input_compliance_check": SWITCH,
    "output_compliance_check": SWITCH,
}

CREATE_IMAGE: Table = {
    "model_name": "string",
    "model_version": "string",
    "prompt": "string",
    "file_infos": ListOf(_FILE),
    "negative_prompt": "string",
    "enhance_prompt": SWITCH,
    "output_config": _OUTPUT,
    "session_id": "string",
    "session_context": "string",
    "tasks_priority": "integer",
    "ext_info": "string",  # "保留字段": the page's own value, "myextinfo", is no JSON
}

CREATE_VIDEO: Table = {
    **CREATE_IMAGE,
    "file_infos": ListOf(
        {
            **_FILE,
            "category": OneOf(("Image", "Video", "Audio")),
            "usage": OneOf(("FirstFrame", "LastFrame", "Reference")),
            "reference_type": "string",
        }
    ),
    "last_frame_file_id": "string",
    "last_frame_url": "string",
    "scene_type": "string",
    "output_config": {
        **_OUTPUT,
        "media_name": "string",
        "class_id": "integer",
        "expire_time": "string",
        "duration": "number",
        "audio_generation": SWITCH,
        "enhance_switch": SWITCH,
    },
}

REQUIRED: Final = ("model_name", "model_version", "prompt")
"""`prompt` is marked optional and described as required ("提示词 必需")."""


def in_vods_words(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    """The same request as VOD names its fields: `file_infos[].file_id` is `FileInfos[].FileId`."""
    return {_pascal(name): _value(name, value) for name, value in fields.items()}


def _value(name: str, value: Json) -> Json:
    if name == "type":
        return str(value).capitalize()
    if isinstance(value, Mapping):
        return in_vods_words(value)
    if isinstance(value, list):
        return [in_vods_words(item) if isinstance(item, Mapping) else item for item in value]
    return value


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
